"""Mutants of checkpoints that share shards with earlier ones: changed files, lost ones, and headers that lie."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.fuzzing.content import damaged
from consumer.checkpoint.envelope import (
    MAGIC,
    PREFIX_BYTES,
    EnvelopeError,
    Header,
    Identity,
    Parent,
    Section,
    Shard,
    read_header,
    seal,
    signed,
)
from consumer.checkpoint.joining import JoinedReads, MissingCheckpointError
from consumer.checkpoint.lineage import Lineage, Sharing
from consumer.checkpoint.shards import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from consumer.checkpoint.store import CheckpointName

_IDENTITY: Final = Identity("group", "sales", "topic-id", "0123456789ab", "f" * 64, "0", {"MODEL": "linear", "n": [1]})
_SHARING: Final = Sharing(shard_bytes=128, least_bytes=0, least_saved=0.0, most_read=1e9)
_FILES: Final = 4
_FILE_MUTATIONS: Final = ("untouched", "damaged", "missing", "swapped", "cut")
_ODD_NUMBERS: Final = (-1, 0, 1, 2, 8, 9, 127, 129, 2**31, 2**40, 2**62, 2**63 - 1)


class _Files:
    """A store of a dictionary."""

    def __init__(self, files: Mapping[CheckpointName, bytes]) -> None:
        self.files = dict(files)

    def read(self, name: CheckpointName) -> bytes | None:
        return self.files.get(name)

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        return sorted(name for name in self.files if name.is_of(group, topic, partition))

    def where(self) -> str:
        return "memory"


def judge_chain(rng: Random, sections: Mapping[str, bytes], key: bytes | None) -> tuple[str, str, bool, str | None]:
    """Write a chain, change it, and read its last checkpoint; return (mutation, verdict, is valid, problem)."""
    names, files, state = _chain(rng, sections, key)
    last = names[-1]
    if rng.random() < 0.5:
        mutation = rng.choice(_FILE_MUTATIONS)
        needed = [last, *read_header(files[last]).parent_names()]
        _change_file(rng, mutation, rng.choice(needed), files)
    else:
        mutation = rng.choice(list(_LIES))
        last = _lie(rng, mutation, last, files, key)
    try:
        opened = JoinedReads(_Files(files), key).read(last)
    except (EnvelopeError, MissingCheckpointError) as error:
        problem = f"an untouched chain is refused: {error}" if mutation == "untouched" else None
        return f"chain, {mutation}", "refused by the envelope", False, problem
    except BaseException as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        return f"chain, {mutation}", "crashed", False, f"{type(error).__name__}: {error}"
    if opened is None:  # as it is said of the file itself
        return f"chain, {mutation}", "refused by the envelope", False, None
    is_same = {name: bytes(section) for name, section in opened.sections.items()} == state
    return f"chain, {mutation}", "accepted", is_same, None if is_same else "another state comes out of a chain"


def _chain(
    rng: Random, sections: Mapping[str, bytes], key: bytes | None
) -> tuple[list[CheckpointName], dict[CheckpointName, bytes], dict[str, bytes]]:
    """Return the names and files of checkpoints that share, and the last one's state."""
    names, files, lineage = list[Any](), dict[Any, bytes](), Lineage()
    state = dict(sections)
    for number in range(_FILES):
        name = rng.choice(list(state))
        state[name] = damaged(rng, state[name]) if state[name] else rng.randbytes(300)
        pieces = cut(state, _SHARING.shard_bytes)
        holders = lineage.holders(pieces, 60 + number, _SHARING)
        header, data = seal(_IDENTITY, 0, 60 + number, pieces, key, holders)
        lineage.note(header.name(), len(data), pieces, holders)
        names.append(header.name())
        files[header.name()] = bytes(data)
    return names, files, state


def _change_file(rng: Random, mutation: str, name: CheckpointName, files: dict[CheckpointName, bytes]) -> None:
    if mutation == "damaged":
        files[name] = damaged(rng, files[name])
    elif mutation == "missing":
        del files[name]
    elif mutation == "swapped":
        files[name] = files[rng.choice([other for other in files if other != name])]
    elif mutation == "cut":
        files[name] = files[name][: rng.randrange(len(files[name]))]


def _lie(rng: Random, lie: str, name: CheckpointName, files: dict[CheckpointName, bytes], key: bytes | None) -> Any:  # noqa: ANN401 -- a name
    """Give a file another header, under a digest and a signature that fit; return its new name."""
    header, data = read_header(files[name]), files[name]
    length = int.from_bytes(data[PREFIX_BYTES - 4 : PREFIX_BYTES], "big")
    end = len(data) - (0 if key is None else 32)
    changed = msgspec.structs.replace(_LIES[lie](rng, header), digest="")
    digest = blake2b(msgspec.json.encode(changed), digest_size=32).hexdigest()
    changed = msgspec.structs.replace(changed, digest=digest)
    encoded = msgspec.json.encode(changed)
    file = MAGIC + data[8:10] + b"\0" + len(encoded).to_bytes(4, "big") + encoded + data[PREFIX_BYTES + length : end]
    files[changed.name()] = file if key is None else bytes(signed(file, key))
    return changed.name()


def _other_shards(rng: Random, header: Header, change: Callable[[list[Shard]], list[Shard]]) -> Header:
    """Change the shards of a section, and its length so that it fits."""
    sections = list(header.sections)
    at = rng.choice([number for number, section in enumerate(sections) if section.shards])
    shards = change(list(sections[at].shards))
    sections[at] = Section(sections[at].name, sum(shard.length for shard in shards), shards)
    return msgspec.structs.replace(header, sections=sections)


def _another_number(rng: Random, header: Header, name: str) -> Header:
    def change(shards: list[Shard]) -> list[Shard]:
        at = rng.randrange(len(shards))
        shards[at] = msgspec.structs.replace(shards[at], **{name: rng.choice(_ODD_NUMBERS)})
        return shards

    return _other_shards(rng, header, change)


def _another_parent(rng: Random, header: Header) -> Header:
    parents = list(header.parents)
    odd = Parent(rng.choice(_ODD_NUMBERS), rng.choice(("ab" * 32, "..", header.digest)), rng.choice((None, "0+1", "/")))
    parents.insert(rng.randint(0, len(parents)), odd)
    return msgspec.structs.replace(header, parents=parents * rng.choice((1, 1, 5)))


def _repeated(rng: Random, header: Header) -> Header:
    return _other_shards(rng, header, lambda shards: shards + [rng.choice(shards)] * rng.choice((1, 9, 900)))


_LIES: Final[Mapping[str, Callable[[Random, Header], Header]]] = {
    "another holder": lambda rng, header: _another_number(rng, header, "holder"),
    "another length": lambda rng, header: _another_number(rng, header, "length"),
    "another parent": _another_parent,
    "fewer parents": lambda rng, header: msgspec.structs.replace(
        header, parents=header.parents[: rng.randint(0, max(len(header.parents) - 1, 0))]
    ),
    "a shard again": _repeated,
}
