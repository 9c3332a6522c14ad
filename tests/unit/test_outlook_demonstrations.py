"""What is measured of the outlook: the history it is given, its parts taken away, the bounds."""

from __future__ import annotations

import subprocess
import sys
from math import isnan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest

from benchmarks.outlook import retail, synthetic
from benchmarks.outlook.ablation import Without, without_river
from benchmarks.outlook.bounds import (
    ablation_figures,
    calibration_figures,
    error_figures,
    later_figures,
    over_horizons,
    ratio,
    width_figures,
)
from benchmarks.outlook.ideal import Ideal, Seen, at_most, dispersions_of, draw, ideal
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.history import History
from consumer.evaluate.prequential import OUTLOOK, Origin
from consumer.evaluate.result import Evaluation
from consumer.evaluate.run import evaluate
from consumer.outlook.columns import EXPERTS
from consumer.outlook.horizons import HORIZONS, LOWER80, UPPER80
from consumer.outlook.mixing import Mixture
from schemas.transaction import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.figures import Figure
    from consumer.outlook.outlook import Outlook


def transactions(*rows: tuple[int, int, int, str]) -> pd.DataFrame:
    """Of (store, product, quantity, UTC time)."""
    frame = pd.DataFrame(rows, columns=["store_id", "product_id", "quantity", "transaction_timestamp"])
    frame["transaction_timestamp"] = pd.to_datetime(frame["transaction_timestamp"])
    return frame


PRODUCTS = pd.DataFrame(
    {"product_id": [1, 2, 3, 4], "product_category": ["BREAD", "BREAD", "COUPON/MISC ITEMS", None], "brand": "any"}
)


def test_the_history_is_that_of_the_largest_stores_and_of_items_that_sell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of one category are one item; fuel, large lines, unsold and uncategorised lines are not there."""
    monkeypatch.setattr(retail, "STORES", 2)
    monkeypatch.setattr(retail, "SALE_DAYS", 2)
    sales = retail.sales_of(
        transactions(
            (8, 1, 3, "2017-07-02 03:30:00"),  # still the first of July in New York
            (8, 2, 1, "2017-07-01 15:00:00"),
            (8, 1, 2, "2017-07-02 15:00:00"),
            (8, 3, 1, "2017-07-01 15:00:00"),
            (8, 4, 1, "2017-07-01 15:00:00"),
            (8, 1, 0, "2017-07-03 15:00:00"),
            (8, 1, 100, "2017-07-03 15:00:00"),
            (9, 1, 99, "2017-07-01 15:00:00"),  # on one day only
            (7, 1, 1, "2017-07-01 15:00:00"),  # the smallest of three stores
            (7, 1, 1, "2017-07-02 15:00:00"),
        ),
        PRODUCTS,
    )
    assert sales["day"].tolist() == [0, 0, 1]
    path = tmp_path / "year.parquet"
    retail.write_history(sales, path)
    with History(path, ZoneInfo("Asia/Tokyo"), Limits()) as history:  # the times say for themselves where they are
        events = [event for batch in history for event in batch]
        assert not history.refused
    assert [(event.store_id, event.sku, event.transaction_type) for event in events] == [("8", "BREAD", "sale")] * 3
    assert [event.quantity_millionths for event in events] == [-1_000_000, -3_000_000, -2_000_000]
    assert [event.occurred_at for event in events] == [
        "2017-07-01T11:00:00-04:00",
        "2017-07-01T23:30:00-04:00",
        "2017-07-02T11:00:00-04:00",
    ]


def errors(seed: int) -> NDArray[np.float64]:
    scales = np.array([1.0, 1.5, 1.2, 2.0, 0.5])
    return np.random.default_rng(seed).normal(0.0, scales[:, None], (len(EXPERTS), 50))


def test_without_an_expert_the_others_are_mixed_as_if_there_were_no_other() -> None:
    whole, without, others = Mixture(len(EXPERTS)), Without("river"), Mixture(len(EXPERTS) - 1)
    river = EXPERTS.index("river")
    np.testing.assert_array_equal(whole.weights, without.weights)
    for day in range(20):
        for number in range(len(HORIZONS)):
            found = errors(100 * day + number)
            for mixture, each in ((whole, found), (without, found), (others, np.delete(found, river, axis=0))):
                mixture.add(number, each)
        for mixture in (whole, without, others):
            mixture.fold(1)
    assert (whole.weights[:, river] > 0.1).all()
    assert (without.weights[:, river] == 0.0).all()
    np.testing.assert_array_equal(np.delete(without.weights, river, axis=1), others.weights)


def test_the_evaluation_hands_over_the_outlook_before_its_first_event(tmp_path: Path) -> None:
    """What is taken away then is away in the whole evaluation."""
    path = tmp_path / "history.csv"
    lines = [
        f"s,{sku},-{1 + (day + sku) % 3},2026-{1 + day // 28:02}-{1 + day % 28:02}"
        for day in range(56)
        for sku in range(9)
    ]
    path.write_text("\n".join(["store_id,sku,quantity,occurred_at", *lines]), encoding="utf-8")
    seen: list[int] = []

    def prepare(outlook: Outlook) -> None:
        seen.append(len(outlook.items))
        without_river(outlook)

    found = [
        evaluate(path, ZoneInfo("UTC"), Limits(), seen_ids=1000, warm_up_days=30, prepare=each)
        for each in (prepare, lambda _outlook: None)
    ]
    assert seen == [0]
    assert [sum(map(sum, (each.weights[days]["river"] for days in HORIZONS))) > 0 for each in found] == [False, True]


def an_evaluation(**changed: float | None) -> Evaluation:
    """One in which every method scores 1 but the outlook 0.99; `changed` has other scores of the outlook's."""
    row = dict.fromkeys(("rmsse", "wape", "wape_busy", "interval_score_80", "interval_score_95", "mean_demand"), 1.0)
    ours = {**row, "rmsse": 0.99, "wape": 0.99, "wape_busy": 0.99, "bias": -0.01, **changed}
    others = [*BASELINES, *(f"only {name}" for name in EXPERTS)]
    scores: Any = {
        horizon: {
            OUTLOOK: {**ours, "mean_demand": horizon / 2},
            **{name: {**row, "bias": 0.5} for name in others},
        }
        for horizon in HORIZONS
    }
    return Evaluation(
        file="made up",
        rows=1,
        refused={},
        repeats=0,
        items=1,
        items_with_demand=1,
        items_without_level=1,
        first_day="2026-01-01",
        last_day="2026-12-31",
        warm_up_days=60,
        origins=300,
        seconds=1.0,
        versions={},
        methods=[OUTLOOK, *others],
        scores=scores,
        calibration={},
        periods=[],
        over_time={},
        experts=list(EXPERTS),
        weights={},
        examples=[],
    )


def missed(figures: list[Figure]) -> list[str]:
    return [figure.what for figure in figures if not figure.is_met]


def test_an_outlook_that_is_better_than_all_meets_the_bounds() -> None:
    figures = list(error_figures(an_evaluation()))
    assert missed(figures) == []
    assert all(figure.bound is not None for figure in figures)
    # The median is judged of all items where demand is large enough, of large items always.
    assert sum("WAPE" in figure.what and "items with" not in figure.what for figure in figures) == 3
    assert sum("items with" in figure.what for figure in figures) == len(HORIZONS)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"rmsse": 1.0}, set()),
        ({"rmsse": 1.005}, {"geometric mean"}),
        ({"rmsse": 1.02}, {"geometric mean", "RMSSE / best"}),
        ({"wape": 1.011}, {"WAPE / best baseline's"}),
        ({"wape_busy": 1.011}, {"items with demand of 3"}),
        ({"bias": 0.021}, {"bias"}),
        ({"bias": -0.021}, {"bias"}),
        ({"rmsse": None}, {"geometric mean", "RMSSE / best"}),
    ],
)
def test_an_outlook_that_is_worse_misses_the_bound_of_that(
    changed: dict[str, float | None], expected: set[str]
) -> None:
    found = missed(list(error_figures(an_evaluation(**changed))))
    assert all(any(part in what for part in expected) for what in found)
    assert all(any(part in what for what in found) for part in expected)


def test_the_best_baseline_of_a_horizon_is_what_counts() -> None:
    evaluation = an_evaluation()
    evaluation.scores[7]["sba"]["rmsse"] = 0.9
    assert ratio(evaluation, 7, "rmsse") == pytest.approx(1.1)
    assert ratio(evaluation, 14, "rmsse") == pytest.approx(0.99)
    assert over_horizons(evaluation, "sba") == pytest.approx(0.9**0.2)
    evaluation.scores[7]["sba"]["rmsse"] = None
    assert isnan(ratio(evaluation, 7, "rmsse"))


def test_parts_and_later_days_are_told_without_a_bound() -> None:
    full, without = an_evaluation(), an_evaluation(rmsse=1.0)
    figures = [*ablation_figures(full, without), *later_figures(full)]
    assert all(figure.bound is None for figure in figures)
    values = {figure.what: figure.value for figure in figures}
    assert values["tsb alone: RMSSE (geometric mean) above the outlook's, %"] == pytest.approx(100 * (1 / 0.99 - 1))
    assert values["28 days: all but river: RMSSE above the outlook's, %"] == pytest.approx(100 * (1 / 0.99 - 1))


def test_the_ideal_forecaster_knows_its_truth() -> None:
    """What is drawn has the means and variances that are meant, and its windows lie evenly in their distributions."""
    items, days = 300, 200
    means = np.full((days, items), 0.4)
    means[:, :100] = 6.0
    means[:50, 200:] = np.nan  # new items, known from day 50 on
    dispersions = np.where(np.arange(items) % 2, 1.0, 3.0)
    drawn = draw(means, dispersions, 1)
    assert (drawn[:50, 200:] == 0.0).all()
    for part, mean in ((drawn[:, :100], 6.0), (drawn[50:, 200:], 0.4)):
        for first, dispersion in ((0, 3.0), (1, 1.0)):
            assert part[:, first::2].mean() == pytest.approx(mean, rel=0.1)
            assert part[:, first::2].var() / mean == pytest.approx(dispersion, rel=0.2)
    found = ideal(means, np.where(np.isnan(means), np.nan, drawn), 2)
    for horizon in HORIZONS:
        assert found[horizon].coverage_80 == pytest.approx(0.8, abs=0.01)
        assert found[horizon].windows == 200 * (days - horizon + 1) + 100 * (days - 50 - horizon + 1)
    # The fewer windows are independent of one another, the more an item's share is off by chance.
    shares = [found[horizon].items_within_5_points for horizon in HORIZONS]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85
    assert shares[-1] < 0.5


def test_dispersion_is_an_items_own() -> None:
    means = np.array([[np.nan, 2.0], [1.0, 2.0], [1.0, 2.0]])
    demand = np.array([[np.nan, 2.0], [4.0, 2.0], [0.0, 2.0]])
    assert dispersions_of(means, demand).tolist() == [5.0, 1.0]  # (9 + 1) / 2; less than Poisson's counts as Poisson's


@pytest.mark.parametrize("dispersion", [1.0, 2.5])
def test_a_windows_distribution_is_that_of_its_days_added_up(dispersion: float) -> None:
    counts = np.arange(80.0)
    each = [
        np.diff(at_most(np.arange(-1.0, 80.0), np.full(81, mean), np.full(81, dispersion))) for mean in (0.5, 2.0, 3.5)
    ]
    together = np.convolve(np.convolve(each[0], each[1])[:80], each[2])[:80]
    found = at_most(counts, np.full(80, 6.0), np.full(80, dispersion))
    np.testing.assert_allclose(found, np.cumsum(together), atol=1e-9)
    assert at_most(np.array([-1.0]), np.array([6.0]), np.array([dispersion])).tolist() == [0.0]


def an_origin(day: int, items: list[int], ours: list[float], naive: list[float]) -> Origin:
    means = np.zeros((2, len(HORIZONS), len(items)))
    means[0, 0], means[1, 0] = ours, naive
    quantiles = np.zeros((5, 2, len(HORIZONS), len(items)))
    quantiles[LOWER80, 0], quantiles[UPPER80, 0] = 1.0, 5.0
    return Origin(day, np.array(items), (OUTLOOK, "naive"), means, quantiles)


def test_days_are_kept_beside_what_was_forecast_of_them() -> None:
    seen = Seen()
    seen.write(an_origin(10, [0], [1.0], [7.0]), [])
    seen.write(an_origin(11, [0, 1], [2.0, 3.0], [8.0, 9.0]), [])
    seen.write(an_origin(12, [0, 1], [4.0, 5.0], [10.0, 11.0]), [])
    means, demand = seen.days()
    np.testing.assert_array_equal(means, [[1.0, np.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(demand, [[8.0, 9.0], [10.0, 11.0]])


def test_the_made_up_shops_distributions_are_those_that_it_draws_from() -> None:
    shop = synthetic.truth(3, items=4)
    one = synthetic.Truth(np.full(4000, 2.5), shop.weeks)
    sales = synthetic.sales_of(one, 4, days=8)
    assert set(sales["store_id"]) == set(range(synthetic.STORES))
    thursday = sales["moment"].min()
    assert thursday.isoformat() == "2026-01-01T12:00:00+00:00"
    of_store = sales[(sales["store_id"] == 2) & (sales["moment"] > thursday)]
    below = synthetic.distributions(2.5, shop.weeks[2])
    assert below.shape[:2] == (7, len(HORIZONS))
    for number, days in enumerate(HORIZONS[:3]):
        until = thursday + pd.Timedelta(days=days)
        drawn = of_store[of_store["moment"] <= until].groupby("product_category")["quantity"].sum()
        counts = np.bincount(drawn, minlength=60)
        counts[0] += 1000 - len(drawn)
        np.testing.assert_allclose(np.cumsum(counts)[:60] / 1000, below[3, number, : len(counts)][:60], atol=0.05)
    assert synthetic.quantile(np.array([0.05, 0.1, 0.5, 0.95, 1.0]), 0.1) == 1


def test_widths_are_compared_where_the_history_goes_on_to_the_end_of_the_horizon() -> None:
    shop = synthetic.Truth(np.full(4, 2.0), np.ones((4, 7)))
    intervals = synthetic.Intervals()
    for day in range(20, 24):
        intervals.write(an_origin(day, [0], [2.0], [2.0]), [("1", "article 0")])
    below = synthetic.distributions(2.0, np.ones(7))
    found = intervals.widths(shop)
    assert found[1].outlook == 4.0
    assert found[1].inside == pytest.approx(below[0, 0, 5] - below[0, 0, 0])
    lower, upper = (synthetic.quantile(below[0, 0], level) for level in (0.1, 0.9))
    assert found[1].true == upper - lower
    assert found[1].inside_true == pytest.approx(below[0, 0, upper] - (below[0, 0, lower - 1] if lower else 0.0))
    assert list(found) == [1, 3]  # no week was over


def calibrated(**changed: Any) -> Evaluation:
    row = {
        "coverage_80": 0.8,
        "by_volume": [0.8] * 5,
        "pit_deciles": [0.1] * 10,
        "items_within_5_points": 0.6,
        **changed,
    }
    evaluation = an_evaluation(interval_score_80=0.9, interval_score_95=0.9)
    return msgspec.structs.replace(evaluation, calibration=dict.fromkeys(HORIZONS, row))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"coverage_80": 0.779}, "inside 80%: points off"),
        ({"coverage_80": 0.821}, "inside 80%: points off"),
        ({"by_volume": [0.8, 0.8, 0.749, 0.8, 0.8]}, "five groups"),
        ({"by_volume": [0.8, 0.8, None, 0.8, 0.8]}, "five groups"),
        ({"pit_deciles": [0.079, 0.121, *[0.1] * 8]}, "decile"),
        ({"items_within_5_points": 0.549}, "items with 75 to 85%"),
    ],
)
def test_dishonest_distributions_miss_the_bound_of_that(changed: dict[str, Any], expected: str | None) -> None:
    ideals = dict.fromkeys(HORIZONS, Ideal(0.8, 0.65, 1000))
    found = missed(list(calibration_figures(calibrated(**changed), ideals)))
    if expected is None:
        assert found == []
    else:
        assert len(found) == len(HORIZONS)
        assert all(expected in what for what in found)


def test_intervals_that_cost_more_than_a_baselines_miss_their_bound() -> None:
    evaluation = msgspec.structs.replace(calibrated(), scores=an_evaluation(interval_score_80=1.01).scores)
    found = missed(list(calibration_figures(evaluation, dict.fromkeys(HORIZONS, Ideal(0.8, 0.65, 1000)))))
    assert len(found) == len(HORIZONS)
    assert all("interval score at 80%" in what for what in found)


def test_intervals_wider_than_the_true_ones_by_more_than_learning_takes_miss_their_bound() -> None:
    widths = {1: synthetic.Width(11.5, 10.0, 0.85, 0.82), 28: synthetic.Width(11.6, 10.0, 0.85, 0.82)}
    assert missed(list(width_figures(widths))) == ["made-up shop, 28 days: width of 80% / true width"]


@pytest.mark.parametrize(
    "module",
    [
        "consumer.outlook.columns",
        "benchmarks.demonstrations.outlook_real",
        "benchmarks.demonstrations.outlook_calibration",
    ],
)
def test_a_module_can_be_the_first_that_is_imported(module: str) -> None:
    """The learning core imports the outlook's, so these must not need that core's package in turn."""
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
