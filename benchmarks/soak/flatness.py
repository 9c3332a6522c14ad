"""Whether something grew: the end of a series beside its beginning."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flatness(NamedTuple):
    """A series' first and last part, a quarter each where nothing else is asked for.

    Attributes:
        first: the median of the first part.
        last: the median of the last part.
    """

    first: float
    last: float

    def bound(self, factor: float, slack: float) -> float:
        """Return what the last part's median may be at most and still count as no growth."""
        return self.first * factor + slack


def flatness(values: Sequence[float], parts: int = 4) -> Flatness:
    """Return the medians of the first and of the last of so many parts, each of one value at least.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("expected values, got none")
    length = max(1, len(values) // parts)
    return Flatness(median(values[:length]), median(values[-length:]))
