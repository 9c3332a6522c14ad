"""What an evaluation of the outlook must show."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.figures import Figure
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.run import OUTLOOK
from consumer.outlook.columns import EXPERTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.evaluate.result import Evaluation

MOST_WORSE: Final = 1.01
"""Of any horizon's error, over the best baseline's of that horizon."""
MOST_BIAS_PERCENT: Final = 2.0
LEAST_DEMAND: Final = 3.0
"""Units over a horizon from which on an error of the median is judged: of less the best median is mostly 0."""
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
