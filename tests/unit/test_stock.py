"""What a forecast means for a shelf: held to plain loops over one item at a time, and to what must be true of any."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.outlook.columns import EMPTY
from consumer.outlook.grid import CELLS, RATIO_EDGES, UNIT_BINS, bins_of
from consumer.outlook.horizons import HORIZONS, LEVELS, LOWER80, UPPER80
from consumer.outlook.intervals import CLASSES, FRACTIONAL, Intervals
from consumer.outlook.outlook import Outlook
from consumer.outlook.policies import PolicyColumns
from consumer.outlook.stock import DEMAND_CLASSES, NEVER, Stock, order_quantities, stock_of
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumer.outlook.outlook import Closed

ITEMS = 60
FRACTIONAL_ITEMS = 12
DAYS = 75
DAY = 17_000


def policies(
    count: int, lead_time: int = 3, review_period: int = 1, service_level: float = 0.95, pack: float = 1.0
) -> PolicyColumns:
    return PolicyColumns(
        np.full(count, lead_time),
        np.full(count, review_period),
        np.full(count, service_level),
        np.full(count, round(pack * MILLION)),
    )


def of_a_shop(seed: int = 0) -> tuple[Outlook, Closed]:
    """Small and large items of three stores with a week, some in parts of a unit, some that began late."""
    rng = np.random.default_rng(seed)
    outlook = Outlook()
    outlook.pools.grow(3, ITEMS // 3)
    numbers = np.arange(ITEMS)
    outlook.items.add(numbers % 3, numbers // 3, DAY - 1)
    means = np.concatenate([rng.gamma(0.5, 4.0, ITEMS - FRACTIONAL_ITEMS), rng.gamma(1.0, 0.5, FRACTIONAL_ITEMS)])
    first = np.where(rng.random(ITEMS) < 0.2, DAYS - 4, 0)
    for day in range(DAYS):
        demand = rng.poisson(means * (1.6 if day % 7 in {2, 3} else 0.8)).astype(float)
        demand[-FRACTIONAL_ITEMS:] *= rng.random(FRACTIONAL_ITEMS).round(3)
        demand[day < first] = 0.0
        flags = np.where(numbers == day % ITEMS, EMPTY, 0).astype(np.uint8)
        outlook.take(numbers, np.zeros(ITEMS, np.int64), np.rint(demand * MILLION).astype(np.int64), flags)
        outlook.begin_close(DAY + day)
        closed = outlook.close(numbers, DAY + day)
    return outlook, closed


OUTLOOK, CLOSED = of_a_shop()
COUNT = len(CLOSED.items)
IS_WHOLE = CLOSED.classes != FRACTIONAL


def stock(on_hand: NDArray[np.float64] | float, **policy: Any) -> Stock:
    return stock_of(OUTLOOK, CLOSED, np.broadcast_to(np.asarray(on_hand, float), COUNT), policies(COUNT, **policy))


def path(knots: list[float], week: list[float]) -> list[float]:
    """Demand by the end of each day from 0 to 28, from that of each horizon; `week` begins with the next day."""
    found, before = [0.0], (0, 0.0)
    for horizon, value in zip(HORIZONS, knots, strict=True):
        shares = week[before[0] : horizon]
        parts = [sum(shares[: days + 1]) / sum(shares) for days in range(len(shares))]
        found += [before[1] + (value - before[1]) * part for part in parts]
        before = (horizon, value)
    return found


def week_of(number: int) -> list[float]:
    store = int(OUTLOOK.items.store[CLOSED.items[number]])
    return [float(OUTLOOK.pools.week[store, (CLOSED.day + 3 + days) % 7]) for days in range(1, 29)]


def rising(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.maximum.accumulate(values)]


def first_beyond(demand: list[float], on_hand: float) -> int:
    if math.isnan(on_hand):
        return NEVER
    if on_hand <= 0:
        return 0
    # A ten-billionth is the difference between ways to add.
    return next((day for day, value in enumerate(demand) if value > on_hand + 1e-9 * max(on_hand, 1.0)), NEVER)


def test_the_small_shop_has_all_kinds_of_items() -> None:
    assert COUNT > 50
    assert 5 < (~IS_WHOLE).sum() < 15
    bins = CLOSED.bins[:, IS_WHOLE]
    assert (bins < UNIT_BINS).any()
    assert (bins >= UNIT_BINS).any()
    assert (np.diff(CLOSED.means, axis=0) > 0).any()


def test_days_of_supply_are_those_of_a_walk_along_the_daily_profile() -> None:
    rng = np.random.default_rng(1)
    on_hand = np.rint(rng.choice([0.3, 1.0, 2.0], COUNT) * CLOSED.means[rng.integers(0, 5, COUNT), np.arange(COUNT)])
    on_hand[::9], on_hand[1::9], on_hand[2::9] = np.nan, -2.0, 0.0
    found = stock(on_hand)
    ends = []
    for number in range(COUNT):
        week, level = week_of(number), float(on_hand[number])
        mean = path(rising(CLOSED.means[:, number]), week)
        low = path(rising(CLOSED.quantiles[LOWER80, :, number]), week)
        high = path(rising(CLOSED.quantiles[UPPER80, :, number]), week)
        supply = first_beyond(mean, level)
        ends.append(supply)
        assert found.days_of_supply[number] == supply
        for days, field in (
            (supply, found.stockout_day),
            (first_beyond([max(pair) for pair in zip(high, mean, strict=True)], level), found.stockout_earliest),
            (first_beyond([min(pair) for pair in zip(low, mean, strict=True)], level), found.stockout_latest),
        ):
            assert field[number] == (NEVER if days == NEVER else CLOSED.day + days)
    assert {NEVER, 0, 1} < set(ends)
    assert len(set(ends)) > 8


def test_a_bound_on_the_wrong_side_of_the_mean_is_held_at_it() -> None:
    """Of demand in rare lumps the mean may lie above the upper bound, and the dates would stand in the wrong order."""
    on_hand = np.rint(CLOSED.means[3])
    for factor in (0.0, 3.0):
        closed = CLOSED._replace(quantiles=np.broadcast_to(factor * CLOSED.means, CLOSED.quantiles.shape))
        found = stock_of(OUTLOOK, closed, on_hand, policies(COUNT))
        held = found.stockout_earliest if factor < 1 else found.stockout_latest
        moved = found.stockout_latest if factor < 1 else found.stockout_earliest
        assert np.array_equal(held, found.stockout_day)
        assert not np.array_equal(moved, found.stockout_day)


def quantile(level: float, horizon: int, number: int, mean: float) -> float:
    """A quantile by a search through the cells from below."""
    (bin_,) = bins_of(np.array([mean]))
    shares = [float(each) for each in OUTLOOK.intervals.tables.shares[horizon, CLOSED.classes[number], bin_]]
    cell = next(cell for cell, share in enumerate(shares) if share >= level)
    if IS_WHOLE[number] and bin_ < UNIT_BINS:
        return float(cell)
    lower = shares[cell - 1] if cell else 0.0
    width = float(RATIO_EDGES[cell + 1] - RATIO_EDGES[cell])
    ratio = float(RATIO_EDGES[cell]) + width * (level - lower) / (shares[cell] - lower)
    return max(math.ceil(ratio * mean) - 1.0, 0.0) if IS_WHOLE[number] else ratio * mean


@pytest.mark.parametrize(("lead_time", "review_period"), [(1, 1), (2, 1), (3, 1), (3, 4), (6, 5), (14, 7), (27, 1)])
def test_the_reorder_point_is_the_quantile_over_lead_time_and_review_period(lead_time: int, review_period: int) -> None:
    found = stock(0.0, lead_time=lead_time, review_period=review_period, service_level=0.9)
    for number in range(COUNT):
        mean = path(rising(CLOSED.means[:, number]), week_of(number))
        profile = [0.0, *np.cumsum(week_of(number)).tolist()]
        most = 0.0
        for days in range(1, lead_time + review_period + 1):
            later = next(at for at, horizon in enumerate(HORIZONS) if horizon >= days)
            value = quantile(0.9, later, number, mean[days])
            if days not in HORIZONS:
                begin, end = HORIZONS[later - 1], HORIZONS[later]
                share = (profile[days] - profile[begin]) / (profile[end] - profile[begin])
                before = quantile(0.9, later - 1, number, mean[days])
                value = before + (value - before) * share
            most = max(most, value)
        if IS_WHOLE[number]:
            most = math.ceil(most - 1e-9)
        assert found.reorder_point[number] == pytest.approx(most, abs=2e-6)
        assert found.safety_stock[number] == pytest.approx(most - mean[lead_time + review_period], abs=2e-6)


def test_projections_are_what_is_on_hand_less_demand() -> None:
    on_hand = np.where(np.arange(COUNT) % 5 == 0, np.nan, 7.0)
    found = stock(on_hand)
    known = ~np.isnan(on_hand)
    assert np.array_equal(found.projected[:, known], 7.0 - CLOSED.means[:, known])
    assert np.array_equal(found.projected_quantiles[LOWER80][:, known], 7.0 - CLOSED.quantiles[UPPER80][:, known])
    assert (np.diff(found.projected_quantiles[:, :, known], axis=0) >= 0).all()
    for field in (found.projected, found.projected_quantiles, found.stockout_probability, found.order_quantity):
        assert np.isnan(field[..., ~known]).all()
        assert np.isfinite(field[..., known]).all()
    assert np.isfinite(found.reorder_point).all()  # needs no level


def test_a_stockout_is_as_likely_as_demand_of_all_that_is_on_hand() -> None:
    """Where demand is in counts, the share of the cells from there on."""
    for on_hand in (-1.0, 0.0, 1.0, 4.0):
        found = stock(on_hand).stockout_probability
        for number in np.flatnonzero(IS_WHOLE & (CLOSED.bins[2] < UNIT_BINS)):
            shares = OUTLOOK.intervals.tables.shares[2, CLOSED.classes[number], CLOSED.bins[2, number]]
            expected = 1.0 - (shares[int(on_hand) - 1] if on_hand > 0 else 0.0)
            assert found[2, number] == pytest.approx(expected)
    assert (stock(0.0).stockout_probability == 1.0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 26), st.integers(1, 1), st.floats(0.5, 0.998), st.floats(-3.0, 200.0), st.floats(0.0, 50.0))
def test_more_time_and_service_ask_for_more_stock_and_more_stock_lasts_longer(
    lead_time: int, more_days: int, service_level: float, on_hand: float, more: float
) -> None:
    less = stock(on_hand, lead_time=lead_time, service_level=service_level)
    longer = stock(on_hand, lead_time=lead_time + more_days, service_level=service_level)
    safer = stock(on_hand, lead_time=lead_time, service_level=service_level + 0.001)
    fuller = stock(on_hand + more, lead_time=lead_time, service_level=service_level)
    for other in (longer, safer):
        assert (other.reorder_point >= less.reorder_point).all()
        assert (other.order_quantity >= less.order_quantity).all()
    assert (fuller.order_quantity <= less.order_quantity).all()
    assert (fuller.stockout_probability <= less.stockout_probability).all()
    for field in ("days_of_supply", "stockout_day", "stockout_earliest", "stockout_latest"):
        short, long = (
            np.where(value == NEVER, 10**9, value) for value in (getattr(less, field), getattr(fuller, field))
        )
        assert (long >= short).all()
    early, middle, late = (
        np.where(value == NEVER, 10**9, value)
        for value in (less.stockout_earliest, less.stockout_day, less.stockout_latest)
    )
    assert (early <= middle).all()
    assert (middle <= late).all()
    assert np.array_equal(less.reorder_point[IS_WHOLE], np.rint(less.reorder_point[IS_WHOLE]))


def test_items_do_not_depend_on_their_company() -> None:
    """A close may be spread over records: what is said of an item is the same to the bit."""
    rng = np.random.default_rng(3)
    on_hand, whole = rng.integers(-2, 30, COUNT).astype(float), policies(COUNT, lead_time=9)
    whole = whole._replace(lead_time_days=rng.integers(1, 20, COUNT))
    together = stock_of(OUTLOOK, CLOSED, on_hand, whole)
    for part in np.array_split(rng.permutation(COUNT), 7):
        closed = CLOSED._replace(
            items=CLOSED.items[part],
            means=CLOSED.means[:, part],
            quantiles=CLOSED.quantiles[..., part],
            bins=CLOSED.bins[:, part],
            classes=CLOSED.classes[part],
        )
        alone = stock_of(OUTLOOK, closed, on_hand[part], whole.of(part))
        for name, value in alone._asdict().items():
            if name != "day":
                assert np.array_equal(value, getattr(together, name)[..., part], equal_nan=value.dtype == float), name
    nobody = CLOSED.items[:0]
    empty = CLOSED._replace(
        items=nobody,
        means=CLOSED.means[:, :0],
        quantiles=CLOSED.quantiles[..., :0],
        bins=CLOSED.bins[:, :0],
        classes=CLOSED.classes[:0],
    )
    assert stock_of(OUTLOOK, empty, on_hand[:0], whole.of(nobody)).order_quantity.shape == (0,)


@pytest.mark.parametrize(
    ("target", "position", "pack", "order"),
    [
        (10.0, 4.0, 1.0, 6.0),
        (10.0, 10.0, 1.0, 0.0),
        (10.0, 12.5, 1.0, 0.0),
        (10.0, 4.0, 4.0, 8.0),
        (10.0, -3.0, 6.0, 18.0),
        (10.0, 9.5, 1.0, 1.0),
        (1.1, 0.8, 0.1, 0.3),  # a quotient of floats is 3.0000000000000004
        (0.7, 0.0, 0.1, 0.7),
        (1e9, 0.0, 0.000001, 1e9),
        (5.0, math.nan, 1.0, math.nan),
    ],
)
def test_an_order_is_of_whole_packs(target: float, position: float, pack: float, order: float) -> None:
    found = order_quantities(np.array([target]), np.array([position]), np.array([round(pack * MILLION)]))
    assert found.tolist() == pytest.approx([order], rel=0, abs=0, nan_ok=True)


def test_any_level_s_quantile_is_that_of_the_fixed_levels_where_they_meet() -> None:
    rng = np.random.default_rng(7)
    intervals = Intervals()
    means = np.concatenate([rng.gamma(0.7, 20.0, 4_000) + 0.05, [0.01, 15.99, 16.0, 5_000.0]])
    for number in range(len(HORIZONS)):
        classes = rng.integers(0, CLASSES, len(means))
        intervals.add(number, classes, means, rng.poisson(means).astype(float))
    intervals.fold(1)
    bins = bins_of(means)
    for number in range(len(HORIZONS)):
        for index, level in enumerate(LEVELS):
            found = intervals.tables.quantile_at(
                np.full(len(means), level), np.full(len(means), number), classes, means, bins
            )
            assert np.array_equal(found, intervals.tables.quantile(index, number, classes, means, bins))


@given(st.lists(st.integers(0, 5), min_size=CELLS, max_size=CELLS), st.floats(0.001, 0.999))
def test_the_cell_of_a_level_is_the_first_that_reaches_it(counts: list[int], level: float) -> None:
    sums = np.cumsum([*counts[:-1], 1.0])
    tables = OUTLOOK.intervals.tables
    shares = np.broadcast_to(sums / sums[-1], tables.shares.shape)
    found = tables._replace(shares=shares).quantile_at(
        np.array([level]), np.zeros((2, 1), np.int64), np.zeros(1, np.int64), np.array([2.0]), bins_of(np.array([2.0]))
    )
    assert found.tolist() == 2 * [[float((sums / sums[-1] < level).sum())]]


def test_demand_is_told_apart_by_how_often_and_how_evenly_it_comes() -> None:
    """Four groups of a hundred; a class is a matter of estimates, so of most of each."""
    rng = np.random.default_rng(4)
    each, days = 100, 150
    outlook = Outlook()
    outlook.pools.grow(1, 4 * each)
    numbers = np.arange(4 * each)
    outlook.items.add(np.zeros(4 * each, np.int64), numbers, DAY - 1)
    for day in range(days):
        size = np.ceil(rng.gamma(0.5, 12.0, 4 * each))  # CV² about 1.7
        even = rng.poisson(20.0, 4 * each).astype(float)
        sold = rng.random(4 * each) < 0.3
        group = numbers // each
        demand = np.choose(group, [even, size, np.where(sold, even, 0.0), np.where(sold, size, 0.0)])
        outlook.take(
            numbers, np.zeros_like(numbers), (demand * MILLION).astype(np.int64), np.zeros(len(numbers), np.uint8)
        )
        outlook.begin_close(DAY + day)
        closed = outlook.close(numbers, DAY + day)
    found = stock_of(outlook, closed, np.zeros(len(closed.items)), policies(len(closed.items)))
    assert DEMAND_CLASSES == ("smooth", "erratic", "intermittent", "lumpy")
    for number in range(len(DEMAND_CLASSES)):
        assert (found.demand_class[closed.items // each == number] == number).mean() > 0.9


def test_young_and_censored_items_are_marked() -> None:
    found = stock(1.0)
    first = OUTLOOK.items.first[CLOSED.items]
    assert np.array_equal(found.observations, CLOSED.day - first + 1)
    assert np.array_equal(found.is_cold_start, found.observations <= 28)
    assert 0 < found.is_cold_start.sum() < COUNT
    for day, is_cold in ((27, True), (28, False)):
        then = stock_of(OUTLOOK, CLOSED._replace(day=DAY + day), np.zeros(COUNT), policies(COUNT))
        assert (then.is_cold_start[first == DAY] == is_cold).all()
    assert CLOSED.items[found.demand_censored].tolist() == [(DAYS - 1) % ITEMS]


def test_half_way_between_whole_numbers_is_not_a_bit_more() -> None:
    """Sums over the week have rounded: at 21 days, half-way from 14 to 28, 0 and 2 are 1: no unit more is ordered."""
    shares = np.ones((len(HORIZONS), *OUTLOOK.intervals.tables.shares.shape[1:]))
    shares[4, ..., :2] = 0.0  # 2 in 28 days, 0 up to 14
    outlook = Outlook()
    outlook.restore(OUTLOOK.snapshot())
    outlook.intervals.tables = OUTLOOK.intervals.tables._replace(shares=shares)
    means = np.repeat(np.array([0.1, 0.3, 0.7, 1.4, 2.8])[:, None], COUNT, axis=1)
    closed = CLOSED._replace(means=means, bins=bins_of(means), classes=np.zeros(COUNT, np.int64))
    found = stock_of(outlook, closed, np.full(COUNT, 2.1), policies(COUNT, lead_time=14, review_period=7))
    assert found.reorder_point.tolist() == [1.0] * COUNT
    assert found.days_of_supply.tolist() == [22] * COUNT
