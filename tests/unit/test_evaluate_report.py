"""The report says what the numbers say, shows all of them, and holds nothing that the data could have put into it."""

from __future__ import annotations

import math
import random
import re
import sys
from datetime import date, timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import msgspec
import pytest

import consumer.evaluate
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.errors import MissingExtraError
from consumer.evaluate.report import render
from consumer.evaluate.report_table import meaning
from consumer.evaluate.report_verdict import comparisons, overall, verdict
from consumer.evaluate.result import Evaluation, Example
from consumer.evaluate.scoring import Scores
from consumer.outlook.columns import EXPERTS
from consumer.outlook.horizons import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.evaluate.result import Row

VARIANT = "only tsb"
METHODS = ("outlook", *BASELINES, VARIANT)
METRICS = tuple(Scores(("outlook",)).table()[1]["outlook"])
DAYS = 300
FIRST = date(2025, 3, 1)
ERRORS = {
    "outlook": 0.715,
    "naive": 1.0,
    "seasonal_naive": 0.93,
    "mean_28": 0.742,
    "ses_0.02": 0.748,
    "ses_0.05": 0.736,
}
"""RMSSE a day ahead, made up."""
HOSTILE = "<script>alert('x')</script>&\"$a$"


def made_up(**changed: Any) -> Evaluation:
    """An evaluation as a year of a shop could have it."""
    chance = random.Random(5)
    periods = [(FIRST + timedelta(days=56 + 14 * number)).isoformat() for number in range(17)]
    scores = {horizon: {each: a_row(chance, horizon, each) for each in METHODS} for horizon in HORIZONS}
    found = Evaluation(
        file="sales_2025.csv",
        rows=412_345,
        refused={"quantity is not a number": 112, "the day is missing": 9},
        repeats=31,
        items=1_520,
        items_with_demand=1_481,
        items_without_level=37,
        first_day=FIRST.isoformat(),
        last_day=(FIRST + timedelta(days=DAYS - 1)).isoformat(),
        warm_up_days=56,
        origins=DAYS - 57,
        seconds=48.31,
        versions={"smart-inventory": "0.1.0", "numpy": "2.4.6", "river": "0.26.0"},
        methods=list(METHODS),
        scores=scores,
        calibration={
            horizon: {
                "coverage_80": 0.8 + chance.uniform(-0.01, 0.01),
                "by_volume": [0.8 + chance.uniform(-0.04, 0.04) - 0.004 * horizon / 7 for _ in range(5)],
                "pit_deciles": a_share(chance, 10, 0.02 + 0.003 * number),
                "items_within_5_points": 0.72 - 0.08 * number,
            }
            for number, horizon in enumerate(HORIZONS)
        },
        periods=periods,
        over_time={
            horizon: {
                each: [
                    None
                    if horizon == 28 and number > 14
                    else (rows[each]["rmsse"] or 0.0) * (1 + 0.06 * math.sin(number / 2) + chance.gauss(0, 0.012))
                    for number in range(len(periods))
                ]
                for each in METHODS
            }
            for horizon, rows in scores.items()
        },
        experts=list(EXPERTS),
        weights={horizon: some_weights(chance, len(periods)) for horizon in HORIZONS},
        examples=[
            an_example(chance, volume, mean)
            for volume, mean in (("low", 0.15), ("middle", 0.9), ("high", 4.0), ("highest", 16.0))
        ],
    )
    return msgspec.structs.replace(found, **changed)


def a_row(chance: random.Random, horizon: int, method: str) -> Row:
    worse = ERRORS.get(method, 0.755) / ERRORS["outlook"]
    scale = math.sqrt(horizon)
    row: Row = dict.fromkeys(METRICS)
    for metric in METRICS:
        if metric.startswith(("pinball", "width", "interval_score")):
            row[metric] = scale * worse * chance.uniform(0.3, 1.2)
        elif metric.startswith("coverage"):
            row[metric] = int(metric[-2:]) / 100 + chance.uniform(-0.03, 0.03)
    rmsse = (
        1.0
        if method == "naive"
        else (ERRORS["outlook"] + 0.02 * math.log(horizon)) * worse * chance.uniform(0.99, 1.01)
    )
    return {
        **row,
        "rmsse": rmsse,
        "bias": chance.uniform(-0.02, 0.02),
        "wape": 0.8 * worse / scale,
        "wape_busy": 0.4 * worse / scale,
        "mean_demand": 0.71 * horizon,
        "forecasts": 340_000 - 1_000 * horizon,
        "items": 1_480,
        "items_without_scale": 1,
    }


def a_share(chance: random.Random, parts: int, spread: float) -> list[float]:
    sizes = [0.1 + chance.uniform(-spread, spread) for _ in range(parts)]
    return [size / sum(sizes) for size in sizes]


def some_weights(chance: random.Random, periods: int) -> dict[str, list[float]]:
    rows = []
    sizes = [1.0] * len(EXPERTS)
    for _ in range(periods):
        sizes = [max(0.05, size * math.exp(chance.gauss(0.02 * (2 - place), 0.25))) for place, size in enumerate(sizes)]
        rows.append([size / sum(sizes) for size in sizes])
    return {each: [row[place] for row in rows] for place, each in enumerate(EXPERTS)}


def an_example(chance: random.Random, volume: str, daily: float, days: int = DAYS, **changed: Any) -> Example:
    rates = [daily * (1 + 0.25 * math.sin(day / 40)) for day in range(days + 7)]
    demand = [sum(chance.random() < rate / 25 for _ in range(25)) for rate in rates]
    mean = [sum(rates[day : day + 7]) * (1 + 0.05 * math.sin(day / 9)) for day in range(days)]
    found = Example(
        store_id="store-12",
        sku=f"sku-{volume}",
        volume=volume,
        horizon=7,
        days=[(FIRST + timedelta(days=day)).isoformat() for day in range(days)],
        actual=[None if day >= days - 7 else float(sum(demand[day : day + 7])) for day in range(days)],
        mean=mean,
        lower80=[max(0.0, each - 1.4 * math.sqrt(each)) for each in mean],
        upper80=[each + 1.5 * math.sqrt(each) for each in mean],
        lower95=[max(0.0, each - 2.1 * math.sqrt(each)) for each in mean],
        upper95=[each + 2.4 * math.sqrt(each) for each in mean],
    )
    return msgspec.structs.replace(found, **changed)


def with_errors(ours: Mapping[int, float | None], theirs: float = 0.8) -> Evaluation:
    """All baselines but naive have `theirs`, naive 1, and the variant less than anything."""
    scores: dict[int, dict[str, Row]] = {
        horizon: {
            each: {"rmsse": error if each == "outlook" else {"naive": 1.0, VARIANT: 0.1}.get(each, theirs)}
            for each in METHODS
        }
        for horizon, error in ours.items()
    }
    return made_up(scores=scores)


@pytest.fixture(scope="module")
def page() -> str:
    return render(made_up())


# What it says


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (
            {1: 0.76, 7: 0.72, 28: 0.6},
            (
                "At each horizon (1, 7 and 28 days) the outlook's error is lower than that of the best baseline "
                "(by 5.0% to 25.0%)."
            ),
        ),
        (
            {1: 0.84, 7: 0.88},
            (
                "At no horizon (1 and 7 days) is the outlook's error lower than that of the best baseline: it is "
                "higher at 1 and 7 days (by 5.0% to 10.0%)."
            ),
        ),
        (
            {1: 0.88, 3: 0.8, 7: 0.7999, 14: 0.72},
            (
                "The outlook's error is lower than that of the best baseline at 7 and 14 days (by less than 0.1% to "
                "10.0%), the same at 3 days and higher at 1 day (by 10.0%)."
            ),
        ),
        (
            {1: 0.72, 28: None},
            (
                "At the only horizon that could be scored (1 day) the outlook's error is lower than that of the best "
                "baseline (by 10.0%). At 28 days there is nothing to compare yet."
            ),
        ),
        (
            {1: 0.8},
            (
                "At no horizon (1 day) is the outlook's error lower than that of the best baseline: it is the same "
                "at 1 day."
            ),
        ),
        ({1: None}, "There is nothing to compare: the history is too short for a forecast to be scored."),
    ],
    ids=["won", "lost", "mixed", "won where it could be", "a draw", "nothing"],
)
def test_the_verdict_is_true(ours: dict[int, float | None], expected: str) -> None:
    """It counts a horizon as won only against the best baseline of that horizon; a variant of ours is no baseline."""
    assert verdict(with_errors(ours)) == expected


def test_only_a_win_at_each_horizon_looks_like_one() -> None:
    """The mark beside the verdict is that of a win for no other."""
    marks = [
        'class="verdict won"' in render(with_errors(ours)) for ours in ({1: 0.7, 7: 0.7}, {1: 0.7, 7: 0.9}, {1: None})
    ]
    assert marks == [True, False, False]


def test_a_baseline_that_lacks_a_horizon_has_no_mean_over_them() -> None:
    """Else the mean of a baseline that was spared the hard horizons would be the best."""
    found = with_errors({1: 0.7, 7: 0.9})
    found.scores[7]["tsb"]["rmsse"] = None
    found.scores[1]["tsb"]["rmsse"] = 0.5
    assert [each.best for each in comparisons(found)] == ["tsb", "seasonal_naive"]
    assert "tsb" not in overall(found)
    assert overall(found)["outlook"] == pytest.approx(math.sqrt(0.7 * 0.9))


def test_the_best_of_a_column_is_bold() -> None:
    """The least error, the bias nearest to 0, the coverage nearest to what it should be; a width has no best."""
    rows: dict[str, Row] = {
        "outlook": {"rmsse": 0.7, "bias": 0.01, "coverage_80": 0.83, "width_80": 2.0, "items": 10},
        "naive": {"rmsse": 1.0, "bias": -0.02, "coverage_80": 0.79, "width_80": 3.0, "items": 10},
        "tsb": {"rmsse": None, "bias": math.nan, "coverage_80": None, "width_80": None, "items": 10},
    }
    shown = render(made_up(methods=list(rows), scores={1: rows}, over_time={}, examples=[], weights={}, calibration={}))
    assert re.findall(r"<td><b>(.*?)</b></td>", shown) == ["0.700", "+1.0%", "79.0%"]
    assert "nan%" not in shown


def test_over_time_the_outlook_is_held_against_what_is_best_over_time() -> None:
    """All items together, another baseline may be best than item by item; to beat the latter may be no feat."""
    found = made_up()
    over_time = {
        7: {each: [0.9, 0.9] for each in METHODS} | {"outlook": [0.8, 0.7], "tsb": [0.75, 0.75], VARIANT: [0.1, 0.1]}
    }
    shown = render(made_up(over_time=over_time, periods=found.periods[:2], weights={}, examples=[], calibration={}))
    assert "7 days: outlook lower than tsb in 1 of 2 periods" in shown


def test_a_bound_beyond_the_axis_is_told() -> None:
    """One wild bound does not flatten an item's picture, nor is it passed over in silence."""
    usual = an_example(random.Random(3), "low", 0.2, days=40)
    wild = msgspec.structs.replace(usual, upper95=[*usual.upper95[:-1], 620.0])
    shown = [render(made_up(examples=[each], weights={}, over_time={}, calibration={})) for each in (usual, wild)]
    assert [re.findall(r"95% interval up to (\d+)", each) for each in shown] == [[], ["620"]]


# What it shows


def test_every_method_and_metric_is_shown_and_explained(page: str) -> None:
    """A table each horizon has all methods in rows, all metrics in columns or above them, and says what each is."""
    tables = re.findall(r"<table>.*?</table>", page)
    assert len(tables) == len(HORIZONS)
    for table in tables:
        columns = [each.replace("<wbr>", "") for each in re.findall(r'<th scope="col">(.*?)</th>', table)]
        above = re.findall(r"(\w+) [\d.,]+(?=,|<)", table.partition("</caption>")[0])
        assert sorted([*columns, *above]) == sorted(["method", *METRICS])
        assert tuple(re.findall(r'<th scope="row">(.*?)</th>', table)) == METHODS
        assert table.count("<td>") == len(METHODS) * (len(columns) - 1)
    assert [each for each in METRICS if not meaning(each)] == []
    assert [each for each in (*METHODS, *METRICS) if f"<dt>{each}</dt><dd>" not in page] == []


def test_what_was_read_and_refused_is_told(page: str) -> None:
    """A reader sees what the scores are not about."""
    for text in ("sales_2025.csv", "412,345", "quantity is not a number: 112", "1,520 pairs", "2025-03-01", "56 days"):
        assert text in page


def test_ids_are_unique_and_references_lead_to_them(page: str) -> None:
    """Two figures whose ids clash would be clipped and marked with each other's shapes."""
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', page)) <= set(ids)
    assert page.count("<svg") == 1 + 4 + 5 + 1 + 2 + 5


def test_the_same_evaluation_gives_the_same_bytes(page: str) -> None:
    """Whatever matplotlib is told elsewhere; and without a date in it."""
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.grid": True}):
        assert render(made_up()) == page


def test_it_is_small_and_needs_nothing_else(page: str) -> None:
    """It can be mailed, and opens without a network."""
    assert len(page.encode()) < 3_000_000
    assert set(re.findall(r"https?://[^\s\"'<]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"<(script|link|img|iframe|object)\b|@import|\ssrc=", page)


# What comes from the data


def test_names_from_the_data_stay_text() -> None:
    """In the page and in its figures: no tag of theirs is one, and they can be read as they are."""
    chance = random.Random(1)
    found = made_up()
    scores = {horizon: {**rows, HOSTILE: rows[VARIANT]} for horizon, rows in found.scores.items()}
    shown = render(
        made_up(
            file=HOSTILE,
            refused={HOSTILE: 3},
            versions={HOSTILE: HOSTILE},
            methods=[*METHODS, HOSTILE],
            scores=scores,
            examples=[an_example(chance, HOSTILE, 1.0, 40, store_id=HOSTILE, sku=HOSTILE)],
            experts=[HOSTILE],
            weights={7: {HOSTILE: [1.0] * len(found.periods)}},
        )
    )
    assert "<script" not in shown
    figures = re.sub(r"<!--.*?-->", "", "".join(re.findall(r"<svg.*?</svg>", shown, flags=re.DOTALL)), flags=re.DOTALL)
    assert HOSTILE in unescape(figures)
    text = unescape(shown)
    for place in (
        f"Demand forecasts on {HOSTILE}",
        f"{HOSTILE}: 3",
        f"store {HOSTILE}, sku {HOSTILE}",
        f"{HOSTILE} volume",
    ):
        assert place in text


def test_a_file_name_that_is_no_utf8_can_be_written() -> None:
    """Python hands over such a name's bytes as lone surrogates, which no file takes."""
    assert (
        "sales-?.csv"
        in render(made_up(file="sales-\udcff.csv", examples=[], weights={}, over_time={})).encode().decode()
    )


# What there may be little of


@pytest.mark.filterwarnings("error")  # matplotlib's, of an axis from a day to itself
def test_a_short_history_has_a_report() -> None:
    """No horizon but the first was scored, in one period; an item has one day; the rest is said to be missing."""
    nothing = Scores(METHODS).table()
    scored = made_up().scores[1]
    first = made_up().calibration[1]
    shown = render(
        made_up(
            scores={**nothing, 1: scored},
            calibration={1: {**first, "by_volume": [0.8, None, None, None, None]}},
            periods=["2025-03-29"],
            over_time={horizon: {each: [0.8 if horizon == 7 else None] for each in METHODS} for horizon in HORIZONS},
            weights={7: {each: [0.2] for each in EXPERTS}},
            examples=[an_example(random.Random(2), "low", 0.2, days=1)],
        )
    )
    assert "At 3, 7, 14 and 28 days there is nothing to compare yet." in shown
    assert len(re.findall(r"<svg", shown)) == 1 + 1 + 1 + 1 + 1 + 1
    assert "nan" not in re.sub(r"seasonal_(<wbr>)?naive|naive", "", shown.split("<svg", maxsplit=1)[0])


def test_nothing_scored_has_a_report() -> None:
    """Each section says that the history is too short for it."""
    shown = render(
        made_up(
            scores=Scores(METHODS).table(),
            calibration={},
            periods=[],
            over_time={},
            weights={},
            examples=[],
            refused={},
        )
    )
    assert "There is nothing to compare" in shown
    assert shown.count("The history is too short for this.") == 4
    assert "There are no examples." in shown
    assert "<svg" not in shown


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of a worker; who evaluates is told what to install."""
    for name in ("report_sections", "report_plots", "report_svg"):
        monkeypatch.delitem(sys.modules, f"consumer.evaluate.{name}", raising=False)
        monkeypatch.delattr(consumer.evaluate, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'matplotlib.*pip install "smart-inventory\[evaluate\]"'):
        render(made_up())
