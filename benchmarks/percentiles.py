"""Percentiles of what was measured, each one of the measured values: none is invented between two."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Percentiles(NamedTuple):
    """What is reported of measured seconds.

    Attributes:
        number: how many were measured.
    """

    number: int
    p50: float
    p99: float
    max: float


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of all do not exceed (the nearest rank).

    >>> percentile([4.0, 1.0, 3.0, 2.0], 50)
    2.0

    Raises:
        ValueError: there is no value, or the percentage is not above 0 and at most 100.
    """
    ordered = sorted(values)
    if not ordered or not 0 < percent <= 100:
        raise ValueError(f"expected values, and a percentage above 0 up to 100; got {len(ordered)} and {percent}")
    return ordered[ceil(len(ordered) * percent / 100) - 1]


def percentiles(values: Iterable[float]) -> Percentiles:
    """Return count, median, 99th percentile and maximum.

    Of fewer than 100 values, the 99th percentile is the maximum.

    Raises:
        ValueError: there is no value.
    """
    kept = list(values)
    return Percentiles(len(kept), percentile(kept, 50), percentile(kept, 99), percentile(kept, 100))
