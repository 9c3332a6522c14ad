"""The window of identities and the ledger over many events, compiled to machine code by Numba.

Both are arrays with an index beside them: open addressing with linear probing, at most half full, rebuilt when it
grows. What they hold is a function of the log; the indexes are not part of any state.

Importing this module compiles, or loads what an earlier process has compiled.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from consumer.learning.columns import IS_PLAIN, LEVEL, NO_NUMBER, OCCURRED_US, QUANTITY, SKU, STORE_ID
from consumer.learning.compiling import compiled_now
from consumer.learning.ledger import DAY_US

# Where the ledger's counters stand.
ITEMS: Final = 0
KEY_BYTES: Final = 1
NEXT_DAY_US: Final = 2
"""When the day after the newest one begins: an event from then on opens a new day."""

# And the window's.
OLDEST: Final = 0
REMEMBERED: Final = 1
LIMIT: Final = 2

LARGEST_LEVEL: Final = 4 * 10**14
"""In millionths: an event that finds or reports a larger level is left to Python, whose numbers have no bounds. Below
it every difference of two levels and a quantity is one that `consumer.learning.encoding` writes."""

_SEPARATOR: Final = 0x1F
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_LOW: Final = np.uint64(0xFFFFFFFF)
_TAG_BITS: Final = np.uint64(32)
_BYTE_BITS: Final = np.uint64(29)
_EMPTY: Final = np.uint64(0)


@compiled_now("uint64(uint8[::1], int64, int64, uint64)", allocates=False)
def _mix(text: Any, start: int, length: int, running: Any) -> Any:  # noqa: ANN401 -- an array; 64-bit numbers
    """Take bytes into a running hash: of no meaning but to spread keys."""
    for i in range(start, start + length):
        running = (running ^ np.uint64(text[i])) * _PRIME
        running ^= running >> _BYTE_BITS
    return running


@compiled_now("boolean(uint8[::1], int64, uint8[::1], int64, int64)", allocates=False)
def _is_same(text: Any, start: int, heap: Any, at: int, length: int) -> bool:  # noqa: ANN401 -- arrays
    for i in range(length):  # noqa: SIM110 -- a generator is more than Numba takes
        if text[start + i] != heap[at + i]:
            return False
    return True


@compiled_now("uint64(uint8[::1], int64, int64, int64, int64)", allocates=False)
def _hash_of(text: Any, store: int, store_length: int, sku: int, sku_length: int) -> Any:  # noqa: ANN401 -- an array
    running = _mix(text, store, store_length, _PRIME)
    running = (running ^ np.uint64(_SEPARATOR)) * _PRIME
    running ^= running >> _BYTE_BITS
    return _mix(text, sku, sku_length, running)


@compiled_now("uint64(uint64, int64)", allocates=False)
def _entry(hashed: Any, slot: int) -> Any:  # noqa: ANN401 -- 64-bit numbers
    """Return what an index of slots holds: half of the hash, and the slot and one, so that 0 is free."""
    return ((hashed >> _TAG_BITS) << _TAG_BITS) | np.uint64(slot + 1)


@compiled_now(
    "int64(uint8[::1], int64, int64, int64, int64, uint64, uint8[::1], int64[::1], uint16[::1], uint64[::1])",
    allocates=False,
)
def _find(  # noqa: PLR0913, PLR0917 -- what is called crosses over into machine code once
    text: Any,  # noqa: ANN401 -- arrays
    store: int,
    store_length: int,
    sku: int,
    sku_length: int,
    hashed: Any,  # noqa: ANN401
    heap: Any,  # noqa: ANN401
    starts: Any,  # noqa: ANN401
    lengths: Any,  # noqa: ANN401
    index: Any,  # noqa: ANN401
) -> int:
    """Return an item's slot; where it has none, -1 less the place in the index that would be its own."""
    mask = len(index) - 1
    tag = hashed >> _TAG_BITS
    place: Any = np.int64(hashed & np.uint64(mask))
    while True:
        entry = index[place]
        if entry == _EMPTY:
            return -1 - place  # type: ignore[no-any-return]
        if entry >> _TAG_BITS == tag:
            slot: Any = np.int64(entry & _LOW) - 1
            at = starts[slot]
            if (
                lengths[slot] == store_length + 1 + sku_length
                and heap[at + store_length] == _SEPARATOR
                and _is_same(text, store, heap, at, store_length)
                and _is_same(text, sku, heap, at + store_length + 1, sku_length)
            ):
                return slot  # type: ignore[no-any-return]
        place = (place + 1) & mask


@compiled_now("void(uint8[::1], int64[::1], uint16[::1], int64, uint64[::1])", allocates=False)
def index_items(heap: Any, starts: Any, lengths: Any, items: int, index: Any) -> None:  # noqa: ANN401 -- arrays
    """Fill an empty index with the first so many items."""
    mask = len(index) - 1
    for slot in range(items):
        hashed = _mix(heap, starts[slot], np.int64(lengths[slot]), _PRIME)
        place = np.int64(hashed & np.uint64(mask))
        while index[place] != _EMPTY:
            place = (place + 1) & mask
        index[place] = _entry(hashed, slot)


@compiled_now("int64(uint8[::1], int64, int64, uint8[::1], int64[::1], uint16[::1], uint64[::1])", allocates=False)
def find_key(text: Any, store_length: int, length: int, heap: Any, starts: Any, lengths: Any, index: Any) -> int:  # noqa: ANN401, PLR0913, PLR0917 -- arrays
    """Return the slot of a key that is a text of its own, negative where it has none.

    Args:
        text: the key: store, separator, SKU.
        store_length: bytes of the store's part.
        length: of all of it.
        heap: all keys.
        starts: by slot, where a key begins there.
        lengths: by slot, its bytes.
        index: of the slots.
    """
    rest = length - store_length - 1
    hashed = _hash_of(text, 0, store_length, store_length + 1, rest)
    return _find(text, 0, store_length, store_length + 1, rest, hashed, heap, starts, lengths, index)  # type: ignore[no-any-return]


@compiled_now(
    "int64(uint8[::1], int64, int64, int64, int64, uint64, int64, int64[::1], int64[::1], int64[::1], int32[::1], "
    "int64[::1], uint16[::1], uint8[::1], uint64[::1])",
    allocates=False,
)
def _enter(  # noqa: PLR0913, PLR0917 -- see `_find`
    text: Any,  # noqa: ANN401 -- arrays
    store: int,
    store_length: int,
    sku: int,
    sku_length: int,
    hashed: Any,  # noqa: ANN401
    place: int,
    counters: Any,  # noqa: ANN401
    levels: Any,  # noqa: ANN401
    observed: Any,  # noqa: ANN401
    days: Any,  # noqa: ANN401
    starts: Any,  # noqa: ANN401
    lengths: Any,  # noqa: ANN401
    heap: Any,  # noqa: ANN401
    index: Any,  # noqa: ANN401
) -> int:
    """Give a new item its slot at the free place of the index that `_find` named; return the slot."""
    slot, at = counters[ITEMS], counters[KEY_BYTES]
    for i in range(store_length):
        heap[at + i] = text[store + i]
    heap[at + store_length] = _SEPARATOR
    for i in range(sku_length):
        heap[at + store_length + 1 + i] = text[sku + i]
    starts[slot], lengths[slot] = at, store_length + 1 + sku_length
    levels[slot], observed[slot], days[slot] = NO_NUMBER, 0, 0
    index[place] = _entry(hashed, slot)
    counters[ITEMS] = slot + 1
    counters[KEY_BYTES] = at + store_length + 1 + sku_length
    return slot  # type: ignore[no-any-return]


@compiled_now(
    "int64(uint8[::1], int64, int64, int64[::1], int64[::1], int64[::1], int32[::1], int64[::1], uint16[::1], "
    "uint8[::1], uint64[::1])",
    allocates=False,
)
def enter_key(  # noqa: PLR0913, PLR0917 -- see `_find`
    text: Any,  # noqa: ANN401 -- arrays
    store_length: int,
    length: int,
    counters: Any,  # noqa: ANN401
    levels: Any,  # noqa: ANN401
    observed: Any,  # noqa: ANN401
    days: Any,  # noqa: ANN401
    starts: Any,  # noqa: ANN401
    lengths: Any,  # noqa: ANN401
    heap: Any,  # noqa: ANN401
    index: Any,  # noqa: ANN401
) -> int:
    """Return the slot of a key that is a text of its own; a new one where it has none. See `find_key`."""
    rest = length - store_length - 1
    hashed = _hash_of(text, 0, store_length, store_length + 1, rest)
    slot = _find(text, 0, store_length, store_length + 1, rest, hashed, heap, starts, lengths, index)
    if slot < 0:
        slot = _enter(
            text, 0, store_length, store_length + 1, rest, hashed, -1 - slot,
            counters, levels, observed, days, starts, lengths, heap, index,
        )  # fmt: skip
    return slot  # type: ignore[no-any-return]


@compiled_now("int64(int64[::1], uint8[::1], int64[::1], uint16[::1], int32[::1], uint64[::1])", allocates=False)
def number_stores(slots: Any, heap: Any, starts: Any, lengths: Any, stores: Any, store_index: Any) -> int:  # noqa: ANN401, PLR0913, PLR0917 -- arrays
    """Give items the number of their store as other items of that store have it.

    Args:
        slots: the items'.
        heap: all keys.
        starts: by slot, where a key begins there.
        lengths: by slot, its bytes.
        stores: by slot, the number of its store; filled for these slots.
        store_index: of the slots of one item of each store; less than half full.

    Returns:
        How many it has numbered: all, or those before the first of a store that is not in the index. That one stands
        there now, for others to be numbered by once it has a number itself.
    """
    mask = len(store_index) - 1
    for index in range(len(slots)):
        slot = slots[index]
        start, length = starts[slot], 0
        while length < lengths[slot] and heap[start + length] != _SEPARATOR:  # a file may hold a key without one
            length += 1
        hashed = _mix(heap, start, length, _PRIME)
        place = np.int64(hashed & np.uint64(mask))
        while True:
            entry = store_index[place]
            if entry == _EMPTY:
                store_index[place] = _entry(hashed, slot)
                return index
            if entry >> _TAG_BITS == hashed >> _TAG_BITS:
                other = np.int64(entry & _LOW) - 1
                at = starts[other]
                if (
                    lengths[other] > length
                    and heap[at + length] == _SEPARATOR
                    and _is_same(heap, start, heap, at, length)
                ):
                    stores[slot] = stores[other]
                    break
            place = (place + 1) & mask
    return len(slots)


@compiled_now("int64(uint64, uint64, uint64[:, ::1], int32[::1])", allocates=False)
def find_identity(low: Any, high: Any, ring: Any, index: Any) -> int:  # noqa: ANN401 -- 64-bit numbers and arrays
    """Return an identity's row in the ring; where it is not remembered, -1 less its own place in the index."""
    mask = len(index) - 1
    place: Any = np.int64(low & np.uint64(mask))
    while True:
        row = index[place] - 1
        if row < 0:
            return -1 - place  # type: ignore[no-any-return]
        if ring[row, 0] == low and ring[row, 1] == high:
            return row  # type: ignore[no-any-return]
        place = (place + 1) & mask


@compiled_now("int64(uint64, int32[::1])", allocates=False)
def _free_place(low: Any, index: Any) -> Any:  # noqa: ANN401 -- a 64-bit number and an array
    """Return the place in the index for an identity that is not in it."""
    mask = len(index) - 1
    place = np.int64(low & np.uint64(mask))
    while index[place] != 0:
        place = (place + 1) & mask
    return place


@compiled_now("void(int64, uint64[:, ::1], int32[::1])", allocates=False)
def _forget(row: int, ring: Any, index: Any) -> None:  # noqa: ANN401 -- arrays
    """Take a row out of the index; those that stand behind only because of it move up (Knuth's algorithm R)."""
    mask = len(index) - 1
    place: Any = np.int64(ring[row, 0] & np.uint64(mask))
    while index[place] != row + 1:
        place = (place + 1) & mask
    hole = place
    while True:
        place = (place + 1) & mask
        entry = index[place]
        if entry == 0:
            break
        home = np.int64(ring[entry - 1, 0] & np.uint64(mask))
        if ((place - home) & mask) >= ((place - hole) & mask):
            index[hole] = entry
            hole = place
    index[hole] = 0


@compiled_now("void(uint64, uint64, uint64, int64, int64[::1], uint64[:, ::1], int32[::1])", allocates=False)
def _remember(low: Any, high: Any, content: Any, place: Any, counters: Any, ring: Any, index: Any) -> None:  # noqa: ANN401, PLR0913, PLR0917 -- see `_find`
    """Put a new identity into the ring, at the free place of the index; the oldest goes where the ring is full."""
    if counters[REMEMBERED] < counters[LIMIT]:
        row = counters[REMEMBERED]
        counters[REMEMBERED] += 1
    else:
        row = counters[OLDEST]
        _forget(row, ring, index)
        counters[OLDEST] = row + 1 if row + 1 < counters[LIMIT] else 0
        place = _free_place(low, index)  # which may be another one now
    ring[row, 0], ring[row, 1], ring[row, 2] = low, high, content
    index[place] = row + 1


@compiled_now("void(uint64, uint64, uint64, int64[::1], uint64[:, ::1], int32[::1])", allocates=False)
def remember(low: Any, high: Any, content: Any, counters: Any, ring: Any, index: Any) -> None:  # noqa: ANN401, PLR0913, PLR0917 -- see `_find`
    """Remember an identity that is not remembered yet."""
    _remember(low, high, content, -1 - find_identity(low, high, ring, index), counters, ring, index)


@compiled_now("void(int64, uint64[:, ::1], int32[::1])", allocates=False)
def index_identities(rows: int, ring: Any, index: Any) -> None:  # noqa: ANN401 -- arrays
    """Fill an empty index with the first so many rows of the ring."""
    for row in range(rows):
        index[_free_place(ring[row, 0], index)] = row + 1


@compiled_now(
    "int64(uint8[::1], int64[:, ::1], int64[:, ::1], uint64[:, ::1], int64, int64[::1], int64[::1], int64[::1], "
    "int32[::1], int64[::1], uint16[::1], uint8[::1], uint64[::1], int64[::1], uint64[:, ::1], int32[::1], "
    "int64[::1], int64[::1], uint8[::1], uint8[::1], int64[::1])",
    allocates=False,
)
def take_events(  # noqa: C901, PLR0913, PLR0917 -- see `_find`
    text: Any,  # noqa: ANN401 -- arrays
    spans: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    digests: Any,  # noqa: ANN401
    start: int,
    counters: Any,  # noqa: ANN401
    levels: Any,  # noqa: ANN401
    observed: Any,  # noqa: ANN401
    days: Any,  # noqa: ANN401
    starts: Any,  # noqa: ANN401
    lengths: Any,  # noqa: ANN401
    heap: Any,  # noqa: ANN401
    index: Any,  # noqa: ANN401
    window: Any,  # noqa: ANN401
    ring: Any,  # noqa: ANN401
    window_index: Any,  # noqa: ANN401
    befores: Any,  # noqa: ANN401
    afters: Any,  # noqa: ANN401
    lates: Any,  # noqa: ANN401
    firsts: Any,  # noqa: ANN401
    slots: Any,  # noqa: ANN401
) -> int:
    """Let the rows from `start` on enter window and ledger, as `consumer.learning.batch.take_run` does.

    Ends before a row that is not plain, came before, or finds or reports a level beyond `LARGEST_LEVEL`; and after one
    that opens a new day.

    Args:
        text: see `consumer.learning.columns`.
        spans: likewise.
        numbers: likewise.
        digests: (n, 3): identity and content of each.
        start: the first row.
        counters: the ledger's: items, bytes of keys, when the next day begins.
        levels: by slot, in millionths; NO_NUMBER where unknown.
        observed: by slot, when the last observed level occurred, in microseconds since 1970 UTC; 0 where unknown.
        days: by slot, the last day of an event, UTC, since 1970.
        starts: by slot, where its key begins.
        lengths: by slot, bytes of its key.
        heap: the keys; there is room for one more of each row.
        index: of the slots, likewise.
        window: its counters: oldest row, rows, limit.
        ring: (rows, 3): identity and content of each that is remembered; room for one more of each row, up to the
            limit.
        window_index: of its rows, likewise.
        befores: (n), filled: the level before, NO_NUMBER where unknown.
        afters: (n), filled: the observed or standing-in level after, likewise.
        lates: (n), filled.
        firsts: (n), filled: whether it is the first event of its item.
        slots: (n), filled: its item's slot.

    Returns:
        The row where it ended.
    """
    for row in range(start, len(numbers)):
        level = numbers[row, LEVEL]
        if numbers[row, IS_PLAIN] == 0 or (level != NO_NUMBER and not -LARGEST_LEVEL <= level <= LARGEST_LEVEL):
            return row
        low, high = digests[row, 0], digests[row, 1]
        place = find_identity(low, high, ring, window_index)
        if place >= 0:
            return row
        store, store_length = spans[row, STORE_ID], spans[row, STORE_ID + 1]
        sku, sku_length = spans[row, SKU], spans[row, SKU + 1]
        hashed = _hash_of(text, store, store_length, sku, sku_length)
        slot = _find(text, store, store_length, sku, sku_length, hashed, heap, starts, lengths, index)
        before = NO_NUMBER
        if slot >= 0:
            before = levels[slot]
            if before != NO_NUMBER and not -LARGEST_LEVEL <= before <= LARGEST_LEVEL:
                return row
            firsts[row] = 0
        else:
            slot = _enter(
                text, store, store_length, sku, sku_length, hashed, -1 - slot,
                counters, levels, observed, days, starts, lengths, heap, index,
            )  # fmt: skip
            firsts[row] = 1
        _remember(low, high, digests[row, 2], -1 - place, window, ring, window_index)

        occurred_us = numbers[row, OCCURRED_US]
        befores[row], slots[row], lates[row] = before, slot, 0
        if before == NO_NUMBER:
            after = level
            levels[slot], observed[slot] = level, 0 if level == NO_NUMBER else occurred_us
        elif occurred_us < observed[slot]:
            after = before
            lates[row] = 1
        elif level == NO_NUMBER:
            after = before + numbers[row, QUANTITY]
            levels[slot] = after
        else:
            after = level
            levels[slot], observed[slot] = level, occurred_us
        afters[row] = after
        day = occurred_us // DAY_US
        if firsts[row] == 1 or day > days[slot]:
            days[slot] = day
        if occurred_us >= counters[NEXT_DAY_US]:
            return row + 1
    return len(numbers)
