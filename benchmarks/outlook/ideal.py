"""The ideal forecaster: what someone who knows the truth would get on the same items and days.

Of a few overlapping windows even a true interval holds more or less than it says, by chance. How much so is found by
making the truth: an item's demand on a day is drawn from a negative binomial distribution. Its mean is what the outlook
forecast for that day; its variance is a multiple of the mean, the item's own: by how much its real demand was off,
squared, from these means (Poisson's 1 where that is less). Such days add up to a negative binomial again, the means
added and the multiple the same, so the distribution of any window is known exactly. Each drawn window is held to it by
the same randomised PIT as the outlook's forecasts are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import betainc, gammaincc

from consumer.evaluate.baselines import NAIVE
from consumer.evaluate.prequential import OUTLOOK
from consumer.evaluate.scoring import TOLERANCE
from consumer.outlook.horizons import HORIZONS, LEVELS, LOWER80, UPPER80

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumer.evaluate.prequential import Origin

    Floats = NDArray[np.float64]

DRAWS: Final = 5
"""Of the truth: the share of items near 80% differs by half a point from one to the next."""
_OVER_POISSON: Final = 1e-6
"""What a multiple must be above 1 by: of less there is no negative binomial that a computer could tell from Poisson."""
_LEAST_MEAN: Final = 1e-9


class Seen:
    """The outlook's forecast of each day on the evening before, and the demand that came: `evaluate(write=...)`."""

    def __init__(self) -> None:
        self._means: list[Floats] = []
        self._demand: list[Floats] = []

    def write(self, origin: Origin, _keys: list[tuple[str, str]]) -> None:
        """Take what was forecast from one closed day; the naive forecast of a day is the demand of the one before."""
        for kept, method in ((self._means, OUTLOOK), (self._demand, NAIVE)):
            row = np.full(int(origin.items.max()) + 1, np.nan)
            row[origin.items] = origin.means[origin.methods.index(method), 0]
            kept.append(row)

    def days(self) -> tuple[Floats, Floats]:
        """Return means and demand of the days that are over, (days, items); means of items not yet known are NaN."""
        return _stacked(self._means[:-1], len(self._means[-1])), _stacked(self._demand[1:], len(self._means[-1]))


def _stacked(rows: list[Floats], items: int) -> Floats:
    return np.stack([np.pad(row, (0, items - len(row)), constant_values=np.nan) for row in rows])


class Ideal(NamedTuple):
    """What the ideal forecaster gets at one horizon.

    Attributes:
        coverage_80: share of all windows within 80% of its distribution.
        items_within_5_points: share of items of which 75 to 85% are.
        windows: how many.
    """

    coverage_80: float
    items_within_5_points: float
    windows: float


def dispersions_of(means: Floats, demand: Floats) -> Floats:
    """Return each item's variance as a multiple of its mean, at least 1.

    Args:
        means: shape (days, items), NaN where an item is not known yet.
        demand: likewise.
    """
    known = ~np.isnan(means)
    squared = np.where(known, (demand - means) ** 2, 0.0).sum(axis=0)
    found: Floats = np.maximum(squared / np.maximum(np.where(known, means, 0.0).sum(axis=0), _LEAST_MEAN), 1.0)
    return found


def draw(means: Floats, dispersions: Floats, seed: int) -> Floats:
    """Return demand drawn for each day of each item, 0 where it is not known yet."""
    rng = np.random.default_rng(seed)
    safe = np.maximum(np.nan_to_num(means), _LEAST_MEAN)
    excess = np.maximum(dispersions - 1.0, _OVER_POISSON)
    drawn = rng.poisson(rng.gamma(safe / excess, excess)).astype(float)
    found: Floats = np.where(np.isnan(means), 0.0, drawn)
    return found


def at_most(counts: Floats, means: Floats, dispersions: Floats) -> Floats:
    """Return the probability that demand of such means and dispersions is at most so much; of -1 it is 0."""
    excess = dispersions - 1.0
    is_over = excess > _OVER_POISSON
    after = np.maximum(counts, 0.0) + 1.0
    safe = np.maximum(means, _LEAST_MEAN)
    over = betainc(safe / np.where(is_over, excess, 1.0), after, 1.0 / np.where(is_over, dispersions, 2.0))
    found: Floats = np.where(counts < 0.0, 0.0, np.where(is_over, over, gammaincc(after, safe)))
    return found


def ideal(means: Floats, demand: Floats, seed: int) -> dict[int, Ideal]:
    """Return what the ideal forecaster gets at each horizon, on average over some draws of the truth.

    Args:
        means: shape (days, items), NaN where an item is not known yet.
        demand: likewise.
        seed: of what is drawn, and of the ties.
    """
    dispersions = dispersions_of(means, demand)
    draws = [_ideal(means, dispersions, seed + 2 * number) for number in range(DRAWS)]
    return {
        horizon: Ideal(*(float(np.mean(column)) for column in zip(*(each[horizon] for each in draws), strict=True)))
        for horizon in HORIZONS
    }


def _ideal(means: Floats, dispersions: Floats, seed: int) -> dict[int, Ideal]:
    drawn = draw(means, dispersions, seed)
    rng = np.random.default_rng(seed + 1)
    known = ~np.isnan(means)
    summed_means, summed = (
        np.concatenate([np.zeros((1, means.shape[1])), np.cumsum(each, axis=0)])
        for each in (np.nan_to_num(means), drawn)
    )
    found = {}
    for horizon in HORIZONS:
        days, items = np.nonzero(known[: len(means) - horizon + 1])
        outcomes = (summed[horizon:] - summed[:-horizon])[days, items]
        expected = (summed_means[horizon:] - summed_means[:-horizon])[days, items]
        low, high = (at_most(each, expected, dispersions[items]) for each in (outcomes - 1.0, outcomes))
        pit = low + rng.random(len(low)) * (high - low)
        is_inside = (pit >= LEVELS[LOWER80]) & (pit <= LEVELS[UPPER80])
        windows = np.bincount(items, minlength=means.shape[1])
        shares = np.bincount(items, is_inside, minlength=means.shape[1])[windows > 0] / windows[windows > 0]
        found[horizon] = Ideal(
            float(is_inside.mean()), float((np.abs(shares - 0.8) <= TOLERANCE).mean()), float(windows.sum())
        )
    return found
