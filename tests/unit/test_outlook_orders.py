"""The simulated shelves of NAME=outlook-orders: goods arrive when they should, nothing is sold that is not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.outlook.orders import (
    BEGIN,
    PROTECTED_DAYS,
    Shelves,
    demand_of_sales,
    simulate,
    stock_at,
    targets_of_means,
)

ONE = np.array([0])


def test_goods_are_on_the_shelf_three_evenings_after_their_order() -> None:
    shelves = Shelves(1, 1)
    shelves.order(ONE, np.array([[10.0]]))  # a new shelf begins full
    sold = []
    for _ in range(8):
        before = shelves.served[0]
        shelves.trade(np.array([4.0]))
        sold.append(shelves.served[0] - before)
        shelves.order(ONE, np.array([[10.0]]))
    # 4 of 10 are ordered on the first evening, for the fifth day; the third customer finds 2, the next one none.
    assert sold == [4.0, 4.0, 2.0, 0.0, 4.0, 4.0, 2.0, 0.0]
    assert shelves.fill_rates.tolist() == [20 / 32]
    # Mornings have 10, 6, 2, 0, 4, 4, 2, 0; evenings 6, 2, then none.
    assert shelves.mean_stocks.tolist() == [(8 + 4 + 1 + 0 + 2 + 2 + 1 + 0) / 8]


def test_enough_is_enough_and_each_rule_has_its_own_shelves() -> None:
    shelves = Shelves(2, 1)
    targets = np.array([[2.0], [100.0]])
    shelves.order(ONE, targets)
    for _ in range(30):
        shelves.trade(np.array([2.0]))
        shelves.order(ONE, targets)
    few, all_ = shelves.fill_rates.tolist()
    assert few == pytest.approx(8 / 30)
    assert all_ == 1.0
    assert shelves.service_levels.tolist() == [0.0, 1.0]
    assert shelves.mean_stocks[1] == pytest.approx(100 - 2 * PROTECTED_DAYS + 1, abs=1)


def test_a_shelf_that_is_not_open_counts_for_nothing() -> None:
    shelves = Shelves(1, 2)
    shelves.order(ONE, np.array([[5.0]]))
    shelves.trade(np.array([1.0, 7.0]))
    assert (shelves.wanted, shelves.served[0], shelves.item_days) == (1.0, 1.0, 1)


def test_the_textbook_s_reorder_point() -> None:
    rng = np.random.default_rng(0)
    past = rng.poisson(3.0, (40, 3)).astype(float)
    past[:35, 1] = 0.0
    past[:39, 2] = 0.0
    past[35, 1] = past[39, 2] = 6.0
    found = targets_of_means(past, np.array([0, 35, 39]), (0.0, 2.0))
    for number, days in ((0, 28), (1, 5)):
        of_days = past[-days:, number]
        assert found[0, number] == pytest.approx(4 * of_days.mean())
        assert found[1, number] == pytest.approx(4 * of_days.mean() + 2 * 2 * of_days.std(ddof=1))
    assert found[:, 2].tolist() == [24.0, 24.0]


def test_stocks_are_compared_at_equal_fill_rate_and_nowhere_else() -> None:
    fills, stocks = np.array([0.9, 0.5, 0.7]), np.array([9.0, 1.0, 3.0])
    assert stock_at(0.8, fills, stocks) == pytest.approx(6.0)
    assert np.isnan(stock_at(0.95, fills, stocks))
    assert np.isnan(stock_at(0.4, fills, stocks))


def test_a_small_year_goes_through_both_rules() -> None:
    """More service and a larger z each serve more, from more."""
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(BEGIN + 30), 12)
    sales = pd.DataFrame({"day": days, "item": np.tile(np.arange(12), BEGIN + 30)})
    sales["store_id"], sales["product_category"] = (
        300 + sales["item"] % 3,
        (sales["item"] // 3).map("article {}".format),
    )
    sales["quantity"] = rng.poisson(2.0, len(sales))
    sales["moment"] = pd.Timestamp("2017-01-01T12:00", tz="America/New_York") + pd.to_timedelta(sales["day"], "D")
    demand = demand_of_sales(sales[sales["quantity"] > 0])
    assert demand.first_day == 17_167  # 2017-01-01
    assert (demand.stores.max(), demand.articles.max(), demand.units.shape) == (2, 3, (BEGIN + 30, 12))
    assert demand.units.sum() == sales["quantity"].sum()
    told: list[int] = []
    found = simulate(demand, (0.6, 0.95), (0.0, 2.0), told.append)
    assert told == [*range(BEGIN + 30)]
    for shelves in (found.ours, found.means):
        assert shelves.wanted == demand.units[BEGIN + 1 :].sum()
        assert shelves.fill_rates[0] < shelves.fill_rates[1] <= 1.0
        assert shelves.mean_stocks[0] < shelves.mean_stocks[1]
    assert found.ours.service_levels[1] > 0.9
