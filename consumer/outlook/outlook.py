"""One partition's outlook: takes demand as it comes, closes days, and says what the next days will bring.

The way of one day: `begin_close` folds what the last close has left in the pools and fixes them; `close` then learns
from the day of some items and forecasts, again and again until all are closed, in any order and any portions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from consumer.outlook.calendar import weekday_of
from consumer.outlook.columns import EMPTY, EXPERTS, FADES, NO_NUMBER, NOT_YET, SOLD, Items
from consumer.outlook.corrector import Corrector
from consumer.outlook.fixed import to_fixed
from consumer.outlook.grid import bins_of
from consumer.outlook.horizons import HORIZONS, LEVELS, LONGEST, STARTS
from consumer.outlook.intervals import Intervals, classes_of
from consumer.outlook.mixing import Mixture
from consumer.outlook.pools import WEEK, Pools
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

_CHANCE_RATE: Final = 0.05
_SIZE_RATE: Final = 0.1
_ERROR_FADE: Final = 0.985
_ERROR_DAYS: Final = 3.0
"""Means a Poisson item's days to which dispersion is shrunk while it is young."""
_LEAST_MEAN: Final = 0.05
_LEAST_DAYS: Final = 0.5
_LENT_SHARES: Final = np.array([1.0, 0.5, 1.0])
"""Of what an item may be lent, how much each of its levels takes: the slow one stands more for itself."""
_LEAST_DISPERSION: Final = 0.5
_MOST_FEATURE: Final = 3.0
COLD_DAYS: Final = 28
GROWN_DAYS: Final = 14


class Closed(NamedTuple):
    """What a close says of some items, as of the end of one day.

    Attributes:
        items: their numbers, those that ever had demand.
        day: in days since 1970, of the store's own calendar.
        means: shape (horizons, items), units.
        quantiles: shape (levels, horizons, items), units.
        bins: of the means, shape (horizons, items).
        classes: of the items' dispersions.
        experts: their means, shape (experts, horizons, items).
    """

    items: Numbers
    day: int
    means: Floats
    quantiles: Floats
    bins: Numbers
    classes: Numbers
    experts: Floats


class Outlook:
    """The state of one partition's outlook.

    Attributes:
        items: of each item.
        pools: what they share.
        intervals: of past forecasts.
        mixture: the experts' weights.
        corrector: River's.
    """

    def __init__(self) -> None:
        self.items = Items()
        self.pools = Pools()
        self.intervals = Intervals()
        self.mixture = Mixture(len(EXPERTS))
        self.corrector = Corrector()
        self.day: int | None = None

    def take(self, items: Numbers, days: Numbers, demand: Numbers, flags: NDArray[np.uint8]) -> None:
        """Take demand of days that are not closed.

        Args:
            items: numbers.
            days: 0 for the day after the item's last closed one, 1 for the one after that.
            demand: millionths of a unit; below 0 takes back.
            flags: EMPTY and SOLD, what was seen of the shelf.
        """
        np.add.at(self.items.open, (items, days), demand)
        np.bitwise_or.at(self.items.empty, (items, days), flags)

    def begin_close(self, day: int) -> None:
        """Begin to close a day: what the closes before it have left takes effect."""
        passed = 1 if self.day is None else day - self.day
        last = self.day
        self.pools.fold(passed)
        self.intervals.fold(passed)
        self.mixture.fold(passed)
        if last is not None:
            for number, horizon in enumerate(HORIZONS):
                self.corrector.learn(number, last - horizon, partial(self._outcomes, day=last, horizon=horizon))
        self.day = day
        self.corrector.begin(day, len(self.items))

    def close(self, which: Numbers, day: int) -> Closed:
        """Close the next day of some items and forecast from there.

        Args:
            which: numbers of items whose last closed day is the one before.
            day: that day.
        """
        items = self.items
        weekday = weekday_of(day)
        demand = np.maximum(items.open[which, 0], 0)
        items.whole[which] &= demand % MILLION == 0
        today = demand / MILLION
        is_censored = (items.empty[which, 0] & (EMPTY | SOLD)) == EMPTY
        items.open[which] = np.stack([items.open[which, 1], np.zeros_like(demand)], axis=1)
        items.empty[which] = np.stack([items.empty[which, 1], np.zeros(len(which), np.uint8)], axis=1)
        items.closed[which] = day
        items.first[which] = np.where((items.first[which] == NOT_YET) & (demand > 0), day, items.first[which])
        items.recent[which, day % LONGEST] = today
        items.censored[which] = (items.censored[which] << np.uint32(1)) | is_censored.astype(np.uint32)

        # What ends a day empty begins the next one so.
        ends_empty = (items.on_hand[which] <= 0) & (items.on_hand[which] != NO_NUMBER)
        items.empty[which, 0] |= np.where(ends_empty, EMPTY, 0).astype(np.uint8)

        born = items.first[which] <= day
        which, today, is_censored = which[born], today[born], is_censored[born]
        for number, horizon in enumerate(HORIZONS):
            self._judge(which, day, number, horizon)
        # What the article's other stores have is theirs alone: without what the item itself has put into the sums.
        others, lent = self.pools.others(items.article[which], items.demand[which, 0], items.days[which, 0])
        self._learn(which, day, weekday, today, is_censored)
        return self._forecast(which, day, weekday, today, others, lent)

    def forget(self, which: Numbers) -> None:
        """Take out of the pools what items have put into their articles' levels, before they leave."""
        items = self.items
        self.pools.add_level(items.article[which], -to_fixed(items.demand[which, 0]), -to_fixed(items.days[which, 0]))
        self.corrector.forget(which)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as it is now; nothing changes it any more."""
        return {
            "day": self.day,
            "items": self.items.snapshot(),
            "pools": self.pools.snapshot(),
            "intervals": self.intervals.snapshot(),
            "mixture": self.mixture.snapshot(),
            "corrector": self.corrector.snapshot(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `snapshot` returned."""
        self.day = state["day"]
        for name in ("items", "pools", "intervals", "mixture", "corrector"):
            getattr(self, name).restore(state[name])

    def _learn(
        self,
        which: Numbers,
        day: int,
        weekday: int,
        today: Floats,
        is_censored: NDArray[np.bool_],
    ) -> None:
        items, pools = self.items, self.pools
        stores, articles = items.store[which], items.article[which]
        week = pools.week[stores, weekday]
        level, mean = items.level[which], items.next_mean[which]
        is_known = items.first[which] < day
        # An empty shelf hides demand: what was sold before it was empty tells only that there was no less.
        learns = is_known & (~is_censored | (today > mean))
        plain = is_known & ~is_censored
        # Of a young item the level is still its article's; what it lacks would pass for a good week.
        grown = plain & (items.first[which] <= day - GROWN_DAYS)
        pools.add_day(
            stores[grown],
            articles[grown],
            np.full(np.count_nonzero(grown), weekday),
            today[grown],
            level[grown],
            (level * week)[grown],
        )
        squared = (today - mean) * (today - mean)
        items.errors[which] = np.where(
            plain[:, None], _ERROR_FADE * items.errors[which] + np.stack([squared, mean], axis=1), items.errors[which]
        )
        before = items.demand[which, 0], items.days[which, 0]
        for number, fade in enumerate(FADES):
            items.demand[which, number] = np.where(
                learns, fade * items.demand[which, number] + today, items.demand[which, number]
            )
            items.days[which, number] = np.where(
                learns, fade * items.days[which, number] + week, items.days[which, number]
            )
        pools.add_level(
            articles,
            to_fixed(items.demand[which, 0]) - to_fixed(before[0]),
            to_fixed(items.days[which, 0]) - to_fixed(before[1]),
        )
        is_demand = today > 0
        plain_size = today / week
        chance, size = items.chance[which], items.size[which]
        moved = chance + _CHANCE_RATE * (is_demand - chance)
        items.chance[which] = np.where(~is_known, 1.0, np.where(learns, moved, chance))
        items.size[which] = np.where(
            ~is_known, plain_size, np.where(learns & is_demand, size + _SIZE_RATE * (plain_size - size), size)
        )

    def _judge(self, which: Numbers, day: int, number: int, horizon: int) -> None:
        """Hold what was forecast a horizon ago against what came."""
        items = self.items
        origin = day - horizon
        place = STARTS[number] + origin % horizon
        is_over = (items.first[which] <= origin) & self._are_seen(which, horizon)
        which = which[is_over]
        if not len(which):
            return
        outcomes = self.outcomes(which, day, horizon)
        means = items.means[which, place].astype(np.float64)
        self.intervals.add(number, items.classes[which, place].astype(np.int64), means, outcomes)
        ahead = items.ahead[which, place].astype(np.float64)
        levels = items.levels[which, origin % LONGEST].astype(np.float64)
        forecasts = [levels[:, each] * ahead for each in range(len(EXPERTS) - 1)]
        forecasts.append(items.river[which, place].astype(np.float64))
        scale = self._scales(which, forecasts[0])
        self.mixture.add(number, np.stack([(outcomes - each) / scale for each in forecasts]))

    def _forecast(  # noqa: PLR0913, PLR0917 -- a day of some items, in columns
        self, which: Numbers, day: int, weekday: int, today: Floats, others: Floats, lent: Floats
    ) -> Closed:
        items, pools = self.items, self.pools
        stores, articles = items.store[which], items.article[which]
        recent = pools.recent[articles]
        # What is not known at all is taken to be as on the first day.
        first = np.where(items.first[which] == day, today, 0.0)
        lent = _LENT_SHARES[:, None] * lent
        own_days = items.days[which].T + lent
        lacking = np.maximum(_LEAST_DAYS - own_days, 0.0)
        own = (items.demand[which].T + lent * others + lacking * first) / (own_days + lacking)
        items.level[which] = own[0]
        tsb = items.chance[which] * items.size[which]
        levels = [own[0] * recent, own[1], own[2], tsb]
        whole = items.whole[which]
        is_young = items.first[which] > day - GROWN_DAYS
        classes = classes_of(self._dispersions(which), whole, is_young)

        ahead = pools.ahead[stores, weekday].T
        scales = np.stack([self._scales(which, levels[0] * each) for each in ahead])
        daily = self._scales(which, levels[0])
        last_week = np.zeros(len(which))
        for back in range(WEEK):
            last_week = last_week + items.recent[which, (day - back) % LONGEST]
        features = np.stack(
            [
                (levels[2] - levels[0]) / daily,
                (levels[1] - levels[0]) / daily,
                (tsb - levels[0]) / daily,
                (others - levels[0]) / daily,
                (last_week / WEEK - levels[0]) / daily,
                (today - items.next_mean[which]) / daily,
                recent - 1.0,
                pools.recent_of_store[stores] - 1.0,
            ]
        )
        features = np.clip(features, -_MOST_FEATURE, _MOST_FEATURE)
        base = levels[0] * ahead
        river = np.maximum(base + scales * self.corrector.corrections(features), 0.0)
        if day == self.day:
            self.corrector.keep(day, which, features, base, scales, items.first[which] <= day - COLD_DAYS)
        experts = np.stack([*(each * ahead for each in levels), river])
        means = np.zeros_like(base)
        for number in range(len(EXPERTS)):
            means = means + self.mixture.weights[:, number, None] * experts[number]

        for number, horizon in enumerate(HORIZONS):
            place = STARTS[number] + day % horizon
            items.means[which, place] = means[number]
            items.ahead[which, place] = ahead[number]
            items.river[which, place] = river[number]
            items.classes[which, place] = classes
        items.levels[which, day % LONGEST] = np.stack(levels, axis=1)
        items.next_mean[which] = means[0]

        bins = bins_of(means)
        quantiles = np.stack(
            [
                np.stack(
                    [
                        self.intervals.tables.quantile(level, number, classes, means[number], bins[number])
                        for number in range(len(HORIZONS))
                    ]
                )
                for level in range(len(LEVELS))
            ]
        )
        return Closed(which, day, means, quantiles, bins, classes, experts)

    def _scales(self, which: Numbers, means: Floats) -> Floats:
        """Return by how much demand about these means is usually off, from each item's dispersion."""
        dispersions = np.maximum(self._dispersions(which), _LEAST_DISPERSION)
        found: Floats = np.sqrt(dispersions * np.maximum(means, _LEAST_MEAN))
        return found

    def _dispersions(self, which: Numbers) -> Floats:
        """Return each item's mean squared error a unit of its mean, shrunk to Poisson's 1 while it is young."""
        errors = self.items.errors[which]
        found: Floats = (errors[:, 0] + _ERROR_DAYS) / (errors[:, 1] + _ERROR_DAYS)
        return found

    def _are_seen(self, which: Numbers, horizon: int) -> NDArray[np.bool_]:
        """Tell of each item whether no shelf was empty in a horizon's days up to its last closed one."""
        found: NDArray[np.bool_] = self.items.censored[which] & np.uint32((1 << horizon) - 1) == 0
        return found

    def outcomes(self, which: Numbers, day: int, horizon: int) -> Floats:
        """Return the demand of items over the days up to and with their last closed one, which is `day`."""
        found = np.zeros(len(which))
        for back in range(horizon):
            found = found + self.items.recent[which, (day - back) % LONGEST]
        return found

    def _outcomes(self, which: Numbers, day: int, horizon: int) -> list[float | None]:
        known = (self.items.closed[which] == day) & self._are_seen(which, horizon)
        return [
            value if is_known else None
            for value, is_known in zip(self.outcomes(which, day, horizon).tolist(), known.tolist(), strict=True)
        ]
