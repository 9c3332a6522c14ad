"""Scores of forecasts, added up as the days that they were for end.

All are over demand summed over the horizon, from each closed day after the warm-up, of all items that had demand by
then. Formulas: docs/evaluate.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.outlook.horizons import HORIZONS, LEVELS, LOWER80, LOWER95, MEDIAN, UPPER80, UPPER95

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

DECILES: Final = 10
QUINTILES: Final = 5
_BOUNDS: Final = {80: (LOWER80, UPPER80), 95: (LOWER95, UPPER95)}
TOLERANCE: Final = 0.05
"""By how much an item's own coverage may be off to count as covered honestly."""


class Scores:
    """The scores of some methods.

    Args:
        methods: their names.
    """

    def __init__(self, methods: tuple[str, ...]) -> None:
        self.methods = methods
        shape = (len(methods), len(HORIZONS))
        self._count = np.zeros(len(HORIZONS))
        self._actual = np.zeros(len(HORIZONS))
        self._error = np.zeros(shape)
        self._absolute = np.zeros(shape)
        self._pinball = np.zeros((*shape, len(LEVELS)))
        self._inside = np.zeros((*shape, len(_BOUNDS)))
        self._width = np.zeros((*shape, len(_BOUNDS)))
        self._beyond = np.zeros((*shape, len(_BOUNDS)))
        self._squared = np.zeros((*shape, 0))
        self._naive = np.zeros((len(HORIZONS), 0))
        self._of_item = np.zeros(
            (len(HORIZONS), 4, 0)
        )  # forecasts, demand, PITs within the bounds at 80%, absolute error
        self._absolute_of_item = np.zeros((*shape, 0))
        self._pit = np.zeros((len(HORIZONS), DECILES))
        self._over_time: dict[int, Floats] = {}

    def grow(self, items: int) -> None:
        """Have room for so many items."""
        more = items - self._naive.shape[1]
        if more > 0:
            self._squared = np.pad(self._squared, ((0, 0), (0, 0), (0, more)))
            self._absolute_of_item = np.pad(self._absolute_of_item, ((0, 0), (0, 0), (0, more)))
            self._naive = np.pad(self._naive, ((0, 0), (0, more)))
            self._of_item = np.pad(self._of_item, ((0, 0), (0, 0), (0, more)))

    def add(  # noqa: PLR0913, PLR0917 -- one horizon's outcomes, in columns
        self,
        horizon: int,
        which: Numbers,
        outcomes: Floats,
        means: Floats,
        quantiles: Floats,
        naive: Floats,
        pit: Floats,
        period: int,
    ) -> None:
        """Take what came of forecasts from one day.

        Args:
            horizon: index into HORIZONS.
            which: the items' numbers.
            outcomes: demand over the horizon.
            means: shape (methods, items).
            quantiles: shape (levels, methods, items).
            naive: demand over as many days before.
            pit: of the first method, the share of its distribution below the outcome, ties at random.
            period: of the day, for scores over time.
        """
        errors = outcomes - means
        median = np.abs(outcomes - quantiles[MEDIAN])
        self._count[horizon] += len(which)
        self._actual[horizon] += outcomes.sum()
        self._error[:, horizon] += errors.sum(axis=1)
        self._absolute[:, horizon] += median.sum(axis=1)
        for number, level in enumerate(LEVELS):
            over = outcomes - quantiles[number]
            self._pinball[:, horizon, number] += np.maximum(level * over, (level - 1.0) * over).sum(axis=1)
        for number, (low, high) in enumerate(_BOUNDS.values()):
            lower, upper = quantiles[low], quantiles[high]
            self._inside[:, horizon, number] += ((outcomes >= lower) & (outcomes <= upper)).sum(axis=1)
            self._width[:, horizon, number] += (upper - lower).sum(axis=1)
            beyond = np.maximum(lower - outcomes, 0.0) + np.maximum(outcomes - upper, 0.0)
            self._beyond[:, horizon, number] += beyond.sum(axis=1)
        squared, squared_naive = errors * errors, (outcomes - naive) ** 2
        self._squared[:, horizon, which] += squared
        self._absolute_of_item[:, horizon, which] += median
        self._naive[horizon, which] += squared_naive
        lower, upper = LEVELS[LOWER80], LEVELS[UPPER80]
        self._of_item[horizon, 0, which] += 1.0
        self._of_item[horizon, 1, which] += outcomes
        self._of_item[horizon, 2, which] += (pit >= lower) & (pit <= upper)
        self._pit[horizon] += np.bincount(np.minimum((pit * DECILES).astype(np.int64), DECILES - 1), minlength=DECILES)
        row = self._over_time.setdefault(period, np.zeros((len(HORIZONS), len(self.methods) + 1)))
        row[horizon, :-1] += squared.sum(axis=1)
        row[horizon, -1] += squared_naive.sum()

    def table(self) -> dict[int, dict[str, dict[str, float | int | None]]]:
        """Return `[horizon][method][metric]`."""
        return {
            days: {name: self._row(method, horizon) for method, name in enumerate(self.methods)}
            for horizon, days in enumerate(HORIZONS)
        }

    def _row(self, method: int, horizon: int) -> dict[str, float | int | None]:
        count, actual = self._count[horizon], self._actual[horizon]
        naive = self._naive[horizon]
        positive = naive > 0
        seen = self._of_item[horizon, 0] > 0
        ratios = np.sqrt(self._squared[method, horizon][positive] / naive[positive])
        row: dict[str, float | int | None] = {
            "rmsse": _mean(ratios),
            "bias": _ratio(-self._error[method, horizon], actual),
            "wape": _ratio(self._absolute[method, horizon], actual),
            "forecasts": int(count),
            "items": int(positive.sum()),
            "items_without_scale": int((seen & ~positive).sum()),
            "mean_demand": _ratio(actual, count),
        }
        busy = seen & (self._of_item[horizon, 1] >= 3.0 * self._of_item[horizon, 0])
        row["wape_busy"] = _ratio(
            self._absolute_of_item[method, horizon][busy].sum(), self._of_item[horizon, 1][busy].sum()
        )
        for number, level in enumerate(LEVELS):
            row[f"pinball_{level}"] = _ratio(self._pinball[method, horizon, number], count)
        for number, percent in enumerate(_BOUNDS):
            width, beyond = self._width[method, horizon, number], self._beyond[method, horizon, number]
            row[f"coverage_{percent}"] = _ratio(self._inside[method, horizon, number], count)
            row[f"width_{percent}"] = _ratio(width, count)
            row[f"interval_score_{percent}"] = _ratio(width + beyond * 2.0 / (1.0 - percent / 100.0), count)
        return row

    def calibration(self) -> dict[int, dict[str, Any]]:
        """Return for each horizon how honest the first method's distributions are, by randomised PIT."""
        found: dict[int, dict[str, Any]] = {}
        for horizon, days in enumerate(HORIZONS):
            count, demand, inside, _ = self._of_item[horizon]
            seen = np.flatnonzero(count > 0)
            if not len(seen):
                continue
            ordered = seen[np.argsort(demand[seen] / count[seen], kind="stable")]
            share = inside[seen] / count[seen]
            found[days] = {
                "coverage_80": float(inside[seen].sum() / count[seen].sum()),
                "by_volume": [
                    _ratio(inside[part].sum(), count[part].sum()) for part in np.array_split(ordered, QUINTILES)
                ],
                "pit_deciles": (self._pit[horizon] / self._pit[horizon].sum()).tolist(),
                "items_within_5_points": float((np.abs(share - 0.8) <= TOLERANCE).mean()),
            }
        return found

    def over_time(self, periods: Sequence[int]) -> dict[int, dict[str, list[float | None]]]:
        """Return for each horizon and method the root of its squared error over naive's, period by period."""
        none = np.zeros((len(HORIZONS), len(self.methods) + 1))
        found: dict[int, dict[str, list[float | None]]] = {}
        for horizon, days in enumerate(HORIZONS):
            rows = [self._over_time.get(period, none)[horizon] for period in periods]
            found[days] = {
                name: [None if row[-1] <= 0 else float(np.sqrt(row[method] / row[-1])) for row in rows]
                for method, name in enumerate(self.methods)
            }
        return found


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _ratio(value: float, by: float) -> float | None:
    return float(value / by) if by > 0 else None
