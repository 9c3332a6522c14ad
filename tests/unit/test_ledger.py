"""The stock ledger: a table of what each kind of event finds and leaves, and no float dust."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.ledger import DAY_US, NO_DAY, Ledger, Posting
from consumer.learning.ledger_columns import ledger_columns
from tests.core import post

T = 1_490_961_600_000_000  # a time in microseconds
UNIT = 1_000_000  # millionths
DAY = T // DAY_US

Event = tuple[int, int | None, int]
"""Quantity and observed level in units, and seconds after T."""


def posted(*events: Event, ledger: Ledger | None = None) -> Posting:
    """Post all events of one item and return what became of the last one."""
    ledger = Ledger() if ledger is None else ledger
    posting = Posting(None, None, False)
    for quantity, observed, seconds in events:
        level = None if observed is None else observed * UNIT
        posting = post(ledger, "item", quantity * UNIT, level, T + seconds * UNIT)
    return posting


def units(level: int | None) -> int | None:
    """Whole units of an exact number of millionths."""
    assert level is None or level % UNIT == 0
    return None if level is None else level // UNIT


@pytest.mark.parametrize(
    ("events", "before", "after", "is_late"),
    [
        pytest.param([(-2, None, 0)], None, None, False, id="unknown, unobserved: nothing to add up"),
        pytest.param([(-2, None, 0), (9, None, 1)], None, None, False, id="still unknown after many"),
        pytest.param([(-2, 10, 0)], None, 10, False, id="unknown, observed: enters"),
        pytest.param([(-2, None, 5), (-2, 10, 0)], None, 10, False, id="before the first observation nothing is late"),
        pytest.param([(0, 10, 0), (-3, None, 1)], 10, 7, False, id="known, unobserved: stands in"),
        pytest.param([(0, 10, 0), (-3, None, 1), (-4, None, 1)], 7, 3, False, id="standing-in levels add up"),
        pytest.param([(0, 10, 0), (-3, None, 0)], 10, 7, False, id="equal time, unobserved: not late"),
        pytest.param([(0, 10, 0), (-3, None, -1)], 10, 10, True, id="older, unobserved: late, contained already"),
        pytest.param([(0, 10, 0), (-3, 7, 1)], 10, 7, False, id="known, observed as expected"),
        pytest.param([(0, 10, 0), (-3, 5, 1)], 10, 5, False, id="known, observed otherwise: observation wins"),
        pytest.param([(0, 10, 0), (-3, 5, 0)], 10, 5, False, id="equal time, observed: not late"),
        pytest.param([(0, 10, 0), (-3, 99, -1)], 10, 10, True, id="older, observed: late, ledger stays"),
        pytest.param(
            [(0, 10, 0), (-3, 99, -1), (-1, None, 0)], 10, 9, False, id="after a late one: as if it never was"
        ),
        pytest.param([(0, 10, 0), (-3, 5, 9), (-1, None, 8)], 5, 5, True, id="observation moves the time forward"),
        pytest.param([(0, 10, 0), (-3, None, 9), (-1, None, 8)], 7, 6, False, id="a stand-in does not move the time"),
        pytest.param(
            [(0, 10, 0), (-3, None, 9), (-1, 4, 8)], 7, 4, False, id="observation older than a stand-in counts"
        ),
        pytest.param([(0, 10, 0), (-12, None, 1)], 10, -2, False, id="stand-in below 0: oversold"),
        pytest.param([(0, -4, 0), (6, None, 1)], -4, 2, False, id="observed below 0"),
        pytest.param([(0, 0, 0), (0, None, 1)], 0, 0, False, id="a known 0 is not unknown"),
        pytest.param([(-1, 10, 0), (0, 25, 1)], 10, 25, False, id="a count sets the level"),
        pytest.param([(3, 25, 0)], None, 25, False, id="a first count sets it, whatever its quantity"),
        pytest.param([(-1, 10, 5), (0, 25, 1)], 10, 10, True, id="a late count does not set it"),
    ],
)
def test_cases(events: list[Event], before: int | None, after: int | None, is_late: bool) -> None:
    """Each row of the contract's table: what the last event finds, leaves, and whether it came too late."""
    posting = posted(*events)
    assert (units(posting.before), units(posting.after), posting.is_late) == (before, after, is_late)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**15), 10**15), st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=50))
def test_levels_add_up_without_dust(opening: int, quantities: list[int]) -> None:
    """A thousand sales of 0.1 are exactly 100.0: levels add up in whole millionths, however many and however large."""
    ledger = Ledger()
    post(ledger, "item", 0, opening, T)
    after: int | None = None
    for quantity in quantities:
        after = post(ledger, "item", quantity, None, T + 1).after
    assert after == opening + sum(quantities)
    assert Decimal(after).scaleb(-6) == Decimal(opening).scaleb(-6) + sum(Decimal(q).scaleb(-6) for q in quantities)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-9, 9), st.none() | st.integers(-9, 9), st.integers(0, 9)))
)
def test_items_do_not_touch_each_other(events: list[tuple[str, int, int | None, int]]) -> None:
    """What an item's events find and leave is the same with and without other items between them."""
    together = Ledger()
    postings = [(item, post(together, item, quantity, level, when)) for item, quantity, level, when in events]
    for name in "abc":
        alone = Ledger()
        wanted = [post(alone, item, quantity, level, when) for item, quantity, level, when in events if item == name]
        assert [posting for item, posting in postings if item == name] == wanted
    assert len(together) == len({item for item, _, _, _ in events})


def test_looking_changes_nothing() -> None:
    """An event that breaks the model is looked up, but never entered: no trace of it stays."""
    ledger = Ledger()
    ledger.look("item", -2 * UNIT, 10 * UNIT, T)
    assert len(ledger) == 0
    posted((0, 10, 0), ledger=ledger)
    before = ledger.snapshot()
    ledger.look("item", -2 * UNIT, 3 * UNIT, T + 1)
    assert ledger.snapshot() == before


def test_an_item_enters_when_it_is_first_seen() -> None:
    """Known from its first event on, though its level is not: what is checked once for an item is checked once."""
    ledger = Ledger()
    assert "item" not in ledger
    posted((-2, None, 0), ledger=ledger)
    assert "item" in ledger
    posted((-2, 10, 0), ledger=ledger)
    assert len(ledger) == 1


def test_a_snapshot_is_a_copy_and_restores() -> None:
    """A restored ledger continues as the original would have, and the snapshot does not change underneath."""
    ledger = Ledger()
    posted((0, 10, 0), (-3, None, 1), ledger=ledger)
    ledger.sweep(T, 1)
    state = ledger.snapshot()
    posted((-1, 2, 9), ledger=ledger)
    restored = Ledger()
    restored.restore(ledger_columns(state))
    assert restored.entries == {"item": (7 * UNIT, T, DAY)}
    assert posted((-1, None, 0), ledger=restored) == Posting(7 * UNIT, 6 * UNIT, False)
    assert posted((-1, None, -1), ledger=restored).is_late


def test_a_level_beyond_all_sense_is_unknown() -> None:
    """A sum of quantities past a million million units no longer stands in; the next observed level does."""
    ledger = Ledger()
    ledger.entries["item"] = (10**18 - 5, T, DAY)
    assert post(ledger, "item", 4, None, T) == Posting(10**18 - 5, 10**18 - 1, False)
    assert post(ledger, "item", 1, None, T) == Posting(10**18 - 1, None, False)
    assert post(ledger, "item", 1, None, 0) == Posting(None, None, False)
    assert post(ledger, "item", 1, 7, 0) == Posting(None, 7, False)


# Items leave


def swept(ledger: Ledger, day: int, days: int) -> list[str]:
    """Let an event of another item open a day."""
    post(ledger, f"of day {day}", 1, 1, day * DAY_US + 5)
    return list(ledger.sweep(day * DAY_US + 5, days))


@pytest.mark.parametrize("level", [None, 0, -1, 1])
def test_an_item_leaves_when_its_time_has_come(level: int | None) -> None:
    """Not a day earlier, and not while something is there; the order of the others stays."""
    ledger = Ledger()
    for item in ("before", "item", "after"):
        post(ledger, item, 0, level if item == "item" else 5, T)
    assert swept(ledger, DAY + 6, 7) == []
    assert swept(ledger, DAY + 7, 7) == ([] if level == 1 else ["item"])
    expected = ["before", "item", "after", f"of day {DAY + 6}", f"of day {DAY + 7}"]
    assert list(ledger.entries) == [item for item in expected if item != "item" or level == 1]


def test_any_event_keeps_an_item_from_leaving() -> None:
    """Late ones too, and such as are older than another of its events: what counts is the newest."""
    ledger = Ledger()
    post(ledger, "unknown", -1, None, T + 2 * DAY_US)
    post(ledger, "unknown", -1, None, T)
    post(ledger, "late", -1, 0, T + DAY_US)
    post(ledger, "late", -1, 9, T)
    assert {item: entry[2] - DAY for item, entry in ledger.entries.items()} == {"unknown": 2, "late": 1}
    assert swept(ledger, DAY + 2, 1) == ["late"]
    assert swept(ledger, DAY + 3, 1) == ["unknown"]


def test_a_day_is_of_utc_and_opens_once() -> None:
    """Its first microsecond opens it; before any event, every day is new."""
    ledger = Ledger()
    assert (ledger.newest_day, ledger.next_day_us) == (NO_DAY, 0)
    post(ledger, "item", 0, 1, T)
    ledger.sweep(T, 1)
    assert (ledger.newest_day, ledger.next_day_us) == (DAY, (DAY + 1) * DAY_US)
