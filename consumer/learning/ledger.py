"""The stock ledger: the last known level of each item, in whole millionths so that no float dust gathers."""

from __future__ import annotations

import msgspec


class Posting(msgspec.Struct, gc=False):
    """What one event did to the ledger.

    Attributes:
        before: the level before it, in millionths of a unit; None where unknown.
        after: the level after it, None where unknown. A late event leaves the level as it is.
        is_late: it is older than the item's last observed level, which therefore contains it already.
    """

    before: int | None
    after: int | None
    is_late: bool


class Ledger:
    """Levels by item. An item enters with its first observed level: before that there is nothing to add up.

    An entry is (level, observed_us): the stock in millionths of a unit, observed or standing in (the observed level
    plus the quantities since), and when the last observed level occurred, in microseconds since 1970 UTC.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def post(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """Enter one event and return what it found and left.

        Args:
            item: the item's key.
            quantity: signed, in millionths of a unit.
            observed: the level that the event itself reports, in millionths of a unit, or None.
            occurred_us: when it occurred, in microseconds since 1970 UTC.
        """
        entry = self._entries.get(item)
        if entry is None:
            if observed is not None:
                self._entries[item] = (observed, occurred_us)
            return Posting(None, observed, False)
        before, observed_us = entry
        if occurred_us < observed_us:
            return Posting(before, before, True)
        if observed is None:
            after = before + quantity
            self._entries[item] = (after, observed_us)
        else:
            after = observed
            self._entries[item] = (observed, occurred_us)
        return Posting(before, after, False)

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Return the state, of plain types only."""
        return self._entries.copy()

    def restore(self, state: dict[str, tuple[int, int]]) -> None:
        """Take over a state that `snapshot` returned."""
        self._entries = state
