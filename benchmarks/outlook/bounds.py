"""What an evaluation of the outlook must show."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.figures import Figure
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.prequential import OUTLOOK
from consumer.outlook.columns import EXPERTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.outlook.ideal import Ideal
    from benchmarks.outlook.synthetic import Width
    from consumer.evaluate.result import Evaluation

MOST_WORSE: Final = 1.01
"""Of any horizon's error, over the best baseline's of that horizon."""
MOST_BIAS_PERCENT: Final = 2.0
LEAST_DEMAND: Final = 3.0
"""Units over a horizon from which on an error of the median is judged: of less the best median is mostly 0."""
MOST_OFF: Final = 2.0
"""Points that a share of outcomes may be off: of 80% inside, and of 10% in each decile."""
MOST_OFF_OF_A_FIFTH: Final = 5.0
MOST_BELOW_IDEAL: Final = 10.0
"""Points of the share of items whose own coverage is near 80%."""
MOST_WIDTH: Final = 1.15
"""Times the true interval's: what someone must add who has to learn the truth."""
_NAN: Final = float("nan")


def error_figures(evaluation: Evaluation) -> Iterator[Figure]:
    """Return errors of mean and median beside the best baseline's, and the bias, each with its bound."""
    for horizon in evaluation.scores:
        yield Figure(f"{days(horizon)}: RMSSE / best baseline's", ratio(evaluation, horizon, "rmsse"), "<=", MOST_WORSE)
    least = float(np.min([over_horizons(evaluation, name) for name in BASELINES]))
    yield Figure(
        "all horizons: RMSSE (geometric mean) / that of the best single baseline",
        over_horizons(evaluation, OUTLOOK) / least,
        "<=",
        1.0,
    )
    for horizon, rows in evaluation.scores.items():
        if (rows[OUTLOOK]["mean_demand"] or 0.0) >= LEAST_DEMAND:
            value = ratio(evaluation, horizon, "wape")
            yield Figure(f"{days(horizon)}: WAPE / best baseline's", value, "<=", MOST_WORSE)
    for horizon in evaluation.scores:
        yield Figure(
            f"{days(horizon)}: WAPE / best baseline's, items with demand of 3 and more",
            ratio(evaluation, horizon, "wape_busy"),
            "<=",
            MOST_WORSE,
        )
    for horizon in evaluation.scores:
        bias = 100 * abs(score(evaluation, horizon, OUTLOOK, "bias"))
        yield Figure(f"{days(horizon)}: bias either way, % of demand", bias, "<=", MOST_BIAS_PERCENT)


def ablation_figures(full: Evaluation, without_river: Evaluation) -> Iterator[Figure]:
    """Return by how much more each expert alone errs than the whole, and the whole without River.

    Args:
        full: evaluated with the experts' own scores.
        without_river: evaluated without that expert.
    """
    whole = over_horizons(full, OUTLOOK)
    for name in EXPERTS:
        alone = over_horizons(full, f"only {name}")
        yield Figure(f"{name} alone: RMSSE (geometric mean) above the outlook's, %", 100 * (alone / whole - 1))
    others = over_horizons(without_river, OUTLOOK)
    yield Figure("all but river: RMSSE (geometric mean) above the outlook's, %", 100 * (others / whole - 1))
    for horizon in full.scores:
        others, whole = (score(each, horizon, OUTLOOK, "rmsse") for each in (without_river, full))
        yield Figure(f"{days(horizon)}: all but river: RMSSE above the outlook's, %", 100 * (others / whole - 1))


def later_figures(later: Evaluation) -> Iterator[Figure]:
    """Return errors on days that no setting was chosen on, beside the best baseline's of these days."""
    for horizon in later.scores:
        yield Figure(
            f"second half of the year alone, {days(horizon)}: RMSSE / best baseline's",
            ratio(later, horizon, "rmsse"),
        )


def calibration_figures(evaluation: Evaluation, ideals: Mapping[int, Ideal]) -> Iterator[Figure]:
    """Return how honest the distributions are, by randomised PIT, and what the intervals cost, each with its bound.

    Args:
        evaluation: of the outlook.
        ideals: what the ideal forecaster gets on the same items and days.
    """
    for horizon, row in evaluation.calibration.items():
        name = days(horizon)
        yield Figure(f"{name}: inside 80%: points off", 100 * abs(row["coverage_80"] - 0.8), "<=", MOST_OFF)
        fifths = [_NAN if share is None else 100 * abs(share - 0.8) for share in row["by_volume"]]
        yield Figure(
            f"{name}: likewise, worst of five groups by volume", float(np.max(fifths)), "<=", MOST_OFF_OF_A_FIFTH
        )
        deciles = [100 * abs(share - 0.1) for share in row["pit_deciles"]]
        yield Figure(f"{name}: worst decile of the PIT: points off 10%", float(np.max(deciles)), "<=", MOST_OFF)
        yield Figure(
            f"{name}: items with 75 to 85% inside, %; ideal {100 * ideals[horizon].items_within_5_points:.1f}",
            100 * row["items_within_5_points"],
            ">=",
            100 * ideals[horizon].items_within_5_points - MOST_BELOW_IDEAL,
        )
    for percent in (80, 95):
        for horizon in evaluation.scores:
            value = ratio(evaluation, horizon, f"interval_score_{percent}")
            yield Figure(f"{days(horizon)}: interval score at {percent}% / best baseline's", value, "<=", 1.0)


def width_figures(widths: Mapping[int, Width]) -> Iterator[Figure]:
    """Return how wide the intervals are where the true ones are known, and by the truth how much is inside."""
    for horizon, width in widths.items():
        name = f"made-up shop, {days(horizon)}"
        yield Figure(f"{name}: width of 80% / true width", width.outlook / width.true, "<=", MOST_WIDTH)
    for horizon, width in widths.items():
        yield Figure(
            f"made-up shop, {days(horizon)}: true probability inside, %; of the true one {100 * width.inside_true:.1f}",
            100 * width.inside,
        )


def score(evaluation: Evaluation, horizon: int, method: str, metric: str) -> float:
    """Return a score; not a number, which meets no bound, where there is none."""
    value = evaluation.scores[horizon][method][metric]
    return _NAN if value is None else float(value)


def ratio(evaluation: Evaluation, horizon: int, metric: str) -> float:
    """Return the outlook's score over the least of the baselines'."""
    best = float(np.min([score(evaluation, horizon, name, metric) for name in BASELINES]))
    return score(evaluation, horizon, OUTLOOK, metric) / best


def over_horizons(evaluation: Evaluation, method: str) -> float:
    """Return the geometric mean of a method's RMSSE over the horizons."""
    values = [score(evaluation, horizon, method, "rmsse") for horizon in evaluation.scores]
    return exp(sum(map(log, values)) / len(values))


def days(horizon: int) -> str:
    """Name a horizon."""
    return "1 day" if horizon == 1 else f"{horizon} days"
