"""Events in, closed days out: the way from a file's lines to the outlook, as the worker goes it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from consumer.learning.identities import Identities
from consumer.learning.ledger import Ledger
from consumer.outlook.calendar import MILLION, weekday_of
from consumer.outlook.columns import EMPTY, SOLD
from consumer.outlook.demand import demand_of
from consumer.outlook.outlook import Outlook
from schemas.dead_letter import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from consumer.outlook.calendar import Calendar
    from consumer.outlook.outlook import Closed
    from schemas.transaction import Event

    Floats = NDArray[np.float64]

GRACE_SECONDS: Final = 7_200
"""A day closes so long after its midnight: tills report late."""
LATE_DAYS: Final = 7
"""A sale of a day that is closed counts on the first one that is not, if it is no older than this."""


class Shop:
    """All items of a history, their levels, and their outlook.

    Args:
        calendar: the stores' days.
        seen_ids: how many identities are remembered, to find repeats.
        on_close: is told of each closed day: what the outlook says, its weekday, the demand of these items.

    Attributes:
        outlook: of the items.
        ledger: their levels.
        keys: (store_id, sku) of each item, by its number.
        repeats: events that were there already.
        refused: events whose identity was there with other content.
        too_late: sales too old to count.
        first_day: that an event was of; None before the first.
    """

    def __init__(self, calendar: Calendar, seen_ids: int, on_close: Callable[[Closed, int, Floats], None]) -> None:
        self._calendar = calendar
        self._on_close = on_close
        self._identities = Identities(seen_ids)
        self.outlook = Outlook()
        self.ledger = Ledger()
        self.keys: list[tuple[str, str]] = []
        self.repeats = self.refused = self.too_late = 0
        self.first_day: int | None = None
        self.closed = 0
        self._numbers: dict[str, int] = {}
        self._stores: dict[str, int] = {}
        self._articles: dict[str, int] = {}
        self._new: list[tuple[int, int]] = []
        self._taken: tuple[array[int], ...] = tuple(array("q") for _ in range(4))
        self._next_close_us = 0

    def take(self, events: Iterable[Event]) -> None:
        """Take events in their order, and close each day that they leave behind."""
        for event in events:
            item = f"{event.store_id}\x1f{event.sku}"
            try:
                entry = self._identities.look(event, item)
            except InvalidEvent:
                self.refused += 1
                continue
            if entry is None:
                self.repeats += 1
                continue
            self._identities.remember(entry)
            us = event.occurred_us
            day = self._calendar.day_of(us)
            if self.first_day is None:
                self.first_day, self.closed = day, day - 1
                self._set_next_close()
            while us >= self._next_close_us:
                self.close_day()
            posting = self.ledger.post(item, event.quantity_millionths, event.level_millionths, us)
            number = self._numbers.get(item)
            if number is None:
                number = self._enter(item, event.store_id, event.sku)
            self._note(number, day, event, posting.before, posting.after)

    def close_day(self) -> None:
        """Close the day after the last closed one."""
        self._flush()
        day, outlook = self.closed + 1, self.outlook
        outlook.begin_close(day)
        closed = outlook.close(np.arange(len(outlook.items)), day)
        self.closed = day
        self._set_next_close()
        self._mark_empty_shelves()
        if len(closed.items):
            self._on_close(closed, weekday_of(day), outlook.outcomes(closed.items, day, 1))

    def close_last(self, last_us: int) -> None:
        """Close the days up to that of the last event, which the history is taken to hold whole."""
        last = self._calendar.day_of(last_us)
        while self.closed < last:
            self.close_day()

    def _set_next_close(self) -> None:
        self._next_close_us = self._calendar.begin_of(self.closed + 2) + GRACE_SECONDS * MILLION

    def _enter(self, item: str, store_id: str, sku: str) -> int:
        number = self._numbers[item] = len(self.keys)
        self.keys.append((store_id, sku))
        store = self._stores.setdefault(store_id, len(self._stores))
        article = self._articles.setdefault(sku, len(self._articles))
        self._new.append((store, article))
        return number

    def _note(self, number: int, day: int, event: Event, before: int | None, after: int | None) -> None:
        demand = demand_of(event.transaction_type, event.quantity_millionths)
        place = day - self.closed - 1
        if place < -LATE_DAYS:
            if demand:
                self.too_late += 1
            return
        flags = 0
        if after is not None and after <= 0:
            flags = EMPTY
        if before is not None and before <= 0 and demand > 0:
            flags |= SOLD
        if demand or flags:
            for column, value in zip(self._taken, (number, min(max(place, 0), 1), demand, flags), strict=True):
                column.append(value)

    def _flush(self) -> None:
        outlook = self.outlook
        if self._new:
            stores, articles = np.array(self._new, np.int64).T
            outlook.pools.grow(len(self._stores), len(self._articles))
            outlook.items.add(stores, articles, self.closed)
            self._new.clear()
        numbers, places, demand, flags = (np.frombuffer(column, np.int64) for column in self._taken)
        if len(numbers):
            outlook.take(numbers, places, demand, flags.astype(np.uint8))
        self._taken = tuple(array("q") for _ in range(4))

    def _mark_empty_shelves(self) -> None:
        """What ends a day empty begins the next one so."""
        levels = (entry[0] for entry in self.ledger.entries.values())
        empty = np.fromiter((level is not None and level <= 0 for level in levels), np.bool_, len(self.ledger))
        # No item leaves the ledger here, so both number the items alike; those of the next day wait to be entered.
        empty = empty[: len(self.outlook.items)]
        self.outlook.items.empty[: len(empty), 0] |= np.where(empty, EMPTY, 0).astype(np.uint8)
