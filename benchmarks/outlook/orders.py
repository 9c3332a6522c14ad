"""Shelves replenished by two rules side by side, on the demand of a real year: what is served, and from how much.

Every evening each item is ordered up to a target; the goods are on the shelf three evenings later. What is wanted and
not there is lost. Both rules see all demand, also what was not served, so that they differ in their targets alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.outlook.horizons import LONGEST
from consumer.outlook.outlook import Outlook
from consumer.outlook.policies import PolicyColumns
from consumer.outlook.stock import order_quantities, stock_of
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from consumer.outlook.outlook import Closed

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

LEAD_TIME_DAYS: Final = 3
REVIEW_PERIOD_DAYS: Final = 1
PROTECTED_DAYS: Final = LEAD_TIME_DAYS + REVIEW_PERIOD_DAYS
BEGIN: Final = 60
"""The day at whose close the first orders are placed; shelves are full then."""


class Demand(NamedTuple):
    """Demand of some items, day by day.

    Attributes:
        units: shape (days, items).
        stores: of the items, from 0.
        articles: likewise.
        first_day: number of the first day, from 1970-01-01.
    """

    units: Floats
    stores: Numbers
    articles: Numbers
    first_day: int


def demand_of_sales(sales: pd.DataFrame) -> Demand:
    """Return the demand of sales as of `benchmarks.outlook.retail`."""
    items = sales.groupby(["store_id", "product_category"])
    numbers, keys = items.ngroup().to_numpy(), items.size().reset_index()
    units = np.zeros((int(sales["day"].max()) + 1, len(keys)))
    np.add.at(units, (sales["day"].to_numpy(), numbers), sales["quantity"].to_numpy(np.float64))
    stores, articles = (keys[name].rank(method="dense").to_numpy(np.int64) - 1 for name in keys.columns[:2])
    return Demand(units, stores, articles, sales["moment"].min().toordinal() - 719_163)


class Shelves:
    """The shelves of some items, as often as there are rules.

    Args:
        rules: how many.
        items: how many.

    Attributes:
        served: units sold, by rule.
        stock: unit-days on hand, by rule: each day's mean of its morning and its evening.
        wanted: units, of the same days.
        item_days: how many days of items these are.
        lasted: by rule, over how many protected periods of items demand was no more than the target.
        periods: of how many.
    """

    def __init__(self, rules: int, items: int) -> None:
        self.served, self.stock, self.lasted = np.zeros(rules), np.zeros(rules), np.zeros(rules, np.int64)
        self.wanted, self.item_days, self.periods = 0.0, 0, 0
        self._on_hand = np.zeros((rules, items))
        self._ordered = np.zeros((LEAD_TIME_DAYS, rules, items))
        self._is_open = np.zeros(items, np.bool_)
        self._targets: list[tuple[Numbers, Floats]] = []
        self._days: list[Floats] = []

    def trade(self, demand: Floats) -> None:
        """Let a day's customers take what they find, of the items whose shelves are open."""
        wanted = np.where(self._is_open, demand, 0.0)
        sold = np.minimum(self._on_hand, wanted)
        self.served += sold.sum(axis=1)
        self.wanted += float(wanted.sum())
        self.stock += (self._on_hand - 0.5 * sold).sum(axis=1)
        self.item_days += int(self._is_open.sum())
        self._on_hand -= sold
        self._days = [*self._days, demand][-PROTECTED_DAYS:]
        if len(self._targets) == PROTECTED_DAYS:
            which, targets = self._targets.pop(0)
            total = np.sum(self._days, axis=0)[which]
            self.lasted += (total <= targets).sum(axis=1)
            self.periods += len(which)

    def order(self, which: Numbers, targets: Floats) -> None:
        """Take in what was ordered three evenings ago, then order these items up to their targets; new ones begin full.

        Args:
            which: numbers of the items.
            targets: shape (rules, items).
        """
        self._on_hand += self._ordered[0]
        self._ordered[:-1] = self._ordered[1:]
        self._ordered[-1] = 0.0
        position = self._on_hand[:, which] + self._ordered[:, :, which].sum(axis=0)
        orders = order_quantities(targets, position, np.array(MILLION))
        is_new = ~self._is_open[which]
        self._on_hand[:, which] += np.where(is_new, orders, 0.0)
        self._ordered[-1][:, which] = np.where(is_new, 0.0, orders)
        self._is_open[which] = True
        self._targets.append((which, targets))

    @property
    def fill_rates(self) -> Floats:
        """Units served of those wanted, by rule."""
        return self.served / self.wanted

    @property
    def mean_stocks(self) -> Floats:
        """Units on hand an item, by rule."""
        return self.stock / self.item_days

    @property
    def service_levels(self) -> Floats:
        """In how many of the protected periods demand was no more than the target, by rule."""
        return self.lasted / self.periods


class Found(NamedTuple):
    """What came of the rules: ours by service level, those of the 28-day means by z."""

    ours: Shelves
    means: Shelves


def simulate(
    demand: Demand, service_levels: tuple[float, ...], zs: tuple[float, ...], tell: Callable[[int], None]
) -> Found:
    """Run the year once, the outlook learning from its days, with all rules side by side.

    Args:
        demand: of the items.
        service_levels: of our rule.
        zs: of the other one.
        tell: is told of each day that is over.
    """
    days, items = demand.units.shape
    outlook = Outlook()
    outlook.pools.grow(int(demand.stores.max()) + 1, int(demand.articles.max()) + 1)
    first = np.where((demand.units > 0).any(axis=0), (demand.units > 0).argmax(axis=0), days)
    order = np.argsort(first, kind="stable")  # the outlook numbers the items as they come
    ours, means = Shelves(len(service_levels), items), Shelves(len(zs), items)
    for number in range(days):
        day, today = demand.first_day + number, demand.units[number]
        closed = _close(outlook, demand, order[: int((first <= number).sum())], day, today)
        for shelves in (ours, means):
            shelves.trade(today)
        if number >= BEGIN:
            which = order[closed.items]
            ours.order(which, np.stack([_our_targets(outlook, closed, level) for level in service_levels]))
            means.order(which, targets_of_means(demand.units[: number + 1, which], first[which], zs))
        tell(number)
    return Found(ours, means)


def _close(outlook: Outlook, demand: Demand, known: Numbers, day: int, today: Floats) -> Closed:
    new = known[len(outlook.items) :]
    if len(new):
        outlook.items.add(demand.stores[new], demand.articles[new], day - 1)
    none = np.zeros(len(known), np.int64)
    millionths = np.rint(today[known] * MILLION).astype(np.int64)
    outlook.take(np.arange(len(known)), none, millionths, none.astype(np.uint8))
    outlook.begin_close(day)
    return outlook.close(np.arange(len(known)), day)


def _our_targets(outlook: Outlook, closed: Closed, service_level: float) -> Floats:
    count = len(closed.items)
    policies = PolicyColumns(
        np.full(count, LEAD_TIME_DAYS),
        np.full(count, REVIEW_PERIOD_DAYS),
        np.full(count, service_level),
        np.full(count, MILLION),
    )
    return stock_of(outlook, closed, np.full(count, np.nan), policies).reorder_point


def targets_of_means(past: Floats, first: Numbers, zs: tuple[float, ...]) -> Floats:
    """Return the textbook's reorder points: mean demand over the protected days and z standard deviations of it.

    Args:
        past: demand of some items up to today, shape (days, items).
        first: the days of their first demand.
        zs: how many standard deviations.

    Returns:
        Of each z and item; by the last 28 days, or as many as there are since the item's first demand.
    """
    recent = past[-LONGEST:]
    age = np.minimum(len(past) - first, len(recent))
    is_seen = np.arange(len(recent))[::-1, None] < age
    mean = np.where(is_seen, recent, 0.0).sum(axis=0) / age
    squares = np.where(is_seen, (recent - mean) ** 2, 0.0).sum(axis=0)
    deviation = np.sqrt(squares / np.maximum(age - 1, 1))
    found: Floats = mean * PROTECTED_DAYS + np.array(zs)[:, None] * deviation * np.sqrt(PROTECTED_DAYS)
    return found


def stock_at(fill_rate: float, fill_rates: Floats, stocks: Floats) -> float:
    """Return the mean stock at which a rule has a fill rate, between those that were tried; NaN outside."""
    order = np.argsort(fill_rates)
    return float(np.interp(fill_rate, fill_rates[order], stocks[order], left=np.nan, right=np.nan))
