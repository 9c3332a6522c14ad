"""A checkpoint as records of a compacted topic: in chunks, each under a key that says whose and which it is."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

from consumer.checkpoint.store import CheckpointName

if TYPE_CHECKING:
    from consumer.checkpoint.envelope import Data

CHUNK_BYTES: Final = 524_288
"""Half of what Apache Kafka's topics take by default: a restart that fails midway repeats little of it."""

CHUNK_HEADROOM_BYTES: Final = 16_384
"""What a record's key, its batch and a compression that does not compress may add to a chunk."""

_FORMAT: Final = "1"
_KEY: Final = re.compile(
    rf"{_FORMAT}/(?P<group>[^/]+)/(?P<topic>[^/]+)/(?P<partition>\d{{1,10}})/(?P<offset>\d{{20}})-(?P<digest>[0-9a-f]{{16,64}})"
    r"/(?P<content>[0-9a-f]{16})/(?P<total>\d{1,6})/(?P<number>\d{1,6})",
    re.ASCII,
).fullmatch
_PLACE: Final = re.compile(r"(\d{1,19})\+(\d{1,9})", re.ASCII).fullmatch


class Write(NamedTuple):
    """One content under one name: a checkpoint that is signed anew keeps its name, and is another write.

    Attributes:
        name: the checkpoint's.
        content: digest of the bytes as written, hexadecimal; chunks of two writes are never taken for one.
        total: how many chunks it has.
    """

    name: CheckpointName
    content: str
    total: int


class ChunkKey(NamedTuple):
    """Which chunk a record holds, counted from 0."""

    write: Write
    number: int

    def encode(self) -> bytes:
        """Return the record's key; no two chunks have the same."""
        name, content, total = self.write
        group, topic = (quote(part, safe="") for part in (name.group, name.topic))
        place = f"{_FORMAT}/{group}/{topic}/{name.partition}/{name.offset:020d}-{name.digest}"
        return f"{place}/{content}/{total}/{self.number}".encode("ascii")


class Place(NamedTuple):
    """Where in its partition a checkpoint's chunks lie: from `first` on, up to but without `end`."""

    first: int
    end: int

    def encode(self) -> str:
        """Return it as the reference carries it: the first offset, and how many there are."""
        return f"{self.first}+{self.end - self.first}"


def split(name: CheckpointName, data: Data) -> list[tuple[ChunkKey, bytes]]:
    """Return a checkpoint's chunks of `CHUNK_BYTES` at most: the same ones whenever the same data is split."""
    total = max(1, -(-len(data) // CHUNK_BYTES))
    write = Write(replace(name, place=None), blake2b(data, digest_size=8).hexdigest(), total)
    return [
        (ChunkKey(write, number), bytes(data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]))
        for number in range(total)
    ]


def decode_key(key: bytes | None) -> ChunkKey | None:
    """Return which chunk a record's key names; None where it is no key of a chunk."""
    try:
        found = _KEY((key or b"").decode("ascii"))
        if found is None:
            return None
        name = CheckpointName(
            unquote(found["group"], errors="strict"),
            unquote(found["topic"], errors="strict"),
            int(found["partition"]),
            int(found["offset"]),
            found["digest"],
        )
        chunk = ChunkKey(Write(name, found["content"], int(found["total"])), int(found["number"]))
        is_ours = chunk.number < chunk.write.total and chunk.encode() == key  # one spelling only
    except UnicodeError:
        return None
    return chunk if is_ours else None


def decode_place(place: str | None) -> Place | None:
    """Return where a reference says that its checkpoint lies; None where it says nothing of this kind."""
    found = None if place is None else _PLACE(place)
    return None if found is None else Place(int(found[1]), int(found[1]) + int(found[2]))
