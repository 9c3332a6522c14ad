"""The columns of a batch, filled by compiled code, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumer.learning import columns, parsing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.transaction import Limits


class Columns(NamedTuple):
    """What `parse_events` made of a batch."""

    text: Any
    spans: Any
    numbers: Any
    doubles: Any

    def plain_rows(self) -> list[int]:
        return np.flatnonzero(self.numbers[:, columns.IS_PLAIN]).tolist()


def parsed(values: Sequence[bytes | None], timestamps_ms: Sequence[int], limits: Limits) -> Columns:
    """Parse a batch into columns that hold something else before, as far from any place in the text as can be."""
    size = len(values)
    text = np.frombuffer(bytearray().join(value or b"" for value in values), np.uint8)
    ends = np.cumsum([len(value or b"") for value in values], dtype=np.int64)
    found = Columns(
        text,
        np.full((size, columns.SPANS), -(2**63), np.int64),
        np.full((size, columns.NUMBERS), 77, np.int64),
        np.full((size, columns.DOUBLES), 7.7),
    )
    ahead_us = limits.max_clock_ahead_seconds * 1_000_000
    times = np.array(timestamps_ms, np.int64)
    parsing.parse_events(text, ends, times, limits.max_quantity, ahead_us, found.spans, found.numbers, found.doubles)
    return found
