"""Events in, closed days out: the way from a file's lines to the outlook, as the worker goes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumer.learning.columns import NO_NUMBER
from consumer.learning.identities import Identities
from consumer.learning.ledger import Ledger
from consumer.outlook.calendar import weekday_of
from consumer.outlook.demand import demand_of
from consumer.outlook.shelves import Rows, Shelves
from schemas.dead_letter import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from consumer.outlook.calendar import Calendar
    from consumer.outlook.outlook import Closed, Outlook
    from schemas.transaction import Event

    Floats = NDArray[np.float64]


class Shop:
    """All items of a history, their levels, and their outlook.

    Args:
        calendar: the stores' days.
        seen_ids: how many identities are remembered, to find repeats.
        on_close: is told of each closed day: what the outlook says, its weekday, the demand of these items.

    Attributes:
        ledger: the items' levels.
        keys: (store_id, sku) of each item, by its number.
        repeats: events that were there already.
        refused: events whose identity was there with other content.
        first_day: that an event was of; None before the first.
    """

    def __init__(self, calendar: Calendar, seen_ids: int, on_close: Callable[[Closed, int, Floats], None]) -> None:
        self._calendar = calendar
        self._on_close = on_close
        self._identities = Identities(seen_ids)
        self._shelves = Shelves(calendar, self._closed, portions=False)
        self.ledger = Ledger()
        self.keys: list[tuple[str, str]] = []
        self.repeats = self.refused = 0
        self.first_day: int | None = None
        self._numbers: dict[str, int] = {}
        self._stores: dict[str, int] = {}
        self._articles: dict[str, int] = {}

    @property
    def outlook(self) -> Outlook:
        """Of the items."""
        return self._shelves.outlook

    @property
    def too_late(self) -> int:
        """Sales too old to count."""
        return self._shelves.too_late

    @property
    def closed(self) -> int:
        """The last closed day."""
        return self._shelves.closed or 0

    def take(self, events: Iterable[Event]) -> None:
        """Take events in their order, and close each day that they leave behind."""
        rows: list[tuple[int, int, int, int, int]] = []
        new: list[tuple[int, int]] = []
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
            us, quantity = event.occurred_us, event.quantity_millionths
            posting = self.ledger.post(item, quantity, event.level_millionths, us)
            number = self._numbers.get(item)
            if number is None:
                number = self._numbers[item] = len(self.keys)
                self.keys.append((event.store_id, event.sku))
                store = self._stores.setdefault(event.store_id, len(self._stores))
                new.append((store, self._articles.setdefault(event.sku, len(self._articles))))
            before, after = (NO_NUMBER if level is None else level for level in (posting.before, posting.after))
            rows.append((number, us, demand_of(event.transaction_type, quantity), before, after))
        if not rows:
            return
        items, times, demand, befores, afters = np.array(rows, np.int64).T
        if self.first_day is None:
            self.first_day = self._calendar.day_of(int(times[0]))
        none = np.zeros_like(items)
        stores, articles = np.array(new, np.int64).reshape(-1, 2).T
        self._shelves.take(
            Rows(items, none, times, times, demand, befores, afters, none, none.astype(np.bool_)), stores, articles
        )

    def close_last(self, last_us: int) -> None:
        """Close the days up to that of the last event, which the history is taken to hold whole."""
        self._shelves.close_through(self._calendar.day_of(last_us))

    def _closed(self, closed: Closed) -> None:
        if len(closed.items):
            today = self.outlook.outcomes(closed.items, closed.day, 1)
            self._on_close(closed, weekday_of(closed.day), today)
