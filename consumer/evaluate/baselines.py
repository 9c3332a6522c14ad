"""The forecasts that everyone knows, computed on the same days: what an outlook has to be better than.

Formulas, starting values and parameters: docs/evaluate.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from consumer.outlook.horizons import HORIZONS, LONGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

NAIVE: Final = "naive"
SES_RATES: Final = (0.02, 0.05, 0.1)
BASELINES: Final = (
    NAIVE,
    "seasonal_naive",
    "mean_28",
    *(f"ses_{rate}" for rate in SES_RATES),
    "tsb",
    "sba",
    "ses_0.05_x_week",
)
_WEEK: Final = 7
_WEEK_FADE: Final = 0.995
_WEEK_PRIOR: Final = 200.0
_SIZE_RATE: Final = 0.1
_CHANCE_RATE: Final = 0.05
_INTERVAL_RATE: Final = 0.1
_WEEK_RATE: Final = 1  # index into SES_RATES: that of the last baseline


class Baselines:
    """The baselines' states, one row an item."""

    def __init__(self) -> None:
        self._recent = np.zeros((0, LONGEST))
        self._age = np.zeros(0, np.int64)
        self._sums = np.zeros((len(SES_RATES) + 1, 2, 0))
        self._chance = np.zeros(0)
        self._tsb_size = np.zeros(0)
        self._size = np.zeros(0)
        self._interval = np.zeros(0)
        self._since = np.zeros(0)
        self._week = np.zeros((2, _WEEK))

    def grow(self, items: int) -> None:
        """Have room for so many items."""
        more = items - len(self._age)
        if more <= 0:
            return
        self._recent = np.pad(self._recent, ((0, more), (0, 0)))
        self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, more)))
        for name in ("_age", "_chance", "_tsb_size", "_size", "_interval", "_since"):
            setattr(self, name, np.pad(getattr(self, name), (0, more)))

    def close(self, which: Numbers, day: int, weekday: int, today: Floats) -> Floats:
        """Learn from a day and forecast from its end.

        Args:
            which: numbers of items that had demand on this day or before.
            day: the day's number.
            weekday: its day of the week.
            today: demand of the items.

        Returns:
            Means, shape (baselines, horizons, items).
        """
        is_new = self._age[which] == 0
        self._age[which] += 1
        self._recent[which, day % LONGEST] = today
        profile = self._profile()
        for number, rate in enumerate((*SES_RATES, SES_RATES[_WEEK_RATE])):
            week = profile[weekday] if number == len(SES_RATES) else 1.0
            self._sums[number, 0, which] = (1 - rate) * self._sums[number, 0, which] + today
            self._sums[number, 1, which] = (1 - rate) * self._sums[number, 1, which] + week
        self._learn_week(which, weekday, today, is_new)
        self._learn_intermittent(which, today, is_new)
        return self._forecast(which, day, weekday)

    def _profile(self) -> Floats:
        found: Floats = (self._week[0] + _WEEK_PRIOR) / (self._week[1] + _WEEK_PRIOR)
        return found

    def _learn_week(self, which: Numbers, weekday: int, today: Floats, is_new: NDArray[np.bool_]) -> None:
        """Learn how this day compares with the items' levels before it, a first day left out."""
        level = self._sums[-1, 0, which] / self._sums[-1, 1, which]
        self._week *= _WEEK_FADE
        self._week[0, weekday] += float(np.where(is_new, 0.0, today).sum())
        self._week[1, weekday] += float(np.where(is_new, 0.0, level).sum())

    def _learn_intermittent(self, which: Numbers, today: Floats, is_new: NDArray[np.bool_]) -> None:
        sold = today > 0
        chance, size = self._chance[which], self._tsb_size[which]
        self._chance[which] = np.where(is_new, 1.0, chance + _CHANCE_RATE * (sold - chance))
        self._tsb_size[which] = np.where(is_new, today, np.where(sold, size + _SIZE_RATE * (today - size), size))
        size, interval, since = self._size[which], self._interval[which], self._since[which] + 1
        self._size[which] = np.where(is_new, today, np.where(sold, size + _INTERVAL_RATE * (today - size), size))
        self._interval[which] = np.where(
            is_new, 1.0, np.where(sold, interval + _INTERVAL_RATE * (since - interval), interval)
        )
        self._since[which] = np.where(sold, 0.0, since)

    def _forecast(self, which: Numbers, day: int, weekday: int) -> Floats:
        recent, age = self._recent[which], self._age[which]
        back = [recent[:, (day - days) % LONGEST] for days in range(LONGEST)]
        sums = np.cumsum(np.stack(back), axis=0)
        month = sums[LONGEST - 1] / np.minimum(age, LONGEST)
        levels = self._sums[:, 0, which] / self._sums[:, 1, which]
        tsb = self._chance[which] * self._tsb_size[which]
        sba = (1.0 - _INTERVAL_RATE / 2.0) * self._size[which] / self._interval[which]
        profile = self._profile()
        found = np.empty((len(BASELINES), len(HORIZONS), len(which)))
        for number, horizon in enumerate(HORIZONS):
            weeks, rest = divmod(horizon, _WEEK)
            seasonal = weeks * sums[_WEEK - 1]
            for ahead in range(1, rest + 1):
                seasonal = seasonal + back[_WEEK - ahead]
            ahead_days = float(sum(profile[(weekday + days) % _WEEK] for days in range(1, horizon + 1)))
            found[0, number] = sums[horizon - 1]
            found[1, number] = seasonal
            found[2, number] = month * horizon
            found[3 : 3 + len(SES_RATES), number] = levels[:-1] * horizon
            found[-3, number] = tsb * horizon
            found[-2, number] = sba * horizon
            found[-1, number] = levels[-1] * ahead_days
        return found
