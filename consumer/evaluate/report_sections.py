"""The report's sections that show figures: what each shows, what to look for in it, and what came out, in words."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from consumer.evaluate import report_plots as plots
from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.report_page import BAND_80, BAND_95, BLUE, INK, figure, grid, legend, section, told, wide
from consumer.evaluate.report_table import span
from consumer.evaluate.report_verdict import OURS, error, horizons, overall, ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.evaluate.result import Evaluation

_OVER_TIME: Final = (7, 28)
_RIVALS: Final = 3
_PIT_TOP: Final = 16.0
"""Percent, where no bar is higher: even bars look even."""
_TOO_SHORT: Final = "The history is too short for this."
_EXPERTS: Final = {
    "level": "an average of past days, older ones counting less",
    "slow": "the same, slower to forget",
    "fast": "quicker to forget",
    "tsb": "for demand on few days",
    "river": "level, corrected by an online model of River's",
}


def errors(evaluation: Evaluation) -> str:
    """Return the section on errors by horizon."""
    title = "Error by horizon"
    means = overall(evaluation)
    order = [*means, *(each for each in evaluation.methods if each not in means)]
    if not any(error(evaluation, horizon, each) is not None for horizon in evaluation.scores for each in order):
        return section(title, _TOO_SHORT)
    hollow = " Hollow: variants of the outlook." if set(order) - {OURS} - set(_baselines(evaluation)) else ""
    return section(
        title,
        "A row for each method, the one with the least error overall on top. What stands right of the dashed line has "
        f"a larger error than the outlook (blue); an arrow is beyond the axis.{hollow}",
        figure(wide(plots.errors(evaluation, order))),
    )


def examples(evaluation: Evaluation) -> str:
    """Return the section on single items."""
    title = "Forecasts and what came"
    found = [each for each in evaluation.examples if each.days]
    if not found:
        return section(title, "There are no examples.")
    key = [("forecast (mean)", BLUE, 3), ("80% interval", BAND_80, 12), ("95% interval", BAND_95, 12)]
    return section(
        title,
        "Some items, from low to high volume. An honest 80% interval holds the demand that came (black) on about 80 "
        "days of 100.",
        legend([("actual demand", INK, 2), *key]),
        grid(
            480,
            (
                figure(plots.example(number, each), f"{each.volume} volume: store {each.store_id}, sku {each.sku}")
                for number, each in enumerate(found)
            ),
        ),
    )


def calibration(evaluation: Evaluation) -> str:
    """Return the section on whether intervals mean what they say."""
    title = "Are the intervals honest?"
    found = dict(sorted(evaluation.calibration.items()))
    if not found:
        return section(title, _TOO_SHORT)
    bars = [share for each in found.values() for share in each["pit_deciles"]]
    groups = [value for each in found.values() for value in each["by_volume"] if value is not None]
    close = [each["items_within_5_points"] for each in found.values()]
    top = max(_PIT_TOP, 100 * max(bars) + 1)
    shape = (
        "Were each distribution right, each tenth of it would hold 10% of the outcomes. "
        f"{_within(bars, plots.PIT_BAND)} bars are between 8% and 12% (dashed); others are orange and hatched. High at "
        "both ends: intervals too narrow; high in the middle: too wide; high on one side: forecasts too low (right) or "
        "too high (left)."
    )
    volumes = (
        f"{_within(groups, plots.COVERAGE_BAND)} groups are between 75% and 85% (grey). Items whose own coverage is "
        f"within 5 points of 80%: {span('coverage_80', close)} of all, by horizon."
    )
    by_volume = {days: each["by_volume"] for days, each in found.items()}
    return section(
        title,
        "An interval at 80% should hold the demand that comes in 80% of cases, no less and no more.",
        "<h3>Where outcomes fall in their forecast distributions</h3>",
        told(shape),
        grid(
            330, (figure(plots.pit(days, each["pit_deciles"], top), horizons([days])) for days, each in found.items())
        ),
        "<h3>Coverage of the 80% interval by volume</h3>",
        told(volumes),
        *([figure(wide(plots.coverage(by_volume)))] if groups else []),
    )


def over_time(evaluation: Evaluation) -> str:
    """Return the section on errors over time."""
    title = "Error over time"
    figures = []
    for days in _OVER_TIME:
        found = evaluation.over_time.get(days, {})
        if not any(value is not None for value in found.get(OURS, [])):
            continue
        rivals = _best_over_time(found)
        caption = f"{horizons([days])}{_lower_in(found[OURS], found[rivals[0]], rivals[0]) if rivals else ''}"
        figures.append(figure(plots.over_time(evaluation, days, rivals), caption))
    if not figures:
        return section(title, _TOO_SHORT)
    return section(
        title,
        f"The outlook and the three baselines that are best here{_each_period(evaluation)}. Errors of all items are "
        "added up before they are divided by the naive forecast's, so that items of high volume count most; above, "
        "each item counts alike, and the best may be others. Lower is better.",
        grid(480, figures),
    )


def weights(evaluation: Evaluation) -> str:
    """Return the section on the experts' weights."""
    title = "What the outlook is made of"
    if not evaluation.periods or not evaluation.weights:
        return section(title, _TOO_SHORT)
    colours = [plots.EXPERTS[number % len(plots.EXPERTS)] for number in range(len(evaluation.experts))]
    return section(
        title,
        "The outlook mixes experts, and learns for each horizon how much each is to count.",
        legend((_expert(each), colour, 12) for each, colour in zip(evaluation.experts, colours, strict=True)),
        grid(330, (figure(plots.weights(evaluation, days), horizons([days])) for days in sorted(evaluation.weights))),
    )


def _expert(name: str) -> str:
    return f"{name}: {_EXPERTS[name]}" if name in _EXPERTS else name


def _baselines(evaluation: Evaluation) -> list[str]:
    return [each for horizon in evaluation.scores for each in ranked(evaluation, horizon)]


def _best_over_time(found: dict[str, list[float | None]]) -> list[str]:
    """Return the baselines that the figure itself shows to be best: by another measure it might be an easy one."""
    means = {}
    for each in BASELINES:
        known = [value for value in found.get(each, []) if value is not None]
        if known:
            means[each] = sum(known) / len(known)
    return sorted(means, key=means.__getitem__)[:_RIVALS]


def _within(values: Sequence[float], band: tuple[float, float]) -> str:
    return f"{sum(band[0] <= value <= band[1] for value in values)} of {len(values)}"


def _lower_in(ours: Sequence[float | None], theirs: Sequence[float | None], best: str) -> str:
    both = [(one, other) for one, other in zip(ours, theirs, strict=True) if one is not None and other is not None]
    return f": outlook lower than {best} in {sum(one < other for one, other in both)} of {len(both)} periods"


def _each_period(evaluation: Evaluation) -> str:
    if len(evaluation.periods) < 2:  # noqa: PLR2004 -- one period has no next one
        return ""
    first, second = (date.fromisoformat(day) for day in evaluation.periods[:2])
    return f", a point for each {(second - first).days} days"
