"""Intervals by online conformal inference: what became of forecasts like this one.

Mondrian conformal prediction (Vovk, Gammerman and Shafer 2005, section 4.5), online: the past outcomes of one horizon
are kept by taxonomy, that is by the forecast's mean and by how far the item's demand spreads about its means. A
quantile is one of those outcomes. Counts fade, so that they follow a shop that changes; bins lend to their neighbours,
and classes to one another, while they are thin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from consumer.outlook.grid import (
    BINS,
    CELLS,
    RATIO_EDGES,
    UNIT_BINS,
    bins_of,
    cells_of,
    in_units,
    prior,
    prior_of_ratios,
)
from consumer.outlook.horizons import HORIZONS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CLASS_CUTS: Final = (0.8, 1.1, 1.5, 2.1, 3.0, 4.5)
"""Of an item's dispersion, its mean squared error a unit of its mean, which is 1 where demand is Poisson."""
FRACTIONAL: Final = len(CLASS_CUTS) + 1
YOUNG: Final = FRACTIONAL + 1
"""Of items in whole units that were not seen long enough to be told apart: their bounds are wide, and theirs alone."""
CLASSES: Final = YOUNG + 1
FADE: Final = 0.95
"""What a count keeps from one day to the next: twenty days of memory. An outcome of 28 days tells of a forecast of 28
days ago; a longer memory would have intervals as wide as they had to be when items were young."""
_LENT_BY_CLASSES: Final = 30.0
_LENT_BY_PRIOR: Final = 5.0
_SHAPE: Final = (len(HORIZONS), CLASSES, BINS, CELLS)


def classes_of(
    dispersions: NDArray[np.float64], whole: NDArray[np.bool_], is_young: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the class of each item."""
    by_dispersion = np.searchsorted(np.array(CLASS_CUTS), dispersions, side="right")
    found: NDArray[np.int64] = np.where(whole, np.where(is_young, YOUNG, by_dispersion), FRACTIONAL)
    return found


class Tables(NamedTuple):
    """The distributions as they were when a day began to close; nothing changes them.

    Attributes:
        shares: of each horizon, class and bin, how much of the past lies in a cell or below it; shape
            (horizons, CLASSES, BINS, CELLS), the last cell 1.
        quantiles: of each level, in units or as ratios; shape (levels, horizons, CLASSES, BINS).
    """

    shares: NDArray[np.float64]
    quantiles: NDArray[np.float64]

    def quantile(
        self,
        level: int,
        horizon: int,
        classes: NDArray[np.int64],
        means: NDArray[np.float64],
        bins: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return a quantile of each item's demand: of whole numbers where demand is.

        Args:
            level: index into LEVELS.
            horizon: index into HORIZONS.
            classes: of the items.
            means: of the items, in units over the horizon.
            bins: of the means.
        """
        return _in_demand(self.quantiles[level, horizon, classes, bins], classes, means, bins)

    def quantile_at(
        self,
        levels: NDArray[np.float64],
        horizons: NDArray[np.int64],
        classes: NDArray[np.int64],
        means: NDArray[np.float64],
        bins: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return likewise a quantile of any level, each item's own, at any horizons.

        Args:
            levels: of the items, above 0 and below 1.
            horizons: indexes into HORIZONS, of any shape whose last axis is that of the items.
            classes: of the items.
            means: in units over the horizon, shaped as the horizons or as their last axes.
            bins: of the means.
        """
        # How many cells hold less than the level, by halves, since shares never fall: the highest bit first.
        cells = np.zeros(horizons.shape, np.int64)
        step = 1 << ((CELLS - 1).bit_length() - 1)
        while step:
            tried = np.minimum(cells + step, CELLS)
            cells = np.where(self.shares[horizons, classes, bins, tried - 1] < levels, tried, cells)
            step >>= 1
        cells = np.minimum(cells, CELLS - 1)
        upper = self.shares[horizons, classes, bins, cells]
        lower = np.where(cells > 0, self.shares[horizons, classes, bins, np.maximum(cells - 1, 0)], 0.0)
        found = np.where(in_units(bins, classes != FRACTIONAL), cells, _ratio_in(cells, lower, upper, levels))
        return _in_demand(found, classes, means, bins)

    def below(
        self,
        horizon: int,
        classes: NDArray[np.int64],
        means: NDArray[np.float64],
        bins: NDArray[np.int64],
        outcomes: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the probability that each item's demand is less than an outcome, which may be below 0."""
        shares = self.shares[horizon]
        whole = classes != FRACTIONAL
        units = in_units(bins, whole)
        counts = np.clip(np.ceil(np.where(units, outcomes, 0.0)), 0.0, CELLS).astype(np.int64)
        by_units = np.where(counts > 0, shares[classes, bins, np.maximum(counts - 1, 0)], 0.0)
        ratios = np.where(whole, np.ceil(outcomes), outcomes) / np.maximum(means, 1e-9)
        cells = np.searchsorted(RATIO_EDGES[1:-1], ratios, side="right")
        low, high = RATIO_EDGES[cells], RATIO_EDGES[cells + 1]
        upper = shares[classes, bins, cells]
        lower = np.where(cells > 0, shares[classes, bins, np.maximum(cells - 1, 0)], 0.0)
        within = np.clip((ratios - low) / (high - low), 0.0, 1.0)
        by_ratio = np.where(ratios > 0.0, lower + (upper - lower) * within, 0.0)
        result: NDArray[np.float64] = np.where(units, by_units, by_ratio)
        return result


class Intervals:
    """The outcomes of past forecasts, one state for each horizon.

    Attributes:
        tables: what forecasts are made of until the next `fold`.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_SHAPE)
        self._fresh = np.zeros(_SHAPE, np.int64)
        self.tables = _tables(self._counts)

    def add(
        self,
        horizon: int,
        classes: NDArray[np.int64],
        means: NDArray[np.float64],
        outcomes: NDArray[np.float64],
    ) -> None:
        """Take what became of forecasts of one horizon; it counts from the next `fold` on.

        Args:
            horizon: index into HORIZONS.
            classes: of the items, as of the forecast.
            means: that were forecast.
            outcomes: demand over the horizon.
        """
        bins = bins_of(means)
        cells = cells_of(outcomes, means, bins, classes != FRACTIONAL)
        flat = (classes * BINS + bins) * CELLS + cells
        np.add.at(self._fresh[horizon].reshape(-1), flat, 1)

    def fold(self, days: int) -> None:
        """Let so many days fade, take what was added, and make the tables anew."""
        for _ in range(days):
            self._counts *= FADE
        self._counts += self._fresh
        self._fresh[:] = 0
        self.tables = _tables(self._counts)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state."""
        return {"counts": self._counts.copy(), "fresh": self._fresh.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `snapshot` returned."""
        self._counts, self._fresh = state["counts"].copy(), state["fresh"].copy()
        self.tables = _tables(self._counts)


_PRIOR: Final = prior()
_PRIOR_OF_RATIOS: Final = prior_of_ratios()


_IN_UNITS: Final = tuple(number for number in range(CLASSES) if number != FRACTIONAL)


def _tables(counts: NDArray[np.float64]) -> Tables:
    lent = counts.copy()
    lent[:, :, 1:] += counts[:, :, :-1]
    lent[:, :, :-1] += counts[:, :, 1:]
    # Cells of units and cells of ratios have nothing to lend to one another.
    for number in _IN_UNITS:
        lent[:, number, UNIT_BINS] -= counts[:, number, UNIT_BINS - 1]
        lent[:, number, UNIT_BINS - 1] -= counts[:, number, UNIT_BINS]
    together = np.zeros((len(HORIZONS), BINS, CELLS))
    for number in range(FRACTIONAL):
        together += lent[:, number]
    together += _LENT_BY_PRIOR * _PRIOR
    together /= np.cumsum(together, axis=-1)[..., -1:]
    for number in _IN_UNITS:
        lent[:, number] += _LENT_BY_CLASSES * together
    lent[:, FRACTIONAL] += _LENT_BY_PRIOR * _PRIOR_OF_RATIOS
    sums = np.cumsum(lent, axis=-1)
    shares = sums / sums[..., -1:]
    return Tables(shares, np.stack([_quantiles(shares, level) for level in LEVELS]))


def _quantiles(shares: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return the quantile of each distribution: a count, or a ratio that lies in its cell as the level in its share."""
    cells = np.minimum((shares < level).sum(axis=-1), CELLS - 1)
    upper = np.take_along_axis(shares, cells[..., None], -1)[..., 0]
    lower = np.where(cells > 0, np.take_along_axis(shares, np.maximum(cells - 1, 0)[..., None], -1)[..., 0], 0.0)
    found = _ratio_in(cells, lower, upper, level)
    for number in _IN_UNITS:
        found[:, number, :UNIT_BINS] = cells[:, number, :UNIT_BINS]
    return found


def _ratio_in(
    cells: NDArray[np.int64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    levels: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the ratio that lies in its cell as the level between the shares below the cell and up to its end."""
    width = np.where(upper > lower, upper - lower, 1.0)
    low, high = RATIO_EDGES[cells], RATIO_EDGES[cells + 1]
    found: NDArray[np.float64] = low + (high - low) * np.clip((levels - lower) / width, 0.0, 1.0)
    return found


def _in_demand(
    found: NDArray[np.float64], classes: NDArray[np.int64], means: NDArray[np.float64], bins: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what counts, or ratios, are in units of demand: whole numbers where demand is."""
    whole = classes != FRACTIONAL
    scaled = found * means
    # Between two whole numbers lies the unit of the lower one: `cells_of`.
    scaled = np.where(whole, np.maximum(np.ceil(scaled) - 1.0, 0.0), scaled)
    result: NDArray[np.float64] = np.where(in_units(bins, whole), found, scaled)
    return result
