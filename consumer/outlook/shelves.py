"""The shelves of one partition: events in, closed days out, with the log as the only clock.

Event time is the latest of the events' own times, none of which counts as later than the record's Kafka timestamp. A
day closes once it has passed the next midnight by a grace for late tills. That is begun at one record, and done by
portions: each record closes a few items, a tick closes many, and an item is always closed before its own next record.
What is said of an item does not depend on the portions, nor does the order in which items are said: only on the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from consumer.outlook.columns import EMPTY, NO_NUMBER, SOLD
from consumer.outlook.outlook import Closed, Outlook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from consumer.outlook.calendar import Calendar

    Numbers = NDArray[np.int64]

HOUR_US: Final = 3_600_000_000
GRACE_US: Final = 2 * HOUR_US
"""A day closes so long after its midnight: tills report late."""
LATE_DAYS: Final = 7
"""A sale of a day that is closed counts on the first one that is not, if it is no older than this."""
ITEMS_A_RECORD: Final = 8
ITEMS_A_TICK: Final = 20_000
_NO_TIME: Final = -(2**62)


class Rows(NamedTuple):
    """Successive events of a partition, in columns of one length.

    Attributes:
        items: numbers of the items, in the order in which items entered.
        offsets: of the records.
        occurred_us: when each occurred, microseconds since 1970 UTC.
        timestamps_us: of the records.
        demand: of each (`consumer.outlook.demand`), millionths of a unit.
        befores: the item's level before it, millionths of a unit; NO_NUMBER where unknown.
        afters: likewise after it.
        discrepancies: by how much the observed level differs from the books', millionths of a unit; 0 where none is.
        counts: whether it is a count.
    """

    items: Numbers
    offsets: Numbers
    occurred_us: Numbers
    timestamps_us: Numbers
    demand: Numbers
    befores: Numbers
    afters: Numbers
    discrepancies: Numbers
    counts: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> Rows:
        """Return those from `start` below `stop`."""
        return Rows._make([column[start:stop] for column in self])


class Shelves:
    """Which days of which items are closed, and whose turn is next.

    Args:
        calendar: the shops' days.
        on_close: is told of each portion that was closed, in an order that depends on the log alone.
        portions: close by portions, as a worker does; else all items at once, as an evaluation does, which looks at
            each day.

    Attributes:
        outlook: of the items.
        closed: the last day that was begun to close, of the calendar; None before the first event.
        begun_at: the offset of the record that began it.
        too_late: events with demand that were too old to count.
    """

    def __init__(self, calendar: Calendar, on_close: Callable[[Closed], None], *, portions: bool = True) -> None:
        self.outlook = Outlook()
        self.closed: int | None = None
        self.begun_at = -1
        self.too_late = 0
        self._calendar = calendar
        self._on_close = on_close
        self._portions = portions
        self._event_time_us = _NO_TIME
        self._next_close_us = _NO_TIME
        self._cursor = 0  # the items before it are closed
        self._last = 0  # the items from it on entered after the day began to close

    def take(self, rows: Rows, stores: Numbers, articles: Numbers) -> None:
        """Take events, and close what they leave behind.

        Args:
            rows: the events; their items may be new.
            stores: of the new items, in the order of their numbers, their stores' numbers.
            articles: likewise.
        """
        if not len(rows.items):
            return
        times = np.maximum(np.maximum.accumulate(np.minimum(rows.occurred_us, rows.timestamps_us)), self._event_time_us)
        if self.closed is None:
            self.closed = self._calendar.day_of(int(times[0]) - GRACE_US) - 1
            self.outlook.items.closed[: len(self.outlook.items)] = self.closed
            self._set_next_close()
        self._event_time_us = int(times[-1])
        known = len(self.outlook.items)
        at, end = 0, len(times)
        while at < end:
            stop = at + int(np.searchsorted(times[at:], self._next_close_us, side="left"))
            if stop > at:
                part = rows.part(at, stop)
                # Not before their first event: a day that begins to close before it is none of theirs.
                new = slice(len(self.outlook.items) - known, int(part.items.max()) + 1 - known)
                self._enter(stores[new], articles[new])
                self._take_day(part)
                at = stop
            if at < end:
                self._cross(int(times[at]), int(rows.offsets[at]))

    @property
    def is_closing(self) -> bool:
        """Whether a day's close is under way."""
        return self._cursor < self._last

    def adopt(self, stores: Numbers, articles: Numbers) -> None:
        """Let items in of which nothing is known but that they are there, before the first event."""
        self._enter(stores, articles)

    def tick(self, us: int, timestamp_us: int, offset: int) -> None:
        """Let time pass without an event.

        Args:
            us: the time that the tick tells.
            timestamp_us: of its record.
            offset: likewise.
        """
        self._event_time_us = max(self._event_time_us, min(us, timestamp_us))
        if self.closed is None:
            return
        if self._event_time_us >= self._next_close_us:
            self._cross(self._event_time_us, offset)
        self._close(self._next(ITEMS_A_TICK))

    def close_through(self, day: int) -> None:
        """Close all items through a day, whatever time it is: at the end of a history."""
        while self.closed is not None and self.closed < day:
            self._cross(self._next_close_us, -1)

    def keep(self, staying: NDArray[np.bool_]) -> None:
        """Let items leave; the others are numbered anew, in their order."""
        leaving = ~staying
        self.outlook.forget(np.flatnonzero(leaving))
        self._cursor -= int(np.count_nonzero(leaving[: self._cursor]))
        self._last -= int(np.count_nonzero(leaving[: self._last]))
        self.outlook.items.keep(staying)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as it is now; nothing changes it any more."""
        plain = (self.closed, self.begun_at, self._event_time_us, self._cursor, self._last, self.too_late)
        return {"shelves": plain, **self.outlook.snapshot()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `snapshot` returned."""
        self.closed, self.begun_at, self._event_time_us, self._cursor, self._last, self.too_late = state["shelves"]
        self.outlook.restore(state)
        if self.closed is not None:
            self._set_next_close()

    def _enter(self, stores: Numbers, articles: Numbers) -> None:
        if len(stores):
            self.outlook.pools.grow(int(stores.max()) + 1, int(articles.max()) + 1)
            self.outlook.items.add(stores, articles, self.closed or 0)

    def _cross(self, us: int, offset: int) -> None:
        """Begin to close the days that an instant has left behind."""
        if self.closed is None:
            raise AssertionError("there is a first day before one is closed")
        last = self._calendar.day_of(us - GRACE_US) - 1
        self.begun_at = offset
        for day in [last] if self._portions else range(self.closed + 1, last + 1):
            self.outlook.begin_close(day)
            self.closed, self._cursor, self._last = day, 0, len(self.outlook.items)
            if not self._portions:
                self._close(self._next(self._last))
        self._set_next_close()

    def _set_next_close(self) -> None:
        self._next_close_us = self._calendar.begin_of((self.closed or 0) + 2) + GRACE_US

    def _take_day(self, rows: Rows) -> None:
        """Take events between which no day begins to close."""
        if self._cursor < self._last:
            self._close_before(rows.items)
        items, closed = self.outlook.items, self.closed or 0
        places = self._calendar.days_of(rows.occurred_us) - closed - 1
        is_late = places < -LATE_DAYS
        self.too_late += int(np.count_nonzero(is_late & (rows.demand != 0)))
        flags = np.where((rows.afters <= 0) & (rows.afters != NO_NUMBER), EMPTY, 0)
        was_empty = (rows.befores <= 0) & (rows.befores != NO_NUMBER)
        flags = np.where(was_empty & (rows.demand > 0), flags | SOLD, flags)
        self.outlook.take(
            rows.items,
            np.clip(places, 0, 1),
            np.where(is_late, 0, rows.demand),
            np.where(is_late, 0, flags).astype(np.uint8),
        )
        items.on_hand[rows.items] = rows.afters  # of several events of an item the last one stays
        self._note_discrepancies(rows)

    def _note_discrepancies(self, rows: Rows) -> None:
        """Add up by how much the books were off since each item's last count."""
        held, later = self.outlook.items.discrepancy, rows.discrepancies
        counts = np.flatnonzero(rows.counts)
        if len(counts):
            last = np.full(int(rows.items.max()) + 1, -1)
            last[rows.items[counts]] = counts  # of several counts of an item the last one stays
            held[rows.items[counts]] = 0
            later = np.where(np.arange(len(later)) > last[rows.items], later, 0)
        np.add.at(held, rows.items, later)

    def _close_before(self, touched: Numbers) -> None:
        """Close each item before its own event, and beside it those whose turn it is."""
        closed = self.outlook.items.closed
        own, at = np.unique(touched, return_index=True)
        is_open = closed[own] < (self.closed or 0)
        own, at = own[is_open], at[is_open]
        begin = self._cursor
        by_turn = self._next(ITEMS_A_RECORD * len(touched))
        turns = (by_turn - begin) // ITEMS_A_RECORD
        # Whichever comes first: of the items of one record, its own before the others, these in their order.
        which = np.concatenate([own, by_turn])
        when = np.concatenate([2 * at, 2 * turns + 1])
        order = np.lexsort((which, when))
        _, first = np.unique(which[order], return_index=True)
        self._close(which[order][np.sort(first)])

    def _next(self, items: int) -> Numbers:
        """Return the items whose turn it is and that are still open."""
        turn = np.arange(self._cursor, min(self._cursor + items, self._last))
        self._cursor += len(turn)
        found: Numbers = turn[self.outlook.items.closed[turn] < (self.closed or 0)]
        return found

    def _close(self, which: Numbers) -> None:
        """Close items; those that were left open the day before have more than one day to catch up with."""
        if not len(which) or self.closed is None:
            return
        closed, day = self.outlook.items.closed, self.closed
        while (first := int(closed[which].min())) < day - 1:
            self.outlook.close(which[closed[which] == first], first + 1)
        self._on_close(self.outlook.close(which, day))
