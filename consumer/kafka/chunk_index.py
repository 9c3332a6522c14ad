"""What lies in one partition of the checkpoint topic: its keys walked through in order, the last word of each kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from consumer.kafka.chunks import ChunkKey, Place, decode_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.checkpoint.store import CheckpointName
    from consumer.kafka.chunks import Write


class Lying(NamedTuple):
    """One chunk where it lies.

    Attributes:
        offset: in the checkpoint topic.
        size: bytes.
        timestamp_ms: when it was written, as its record says.
    """

    offset: int
    size: int
    timestamp_ms: int


class Whole(NamedTuple):
    """A checkpoint all of whose chunks are there, in their order; its name says where."""

    name: CheckpointName
    chunks: tuple[Lying, ...]


class ChunkIndex:
    """The chunks of one partition, as far as it was walked through.

    Args:
        partition: records that name another one are none of ours.
        start: the offset from which on it is walked through.

    Attributes:
        next: the offset of the first record that was not looked at.
    """

    def __init__(self, partition: int, start: int) -> None:
        self.next = start
        self._partition = partition
        self._writes: dict[Write, dict[int, Lying]] = {}

    def note(self, offset: int, key: bytes | None, size: int | None, timestamp_ms: int) -> ChunkKey | None:
        """Take in the next record, `size` None for a tombstone; return which chunk it is of, if of any."""
        self.next = offset + 1
        chunk = decode_key(key)
        if chunk is None or chunk.write.name.partition != self._partition:
            return None
        if size is not None:
            self._writes.setdefault(chunk.write, {})[chunk.number] = Lying(offset, size, timestamp_ms)
        elif chunk.write in self._writes:
            self._writes[chunk.write].pop(chunk.number, None)
            if not self._writes[chunk.write]:
                del self._writes[chunk.write]
        return chunk

    def pass_to(self, offset: int) -> None:
        """Take note that no record is left below an offset: compaction and markers leave gaps."""
        self.next = max(self.next, offset)

    def wholes(self, group: str | None = None, topic: str | None = None) -> list[Whole]:
        """Return the whole checkpoints of all groups and topics, or of one; of one name the newest write."""
        newest: dict[CheckpointName, tuple[Lying, ...]] = {}
        for write, lying in self._of(group, topic):
            chunks = tuple(lying[number] for number in range(write.total)) if len(lying) == write.total else ()
            if chunks and (write.name not in newest or _last(newest[write.name]) < _last(chunks)):
                newest[write.name] = chunks
        return [
            Whole(replace(name, place=Place(min(chunks).offset, _last(chunks) + 1).encode()), chunks)
            for name, chunks in sorted(newest.items())
        ]

    def whole(self, name: CheckpointName) -> Whole | None:
        """Return one checkpoint, None where it is not there or not whole."""
        return next((each for each in self.wholes(name.group, name.topic) if each.name == name), None)

    def keys(self, name: CheckpointName) -> list[bytes]:
        """Return the keys of all chunks under a name, of whichever write."""
        return [key for write, lying in self._writes.items() if write.name == name for key in _keys(write, lying)]

    def abandoned(self, group: str, topic: str, before_ms: int) -> list[bytes]:
        """Return the keys of chunks whose checkpoint has not become whole and whose newest is older than this."""
        return [
            key
            for write, lying in self._of(group, topic)
            if len(lying) < write.total and max(chunk.timestamp_ms for chunk in lying.values()) < before_ms
            for key in _keys(write, lying)
        ]

    def _of(self, group: str | None, topic: str | None) -> Iterator[tuple[Write, dict[int, Lying]]]:
        for write, lying in self._writes.items():
            if group in {None, write.name.group} and topic in {None, write.name.topic}:
                yield write, lying


def _last(chunks: tuple[Lying, ...]) -> int:
    return max(chunks).offset


def _keys(write: Write, lying: dict[int, Lying]) -> list[bytes]:
    return [ChunkKey(write, number).encode() for number in sorted(lying)]
