"""The outlook's core: days close in any order to the same bits; forecasts are right where the truth is known."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning import columns as learning_columns
from consumer.outlook import columns
from consumer.outlook.calendar import Calendar, date_of, weekday_of
from consumer.outlook.columns import BYTES, EMPTY, EXPERTS, SOLD
from consumer.outlook.demand import demand_of
from consumer.outlook.fixed import from_fixed, to_fixed
from consumer.outlook.grid import (
    BINS,
    CELLS,
    CENTRES,
    RATIO_EDGES,
    UNIT_BINS,
    bins_of,
    cells_of,
    prior,
    prior_of_ratios,
)
from consumer.outlook.horizons import HORIZONS, LEVELS, LOWER80, MEDIAN, UPPER80
from consumer.outlook.intervals import FRACTIONAL, Intervals
from consumer.outlook.mixing import FIRST_DAYS, FLOOR, Mixture
from consumer.outlook.outlook import Outlook
from schemas.transaction import KNOWN_TYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLION = 1_000_000
DAY = 17_000


def an_outlook(items: int, stores: int = 3) -> Outlook:
    outlook = Outlook()
    outlook.pools.grow(stores, items)
    numbers = np.arange(items)
    outlook.items.add(numbers % stores, numbers // stores, DAY - 1)
    return outlook


def take(outlook: Outlook, demand: NDArray[np.float64], flags: NDArray[np.uint8] | None = None) -> None:
    numbers = np.arange(len(demand))
    none = np.zeros(len(demand), np.uint8)
    outlook.take(
        numbers, none.astype(np.int64), np.rint(demand * MILLION).astype(np.int64), none if flags is None else flags
    )


def state_of(outlook: Outlook) -> dict[str, bytes]:
    parts: dict[str, dict[str, NDArray[Any]]] = {
        "items": outlook.items.snapshot(),
        "pools": outlook.pools.snapshot(),
        "intervals": outlook.intervals.snapshot(),
        "mixture": outlook.mixture.snapshot(),
    }
    found = {f"{part}.{name}": array.tobytes() for part, arrays in parts.items() for name, array in arrays.items()}
    for number, model in enumerate(outlook.corrector.models):
        found[f"river.{number}"] = repr((dict(model.weights), model.intercept)).encode()
    return found


def test_the_outlook_can_be_imported_without_the_core_that_feeds_it() -> None:
    """In a fresh interpreter, where an import in a circle is not hidden by one that was made before."""
    for name in ("outlook", "shelves", "stock"):
        code = f"import sys, consumer.outlook.{name}; sys.exit('consumer.learning' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, name
    assert columns.NO_NUMBER == learning_columns.NO_NUMBER


def test_an_item_takes_less_than_two_thousand_bytes() -> None:
    assert BYTES < 2_000


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pieces=st.integers(1, 9))
def test_days_close_in_any_order_and_portions_to_the_same_bits(seed: int, pieces: int) -> None:
    """What a worker needs: it closes items as records come and as time allows; a restart does it otherwise."""
    rng = np.random.default_rng(seed)
    items, days = 40, 45
    demand = rng.poisson(rng.gamma(1, 3, items), (days, items)) * rng.choice([1.0, 0.25], items, p=[0.8, 0.2])
    flags = (rng.random((days, items)) < 0.05).astype(np.uint8) * EMPTY
    whole, parted = an_outlook(items), an_outlook(items)
    for day in range(days):
        take(whole, demand[day], flags[day])
        take(parted, demand[day], flags[day])
        whole.begin_close(DAY + day)
        parted.begin_close(DAY + day)
        at_once = whole.close(np.arange(items), DAY + day)
        portions = [parted.close(part, DAY + day) for part in np.array_split(rng.permutation(items), pieces)]
        numbers = np.concatenate([each.items for each in portions])
        order = np.argsort(numbers)
        assert np.array_equal(numbers[order], at_once.items)
        for name in ("means", "quantiles", "bins", "classes", "experts"):
            together = np.concatenate([getattr(each, name) for each in portions], axis=-1)[..., order]
            assert np.array_equal(together, getattr(at_once, name)), (day, name)
    assert state_of(parted) == state_of(whole)


def test_a_restored_state_goes_on_as_the_one_it_was_taken_from() -> None:
    rng = np.random.default_rng(5)
    demand = rng.poisson(2.0, (40, 12)).astype(float)
    outlook = an_outlook(12)
    for day in range(30):
        take(outlook, demand[day])
        outlook.begin_close(DAY + day)
        outlook.close(np.arange(12), DAY + day)
    other = Outlook()
    other.restore(outlook.snapshot())
    assert state_of(other) == state_of(outlook)
    for day in range(30, 40):
        for each in (outlook, other):
            take(each, demand[day])
            each.begin_close(DAY + day)
        one, two = (each.close(np.arange(12), DAY + day) for each in (outlook, other))
        assert all(
            np.array_equal(np.asarray(first), np.asarray(second)) for first, second in zip(one, two, strict=True)
        )
    assert state_of(other) == state_of(outlook)


def run_days(outlook: Outlook, demand: NDArray[np.float64]) -> list[Any]:
    found = []
    for day, row in enumerate(demand):
        take(outlook, row)
        outlook.begin_close(DAY + day)
        found.append(outlook.close(np.arange(len(row)), DAY + day))
    return found


def test_steady_demand_is_forecast_as_it_is() -> None:
    rng = np.random.default_rng(1)
    means = np.repeat([0.3, 1.0, 4.0, 20.0], 60)
    demand = rng.poisson(means, (150, len(means))).astype(float)
    last = run_days(an_outlook(len(means)), demand)[-1]
    for number, horizon in enumerate(HORIZONS):
        for mean in (0.3, 1.0, 4.0, 20.0):
            chosen = means[last.items] == mean
            assert last.means[number, chosen].mean() == pytest.approx(mean * horizon, rel=0.08)


def test_the_week_is_learned() -> None:
    rng = np.random.default_rng(2)
    week = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0])
    days = np.arange(140)
    factors = week[(days + weekday_of(DAY)) % 7]
    demand = rng.poisson(5.0 * factors[:, None], (140, 30)).astype(float)
    found = run_days(an_outlook(30), demand)
    for closed in found[-7:]:
        expected = 5.0 * week[weekday_of(closed.day + 1)]
        assert closed.means[0].mean() == pytest.approx(expected, abs=0.8)
        assert closed.means[2].mean() == pytest.approx(35.0, rel=0.08)


def test_intervals_hold_what_they_promise_and_are_of_whole_numbers() -> None:
    rng = np.random.default_rng(3)
    means = rng.gamma(1.0, 3.0, 300) + 0.2
    demand = rng.poisson(means, (160, 300)).astype(float)
    found = run_days(an_outlook(300), demand)
    inside = total = 0
    for closed in found[100:152]:
        at = closed.day - DAY
        outcome = demand[at + 1 : at + 8].sum(axis=0)[closed.items]
        lower, upper = closed.quantiles[LOWER80, 2], closed.quantiles[UPPER80, 2]
        assert np.array_equal(lower, np.rint(lower))
        assert (closed.quantiles[1:] >= closed.quantiles[:-1]).all()
        inside += int(((outcome >= lower) & (outcome <= upper)).sum())
        total += len(outcome)
    assert 0.78 < inside / total < 0.88  # of whole numbers, a little more than 80%


def test_a_young_item_has_wide_bounds_and_its_article_level_elsewhere() -> None:
    rng = np.random.default_rng(4)
    outlook = an_outlook(60, stores=20)  # three articles in twenty stores
    run_days(outlook, rng.poisson(9.0, (60, 60)).astype(float))
    outlook.pools.grow(21, 60)
    (young,) = outlook.items.add(np.array([20]), np.array([0]), DAY + 59)
    outlook.take(np.array([young]), np.array([0]), np.array([2 * MILLION]), np.zeros(1, np.uint8))
    take(outlook, np.concatenate([rng.poisson(9.0, 60).astype(float), [0.0]]))
    outlook.begin_close(DAY + 60)
    closed = outlook.close(np.arange(61), DAY + 60)
    assert 4.0 < closed.means[0, -1] < 9.0
    assert closed.quantiles[LOWER80, 0, -1] < closed.quantiles[MEDIAN, 0, -1] < closed.quantiles[UPPER80, 0, -1]


@pytest.mark.parametrize(("flags", "learns"), [(EMPTY, False), (EMPTY | SOLD, True), (0, True)])
def test_an_empty_shelf_is_no_sign_of_little_demand(flags: int, learns: bool) -> None:
    """Unless something was sold from it: then the books are wrong."""
    outlook = an_outlook(3)
    run_days(outlook, np.full((40, 3), 6.0))
    before = outlook.items.level[:3].copy()
    for day in range(40, 60):
        take(outlook, np.zeros(3), np.full(3, flags, np.uint8))
        outlook.begin_close(DAY + day)
        closed = outlook.close(np.arange(3), DAY + day)
    assert bool((outlook.items.level[:3] < 0.9 * before).all()) == learns
    assert bool((closed.means[0] < 5.0).all()) == learns


def test_demand_in_parts_of_a_unit_has_bounds_in_parts_of_it() -> None:
    rng = np.random.default_rng(6)
    found = run_days(an_outlook(40), rng.gamma(4.0, 0.1, (90, 40)).round(3))[-1]
    assert (found.classes == FRACTIONAL).all()
    upper = found.quantiles[UPPER80, 0]
    assert not np.array_equal(upper, np.rint(upper))
    assert 0.4 < upper.mean() < 0.9


@pytest.mark.parametrize(
    ("kind", "quantity", "demand"),
    [
        ("sale", -3, 3),
        (None, -3, 3),
        (None, 3, 0),
        ("void", 2, -2),
        ("void", -2, 0),
        ("return", 1, 0),
        ("receipt", 9, 0),
        ("transfer_in", 9, 0),
        ("waste", -4, 0),
        ("transfer_out", -4, 0),
        ("count", -4, 0),
        ("adjustment", -4, 0),
        ("mystery", -4, 0),
    ],
)
def test_what_is_demand(kind: str | None, quantity: int, demand: int) -> None:
    assert demand_of(kind, quantity) == demand


def test_every_known_type_is_judged_above() -> None:
    cases = test_what_is_demand.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {case[0] for case in cases} >= KNOWN_TYPES


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_days_are_the_zone_s_own(zone: str) -> None:
    """Through both changes of the clock: each day begins where the one before ends, and holds its own instants."""
    there = ZoneInfo(zone)
    calendar = Calendar(there)
    for day in range(19_700, 20_100):
        begin, end = calendar.begin_of(day), calendar.begin_of(day + 1)
        assert calendar.day_of(begin) == calendar.day_of(end - 1) == day
        assert calendar.day_of(begin - 1) == day - 1
        assert datetime.fromtimestamp(begin / 1e6, UTC).astimezone(there).date() == date_of(day)
        assert weekday_of(day) == date_of(day).weekday()


@given(st.floats(1e-3, 1e5))
def test_a_mean_lies_in_the_bin_about_it(mean: float) -> None:
    (number,) = bins_of(np.array([mean]))
    if 0 < number < BINS - 1:
        assert CENTRES[number] / 1.0906 < mean < CENTRES[number] * 1.0906


def test_the_grid_is_whole() -> None:
    assert len(RATIO_EDGES) == CELLS + 1
    assert (np.diff(RATIO_EDGES) > 0).all()
    assert prior().sum(axis=1) == pytest.approx(np.ones(BINS))
    assert prior_of_ratios().sum() == pytest.approx(1.0)
    geometric = prior()[:UNIT_BINS]
    assert (geometric * np.arange(CELLS)).sum(axis=1)[:20] == pytest.approx(CENTRES[:20], rel=1e-6)


@given(st.floats(0.01, 5_000.0), st.floats(0.0, 50_000.0), st.booleans())
def test_an_outcome_has_one_cell(mean: float, outcome: float, whole: bool) -> None:
    outcome = float(int(outcome)) if whole else outcome
    means = np.array([mean])
    (cell,) = cells_of(np.array([outcome]), means, bins_of(means), np.array([whole]))
    assert 0 <= cell < CELLS
    if whole and mean < 15:
        assert cell == min(outcome, CELLS - 1)


def test_probabilities_agree_with_quantiles() -> None:
    """For counts, at least the level lies at or below its quantile, and less than it below."""
    rng = np.random.default_rng(7)
    intervals = Intervals()
    means = rng.gamma(0.7, 20.0, 20_000) + 0.05
    classes = np.ones(len(means), np.int64)
    intervals.add(0, classes, means, rng.poisson(means).astype(float))
    intervals.fold(1)
    tables, bins = intervals.tables, bins_of(means)
    for number, level in enumerate(LEVELS):
        quantile = tables.quantile(number, 0, classes, means, bins)
        assert (tables.below(0, classes, means, bins, quantile) <= level + 1e-9).all()
        assert (tables.below(0, classes, means, bins, quantile + 1.0) >= level - 1e-9).all()
    assert (tables.below(0, classes, means, bins, np.zeros(len(means))) == 0.0).all()
    assert tables.below(0, classes, means, bins, np.full(len(means), 1e9)) == pytest.approx(np.ones(len(means)))


def test_the_mixture_finds_the_best_and_forgets_none() -> None:
    rng = np.random.default_rng(8)
    mixture = Mixture(3)
    noise = rng.normal(size=(3, 4_000))
    errors = np.stack([noise[0], 0.5 * noise[1], 2.0 * noise[2]])
    for _ in range(30):
        mixture.add(1, errors)
        mixture.fold(1)
    weights = mixture.weights[1]
    best = np.array([1.0, 4.0, 0.25]) / 5.25  # inverse variances, since they err independently
    days = sum(0.99**back for back in range(30))
    share = days / (days + FIRST_DAYS * HORIZONS[1])
    assert weights == pytest.approx(share * best + (1 - share) * np.array([1.0, 0.0, 0.0]), abs=0.02)
    assert mixture.weights[0].tolist() == [1.0, 0.0, 0.0]  # of this horizon nothing is known yet
    for _ in range(300):
        mixture.add(1, np.stack([noise[0], 8.0 * noise[1], 8.0 * noise[2]]))
        mixture.fold(1)
    assert mixture.weights[1].min() >= FLOOR - 1e-12
    assert mixture.weights[1].sum() == pytest.approx(1.0)
    assert mixture.weights[1][0] > 0.9
    assert len(EXPERTS) == an_outlook(1).mixture.weights.shape[1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_fixed_point_sums_do_not_depend_on_the_order(values: list[float]) -> None:
    fixed = to_fixed(np.array(values))
    assert from_fixed(fixed) == pytest.approx(np.array(values), abs=1e-6)
    assert int(fixed.sum()) == int(fixed[::-1].sum())
