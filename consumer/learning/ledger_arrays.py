"""The stock ledger as arrays, for machine code; it keeps to `consumer.learning.ledger.Ledger`.

A million items take about 120 bytes each and the bytes of their keys, and a snapshot is a copy of three arrays.
"""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from consumer.learning.columns import NO_NUMBER
from consumer.learning.ledger import DAY_US, UNSEEN, posting_of
from consumer.learning.ledger_columns import LedgerColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from consumer.learning.column_batch import Numbers
    from consumer.learning.ledger import Entry, Posting

    Number = TypeVar("Number", bound=np.generic)

_LEAST_ITEMS: Final = 1_024
_LEAST_STORES: Final = 64
_KEY_BYTES: Final = 16
_NOT_NUMBERED: Final = -1
_UNSHARED: Final = 2


class LedgerArrays:
    """Levels by item: a slot each, in the order in which they entered, and an index of the slots.

    Args:
        taking: `consumer.learning.taking`.
        columns: of a ledger.

    Attributes:
        counters: items, bytes of their keys, and when the day after the newest one begins.
        levels: by slot, in millionths; NO_NUMBER where unknown.
        observed: by slot, when the last observed level occurred, in microseconds since 1970 UTC; 0 where unknown.
        days: by slot, the newest day of its events.
        stores: by slot, the number of its store among `store_names`; -1 until it is numbered.
        starts: by slot, where its key begins in the heap.
        lengths: by slot, bytes of its key.
        heap: the keys: store, separator, SKU. What stands there is never changed, so a snapshot need not copy it.
        index: of the slots.
        store_names: of the stores that items are of.
        store_keys: the same in UTF-8.
    """

    def __init__(self, taking: Any, columns: LedgerColumns) -> None:  # noqa: ANN401 -- a module
        self._taking = taking
        self.levels: NDArray[np.int64]
        self.observed: NDArray[np.int64]
        self.days: NDArray[np.int32]
        self.stores: NDArray[np.int32]
        self.starts: NDArray[np.int64]
        self.lengths: NDArray[np.uint16]
        self.heap: NDArray[np.uint8]
        self.store_names: list[str] = []
        self.store_keys: list[bytes] = []
        self._store_at: dict[str, int] = {}
        self._copies = Copies()
        self._take_over(columns)

    def __len__(self) -> int:
        return int(self.counters[self._taking.ITEMS])

    def __contains__(self, item: str) -> bool:
        return self._slot(item) >= 0

    @property
    def newest_day(self) -> int:
        """The newest UTC day that an event was of, in days since 1970."""
        return int(self.counters[self._taking.NEXT_DAY_US]) // DAY_US - 1

    @property
    def next_day_us(self) -> int:
        """When the day after the newest one begins, in microseconds since 1970 UTC."""
        return int(self.counters[self._taking.NEXT_DAY_US])

    def make_room(self, items: int, key_bytes: int) -> None:
        """See that so many more items with so many bytes of keys can enter."""
        wanted, heap_wanted = len(self) + items, int(self.counters[self._taking.KEY_BYTES]) + key_bytes
        if wanted > len(self.levels):
            self._resize(2 * wanted)
        if heap_wanted > len(self.heap):
            self.heap = _resized(self.heap, int(self.counters[self._taking.KEY_BYTES]), 2 * heap_wanted)

    def number_stores(self, slots: Numbers) -> None:
        """Number the stores of items that have just entered."""
        while len(slots):
            done = self._taking.number_stores(
                slots, self.heap, self.starts, self.lengths, self.stores, self._store_index
            )
            slots = slots[done:]
            if len(slots):
                slot = int(slots[0])
                self.stores[slot] = self._store_of(self._item(slot).partition("\x1f")[0])
                slots = slots[1:]
                if 2 * np.count_nonzero(self._store_index) >= len(self._store_index):
                    self._index_stores(self._slots_of_stores())

    def look(self, item: str, quantity: int, observed: int | None, occurred_us: int) -> Posting:
        """See `Ledger.look`."""
        slot = self._slot(item)
        return posting_of(UNSEEN if slot < 0 else self._entry(slot), quantity, observed, occurred_us)

    def enter(self, item: str, posting: Posting) -> None:
        """See `Ledger.enter`."""
        key, store_length = _key_of(item)
        self.make_room(1, len(key))
        known = len(self)
        slot = self._taking.enter_key(
            key, store_length, len(key), self.counters, self.levels, self.observed, self.days,
            self.starts, self.lengths, self.heap, self.index,
        )  # fmt: skip
        level, self.observed[slot], self.days[slot] = posting.entry
        self.levels[slot] = NO_NUMBER if level is None else level
        if len(self) > known:
            self.number_stores(np.array([slot]))

    def sweep(self, occurred_us: int, retire_days: int) -> dict[str, int]:
        """See `Ledger.sweep`."""
        newest_day = occurred_us // DAY_US
        self.counters[self._taking.NEXT_DAY_US] = (newest_day + 1) * DAY_US
        items = len(self)
        old = self.days[:items] <= newest_day - retire_days
        if not old.any():
            return {}
        leaving = old & (self.levels[:items] <= 0)  # NO_NUMBER is below 0
        left = {self._item(slot): slot for slot in np.flatnonzero(leaving).tolist()}
        if left:
            staying = ~leaving
            bytes_staying = np.repeat(staying, self.lengths[:items])
            self._take_over(
                LedgerColumns(
                    newest_day,
                    self.levels[:items][staying],
                    self.observed[:items][staying],
                    self.days[:items][staying],
                    self.lengths[:items][staying],
                    self.heap[: len(bytes_staying)][bytes_staying],
                ),
                self.stores[:items][staying],
            )
        return left

    def snapshot(self) -> dict[str, Buffer]:
        """See `Ledger.snapshot`."""
        return self.columns().sections()

    def begin_copy(self) -> LedgerColumns:
        """Copy the state as it is now, at once: it stands in columns."""
        return self.columns()

    def columns(self) -> LedgerColumns:
        """Return the state by columns, none of which changes any more."""
        items = len(self)
        levels, observed, days = self._copies.of(self.levels[:items], self.observed[:items], self.days[:items])
        return LedgerColumns(
            self.newest_day,
            levels,
            observed,
            days,
            self.lengths[:items],  # never changed where they stand, like the keys
            self.heap[: self.counters[self._taking.KEY_BYTES]],
        )

    def _take_over(self, columns: LedgerColumns, stores: Any = None) -> None:  # noqa: ANN401 -- an array
        """Become what the columns say; `stores` are the numbers of their stores, where they are known."""
        items, key_bytes = len(columns.levels), len(columns.keys)
        self.counters = np.array([items, key_bytes, (columns.newest_day + 1) * DAY_US], np.int64)
        _, self.levels, self.observed, self.days, self.lengths, self.heap = columns
        ends = np.cumsum(self.lengths, dtype=np.int64)
        self.starts = ends - self.lengths
        self.stores = np.full(items, _NOT_NUMBERED, np.int32) if stores is None else stores
        self.heap = _resized(self.heap, key_bytes, max(_LEAST_ITEMS * _KEY_BYTES, 2 * key_bytes))
        self._resize(max(_LEAST_ITEMS, 2 * items))
        self._index_stores(np.zeros(0, np.int64) if stores is None else self._slots_of_stores())
        if stores is None:
            self.number_stores(np.arange(items))

    def _resize(self, items: int) -> None:
        """Make room for so many items, and index those that there are."""
        known = len(self)
        self.levels, self.observed = _resized(self.levels, known, items), _resized(self.observed, known, items)
        self.days, self.stores = _resized(self.days, known, items), _resized(self.stores, known, items)
        self.stores[known:] = _NOT_NUMBERED
        self.starts, self.lengths = _resized(self.starts, known, items), _resized(self.lengths, known, items)
        self.index = np.zeros(1 << (2 * items - 1).bit_length(), np.uint64)
        self._taking.index_items(self.heap, self.starts, self.lengths, known, self.index)

    def _slots_of_stores(self) -> Numbers:
        """Return the slot of one item of each store, of those that are numbered."""
        numbers, slots = np.unique(self.stores[: len(self)], return_index=True)
        found: Numbers = slots[numbers != _NOT_NUMBERED]
        return found

    def _index_stores(self, slots: Numbers) -> None:
        """Make an index of stores anew, of one item of each."""
        self._store_index = np.zeros(max(_LEAST_STORES, 1 << (4 * len(slots)).bit_length()), np.uint64)
        for at in range(len(slots)):  # each stops at the first store that it does not find
            self._taking.number_stores(
                slots[at : at + 1], self.heap, self.starts, self.lengths, self.stores, self._store_index
            )

    def _store_of(self, name: str) -> int:
        """Return the number of a store by its name."""
        number = self._store_at.get(name)
        if number is None:
            number = self._store_at[name] = len(self.store_names)
            self.store_names.append(name)
            self.store_keys.append(name.encode())
        return number

    def _item(self, slot: int) -> str:
        start = int(self.starts[slot])
        key: bytes = self.heap[start : start + int(self.lengths[slot])].tobytes()
        return key.decode()

    def _slot(self, item: str) -> int:
        key, store_length = _key_of(item)
        found: int = self._taking.find_key(
            key, store_length, len(key), self.heap, self.starts, self.lengths, self.index
        )
        return found

    def _entry(self, slot: int) -> Entry:
        level = int(self.levels[slot])
        return None if level == NO_NUMBER else level, int(self.observed[slot]), int(self.days[slot])


class Copies:
    """Copies of columns, into memory that is used again once nobody holds the copies made before.

    Fresh memory costs more than the copying: the system gives it page by page. Nor does the copying let go of the
    interpreter's lock, as NumPy's own does: the loop would then wait, once a column, until the checkpoint's writer lets
    go of it.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def of(self, *columns: NDArray[Any]) -> list[NDArray[Any]]:
        """Return copies of columns, each one-dimensional and without gaps."""
        size = sum(column.nbytes for column in columns)
        # Every view of the memory holds it, so without any it is this object's alone, and the argument of the call.
        if len(self._memory) < size or getrefcount(self._memory) > _UNSHARED:
            self._memory = np.empty(size + size // 8, np.uint8)
        copies, start = [], 0
        for column in columns:
            place = self._memory[start : start + column.nbytes]
            place.data[:] = column.view(np.uint8).data
            copies.append(place.view(column.dtype))
            start += column.nbytes
        return copies


def _key_of(item: str) -> tuple[Any, int]:
    """Return an item's key as an array, and how many bytes of it are the store's."""
    key = item.encode()
    return np.frombuffer(bytearray(key), np.uint8), key.index(b"\x1f")


def _resized(column: NDArray[Number], kept: int, size: int) -> NDArray[Number]:
    """Return an array of another size with the first values of a column."""
    new = np.zeros(size, column.dtype)
    new[:kept] = column[:kept]
    return new
