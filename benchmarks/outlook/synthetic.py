"""A made-up shop whose demand is drawn from known distributions, so that intervals can be held to the true ones.

Each day's demand of an item is Poisson about a gamma variable: its own mean, times its store's week, times chance. So
it is negative binomial, and so the demand of several days is a sum of such, whose distribution follows from the product
of their generating functions.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from consumer.evaluate.prequential import OUTLOOK
from consumer.outlook.calendar import weekday_of
from consumer.outlook.horizons import HORIZONS, LEVELS, LOWER80, UPPER80

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from consumer.evaluate.prequential import Origin

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

ZONE: Final = ZoneInfo("UTC")
STORES: Final = 4
ITEMS: Final = 400
DAYS: Final = 300
SHAPE: Final = 3.0
"""Of the gamma variable: a day's demand has the variance mean + mean² / 3."""
_FIRST: Final = date(2026, 1, 1)
_WEEK: Final = np.array([0.9, 0.8, 0.9, 1.0, 1.2, 1.4, 0.8])
_POINTS: Final = 4096
"""Of the transform: more than any item sells in 28 days."""


class Truth(NamedTuple):
    """What the shop's demand is drawn from.

    Attributes:
        means: of each item, an average day's; the item of article a in store s is number a x STORES + s.
        weeks: of each store, what each day of the week (Monday 0) is of an average day; shape (stores, 7).
    """

    means: Floats
    weeks: Floats


def truth(seed: int, items: int = ITEMS) -> Truth:
    """Return a shop: means from 0.1 to 20 and more a day, an article's alike in all stores, as their weeks are."""
    rng = np.random.default_rng(seed)
    articles = np.repeat(rng.gamma(0.8, 3.0, -(-items // STORES)) + 0.1, STORES)[:items]
    weeks = _WEEK * rng.lognormal(0.0, 0.05, (STORES, len(_WEEK)))
    return Truth(articles * rng.lognormal(0.0, 0.3, items), weeks / weeks.mean(axis=1, keepdims=True))


def sales_of(shop: Truth, seed: int, days: int = DAYS) -> pd.DataFrame:
    """Draw the shop's sales, one line for each item and day with some, as `retail.write_history` takes them."""
    import pandas as pd  # noqa: PLC0415 -- a second to import

    rng = np.random.default_rng(seed)
    dates = [_FIRST + timedelta(days=day) for day in range(days)]
    week = shop.weeks[:, [day.weekday() for day in dates]].T[:, np.arange(len(shop.means)) % STORES]
    means = shop.means * week
    demand = rng.poisson(means * rng.gamma(SHAPE, 1.0 / SHAPE, means.shape))
    day, item = np.nonzero(demand)
    return pd.DataFrame(
        {
            "store_id": item % STORES,
            "product_category": [f"article {number}" for number in (item // STORES).tolist()],
            "quantity": demand[day, item],
            "moment": pd.Timestamp(_FIRST, tz="UTC") + pd.to_timedelta(24 * day + 12, unit="h"),
        }
    )


def distributions(mean: float, week: Floats) -> Floats:
    """Return the true distributions of an item's demand over the days after each day of the week.

    Args:
        mean: an average day's.
        week: of its store, shape (7,).

    Returns:
        Probabilities of at most 0, 1, 2, ..., shape (7, horizons, counts).
    """
    turns = np.exp(-2j * np.pi * np.arange(_POINTS // 2 + 1) / _POINTS)
    logs = -SHAPE * np.log(1.0 + mean * week[:, None] / SHAPE * (1.0 - turns))
    counted = np.array(
        [[np.bincount(_after(weekday, horizon), minlength=len(week)) for horizon in HORIZONS] for weekday in range(7)]
    )
    chances = np.fft.irfft(np.exp(counted @ logs), _POINTS, axis=-1)
    found: Floats = np.cumsum(chances, axis=-1)
    return found


def _after(weekday: int, horizon: int) -> Numbers:
    return (weekday + 1 + np.arange(horizon)) % 7


def quantile(below: Floats, level: float) -> Numbers:
    """Return the least count that demand is at most with that probability; of the last axis of `distributions`."""
    found: Numbers = (below < level).sum(axis=-1)
    return found


class Width(NamedTuple):
    """The intervals for 80% of one horizon, over all items and days.

    Attributes:
        outlook: their mean width.
        true: that of the true distributions' quantiles.
        inside: the true probability of demand within the outlook's.
        inside_true: likewise within the true ones, more than 80% since counts are whole.
    """

    outlook: float
    true: float
    inside: float
    inside_true: float


class Intervals:
    """The outlook's intervals of each day: `evaluate(write=...)`."""

    def __init__(self) -> None:
        self._origins: list[tuple[int, Numbers, Floats]] = []
        self._keys: list[tuple[str, str]] = []

    def write(self, origin: Origin, keys: list[tuple[str, str]]) -> None:
        """Take the forecasts from one closed day."""
        ours = origin.quantiles[[LOWER80, UPPER80], origin.methods.index(OUTLOOK)].copy()
        self._origins.append((origin.day, origin.items, ours))
        self._keys = keys

    def widths(self, shop: Truth) -> dict[int, Width]:
        """Hold them to the true ones, where the history goes on to the end of the horizon."""
        last = self._origins[-1][0]
        ours: dict[int, list[tuple[int, Floats]]] = {}
        for day, items, bounds in self._origins:
            for place, item in enumerate(items.tolist()):
                ours.setdefault(item, []).append((day, bounds[:, :, place]))
        sums = np.zeros((len(HORIZONS), len(Width._fields)))
        counts = np.zeros(len(HORIZONS))
        for item, rows in ours.items():
            store, article = self._keys[item]
            number = int(article.split()[1]) * STORES + int(store)
            below = distributions(float(shop.means[number]), shop.weeks[int(store)])
            true = np.stack([quantile(below, LEVELS[level]) for level in (LOWER80, UPPER80)])
            days = np.array([day for day, _ in rows])
            bounds = np.stack([each for _, each in rows], axis=1)  # (2, days, horizons)
            weekdays = np.array([weekday_of(day) for day, _ in rows])
            for at, horizon in enumerate(HORIZONS):
                over = days + horizon <= last
                mine, theirs, week = bounds[:, over, at], true[:, weekdays[over], at], weekdays[over]
                sums[at] += [
                    (mine[1] - mine[0]).sum(),
                    (theirs[1] - theirs[0]).sum(),
                    _inside(below[:, at], week, mine).sum(),
                    _inside(below[:, at], week, theirs).sum(),
                ]
                counts[at] += over.sum()
        return {days: Width(*(sums[at] / counts[at]).tolist()) for at, days in enumerate(HORIZONS) if counts[at]}


def _inside(below: Floats, weekdays: Numbers, bounds: Floats | Numbers) -> Floats:
    lower, upper = (np.minimum(each, _POINTS).astype(np.int64) for each in bounds)
    padded = np.concatenate([np.zeros((len(below), 1)), below], axis=1)
    found: Floats = padded[weekdays, np.minimum(upper + 1, _POINTS)] - padded[weekdays, lower]
    return found
