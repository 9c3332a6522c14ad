"""The stock ledger: the last known level of each item, in whole millionths so that no float dust gathers."""

from __future__ import annotations

from typing import Final

import msgspec

Entry = tuple[int | None, int]
"""(level, observed_us): the stock in millionths of a unit, observed or standing in (the observed level plus the
quantities since), None where no level was ever observed; and when the last observed level occurred, in microseconds
since 1970 UTC."""

UNSEEN: Final[Entry] = (None, 0)
_ABSURD: Final = 10**18
"""A level of a million million units: from there on it no longer stands in, and is unknown."""


class Posting(msgspec.Struct, gc=False):
    """What one event finds in the ledger, and what it will leave there once it is entered.

    Attributes:
        before: the level before it, in millionths of a unit; None where unknown.
        after: the level after it, None where unknown. A late event leaves the level as it is.
        is_late: it is older than the item's last observed level, which therefore contains it already.
        entry: the item's entry from then on; None where it stays as it is.
    """

    before: int | None
    after: int | None
    is_late: bool
    entry: Entry | None = None


class Ledger:
    """Levels by item. An item enters when it is first seen; before its first observed level nothing is added up.

    Looking and entering are two steps, because an event that breaks the model must leave no trace here.

    Attributes:
        entries: by item.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, item: str) -> bool:
        return item in self.entries

    def look(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """Return what one event finds, and what it will leave.

        Args:
            item: the item's key.
            quantity: signed, in millionths of a unit.
            observed: the level that the event itself reports, in millionths of a unit, or None.
            occurred_us: when it occurred, in microseconds since 1970 UTC.
        """
        before, observed_us = self.entries.get(item, UNSEEN)
        if before is None:
            return Posting(None, observed, False, UNSEEN if observed is None else (observed, occurred_us))
        if occurred_us < observed_us:
            return Posting(before, before, True, None)
        if observed is None:
            after = before + quantity
            if not -_ABSURD < after < _ABSURD:  # the sum of a million events at least; the state is of 64-bit numbers
                return Posting(before, None, False, UNSEEN)
            return Posting(before, after, False, (after, observed_us))
        return Posting(before, observed, False, (observed, occurred_us))

    def post(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """Look and enter at once."""
        posting = self.look(item, quantity, observed, occurred_us)
        self.enter(item, posting)
        return posting

    def enter(self, item: str, posting: Posting) -> None:
        """Let what `look` returned for an item take effect."""
        if posting.entry is not None:
            self.entries[item] = posting.entry

    def snapshot(self) -> dict[str, Entry]:
        """Return the state, of plain types only."""
        return self.entries.copy()

    def restore(self, state: dict[str, Entry]) -> None:
        """Take over a state that `snapshot` returned."""
        self.entries = state
