"""Whether something grew: the end of a series beside its beginning."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flatness(NamedTuple):
    """A series' first and last quarter.

    Attributes:
        first: the median of the first quarter.
        last: the median of the last quarter.
    """

    first: float
    last: float

    def bound(self, factor: float, slack: float) -> float:
        """Return what the last quarter's median may be at most and still count as no growth."""
        return self.first * factor + slack


def flatness(values: Sequence[float]) -> Flatness:
    """Return the medians of the first and of the last quarter, each of one value at least.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("expected values, got none")
    quarter = max(1, len(values) // 4)
    return Flatness(median(values[:quarter]), median(values[-quarter:]))
