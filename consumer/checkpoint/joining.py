"""A checkpoint put together from its file and its parents' files, each of which is verified alone.

Nothing in a header is believed beyond what the files really hold: a parent gives no more bytes than it has.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from consumer.checkpoint.envelope import EnvelopeError, unseal
from consumer.checkpoint.store import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from consumer.checkpoint.envelope import Data, File, Header
    from consumer.checkpoint.shards import Piece
    from consumer.checkpoint.store import CheckpointName, CheckpointReads

_MOST_BYTES: Final = 2**40
"""Of a state: far more than any memory has, and a number that can still be asked for."""


class MissingCheckpointError(Exception):
    """The store says that it does not hold the object, or that it cannot be read: another host's, or deleted."""


class Opened(NamedTuple):
    """A checkpoint that was verified and put together; nothing was unpickled.

    Attributes:
        sections: the whole state's.
    """

    header: Header
    sections: Mapping[str, Buffer]


class JoinedReads:
    """Another store's reads, in which a checkpoint's parents come along.

    Args:
        store: where the files are.
        key: the key that they must be signed with, None where they must not be signed.
    """

    def __init__(self, store: CheckpointReads[bytes], key: bytes | None = None) -> None:
        self._store = store
        self._key = key

    def read(self, name: CheckpointName) -> Opened | None:
        """Return the checkpoint, None where its file is absent.

        Raises:
            MissingCheckpointError: a parent's file is absent or cannot be read.
            EnvelopeError: it or a parent is damaged, or another one than its name says.
            UnreadableError: it is there but cannot be read.
            StoreError: the store cannot be asked.
        """
        data = self._store.read(name)
        if data is None:
            return None
        file = unseal(data, self._key)
        found = file.header.name()
        if found != name:
            raise EnvelopeError(f"its header is another one's: expected {name}; found {found}")
        return opened(file, self._store.read, lambda parent: unseal(parent, self._key))

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of all checkpoints of a partition, lowest offset first."""
        return self._store.names(group, topic, partition)

    def where(self) -> str:
        """Name the store."""
        return self._store.where()


def opened(file: File, read: Callable[[CheckpointName], bytes | None], unsealed: Callable[[Data], File]) -> Opened:
    """Return the checkpoint of a file and its parents, which are read one after the other.

    Args:
        file: the file.
        read: reads a parent's file.
        unsealed: verifies a file.

    Raises:
        MissingCheckpointError: a parent's file is absent or cannot be read.
        EnvelopeError: a parent is damaged, or another one than its name says, or does not hold what the file says.
        StoreError: a parent cannot be asked for.
    """
    header = file.header
    if not header.parents:
        return Opened(header, file.sections())
    sections = _room(header)
    _fill(sections, header, 0, file)
    for number, name in enumerate(header.parent_names(), 1):
        _fill(sections, header, number, _parent(header.name(), name, read, unsealed))
    return Opened(header, {name: section.data.toreadonly() for name, section in sections.items()})


def assembled(file: File, pieces: Mapping[str, Sequence[Piece]]) -> dict[str, Buffer]:
    """Return the sections that a restore will find: what the file holds from there, all else from memory."""
    if not file.header.parents:
        return dict(file.sections())
    sections = _room(file.header)
    _fill(sections, file.header, 0, file)
    for section in file.header.sections:
        target, start = sections[section.name], 0
        for shard, piece in zip(section.shards, pieces[section.name], strict=True):
            if shard.holder and piece.digest == shard.digest:
                target[start : start + shard.length] = piece.body
            start += shard.length
    return {name: section.data for name, section in sections.items()}


def _parent(
    child: CheckpointName,
    name: CheckpointName,
    read: Callable[[CheckpointName], bytes | None],
    unsealed: Callable[[Data], File],
) -> File:
    what = f"the checkpoint at offset {child.offset} shares with the one at offset {name.offset}, {name.digest:.12},"
    try:
        data = read(name)
    except UnreadableError as error:
        raise MissingCheckpointError(f"{what} which cannot be read: {error}") from error
    if data is None:
        raise MissingCheckpointError(f"{what} which is missing")
    try:
        file = unsealed(data)
    except EnvelopeError as error:
        raise EnvelopeError(f"{what} which cannot be used: {error}") from error
    if file.header.name() != name:
        raise EnvelopeError(f"{what} in whose place another one lies: {file.header.name()}")
    return file


def _room(header: Header) -> dict[str, NDArray[np.uint8]]:
    """Return arrays for the sections. Memory is taken only as they are filled, with bytes that are there."""
    total = sum(section.length for section in header.sections)
    if total > _MOST_BYTES:
        raise EnvelopeError(f"expected a state of at most {_MOST_BYTES} bytes; found {total}")
    try:
        return {section.name: np.empty(section.length, np.uint8) for section in header.sections}
    except MemoryError as error:
        raise EnvelopeError(f"a state of {total} bytes does not fit into memory") from error


def _fill(sections: Mapping[str, Any], header: Header, number: int, holder: File) -> None:
    """Copy what a file holds into the sections, without the interpreter's lock."""
    shards, left = holder.shards(), Counter(shard.digest for shard in holder.header.own_shards())
    for section in header.sections:
        target, start = sections[section.name], 0
        for shard in section.shards:
            if shard.holder == number:
                body = shards.get(shard.digest)
                left[shard.digest] -= 1
                if body is None or len(body) != shard.length or left[shard.digest] < 0:
                    raise EnvelopeError(
                        f"the checkpoint at offset {holder.header.offset} does not hold the shard {shard.digest:.12} "
                        f"that the one at offset {header.offset} says it does"
                    )
                target[start : start + shard.length] = np.frombuffer(body, np.uint8)
            start += shard.length
