"""One simulated partition: records, markers, and what a read_committed reader may see of them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from consumer.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.dead_letter import Headers


class Fate(Enum):
    """What became of a transaction in one partition, as the markers there say."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Span:
    """One transaction's records in one partition.

    Attributes:
        first_offset: where they begin; everything from there on is held back while the fate is open.
        fate: OPEN until the marker is written here, which other partitions may see earlier or later.
    """

    __slots__ = ("fate", "first_offset")

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self.fate = Fate.OPEN


class Entry(NamedTuple):
    """What one offset holds.

    Attributes:
        record: None for a marker, which takes an offset too.
        span: the transaction that it belongs to, None outside of one.
    """

    record: Record | None
    span: Span | None


class PartitionLog:
    """The log of one partition of one topic.

    Attributes:
        start: the first offset that is still held.
    """

    def __init__(self, partition: int) -> None:
        self.start = 0
        self._partition = partition
        self._entries: list[Entry] = []  # the entry at index 0 has offset 0, removed ones are blanked
        self._open: list[Span] = []

    @property
    def end(self) -> int:
        """The high watermark: one above the last offset."""
        return len(self._entries)

    @property
    def stable(self) -> int:
        """The last stable offset: below it every transaction's fate is known."""
        return min((span.first_offset for span in self._open), default=self.end)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int,
        span: Span | None = None,
    ) -> int:
        """Append a record and return its offset."""
        offset = self.end
        self._entries.append(Entry(Record(self._partition, offset, timestamp_ms, key, value, headers), span))
        return offset

    def open(self) -> Span:
        """Begin a transaction here."""
        span = Span(self.end)
        self._open.append(span)
        return span

    def close(self, span: Span, fate: Fate) -> None:
        """Write a transaction's marker."""
        span.fate = fate
        self._open.remove(span)
        self._entries.append(Entry(None, span))

    def committed(self, offset: int) -> Iterator[Record]:
        """Yield what a read_committed reader sees from `offset` on, below the last stable offset."""
        for entry in self._entries[max(offset, self.start) : self.stable]:
            if entry.record is not None and (entry.span is None or entry.span.fate is Fate.COMMITTED):
                yield entry.record

    def delete_below(self, offset: int) -> None:
        """Let retention remove what lies below an offset."""
        self.start = max(self.start, min(offset, self.stable))

    def truncate(self, end: int) -> None:
        """Lose the end of the log, as after an unclean leader election."""
        del self._entries[end:]
        self._open = [span for span in self._open if span.first_offset < end]
        self.start = min(self.start, end)
