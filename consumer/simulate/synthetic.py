"""A synthetic shop: seeded, endless, and without a package of its own.

It has what the contract can say and the real retail year does not: returns, waste, counts, a sku twice on one
receipt, events without a stock level. Its books are right unless it is told to miss scans.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Final

from consumer.simulate.events import KeyBy, ShopEvent, good_event

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_START: Final = date(2025, 1, 6)
"""A Monday, so that a first week is a whole one."""

WEEKDAY_FACTORS: Final = (0.85, 0.80, 0.90, 1.00, 1.25, 1.50, 0.70)
HOUR_WEIGHTS: Final = {7: 2, 8: 4, 9: 5, 10: 6, 11: 7, 12: 8, 13: 6, 14: 5, 15: 6, 16: 8, 17: 10, 18: 9, 19: 5, 20: 3}
DELIVERY_TIME: Final = time(6)
OPENING_TIME: Final = time(5)
COUNT_TIME: Final = time(6, 30)
WASTE_TIME: Final = time(21, 30)

STOCKIST_LINES: Final = 12
MAX_LINES: Final = 11
NEXT_LINE: Final = 0.65  # the chance of one more line: 2.9 lines a basket in the mean
SCANNED_TWICE: Final = 0.03
RETURNED: Final = 0.02
LEVEL_TOLD: Final = 0.9
COUNT_WEEKS: Final = 4
PERISHABLE_EVERY: Final = 5
DEAREST: Final = 500.0


@dataclass(slots=True)
class _Item:
    """One sku on one store's shelf; levels in units, cost of one unit."""

    sku: str
    unit_cost: float
    next_unit: float
    level: int
    reorder_point: int
    order_up_to: int
    ordered: bool = False

    def take(self, quantity: int) -> None:
        """Take units off the shelf, below 0 put some on it, and order when it runs low."""
        self.level -= quantity
        self.ordered = self.ordered or self.level <= self.reorder_point


@dataclass(slots=True)
class _Store:
    """One store: its shelf, how popular each item is (cumulated), and the number of its last receipt."""

    store_id: str
    items: list[_Item]
    popularity: list[float]
    last_receipt: int = 0

    def next_receipt(self) -> str:
        self.last_receipt += 1
        return f"{self.store_id}-{self.last_receipt:07d}"


def synthetic_events(  # noqa: PLR0913 -- a shop's dimensions, all of them with a default
    *,
    seed: int,
    stores: int = 3,
    skus: int = 60,
    baskets_per_day: float = 150.0,
    start: date = DEFAULT_START,
    time_zone: tzinfo = UTC,
    key_by: KeyBy = "store",
    limit: int | None = None,
    missed_share: float = 0.0,
    opening_stock: bool = False,
) -> Iterator[ShopEvent]:
    """Return the events of a shop in time order, without end unless `limit` is given; the same for the same arguments.

    Each store's first customer of a day buys 12 lines, of which at least two are the same sku. A line whose scan is
    missed leaves the shelf, and the books do not hear of it: the item's next told level shows it.

    Args:
        seed: seeds every draw.
        stores: number of stores, each of which carries every sku.
        skus: number of skus.
        baskets_per_day: mean number of receipts of one store on a day of factor 1.
        start: the first day.
        time_zone: of all stores; must have no shift between 06:00 and 22:00.
        key_by: what keys a record.
        limit: how many events at most.
        missed_share: share of a sale's lines that are not scanned, 0 to 1.
        opening_stock: begin with a count of each item, before the first day.

    Raises:
        ValueError: a number is not positive, or the share is not between 0 and 1.
    """
    if min(stores, skus, baskets_per_day) <= 0:
        message = f"stores, skus and baskets_per_day must be above 0, not {stores}, {skus} and {baskets_per_day}"
        raise ValueError(message)
    if not 0 <= missed_share <= 1:
        message = f"missed_share must be between 0 and 1, not {missed_share}"
        raise ValueError(message)
    rng = random.Random(seed)
    shelves = [_open_store(rng, number, skus, baskets_per_day) for number in range(1, stores + 1)]
    shop = _Shop(rng, shelves, baskets_per_day, time_zone, key_by, missed_share)
    opening = shop.opening_stock(start) if opening_stock else ()
    return islice(chain(opening, shop.events(start)), limit)


def _open_store(rng: random.Random, number: int, skus: int, baskets_per_day: float) -> _Store:
    """Fill a store's shelf: popularity falls off like 1/rank, each item's policy follows its own expected demand."""
    weights = [1.0 / (rank + 3) for rank in range(skus)]
    rng.shuffle(weights)
    units = baskets_per_day / (1.0 - NEXT_LINE) / sum(weights)
    items = []
    for index, weight in enumerate(weights):
        next_unit = rng.uniform(0.1, 0.4)
        daily = units * weight / (1.0 - next_unit)
        reorder_point = math.ceil(2 * daily) + 3
        order_up_to = reorder_point + max(6, math.ceil(5 * daily))
        unit_cost = rng.randrange(40, 2000) / 100
        items.append(_Item(f"sku-{index + 1:04d}", unit_cost, next_unit, order_up_to, reorder_point, order_up_to))
    return _Store(f"S{number:02d}", items, list(accumulate(weights)))


@dataclass(frozen=True, slots=True)
class _Shop:
    """All stores on one clock; every draw comes from one generator, in the order of the events."""

    rng: random.Random
    stores: list[_Store]
    baskets_per_day: float
    zone: tzinfo
    key_by: KeyBy
    missed_share: float

    def opening_stock(self, start: date) -> Iterator[ShopEvent]:
        """Yield one count of each item, in the morning of the first day."""
        moment = datetime.combine(start, OPENING_TIME, self.zone)
        for store in self.stores:
            for item in store.items:
                yield self._event(store, item, moment, f"O-{store.store_id}-{start:%Y%m%d}", "count", None)

    def events(self, start: date) -> Iterator[ShopEvent]:
        """Yield day after day: deliveries, on Mondays new prices and counts, the customers, at last the waste."""
        day = start
        while True:
            for store in self.stores:
                yield from self._deliveries(store, day)
            if day.weekday() == 0:
                for store in self.stores:
                    self._reprice(store)
                    yield from self._counts(store, day)
            first = set(range(len(self.stores)))
            for second, index in self._arrivals(day):
                moment = datetime.combine(day, time(second // 3600, second // 60 % 60, second % 60), self.zone)
                yield from self._customer(self.stores[index], moment, stockist=index in first)
                first.discard(index)
            for store in self.stores:
                yield from self._waste(store, day)
            day += timedelta(days=1)

    def _arrivals(self, day: date) -> list[tuple[int, int]]:
        """Draw when customers come, as (second of the day, store's index): a Poisson process with hourly rates."""
        arrivals: list[tuple[int, int]] = []
        daily = self.baskets_per_day * WEEKDAY_FACTORS[day.weekday()]
        for index in range(len(self.stores)):
            for hour, weight in HOUR_WEIGHTS.items():
                rate = daily * weight / sum(HOUR_WEIGHTS.values()) / 3600
                second = self.rng.expovariate(rate)
                while second < 3600:  # noqa: PLR2004 -- seconds of an hour
                    arrivals.append((hour * 3600 + int(second), index))
                    second += self.rng.expovariate(rate)
        return sorted(arrivals)

    def _customer(self, store: _Store, moment: datetime, *, stockist: bool) -> Iterator[ShopEvent]:
        """Yield the lines of one receipt: a sale, or now and then something brought back."""
        transaction_id = store.next_receipt()
        if not stockist and self.rng.random() < RETURNED:
            item = self.rng.choices(store.items, cum_weights=store.popularity)[0]
            yield self._event(store, item, moment, transaction_id, "return", 1)
            return
        picked = self._stockists_lines(store) if stockist else self._lines(store)
        for position, item in enumerate(picked):
            quantity = 1
            while self.rng.random() < item.next_unit:
                quantity += 1
            if self.missed_share and self.rng.random() < self.missed_share:
                item.take(quantity)
                continue
            # Identity compares items by object: two lines of one sku are the same shelf.
            alike = [number for number, other in enumerate(picked) if other is item]
            line_id = str(alike.index(position) + 1) if len(alike) > 1 else None
            yield self._event(store, item, moment, transaction_id, "sale", -quantity, line_id)

    def _lines(self, store: _Store) -> list[_Item]:
        """Draw what an ordinary customer buys: a till adds up equal skus, but at times one is scanned anew."""
        size = 1
        while size < MAX_LINES and self.rng.random() < NEXT_LINE:
            size += 1
        drawn = self.rng.choices(range(len(store.items)), cum_weights=store.popularity, k=size)
        picked = [store.items[index] for index in dict.fromkeys(drawn)]
        if self.rng.random() < SCANNED_TWICE:
            picked.append(picked[0])
        return picked

    def _stockists_lines(self, store: _Store) -> list[_Item]:
        """Draw exactly 12 lines, the last of which repeats the first one's sku."""
        picked = self.rng.sample(store.items, min(len(store.items), STOCKIST_LINES - 1))
        return picked + [picked[0]] * (STOCKIST_LINES - len(picked))

    def _deliveries(self, store: _Store, day: date) -> Iterator[ShopEvent]:
        """Yield what was ordered the day before: each shelf is filled up to S."""
        moment = datetime.combine(day, DELIVERY_TIME, self.zone)
        for item in store.items:
            if item.ordered:
                item.ordered = False
                missing = item.order_up_to - item.level
                yield self._event(store, item, moment, f"R-{store.store_id}-{day:%Y%m%d}", "receipt", missing)

    def _counts(self, store: _Store, day: date) -> Iterator[ShopEvent]:
        """Yield this week's quarter of the shelf, counted; the books are right, so no level changes."""
        moment = datetime.combine(day, COUNT_TIME, self.zone)
        week = day.toordinal() // 7
        for item in store.items[week % min(COUNT_WEEKS, len(store.items)) :: COUNT_WEEKS]:
            yield self._event(store, item, moment, f"C-{store.store_id}-{day:%Y%m%d}", "count", None)

    def _waste(self, store: _Store, day: date) -> Iterator[ShopEvent]:
        """Yield what spoiled of the perishable skus, never more than is there."""
        moment = datetime.combine(day, WASTE_TIME, self.zone)
        for item in store.items[::PERISHABLE_EVERY]:
            spoiled = min(self.rng.choice((0, 0, 0, 1, 2)), item.level)
            if spoiled > 0:
                yield self._event(store, item, moment, f"W-{store.store_id}-{day:%Y%m%d}", "waste", -spoiled)

    def _reprice(self, store: _Store) -> None:
        """Change the cost of about one item in twenty."""
        for item in store.items:
            if self.rng.random() < 1 / 20:
                item.unit_cost = min(max(round(item.unit_cost * self.rng.uniform(0.95, 1.08), 2), 0.05), DEAREST)

    def _event(  # noqa: PLR0913, PLR0917 -- what one line of a document consists of
        self,
        store: _Store,
        item: _Item,
        moment: datetime,
        transaction_id: str,
        transaction_type: str,
        quantity: int | None,
        line_id: str | None = None,
    ) -> ShopEvent:
        """Book a line on the shelf, order what runs low, and return the event."""
        item.take(-(quantity or 0))
        counted = transaction_type == "count"
        told = counted or transaction_type == "receipt" or self.rng.random() < LEVEL_TOLD
        return good_event(
            key_by=self.key_by,
            timestamp_ms=int(moment.timestamp()) * 1000,
            transaction_id=transaction_id,
            store_id=store.store_id,
            sku=item.sku,
            line_id=line_id,
            quantity=quantity,
            transaction_type=transaction_type,
            unit_cost=None if counted else item.unit_cost,
            occurred_at=moment.isoformat(),
            new_stock_level=item.level if told else None,
        )
