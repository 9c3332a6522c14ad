"""What items lend to one another: each store's week, each article's level and its recent demand over all stores.

Read while a day closes, and changed only between two days (`fold`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.outlook.fixed import ONE, from_fixed, to_fixed
from consumer.outlook.horizons import HORIZONS, LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

WEEK: Final = 7
WEEK_FADE: Final = 0.995
"""What demand counts for a store's week a day later: 200 days of memory."""
WEEK_PRIOR: Final = 200.0
"""Units of demand on each day of the week that a store is thought to have had as expected, before it has any."""
RECENT_FADE: Final = 0.93
RECENT_PRIOR: Final = 50.0
STORE_PRIOR: Final = 200.0
OTHERS_PRIOR: Final = 5.0
"""Days of the average article that an article's level in other stores is shrunk to."""
LENT_BY_ARTICLE: Final = 4.0
"""Units of its article's demand in other stores that an item is lent, over as many days as they take there."""
LENT_BY_AVERAGE: Final = 0.3
"""Likewise of the average article's, where there are no other stores."""
_MOST_LENT_DAYS: Final = 30.0


class Pools:
    """The pools of one partition.

    Attributes:
        week: of each store and day of the week (Monday 0), demand as a multiple of the average day's; (stores, 7).
        ahead: likewise, summed over the days after that day; (stores, 7, horizons).
        recent: of each article, recent demand over what was expected; (articles,).
        recent_of_store: likewise of each store; (stores,).
    """

    week: NDArray[np.float64]
    ahead: NDArray[np.float64]
    recent: NDArray[np.float64]
    recent_of_store: NDArray[np.float64]

    def __init__(self) -> None:
        self._week = np.zeros((2, 0, WEEK))
        self._fresh_week = np.zeros((2, 0, WEEK), np.int64)
        self._recent = np.zeros((2, 0))
        self._fresh_recent = np.zeros((2, 0), np.int64)
        self._of_store = np.zeros((2, 0))
        self._fresh_of_store = np.zeros((2, 0), np.int64)
        self._levels = np.zeros((2, 0), np.int64)
        self._fresh_levels = np.zeros((2, 0), np.int64)
        self._publish()

    def grow(self, stores: int, articles: int) -> None:
        """Have room for so many stores and articles."""
        more = stores - self._week.shape[1]
        if more > 0:
            self._week = np.pad(self._week, ((0, 0), (0, more), (0, 0)))
            self._fresh_week = np.pad(self._fresh_week, ((0, 0), (0, more), (0, 0)))
            self._of_store = np.pad(self._of_store, ((0, 0), (0, more)))
            self._fresh_of_store = np.pad(self._fresh_of_store, ((0, 0), (0, more)))
            self.week = np.concatenate([self.week, np.ones((more, WEEK))])
            self.ahead = np.concatenate(
                [self.ahead, np.broadcast_to(np.array(HORIZONS, float), (more, WEEK, len(HORIZONS)))]
            )
            self.recent_of_store = np.concatenate([self.recent_of_store, np.ones(more)])
        more = articles - self._recent.shape[1]
        if more > 0:
            self._recent = np.pad(self._recent, ((0, 0), (0, more)))
            self._fresh_recent = np.pad(self._fresh_recent, ((0, 0), (0, more)))
            self._levels = np.pad(self._levels, ((0, 0), (0, more)))
            self._fresh_levels = np.pad(self._fresh_levels, ((0, 0), (0, more)))
            self.recent = np.concatenate([self.recent, np.ones(more)])

    def others(
        self, articles: NDArray[np.int64], own_demand: NDArray[np.float64], own_days: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the daily level of each article in the other stores, and for how many days of an item's own it counts.

        The level is shrunk to that of the average article. An item's own is thought to lie about it as a gamma variable
        of the shape `LENT_BY_ARTICLE`, whose posterior after Poisson days is this: that many units more, in the days
        that they take at the article's level.

        Args:
            articles: of the items.
            own_demand: what of the article's demand is the item's own, as last given to `add_level`.
            own_days: likewise of its days.
        """
        demand = np.maximum(from_fixed(self._levels[0])[articles] - from_fixed(to_fixed(own_demand)), 0.0)
        days = np.maximum(from_fixed(self._levels[1])[articles] - from_fixed(to_fixed(own_days)), 0.0)
        level = (demand + OTHERS_PRIOR * self._average) / (days + OTHERS_PRIOR)
        trust = days / (days + OTHERS_PRIOR)
        lent = self._trust * (LENT_BY_AVERAGE + (LENT_BY_ARTICLE - LENT_BY_AVERAGE) * trust)
        return level, np.minimum(lent / np.maximum(level, 1e-3), _MOST_LENT_DAYS)

    def add_day(  # noqa: PLR0913, PLR0917 -- one day of some items, in columns
        self,
        stores: NDArray[np.int64],
        articles: NDArray[np.int64],
        weekdays: NDArray[np.int64],
        demand: NDArray[np.float64],
        levels: NDArray[np.float64],
        expected: NDArray[np.float64],
    ) -> None:
        """Take a day of some items, not their first and none on which a shelf was empty.

        Args:
            stores: of the items.
            articles: of the items.
            weekdays: of the day.
            demand: in units.
            levels: what was expected of an average day.
            expected: what was expected of this day.
        """
        whole, level, mean = to_fixed(demand), to_fixed(levels), to_fixed(expected)
        np.add.at(self._fresh_week[0], (stores, weekdays), whole)
        np.add.at(self._fresh_week[1], (stores, weekdays), level)
        np.add.at(self._fresh_of_store[0], stores, whole)
        np.add.at(self._fresh_of_store[1], stores, mean)
        np.add.at(self._fresh_recent[0], articles, whole)
        np.add.at(self._fresh_recent[1], articles, mean)

    def add_level(self, articles: NDArray[np.int64], demand: NDArray[np.int64], days: NDArray[np.int64]) -> None:
        """Take by how much items' own sums have changed, in fixed point."""
        np.add.at(self._fresh_levels[0], articles, demand)
        np.add.at(self._fresh_levels[1], articles, days)

    def fold(self, days: int) -> None:
        """Let so many days fade, take what was added, and have it read from now on."""
        for _ in range(days):
            self._week *= WEEK_FADE
            self._recent *= RECENT_FADE
            self._of_store *= RECENT_FADE
        self._week += from_fixed(self._fresh_week)
        self._recent += from_fixed(self._fresh_recent)
        self._of_store += from_fixed(self._fresh_of_store)
        self._levels += self._fresh_levels
        for fresh in (self._fresh_week, self._fresh_recent, self._fresh_of_store, self._fresh_levels):
            fresh[:] = 0
        self._publish()

    def _publish(self) -> None:
        together = np.zeros((2, WEEK))
        for store in range(self._week.shape[1]):
            together += self._week[:, store]
        usual = (together[0] + WEEK_PRIOR) / (together[1] + WEEK_PRIOR)
        average = 0.0
        for day in range(WEEK):
            average += float(usual[day]) / WEEK
        usual /= average
        self.week = (self._week[0] + WEEK_PRIOR * usual) / (self._week[1] + WEEK_PRIOR)
        self.recent = (self._recent[0] + RECENT_PRIOR) / (self._recent[1] + RECENT_PRIOR)
        self.recent_of_store = (self._of_store[0] + STORE_PRIOR) / (self._of_store[1] + STORE_PRIOR)
        ahead, total = [], np.zeros_like(self.week)
        for day in range(1, LONGEST + 1):
            total = total + np.roll(self.week, -day, axis=1)
            if day in HORIZONS:
                ahead.append(total)
        self.ahead = np.stack(ahead, axis=-1)
        demand, number = int(self._levels[0].sum()), int(self._levels[1].sum())
        self._average = demand / number if number > ONE else 0.0
        self._trust = number / (number + OTHERS_PRIOR * ONE)  # of a new shop's first days there is little to lend

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state; what is read follows from it."""
        return {
            "week": self._week.copy(),
            "fresh_week": self._fresh_week.copy(),
            "recent": self._recent.copy(),
            "fresh_recent": self._fresh_recent.copy(),
            "of_store": self._of_store.copy(),
            "fresh_of_store": self._fresh_of_store.copy(),
            "levels": self._levels.copy(),
            "fresh_levels": self._fresh_levels.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `snapshot` returned."""
        for name, value in state.items():
            setattr(self, f"_{name}", value.copy())
        self._publish()
