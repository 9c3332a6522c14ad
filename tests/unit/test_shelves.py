"""The log as the only clock: however a partition's log is cut into batches, the same is said in the same order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.columns import NO_NUMBER
from consumer.outlook import shelves as at
from consumer.outlook.calendar import Calendar
from consumer.outlook.shelves import GRACE_US, HOUR_US, Rows, Shelves
from tests.unit.test_outlook import state_of

if TYPE_CHECKING:
    from consumer.outlook.outlook import Closed

DAY_US = 24 * HOUR_US
MILLION = 1_000_000
ZONE = "Europe/Berlin"
BEGIN = Calendar(ZoneInfo(ZONE)).begin_of(20_500)


class Log:
    """A made-up log: events of items in the order in which they come, and ticks."""

    def __init__(self, seed: int, *, items: int = 60, events: int = 700, days: float = 9.0, ticks: int = 3) -> None:
        rng = np.random.default_rng(seed)
        times = np.sort(rng.uniform(0, days * DAY_US, events)).astype(np.int64) + BEGIN
        times -= np.where(rng.random(events) < 0.05, rng.integers(0, 3 * DAY_US, events), 0)  # late ones
        chosen = rng.integers(0, rng.integers(5, items, events))
        _, first, numbers = np.unique(chosen, return_index=True, return_inverse=True)
        entered = np.argsort(np.argsort(first))  # numbered as they come
        self.items = entered[numbers]
        self.times = times
        self.demand = rng.integers(0, 5, events) * MILLION
        level = rng.integers(-1, 9, events) * MILLION
        self.afters = np.where(rng.random(events) < 0.7, level, NO_NUMBER)
        self.befores = np.where(self.afters == NO_NUMBER, NO_NUMBER, self.afters + self.demand)
        self.discrepancies = rng.integers(-2, 3, events) * MILLION
        self.counts = rng.random(events) < 0.1
        self.stores = np.arange(len(first)) % 4
        self.articles = np.arange(len(first)) // 4
        self.ticks = set(rng.choice(events, ticks, replace=False).tolist())

    def rows(self, start: int, stop: int) -> Rows:
        return Rows(
            self.items[start:stop],
            np.arange(start, stop),
            self.times[start:stop],
            self.times[start:stop] + 5 * MILLION,
            self.demand[start:stop],
            self.befores[start:stop],
            self.afters[start:stop],
            self.discrepancies[start:stop],
            self.counts[start:stop],
        )


class Told:
    """What was said of each item, one after the other."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, bytes]] = []

    def __call__(self, closed: Closed) -> None:
        for place, item in enumerate(closed.items.tolist()):
            said = closed.means[:, place].tobytes() + closed.quantiles[:, :, place].tobytes()
            self.said.append((item, closed.day, said))


def run(log: Log, cuts: list[int]) -> tuple[Shelves, Told]:
    told = Told()
    shelves = Shelves(Calendar(ZoneInfo(ZONE)), told)
    edges = sorted({0, len(log.items), *cuts, *log.ticks})
    known = 0
    for start, stop in pairwise(edges):
        if start in log.ticks:
            shelves.tick(int(log.times[:start].max(initial=BEGIN)) + DAY_US, int(log.times[start]), start)
        seen = int(log.items[start:stop].max()) + 1
        new = slice(known, max(known, seen))
        shelves.take(log.rows(start, stop), log.stores[new], log.articles[new])
        known = max(known, seen)
    return shelves, told


def whole_state(shelves: Shelves) -> Any:
    return state_of(shelves.outlook), shelves.closed, shelves._cursor, shelves._last, shelves._event_time_us


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_batches_make_no_difference(seed: int, data: st.DataObject) -> None:
    """Not in what is said, not in its order, not in the state: a worker that is killed cuts the log otherwise."""
    log = Log(seed)
    cuts = data.draw(st.lists(st.integers(1, len(log.items) - 1), max_size=40))
    one, told = run(log, [])
    other, told_otherwise = run(log, cuts)
    assert told_otherwise.said == told.said
    assert whole_state(other) == whole_state(one)


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_record_at_a_time_is_no_other_way(seed: int) -> None:
    log = Log(seed, events=250)
    one, told = run(log, [])
    other, told_otherwise = run(log, list(range(1, 250)))
    assert told_otherwise.said == told.said
    assert whole_state(other) == whole_state(one)


def test_each_item_is_said_once_a_day_and_before_its_own_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a day's end: what an item's next event brings is not in it."""
    monkeypatch.setattr(at, "ITEMS_A_RECORD", 1)
    log = Log(7, items=90, events=900, ticks=0)
    _, told = run(log, [])
    days = [(item, day) for item, day, _ in told.said]
    assert len(days) == len(set(days))
    for item in range(len(log.stores)):
        of_item = [day for number, day in days if number == item]
        assert of_item == sorted(of_item)
    assert len(days) > 3 * len(log.stores)


def a_shop(count: int = 3) -> tuple[Shelves, Told]:
    told = Told()
    shelves = Shelves(Calendar(ZoneInfo(ZONE)), told)
    numbers = np.arange(count)
    shelves.take(sale(numbers, BEGIN + 12 * HOUR_US), numbers % 2, numbers)
    return shelves, told


def sale(items: Any, us: int, *, timestamp_us: int | None = None) -> Rows:
    def each(value: int) -> Any:
        return np.full(len(items), value, np.int64)

    none = each(NO_NUMBER)
    return Rows(
        np.asarray(items),
        each(0),
        each(us),
        each(us if timestamp_us is None else timestamp_us),
        each(MILLION),
        none,
        none,
        each(0),
        each(0).astype(np.bool_),
    )


NOBODY = np.zeros(0, np.int64)


def test_a_day_closes_a_grace_after_its_midnight() -> None:
    shelves, told = a_shop()
    midnight = BEGIN + DAY_US
    shelves.take(sale([0], midnight + GRACE_US - 1), NOBODY, NOBODY)
    assert told.said == []
    shelves.take(sale([0], midnight + GRACE_US), NOBODY, NOBODY)
    assert {(item, day) for item, day, _ in told.said} == {(0, 20_500), (1, 20_500), (2, 20_500)}


def test_a_till_whose_clock_is_ahead_closes_no_day() -> None:
    """An event counts as no later than its record: by a till of 2099 the day does not pass."""
    shelves, told = a_shop()
    later = BEGIN + 100 * 365 * DAY_US
    shelves.take(sale([0], later, timestamp_us=BEGIN + 13 * HOUR_US), NOBODY, NOBODY)
    shelves.tick(later, BEGIN + 14 * HOUR_US, 9)
    assert told.said == []
    assert shelves.outlook.items.open[0].tolist() == [MILLION, MILLION]


def test_a_tick_closes_the_days_of_a_quiet_partition() -> None:
    shelves, told = a_shop()
    shelves.tick(BEGIN + 3 * DAY_US + GRACE_US, BEGIN + 4 * DAY_US, 9)
    assert [(item, day) for item, day, _ in told.said] == [(0, 20_502), (1, 20_502), (2, 20_502)]
    assert shelves.outlook.items.recent[0, [20_500 % 28, 20_501 % 28, 20_502 % 28]].tolist() == [1.0, 0.0, 0.0]
    shelves.tick(BEGIN + DAY_US, BEGIN + 4 * DAY_US, 9)  # time does not go back
    assert len(told.said) == 3


def test_a_close_of_many_items_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at a record, so many at a tick, each item once."""
    monkeypatch.setattr(at, "ITEMS_A_RECORD", 2)
    monkeypatch.setattr(at, "ITEMS_A_TICK", 5)
    shelves, told = a_shop(30)
    morning = BEGIN + DAY_US + GRACE_US
    shelves.take(sale([29], morning), NOBODY, NOBODY)
    assert [item for item, _, _ in told.said] == [29, 0, 1]
    shelves.tick(morning + 1, morning + 1, 9)
    assert [item for item, _, _ in told.said] == [29, 0, 1, 2, 3, 4, 5, 6]
    shelves.take(sale([3, 28], morning + 2), NOBODY, NOBODY)
    assert [item for item, _, _ in told.said[8:]] == [7, 8, 28, 9, 10]
    for _ in range(5):
        shelves.tick(morning + 3, morning + 3, 9)
    assert sorted(item for item, _, _ in told.said) == list(range(30))


def test_what_was_not_closed_in_time_is_closed_with_the_next_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at, "ITEMS_A_RECORD", 1)
    shelves, told = a_shop(6)
    shelves.take(sale([0], BEGIN + DAY_US + GRACE_US), NOBODY, NOBODY)
    shelves.take(sale([0], BEGIN + 2 * DAY_US + GRACE_US), NOBODY, NOBODY)
    shelves.tick(BEGIN + 2 * DAY_US + GRACE_US, BEGIN + 3 * DAY_US, 9)
    last = {item: day for item, day, _ in told.said}
    assert last == dict.fromkeys(range(6), 20_501)
    assert shelves.outlook.items.closed[:6].tolist() == [20_501] * 6


@pytest.mark.parametrize(("days_late", "counts"), [(1, True), (7, True), (9, False)])
def test_a_late_sale_counts_for_a_week(days_late: int, counts: bool) -> None:
    shelves, _ = a_shop()
    now = BEGIN + 20 * DAY_US
    shelves.tick(now + GRACE_US, now + GRACE_US, 9)
    before = shelves.outlook.items.open[1, 0]
    shelves.take(sale([1], now - days_late * DAY_US, timestamp_us=now + GRACE_US), NOBODY, NOBODY)
    assert (shelves.outlook.items.open[1, 0] > before) == counts
    assert shelves.too_late == (not counts)


def test_items_that_leave_take_their_demand_along() -> None:
    log = Log(3, events=600)
    shelves, _ = run(log, [])
    items = len(shelves.outlook.items)
    staying = np.arange(items) % 3 != 0
    left = shelves.outlook.items.closed[:items][staying]
    shelves.keep(staying)
    assert np.array_equal(shelves.outlook.items.closed[: len(left)], left)
    rest = shelves.outlook.items
    shelves.outlook.pools.fold(1)
    demand = shelves.outlook.pools._levels[0]
    assert int(demand.sum()) == sum(int(np.rint(value * 2**20)) for value in rest.demand[: len(rest), 0])
    assert set(shelves.outlook.corrector.rows) <= set(range(len(rest)))


def test_what_ends_a_day_empty_begins_the_next_one_so() -> None:
    """A quiet day of an empty shelf is no day without demand."""
    shelves, _ = a_shop()
    rows = sale([0, 1], BEGIN + 13 * HOUR_US)._replace(befores=np.full(2, MILLION), afters=np.array([0, 5 * MILLION]))
    shelves.take(rows, NOBODY, NOBODY)
    shelves.tick(BEGIN + 2 * DAY_US + GRACE_US, BEGIN + 9 * DAY_US, 9)
    assert [bin(bits) for bits in shelves.outlook.items.censored[:3].tolist()] == ["0b11", "0b0", "0b0"]
