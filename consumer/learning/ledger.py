"""The stock ledger: the last known level of each item, in whole millionths so that no float dust gathers.

Items leave it: one that no event names for many days of event time, and of which nothing is known to be there. So the
state is bounded by what a shop sells, not by what it ever sold.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from consumer.learning.columns import NO_NUMBER
from consumer.learning.ledger_columns import ABSURD, LedgerColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

Entry = tuple[int | None, int, int]
"""(level, observed_us, seen_day): the stock in millionths of a unit, observed or standing in (the observed level plus
the quantities since), None where no level is known; when the last observed level occurred, in microseconds since 1970
UTC, 0 where none is known; and the newest UTC day of the item's events, late ones too, in days since 1970."""

UNSEEN: Final[Entry] = (None, 0, -1)
NO_DAY: Final = -1
"""The newest day before the first event: no event is older than the year 2000."""
DAY_US: Final = 86_400_000_000

_level, _observed, _day = map(itemgetter, range(3))


class Posting(msgspec.Struct, gc=False):
    """What one event finds in the ledger, and what it will leave there once it is entered.

    Attributes:
        before: the level before it, in millionths of a unit; None where unknown.
        after: the level after it, None where unknown. A late event leaves the level as it is.
        is_late: it is older than the item's last observed level, which therefore contains it already.
        entry: the item's entry from then on.
    """

    before: int | None
    after: int | None
    is_late: bool
    entry: Entry = UNSEEN


def posting_of(entry: Entry, quantity: int, observed: int | None, occurred_us: int) -> Posting:
    """Return what an event finds in an item's entry, and what it will leave; see `Ledger.look`."""
    before, observed_us, seen_day = entry
    day = max(seen_day, occurred_us // DAY_US)
    if before is None:
        return Posting(None, observed, False, (None, 0, day) if observed is None else (observed, occurred_us, day))
    if occurred_us < observed_us:
        return Posting(before, before, True, (before, observed_us, day))
    if observed is None:
        after = before + quantity
        if not -ABSURD < after < ABSURD:  # the sum of a million events at least; the state is of 64-bit numbers
            return Posting(before, None, False, (None, 0, day))
        return Posting(before, after, False, (after, observed_us, day))
    return Posting(before, observed, False, (observed, occurred_us, day))


class LedgerCopy:
    """A ledger as it was when it began, on its way into columns; that takes 0.1 s for 100,000 items.

    Args:
        newest_day: as the ledger's.
        items: in their order.
        entries: of each item.
    """

    def __init__(self, newest_day: int, items: list[str], entries: list[Entry]) -> None:
        self._newest_day = newest_day
        self._items = items
        self._entries = entries
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._at = 0

    def advance(self, items: int) -> bool:
        """Take so many items more; tell whether it is complete."""
        part = slice(self._at, self._at + items)
        entries, keys = self._entries[part], self._items[part]
        count, joined = len(entries), "".join(keys)
        lengths = map(len, keys if joined.isascii() else map(str.encode, keys))
        self._parts.append(
            (
                np.fromiter((NO_NUMBER if level is None else level for level in map(_level, entries)), "<i8", count),
                np.fromiter(map(_observed, entries), "<i8", count),
                np.fromiter(map(_day, entries), "<i4", count),
                np.fromiter(lengths, "<u2", count),
                np.frombuffer(joined.encode(), np.uint8),
            )
        )
        self._at += count
        return self._at == len(self._items)

    def columns(self) -> LedgerColumns:
        """Return the columns of a complete one."""
        return LedgerColumns(self._newest_day, *map(np.concatenate, zip(*self._parts, strict=True)))


class Ledger:
    """Levels by item. An item enters when it is first seen; before its first observed level nothing is added up.

    Looking and entering are two steps, because an event that breaks the model must leave no trace here.

    Attributes:
        entries: by item, in the order in which they entered.
        newest_day: the newest UTC day that an event was of, in days since 1970; `NO_DAY` before the first.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.newest_day = NO_DAY

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, item: str) -> bool:
        return item in self.entries

    @property
    def next_day_us(self) -> int:
        """When the day after the newest one begins, in microseconds since 1970 UTC: from then on, `sweep` is due."""
        return (self.newest_day + 1) * DAY_US

    def look(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """Return what one event finds, and what it will leave.

        Args:
            item: the item's key.
            quantity: signed, in millionths of a unit.
            observed: the level that the event itself reports, in millionths of a unit, or None.
            occurred_us: when it occurred, in microseconds since 1970 UTC.
        """
        return posting_of(self.entries.get(item, UNSEEN), quantity, observed, occurred_us)

    def post(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """Look and enter at once."""
        posting = self.look(item, quantity, observed, occurred_us)
        self.enter(item, posting)
        return posting

    def enter(self, item: str, posting: Posting) -> None:
        """Let what `look` returned for an item take effect."""
        self.entries[item] = posting.entry

    def sweep(self, occurred_us: int, retire_days: int) -> dict[str, int]:
        """Open the day of an event, and let the items leave of which nothing was heard for long and nothing is there.

        Args:
            occurred_us: when an event occurred that is entered already, at or after `next_day_us`.
            retire_days: how many days an item of level 0, below 0 or unknown stays after its last event's.

        Returns:
            The items that have left, with their places in the order so far; the others are in that order as before.
        """
        self.newest_day = occurred_us // DAY_US
        last_day, entries = self.newest_day - retire_days, self.entries
        leaving = {
            item: place
            for place, (item, (level, _, seen_day)) in enumerate(entries.items())
            if seen_day <= last_day and (level is None or level <= 0)
        }
        for item in leaving:
            del entries[item]
        return leaving

    def snapshot(self) -> dict[str, Buffer]:
        """Return the state as sections (`consumer.learning.state`)."""
        return self.columns().sections()

    def columns(self) -> LedgerColumns:
        """Return the state by columns."""
        copy = self.begin_copy()
        copy.advance(len(self.entries))
        return copy.columns()

    def begin_copy(self) -> LedgerCopy:
        """Begin to copy the state as it is now."""
        return LedgerCopy(self.newest_day, list(self.entries), list(self.entries.values()))

    def restore(self, columns: LedgerColumns) -> None:
        """Take over the columns of a state that `snapshot` returned, which were checked when they were decoded."""
        levels = [None if level == NO_NUMBER else level for level in columns.levels.tolist()]
        entries = zip(levels, columns.observed.tolist(), columns.days.tolist(), strict=True)
        self.newest_day = columns.newest_day
        self.entries = dict(zip(columns.items(), entries, strict=True))
