"""Sums over items that do not depend on the order of the items: of integers, in fixed point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE: Final = 2**20
"""What 1.0 is in fixed point: a million items of a million units each still fit into 64 bits."""
_MOST: Final = 2.0**40


def to_fixed(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values in fixed point, to the nearest 2**-20, those beyond 2**40 held there."""
    return np.rint(np.clip(values, -_MOST, _MOST) * ONE).astype(np.int64)


def from_fixed(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what `to_fixed` has taken."""
    return values.astype(np.float64) / ONE
