"""What is measured of memory and pauses: valid events, the same again, and bounds that are missed by too much."""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.memory.books import KEY_BYTES, Books, Made, Order
from benchmarks.memory.bounds import (
    capacity,
    each,
    growth_figures,
    growth_percent,
    item_bytes,
    item_figures,
    model_figures,
)
from benchmarks.memory.life import Restored, oldest_bound, restored
from benchmarks.memory.runs import Growth, Large, Load
from schemas.transaction import Limits, decode

MIB = 1 << 20
MIB_EACH = 300 * MIB


def all_of(seed: int, *orders: Order) -> list[Made]:
    books = Books(seed)
    return [made for order in orders for made in books.made(order)]


def a_load(**changed: Any) -> Load:
    well = Load(
        resident_bytes=[MIB_EACH + 400 * 999_000] * 20,
        pauses_ms=[2.0] * 149 + [20.0],
        write_seconds=[0.4] * 150,
        events=1_000_000,
        seconds=10.0,
        least_waiting=1_000,
        longest_still=0.1,
        oldest_transaction=0.5,
    )
    return msgspec.structs.replace(well, **changed)


def a_large(load: Load | None = None, **changed: Any) -> Large:
    """A life in which all was well."""
    well = Large(
        few=1_000,
        many=1_000_000,
        few_load=[MIB_EACH] * 20,
        few_rest=MIB_EACH,
        few_checkpoint=2_400_000,
        load=load or a_load(),
        many_rest=MIB_EACH + 200 * 999_000,
        many_checkpoint=2_400_000 + 40 * 999_000,
        restored=Restored(3.0, 6.0, 0, MIB_EACH),
    )
    return msgspec.structs.replace(well, **changed)


def missed(found: Large) -> list[str]:
    return [figure.what for figure in item_figures(found, 150) if not figure.is_met]


# The events


def test_every_event_is_valid_and_the_books_are_right() -> None:
    """A level is the one before and the quantity; nobody sells what is not there; ids are distinct, time goes on."""
    made = all_of(1, Order(1_020, 0), Order(20, 3_480))
    levels: dict[tuple[str, str], int] = {}
    ids, moments = set(), []
    for key, value, timestamp_ms in made:
        event = decode(value, timestamp_ms, Limits(max_clock_ahead_seconds=0))
        item = event.store_id, event.sku
        assert key.decode() == ":".join(item)
        assert len("\x1f".join(item)) == KEY_BYTES
        assert event.level_millionths is not None
        assert levels.get(item, 0) + event.quantity_millionths == event.level_millionths >= 0
        levels[item] = event.level_millionths
        ids.add(event.transaction_id)
        moments.append(event.occurred_us)
    assert len(ids) == len(made) == 4_500
    assert len(levels) == 1_020
    assert moments == sorted(moments)


def test_a_delivery_to_each_new_item_comes_first() -> None:
    """In the items' order, and only to those that are new."""
    made = all_of(1, Order(3, 0), Order(5, 0))
    assert [msgspec.json.decode(value)["sku"][-1] for _, value, _ in made] == list("01234")


def test_the_same_orders_give_the_same_events() -> None:
    """To the byte; another seed gives others."""
    orders = Order(50, 0), Order(50, 200)
    assert all_of(7, *orders) == all_of(7, *orders)
    assert all_of(7, *orders) != all_of(8, *orders)


def test_items_that_nobody_has_are_not_drawn() -> None:
    """Their level would not be known: an order for them is a mistake."""
    books = Books(1)
    list(books.made(Order(5, 0)))
    with pytest.raises(ValueError, match="expected items of which there are 5, got 6"):
        books.made(Order(6, 10))


def test_events_are_made_as_they_are_taken() -> None:
    """Ten million of them never lie in memory."""
    books = Books(1)
    list(books.made(Order(5, 0)))
    assert len(list(islice(books.made(Order(5, 10**9)), 10))) == 10


# Arithmetic


@given(items=st.integers(1, 1 << 40))
def test_the_room_of_arrays_that_double(items: int) -> None:
    """The smallest power of two that has room for all."""
    room = capacity(items)
    assert room & (room - 1) == 0
    assert room // 2 < items <= room


def test_no_items_need_no_room() -> None:
    """To ask for it is a mistake."""
    with pytest.raises(ValueError, match="expected items, got 0"):
        capacity(0)


def test_what_an_item_takes() -> None:
    """Only the items that came are counted, and only what they brought."""
    assert item_bytes() == 40
    assert each(1_000, 1_000 + 999_000 * 64, a_large()) == 64


@given(start=st.integers(10**6, 10**9), percent=st.floats(-5, 5))
def test_growth_is_of_the_tenths_medians(start: int, percent: float) -> None:
    """An outlier in either tenth and whatever happens between them move nothing."""
    end = round(start * (1 + percent / 100))
    series = [start] * 9 + [3 * start] + [7 * start] * 80 + [end] * 9 + [start // 2]
    assert growth_percent(series) == pytest.approx(percent, abs=1e-3)


def test_the_bucket_that_has_all_transactions() -> None:
    """Those of before do not count, and one above the highest bucket has no bound."""
    name = 'transaction_seconds_bucket{{le="{}"}}'.format
    before = {name("0.25"): 3.0, name("0.5"): 4.0, name("1.0"): 9.0, name("+Inf"): 9.0}
    after = {name("0.25"): 13.0, name("0.5"): 24.0, name("1.0"): 29.0, name("+Inf"): 29.0, "models": 1.0}
    assert oldest_bound(before, after) == 0.5
    assert oldest_bound({}, after) == 1.0
    assert oldest_bound(before, {**after, name("+Inf"): 30.0}) == float("inf")
    assert oldest_bound({}, {}) == float("inf")


def test_a_restore_begins_when_the_partition_is_assigned() -> None:
    """Imports and joining come before it."""
    lines: list[dict[str, Any]] = [
        {"event": "serving", "timestamp": "1970-01-01T00:00:10.500000Z"},
        {"event": "partitions_gained", "timestamp": "1970-01-01T00:00:12Z"},
        {"event": "checkpoint_restored", "timestamp": "1970-01-01T00:00:14Z", "offset": 90, "committed_offset": 95},
        {"event": "partition_live", "timestamp": "1970-01-01T00:00:14.250000Z"},
    ]
    assert restored(lines, 10.0, 5) == Restored(2.25, 4.25, 5, 5)
    with pytest.raises(AssertionError, match="expected one restored checkpoint and a live partition"):
        restored(lines[:2], 10.0, 5)
    with pytest.raises(AssertionError, match="expected one restored checkpoint and a live partition"):
        restored([lines[1], lines[3]], 10.0, 5)


# Verdicts


def test_memory_that_grows_by_more_than_2_percent_misses_its_bound() -> None:
    """2% is not too much, 2.1% is."""
    for last, is_met in ((102_000, True), (102_100, False)):
        found = Growth(50_000, 10_000_000, 100.0, [100_000] * 50 + [last] * 50)
        assert all(figure.is_met for figure in growth_figures(found, 10_000_000)) == is_met


def test_too_few_events_miss_their_bound() -> None:
    """What was not consumed shows nothing."""
    found = Growth(50_000, 9_999_999, 100.0, [100_000] * 100)
    assert [figure.what for figure in growth_figures(found, 10_000_000) if not figure.is_met] == [
        "events over 50,000 items, windows full, machine code loaded"
    ]


def test_a_life_as_it_should_be_misses_nothing() -> None:
    """Whatever is missed below is missed because of what is changed there."""
    assert missed(a_large()) == []
    assert all(figure.is_met for figure in model_figures(a_large()))


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (a_large(many_rest=MIB_EACH + 501 * 999_000), "resident bytes each, at rest"),
        (a_large(a_load(resident_bytes=[MIB_EACH + 501 * 999_000])), "resident bytes each, median under load"),
        (a_large(a_load(pauses_ms=[2.0] * 148 + [20.1] * 2)), "pause for a checkpoint, p99, ms"),
        (a_large(a_load(pauses_ms=[2.0] * 149)), "checkpoints under load"),
        (a_large(a_load(least_waiting=0)), "records that waited for the worker, at least"),
        (a_large(restored=Restored(10.1, 12.0, 0, 1)), "restore, from assigned to live, s"),
        (a_large(restored=Restored(3.0, 12.0, 1, 1)), "records replayed after a clean stop"),
    ],
)
def test_what_is_too_much(found: Large, name: str) -> None:
    """Each bound is one, and missed alone."""
    assert missed(found) == [f"1,000,000 items: {name}"]
