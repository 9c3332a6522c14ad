"""What is measured of the outlook: the history it is given, its parts taken away, the bounds."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from benchmarks.outlook import retail
from benchmarks.outlook.ablation import Without, without_river
from benchmarks.outlook.bounds import ablation_figures, error_figures, later_figures, over_horizons, ratio
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.history import History
from consumer.evaluate.result import Evaluation
from consumer.evaluate.run import OUTLOOK, evaluate
from consumer.outlook.columns import EXPERTS
from consumer.outlook.horizons import HORIZONS
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
