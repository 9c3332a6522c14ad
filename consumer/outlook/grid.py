"""The grid on which the past of forecasts is kept: bins of the mean, and in each of them cells of the outcome.

Bins are quarters of an octave. In a bin of a small mean a cell is one unit: there demand is a count, and its
distribution has no shape to be scaled. In a bin of a larger mean, and wherever demand is not in whole units, cells are
of the ratio of outcome and mean, finest about 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS: Final = 72
CELLS: Final = 96
_LOWEST_OCTAVE: Final = -6
_OCTAVES_OF_UNITS: Final = 3
UNIT_BINS: Final = 4 * (_OCTAVES_OF_UNITS - _LOWEST_OCTAVE)
"""The first so many bins have cells of one unit: means below 8."""

# 2 to the 1/4, 2/4, 3/4: written out, since a power's last bit depends on the machine.
_QUARTERS: Final = (1.189207115002721, 1.4142135623730951, 1.681792830507429)
_EIGHTH: Final = 1.0905077326652577


def _ratio_edges() -> NDArray[np.float64]:
    parts = ((0.0, 0.05, 10), (0.5, 0.02, 50), (1.5, 0.05, 20), (2.5, 0.25, 8), (4.5, 1.0, 8))
    edges = [start + step * number for start, step, count in parts for number in range(count)]
    return np.array([*edges, 2 * edges[-1]])


RATIO_EDGES: Final = _ratio_edges()
"""Where the cells of a ratio begin and end; what lies beyond the last is in the last. Shape (CELLS + 1,)."""


def _centres() -> NDArray[np.float64]:
    return np.array(
        [2.0 ** (number // 4 + _LOWEST_OCTAVE) * ((1.0, *_QUARTERS)[number % 4] * _EIGHTH) for number in range(BINS)]
    )


CENTRES: Final = _centres()
"""The mean in the middle of each bin, shape (BINS,)."""


def bins_of(means: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each mean; those below and above all are in the first and in the last."""
    mantissas, exponents = np.frexp(means)
    doubled = 2 * mantissas  # 1 up to 2
    quarters = (doubled >= _QUARTERS[0]).astype(np.int64) + (doubled >= _QUARTERS[1]) + (doubled >= _QUARTERS[2])
    found: NDArray[np.int64] = np.clip(4 * (exponents - 1 - _LOWEST_OCTAVE) + quarters, 0, BINS - 1)
    return found


def in_units(bins: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each whether its cells are of units."""
    return whole & (bins < UNIT_BINS)


def cells_of(
    outcomes: NDArray[np.float64], means: NDArray[np.float64], bins: NDArray[np.int64], whole: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the cell of each outcome.

    A whole number stands for the unit that begins there, so that half of it lies about its middle.
    """
    ratios = (outcomes + np.where(whole, 0.5, 0.0)) / np.maximum(means, CENTRES[0])
    by_ratio = np.searchsorted(RATIO_EDGES[1:-1], ratios, side="right")
    found: NDArray[np.int64] = np.where(
        in_units(bins, whole), np.minimum(outcomes, CELLS - 1).astype(np.int64), by_ratio.astype(np.int64)
    )
    return found


def prior() -> NDArray[np.float64]:
    """Return what is expected before anything is known, of outcomes in units: shape (BINS, CELLS), rows that add to 1.

    The geometric distribution of the bin's mean: of all counts with that mean the one of most entropy (Jaynes 1957),
    wide as an unknown item's demand is. Of ratios, the exponential one, which is its limit.
    """
    found = np.empty((BINS, CELLS))
    for number, mean in enumerate(CENTRES[:UNIT_BINS]):
        falling = mean / (1.0 + mean)
        chance = 1.0 / (1.0 + mean)
        for cell in range(CELLS):
            found[number, cell] = chance
            chance *= falling
        found[number, -1] += chance / (1.0 - falling)
    found[UNIT_BINS:] = prior_of_ratios()
    return found


def prior_of_ratios() -> NDArray[np.float64]:
    """Return the share of each cell of ratios under the exponential distribution: shape (CELLS,)."""
    beyond = np.array([_exponential(edge) for edge in RATIO_EDGES])
    beyond[-1] = 0.0
    found: NDArray[np.float64] = beyond[:-1] - beyond[1:]
    return found


def _exponential(ratio: float) -> float:
    """Return exp(-ratio), by its series at a 64th and squaring: the same bits everywhere."""
    x = -ratio / 64.0
    term = total = 1.0
    for number in range(1, 16):
        term *= x / number
        total += term
    for _ in range(6):
        total *= total
    return total
