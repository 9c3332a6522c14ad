"""What the task's events are to the outlook: numbers, demand, and the levels before and after.

Events are collected and taken many at once; when makes no difference to what is said (`consumer.outlook.shelves`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.learning.batch import DISCREPANCY_FLOOR, discrepancy_of
from consumer.learning.columns import NO_NUMBER
from consumer.learning.outlook_sections import decoded_outlook, outlook_sections
from consumer.outlook.demand import demand_of
from consumer.outlook.shelves import Rows, Shelves
from consumer.outlook.stock import stock_of
from schemas.transaction import KNOWN_TYPES, MILLION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from consumer.learning.batch import Run
    from consumer.learning.ledger import Posting
    from consumer.learning.model_sections import Section
    from consumer.outlook.calendar import Calendar
    from consumer.outlook.outlook import Closed
    from consumer.outlook.policies import Policies
    from consumer.outlook.stock import Stock
    from schemas.transaction import Event

    Numbers = NDArray[np.int64]

_SALE, _VOID, COUNT = map(sorted(KNOWN_TYPES).index, ("sale", "void", "count"))
_MOST_PENDING: Final = 4_096


class Said(NamedTuple):
    """What was said of some items.

    Attributes:
        keys: of each, as the ledger has it.
        begun_at: the offset of the record that began the day's close.
        closed: means, quantiles and the rest; None of items that have left.
        stock: what that means for their stock; likewise.
        discrepancies: of each, since its last count, in millionths of a unit; likewise empty.
    """

    keys: Sequence[str]
    begun_at: int
    closed: Closed | None
    stock: Stock | None
    discrepancies: Numbers


class ShelfFeed:
    """Feeds the shelves of one partition.

    Args:
        calendar: the shops' days.
        policies: how stock is replenished.
    """

    def __init__(self, calendar: Calendar, policies: Policies) -> None:
        self._calendar = calendar
        self._policies = policies
        self._forget()

    def _forget(self) -> None:
        self._shelves = Shelves(self._calendar, self._closed)
        self._stores: dict[str, int] = {}
        self._articles: dict[str, int] = {}
        self._keys: list[str] = []
        self._numbers: dict[str, int] | None = {}  # by item, while somebody asks for them
        self._said: list[Said] = []
        self._rows: list[tuple[int, ...]] = []
        self._new: list[tuple[int, int]] = []

    @property
    def shelves(self) -> Shelves:
        """What is fed."""
        return self._shelves

    def enter(self, item: str) -> None:
        """Let a new item in, the next in order, before its first event is added."""
        store, _, sku = item.partition("\x1f")
        if self._numbers is not None:
            self._numbers[item] = len(self._keys)
        self._keys.append(item)
        self._new.append(
            (self._stores.setdefault(store, len(self._stores)), self._articles.setdefault(sku, len(self._articles)))
        )

    def number_of(self, item: str) -> int:
        """Return an item's place in the order in which items entered; it is let in where it is new."""
        if self._numbers is None:
            self._numbers = {key: number for number, key in enumerate(self._keys)}
        if item not in self._numbers:
            self.enter(item)
        return self._numbers[item]

    def add(self, number: int, event: Event, offset: int, timestamp_ms: int, posting: Posting) -> None:
        """Add one event.

        Args:
            number: its item's place in the order in which items entered.
            event: the event.
            offset: of its record.
            timestamp_ms: of its record.
            posting: what it found in the ledger, and left.
        """
        self._rows.append(_row(number, offset, timestamp_ms, event, posting.before, posting.after, posting.is_late))
        if len(self._rows) >= _MOST_PENDING:
            self.flush()

    def add_run(self, run: Run, numbers: Iterable[int], offsets: Iterable[int], timestamps_ms: Iterable[int]) -> None:
        """Add the events of a run; see `add`."""
        columns = zip(run.events, numbers, run.befores, run.afters, run.lates, offsets, timestamps_ms, strict=True)
        for event, number, before, after, is_late, offset, timestamp_ms in columns:
            self._rows.append(_row(number, offset, timestamp_ms, event, before, after, is_late))
        self.flush()

    def add_columns(self, rows: Rows) -> None:
        """Add the events of a run of machine code."""
        self.flush()
        self._take(rows)

    def tick(self, us: int, timestamp_ms: int, offset: int) -> None:
        """Let time pass."""
        self.flush()
        self._shelves.tick(us, timestamp_ms * 1000, offset)

    def leave(self, numbers: Iterable[int]) -> None:
        """Let items leave; the others keep their order."""
        self.flush()
        staying = np.ones(len(self._shelves.outlook.items), np.bool_)
        staying[list(numbers)] = False
        self._shelves.keep(staying)
        left = [self._keys[number] for number in np.flatnonzero(~staying).tolist()]
        self._said.append(Said(left, self._shelves.begun_at, None, None, np.zeros(0, np.int64)))
        self._keys = [key for key, stays in zip(self._keys, staying.tolist(), strict=True) if stays]
        self._numbers = None

    def flush(self) -> None:
        """Take what was added."""
        if self._rows:
            columns = np.array(self._rows, np.int64).T
            self._rows.clear()
            self._take(Rows._make([*columns[:-1], columns[-1].astype(np.bool_)]))

    def take_said(self) -> list[Said]:
        """Return what was said since the last call, and forget it."""
        self.flush()
        said, self._said = self._said, []
        return said

    def sections(self) -> dict[str, Section]:
        """Return the state's sections as they are now; nothing changes them any more."""
        self.flush()
        return outlook_sections(self._shelves.snapshot(), list(self._stores), list(self._articles))

    def restore(self, sections: Mapping[str, Section] | None, items: Sequence[str]) -> None:
        """Take over what `sections` returned.

        Args:
            sections: with those of the outlook; None begins one, as for a state that was adopted from before it.
            items: the ledger's, in their order.

        Raises:
            ValueError: the sections are not of their types, or not of as many items.
        """
        if sections is None:
            self._forget()
            for item in items:
                self.enter(item)
            self._shelves.adopt(*np.array(self._new, np.int64).reshape(-1, 2).T)
            self._new.clear()
            return
        state, stores, articles = decoded_outlook(sections)
        if len(state["items"]["store"]) != len(items):
            raise ValueError(
                f"section 'outlook.items.store' is not of its type: expected the ledger's {len(items)} items; found "
                f"{len(state['items']['store'])}"
            )
        self._forget()
        self._keys, self._numbers = list(items), None
        self._stores = {name: number for number, name in enumerate(stores)}
        self._articles = {name: number for number, name in enumerate(articles)}
        self._shelves.restore(state)

    def _take(self, rows: Rows) -> None:
        entered = int(rows.items.max()) + 1 - len(self._shelves.outlook.items) if len(rows.items) else 0
        stores, articles = np.array(self._new[: max(entered, 0)], np.int64).reshape(-1, 2).T
        del self._new[: max(entered, 0)]
        self._shelves.take(rows, stores, articles)

    def _closed(self, closed: Closed) -> None:
        outlook, which = self._shelves.outlook, closed.items
        keys = [self._keys[number] for number in which.tolist()]
        levels = outlook.items.on_hand[which]
        on_hand = np.where(levels == NO_NUMBER, np.nan, levels / MILLION)
        rows = self._policies.rows_of((store, sku) for store, _, sku in (key.partition("\x1f") for key in keys))
        stock = stock_of(outlook, closed, on_hand, self._policies.columns.of(rows))
        self._said.append(Said(keys, self._shelves.begun_at, closed, stock, outlook.items.discrepancy[which]))


def _row(  # noqa: PLR0913, PLR0917 -- an event, and what it found
    number: int,
    offset: int,
    timestamp_ms: int,
    event: Event,
    before: int | None,
    after: int | None,
    is_late: bool,
) -> tuple[int, ...]:
    return (
        number,
        offset,
        event.occurred_us,
        timestamp_ms * 1000,
        demand_of(event.transaction_type, event.quantity_millionths),
        NO_NUMBER if before is None else before,
        NO_NUMBER if after is None else after,
        discrepancy_of(event, before, is_late) or 0,
        event.transaction_type == "count",
    )


def discrepancies_of(befores: Numbers, levels: Numbers, quantities: Numbers, lates: NDArray[np.bool_]) -> Numbers:
    """Return by how much each observed level differs from the books', 0 where there is nothing to compare."""
    missing = levels - befores - quantities
    is_none = (befores == NO_NUMBER) | (levels == NO_NUMBER) | lates
    found: Numbers = np.where(is_none | (abs(missing) < DISCREPANCY_FLOOR), 0, missing)
    return found


def demand_of_columns(kinds: Numbers, quantities: Numbers) -> Numbers:
    """Return the demand of many transactions (`demand_of`), by their types' places among the known ones."""
    takes = (kinds == _SALE) | ((kinds == _VOID) & (quantities > 0))
    found: Numbers = np.where(takes, -quantities, 0)
    return found
