"""One record of the input log, free of any Kafka type and light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
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
