"""Ledger and window as arrays: what they answer and hold is what the plain ones do, whatever comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.learning.identities import Identities
from consumer.learning.ledger import DAY_US, Ledger
from schemas import InvalidEvent
from schemas.transaction import MILLION, Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

from consumer.learning import taking
from consumer.learning.ledger_arrays import LedgerArrays
from consumer.learning.ledger_columns import LEVELS, LedgerColumns
from consumer.learning.window_arrays import WindowArrays

ITEMS: Final = [f"{store}\x1f{sku}" for store in ("a", "ab", "ü") for sku in ("1", "2", "x" * 64)]
START_DAY: Final = 20_000


@st.composite
def postings(draw: st.DrawFn) -> tuple[str, int, int | None, int]:
    """An event of the ledger: item, quantity, observed level, time."""
    level = draw(st.none() | st.sampled_from([0, -5 * MILLION, 10**15]) | st.integers(-(10**15), 10**15))
    day = START_DAY + draw(st.integers(-3, 30))
    quantity = draw(st.sampled_from([0, -MILLION, 10**12]))
    return draw(st.sampled_from(ITEMS)), quantity, level, day * DAY_US + draw(st.integers(0, DAY_US - 1))


@given(st.lists(postings(), max_size=60), st.integers(1, 5))
def test_ledger_arrays_answer_and_hold_what_the_ledger_does(
    events: Sequence[tuple[str, int, int | None, int]], retire_days: int
) -> None:
    """Among few items and days, so that they come late, are unknown, leave and return."""
    plain = Ledger()
    arrays = LedgerArrays(taking, plain.columns())
    for item, quantity, observed, occurred_us in events:
        assert (item in arrays) == (item in plain)
        posting = plain.look(item, quantity, observed, occurred_us)
        assert arrays.look(item, quantity, observed, occurred_us) == posting
        plain.enter(item, posting)
        arrays.enter(item, posting)
        assert arrays.next_day_us == plain.next_day_us
        if occurred_us >= plain.next_day_us:
            assert arrays.sweep(occurred_us, retire_days) == plain.sweep(occurred_us, retire_days)
        assert len(arrays) == len(plain)
    assert sections(arrays.snapshot()) == sections(plain.snapshot())
    assert sections(LedgerArrays(taking, arrays.columns()).snapshot()) == sections(plain.snapshot())
    check_stores(arrays, plain)


def test_a_snapshot_that_is_held_never_changes() -> None:
    """Its memory is used again only once nobody holds it, be it by one column alone."""
    arrays = LedgerArrays(taking, Ledger().columns())

    def snapshot(level: int) -> dict[str, Any]:
        arrays.enter(ITEMS[0], arrays.look(ITEMS[0], 0, level, START_DAY * DAY_US))
        return arrays.snapshot()

    held = [snapshot(1), snapshot(2)]
    kept = [sections(each) for each in held]
    level = held[0][LEVELS]
    places = {address(each[LEVELS]) for each in held}
    held[0].clear()
    third = snapshot(3)
    assert address(third[LEVELS]) not in places
    assert (bytes(level), sections(held[1])) == (kept[0][LEVELS], kept[1])
    place = address(third[LEVELS])
    del third
    assert address(snapshot(4)[LEVELS]) == place


def address(section: Any) -> int:
    """Return where a section lies in memory."""
    return int(np.frombuffer(section, np.uint8).ctypes.data)


def check_stores(arrays: LedgerArrays, plain: Ledger) -> None:
    """See that each item has the number of its store."""
    names = [arrays.store_names[store] for store in arrays.stores[: len(arrays)]]
    assert names == [item.partition("\x1f")[0] for item in plain.entries]
    assert len(set(arrays.store_names)) == len(arrays.store_names)


def sections(snapshot: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the sections of a snapshot as bytes."""
    return {name: bytes(section) for name, section in snapshot.items()}


def test_a_ledger_of_many_items_grows_and_finds_them_all() -> None:
    """Beyond several doublings of the arrays and the index."""
    plain, arrays = Ledger(), LedgerArrays(taking, Ledger().columns())
    for number in range(20_000):
        posting = plain.post(f"s{number % 701}\x1f{number}", 0, number, number)
        arrays.enter(f"s{number % 701}\x1f{number}", posting)
    assert sections(arrays.snapshot()) == sections(plain.snapshot())
    assert all(arrays.look(item, 0, None, 10**15).before == entry[0] for item, entry in plain.entries.items())
    assert "s0\x1f20001" not in arrays
    check_stores(arrays, plain)
    check_stores(LedgerArrays(taking, plain.columns()), plain)


@given(st.integers(1, 40), st.lists(st.integers(0, 60), max_size=300))
def test_window_arrays_remember_what_the_window_does(limit: int, numbers: Sequence[int]) -> None:
    """Repeats, conflicts, and identities that were forgotten and come anew."""
    check_window(limit, numbers)


def test_a_large_window_forgets_in_order_for_many_rounds() -> None:
    """The index is half full all the time: every removal moves others."""
    check_window(5_000, [(7_919 * number) % 6_000 for number in range(30_000)])


def check_window(limit: int, numbers: Sequence[int]) -> None:
    """Ask and tell both."""
    plain, arrays = Identities(limit), WindowArrays(taking, limit)
    for at, number in enumerate(numbers):
        event = event_of(number, quantity=1.0 + (at % 5 == 0))
        found = [outcome(window, event) for window in (plain, arrays)]
        assert found[0] == found[1]
        if isinstance(found[0], tuple):
            plain.remember(found[0])
            arrays.remember(found[0])
        assert len(arrays) == len(plain)
    assert bytes(arrays.snapshot()) == bytes(plain.snapshot())
    again = WindowArrays(taking, limit, arrays.snapshot())
    assert bytes(again.snapshot()) == bytes(plain.snapshot())
    for number in range(60):
        event = event_of(number, quantity=1.0)
        assert outcome(again, event) == outcome(plain, event)


def outcome(window: Any, event: Event) -> tuple[bytes, bytes] | str | None:
    """Return what a window says of an event."""
    try:
        found: tuple[bytes, bytes] | None = window.look(event)
    except InvalidEvent as invalid:
        return invalid.reason.value
    return found


def event_of(number: int, quantity: float) -> Event:
    """Return an event whose identity is the number."""
    return Event(
        transaction_id=str(number),
        store_id="s",
        sku="k",
        quantity=quantity,
        occurred_at="2025-01-01T00:00:00Z",
        quantity_millionths=round(quantity * MILLION),
    )


def test_a_column_of_identities_that_is_no_whole_one_is_refused() -> None:
    """As the plain window refuses it."""
    with pytest.raises(ValueError, match="24 bytes"):
        WindowArrays(taking, 10, b"x" * 25)


def test_stores_keep_their_numbers_when_the_first_store_has_left() -> None:
    """The index of stores is made anew while items are not numbered yet, and no item has the number 0."""
    day_us, stores = START_DAY * DAY_US, [f"n{number}" for number in range(100)]
    plain = Ledger()
    arrays = LedgerArrays(taking, plain.columns())
    for item, level, occurred_us in (("gone\x1f1", 0, day_us), ("other\x1f1", MILLION, day_us + 9 * DAY_US)):
        posting = plain.post(item, 0, level, occurred_us)
        arrays.enter(item, posting)
    assert arrays.sweep(day_us + 9 * DAY_US, 5) == plain.sweep(day_us + 9 * DAY_US, 5) == {"gone\x1f1": 0}
    first = len(arrays)
    for store in stores:  # as a run does: all of them enter, then they are numbered
        item = f"{store}\x1f1"
        posting = plain.post(item, 0, MILLION, day_us + 9 * DAY_US)
        key, store_length = item.encode(), len(store)
        arrays.make_room(1, len(key))
        taking.enter_key(
            np.frombuffer(bytearray(key), np.uint8), store_length, len(key), arrays.counters, arrays.levels,
            arrays.observed, arrays.days, arrays.starts, arrays.lengths, arrays.heap, arrays.index,
        )  # fmt: skip
    arrays.number_stores(np.arange(first, len(arrays)))
    check_stores(arrays, plain)


@pytest.mark.parametrize("key", [b"", b"ab"])
def test_nothing_is_read_behind_a_key_without_separator(key: bytes) -> None:
    """A checkpoint may hold one, and machine code checks no bounds: here, what lies behind the heap must not show."""
    indexes = []
    for behind in (b"\x1f\x1f", b"cd\x1f"):
        held = np.frombuffer(bytearray(key + behind), np.uint8)
        starts, lengths = np.zeros(1, np.int64), np.full(1, len(key), np.uint16)
        index = np.zeros(64, np.uint64)
        taking.number_stores(np.zeros(1, np.int64), held[: len(key)], starts, lengths, np.zeros(1, np.int32), index)
        indexes.append(index.tolist())
    assert indexes[0] == indexes[1]


@pytest.mark.parametrize("keys", [[b""], [b"ab"], [b"ab", b"ab\x1f1", b"a", b"ab\x1f2"]])
def test_keys_without_separator_are_stores(keys: list[bytes]) -> None:
    """A checkpoint may hold one, and machine code checks no bounds; then its store is all of it."""
    size = len(keys)
    columns = LedgerColumns(
        START_DAY,
        np.full(size, 5, np.int64),
        np.zeros(size, np.int64),
        np.zeros(size, np.int32),
        np.array([len(key) for key in keys], np.uint16),
        np.frombuffer(b"".join(keys), np.uint8),
    )
    plain = Ledger()
    plain.restore(columns)
    arrays = LedgerArrays(taking, columns)
    check_stores(arrays, plain)
    assert sections(arrays.snapshot()) == sections(plain.snapshot())
