"""One record of the input log, free of any Kafka type and light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from schemas.dead_letter import Headers


class Record(msgspec.Struct, gc=False):
    """One record of the input log.

    Attributes:
        partition: the input partition.
        offset: its offset there.
        timestamp_ms: its Kafka timestamp in milliseconds, below 0 where it has none.
        key: its key.
        value: its value; None is a tombstone.
        headers: its headers in their order.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None


class RecordBatch:
    """Records of one partition that were fetched together, in their order.

    By columns, because most of them are never needed one by one.

    Args:
        partition: the input partition.
        offsets: their offsets there.
        timestamps_ms: their Kafka timestamps in milliseconds, below 0 for one that has none.
        keys: their keys.
        values: their values; None is a tombstone.
        headers_at: returns the headers of the record at an index; few are ever asked for.
    """

    __slots__ = ("_headers_at", "keys", "offsets", "partition", "timestamps_ms", "values")

    def __init__(  # noqa: PLR0913, PLR0917 -- its columns, and a record's order
        self,
        partition: int,
        offsets: Sequence[int],
        timestamps_ms: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers_at: Callable[[int], Headers | None],
    ) -> None:
        self.partition = partition
        self.offsets = offsets
        self.timestamps_ms = timestamps_ms
        self.keys = keys
        self.values = values
        self._headers_at = headers_at

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def offset(self) -> int:
        """The first record's."""
        return self.offsets[0]

    def record(self, index: int) -> Record:
        """Return one of them."""
        return Record(
            self.partition,
            self.offsets[index],
            self.timestamps_ms[index],
            self.keys[index],
            self.values[index],
            self._headers_at(index),
        )

    def part(self, start: int, stop: int) -> RecordBatch:
        """Return those from index `start` on, below `stop`, as a batch of their own."""
        headers_at = self._headers_at
        return RecordBatch(
            self.partition,
            self.offsets[start:stop],
            self.timestamps_ms[start:stop],
            self.keys[start:stop],
            self.values[start:stop],
            lambda index: headers_at(start + index),
        )

    def records(self) -> Iterable[Record]:
        """Return each of them."""
        return map(self.record, range(len(self)))


def batch_of(records: Sequence[Record]) -> RecordBatch:
    """Return records of one partition, at least one, as a batch."""
    return RecordBatch(
        records[0].partition,
        [record.offset for record in records],
        [record.timestamp_ms for record in records],
        [record.key for record in records],
        [record.value for record in records],
        lambda index: records[index].headers,
    )
