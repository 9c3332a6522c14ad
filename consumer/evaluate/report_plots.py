"""The report's figures. Needs matplotlib, as does `report_svg`, which the rest of the report does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.report_page import BAND_80, BAND_95, BLUE, GREY, INK, ORANGE
from consumer.evaluate.report_svg import date_axis, ordinals, picture, plain, widened
from consumer.evaluate.report_verdict import OURS, error, horizons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from consumer.evaluate.result import Evaluation, Example

# By Okabe and Ito, told apart under every kind of colour blindness; dashes and markers tell them apart without any.
EXPERTS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#D55E00", "#444444")
PIT_BAND: Final = (0.08, 0.12)
COVERAGE_BAND: Final = (0.75, 0.85)
_RIVALS: Final = ((ORANGE, "--", "D"), ("#009E73", "-.", "s"), ("#444444", ":", "^"))
_MARKERS: Final = "osD^vPX"
_FARTHEST: Final = 1.8
"""Multiple of our error to which the axis goes; without an end, one bad method would press all others together."""
_HIGHEST: Final = 1.5
"""Multiple of an item's highest demand, forecast or 80% bound to which its axis goes, for the same reason."""
_WHOLE: Final = 11.9
"""Inches across the page."""
_HALF: Final = 5.3
"""Of what stands beside another: less than half the page, which it is scaled to, so that a phone need not shrink it."""
_THIRD: Final = 3.8
"""Of what stands beside two others."""


def errors(evaluation: Evaluation, order: Sequence[str]) -> str:
    """Draw each method's RMSSE at each horizon: rows of dots, so that what is right of ours is worse.

    Args:
        evaluation: has an RMSSE at some horizon.
        order: of the methods, from top to bottom.
    """
    rows = {days: [error(evaluation, days, one) for one in order] for days in sorted(evaluation.scores)}
    rows = {days: values for days, values in rows.items() if any(value is not None for value in values)}
    with picture("errors", "RMSSE of each method by horizon", _WHOLE, 1.1 + 0.25 * len(order)) as drawn:
        panels = drawn.figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
        for axes, (days, values) in zip(panels, rows.items(), strict=True):
            _dots(axes, values, order)
            axes.set_title(horizons([days]))
        panels[0].set_ylim(len(order) - 0.5, -0.5)
        panels[0].set_yticks(range(len(order)), order)
        for label, one in zip(panels[0].get_yticklabels(), order, strict=True):
            if one == OURS:
                label.set(color=BLUE, fontweight="bold")
        drawn.figure.supxlabel("RMSSE: error in units of the naive forecast's. Lower is better.", fontsize=9)
    return drawn.svg


def _dots(axes: Axes, values: Sequence[float | None], order: Sequence[str]) -> None:
    known = [value for value in values if value is not None]
    ours = dict(zip(order, values, strict=True)).get(OURS) or min(known)
    low, high = min(known), max(min(max(known), _FARTHEST * ours), min(known))
    room = (high - low) or 0.1
    axes.set_xlim(low - 0.12 * room, high + 0.45 * room)  # the last dot's number needs room
    axes.locator_params(axis="x", nbins=4)  # else the last tick's label runs into the next panel's first
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    for place, (value, one) in enumerate(zip(values, order, strict=True)):
        if value is None:
            continue
        is_ours, is_baseline = one == OURS, one in BASELINES
        if is_ours:
            axes.axvline(value, color=BLUE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        colour = BLUE if is_ours or not is_baseline else GREY
        axes.plot(
            [min(value, high)],
            [place],
            color=colour,
            marker="o" if value <= high else ">",  # beyond the axis
            markersize=9 if is_ours else 6,
            markerfacecolor=colour if is_ours or is_baseline else "white",  # a variant of ours: hollow
            zorder=3,
        )
        axes.annotate(
            f"{value:.3f}",
            (min(value, high), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour if is_ours else INK,
            fontweight="bold" if is_ours else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def example(number: int, found: Example) -> str:
    """Draw an item's forecasts and intervals, and what came."""
    with picture(f"example{number}", "Forecast, intervals and actual demand of one item", _HALF, 2.5) as drawn:
        axes = drawn.axes()
        days, *rows = widened(
            ordinals(found.days),
            *(found.lower95, found.upper95, found.lower80, found.upper80, found.mean, plain(found.actual)),
        )
        axes.fill_between(days, rows[0], rows[1], color=BAND_95, linewidth=0)
        axes.fill_between(days, rows[2], rows[3], color=BAND_80, linewidth=0)
        axes.plot(days, rows[5], color=INK, linewidth=1)
        axes.plot(days, rows[4], color=BLUE, linewidth=2)
        reached, top = max(found.upper95), _HIGHEST * max(0.5, *found.upper80, *found.mean, *_known(found.actual))
        axes.set_ylim(0, top if reached > top else None)
        if reached > top:
            axes.set_title(f"95% interval up to {reached:,.0f}, beyond the axis", fontsize=8, loc="right")
        axes.set_ylabel(f"units over the next {horizons([found.horizon]).removeprefix('1 ')}")
        axes.set_xlabel("day at whose end the forecast was made")
        date_axis(axes, days, 6)
    return drawn.svg


def pit(horizon: int, deciles: Sequence[float], top: float) -> str:
    """Draw how often what came fell into each tenth of its forecast distribution; `top` is in percent."""
    heights = [100 * share for share in deciles]
    with picture(f"pit{horizon}", f"PIT histogram at {horizons([horizon])}", _THIRD, 2.2) as drawn:
        axes = drawn.axes()
        axes.axhspan(*(100 * edge for edge in PIT_BAND), color="#DADADA", linewidth=0, zorder=0)
        width = 100 / len(heights)
        centres = [width * (place + 0.5) for place in range(len(heights))]
        is_off = [not PIT_BAND[0] <= share <= PIT_BAND[1] for share in deciles]
        axes.bar(
            centres,
            heights,
            width=0.86 * width,
            color=[ORANGE if off else BLUE for off in is_off],
            hatch=["///" if off else "" for off in is_off],
            edgecolor="white",
            linewidth=0,
        )
        for edge in PIT_BAND:
            axes.axhline(100 * edge, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, top)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("place in the forecast distribution, %")
        axes.set_ylabel("share of outcomes, %")
    return drawn.svg


def coverage(by_volume: dict[int, Sequence[float | None]]) -> str:
    """Draw how much of what came lies in the 80% interval, by groups of items and horizon."""
    values = [100 * value for row in by_volume.values() for value in row if value is not None]
    groups = max(len(row) for row in by_volume.values())
    with picture("coverage", "Coverage at 80% by volume and horizon", _WHOLE, 3.1) as drawn:
        axes = drawn.axes()
        axes.axhspan(*(100 * edge for edge in COVERAGE_BAND), color="#E4E4E4", linewidth=0, zorder=0)
        axes.axhline(80, color=INK, linewidth=0.8, linestyle="--")
        for number, (days, row) in enumerate(by_volume.items()):
            known = [(place, value) for place, value in enumerate(row) if value is not None]
            axes.plot(
                [place + 0.14 * (number - (len(by_volume) - 1) / 2) for place, _ in known],
                [100 * value for _, value in known],
                color=EXPERTS[number % len(EXPERTS)],
                marker=_MARKERS[number % len(_MARKERS)],
                markersize=8,
                linestyle="none",
                label=horizons([days]),
            )
        bottom, top = 5 * math.floor(min([70, *values]) / 5), 5 * math.ceil(max([90, *values]) / 5)
        axes.set_ylim(bottom - 1, top + 1)  # a marker on the edge is whole
        axes.set_yticks(range(bottom, top + 1, 5 * max(1, (top - bottom) // 30)))
        axes.set_xlim(-0.5, groups - 0.5)
        names = [str(place + 1) for place in range(groups)]
        names[0] += "\n(lowest)"
        names[-1] += "\n(highest)"
        axes.set_xticks(range(groups), names)
        axes.set_xlabel("fifth of the items, by volume")
        axes.set_ylabel("outcomes in the 80% interval, %")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="horizon")
    return drawn.svg


def over_time(evaluation: Evaluation, horizon: int, rivals: Sequence[str]) -> str:
    """Draw the outlook's RMSSE and some baselines', period by period."""
    found = evaluation.over_time[horizon]
    looks = [(OURS, BLUE, "-", "o"), *((one, *look) for one, look in zip(rivals, _RIVALS, strict=False))]
    with picture(f"time{horizon}", f"RMSSE over time at {horizons([horizon])}", _HALF, 3.2) as drawn:
        axes = drawn.axes()
        days = ordinals(evaluation.periods)
        for order, (one, colour, dashes, marker) in enumerate(looks):
            ours = one == OURS
            axes.plot(
                days,
                plain(found[one]),
                color=colour,
                linestyle=dashes,
                linewidth=2.6 if ours else 1.3,
                marker=marker,
                markersize=5 if ours else 3.5,
                zorder=9 - order,
                label=one,
            )
        axes.grid(axis="y")
        axes.set_ylabel("RMSSE of the period")
        axes.set_xlabel("period in which the forecasts were made")
        date_axis(axes, [days[0] - 3, days[-1] + 3], 6)
        drawn.figure.legend(loc="outside lower center", ncols=len(looks))
    return drawn.svg


def weights(evaluation: Evaluation, horizon: int) -> str:
    """Draw what each expert counts in the forecast, period by period."""
    found = evaluation.weights[horizon]
    with picture(f"weights{horizon}", f"Weights of the experts at {horizons([horizon])}", _THIRD, 2.2) as drawn:
        axes = drawn.axes()
        rows = [[100 * value for value in found[one]] for one in evaluation.experts]
        days, *rows = widened(ordinals(evaluation.periods), *rows)
        colours = [EXPERTS[number % len(EXPERTS)] for number in range(len(rows))]
        axes.stackplot(days, *rows, colors=colours, edgecolor="white", linewidth=0.6)
        axes.set_ylim(0, 100)
        axes.set_ylabel("weight, %")
        date_axis(axes, days, 4)
    return drawn.svg


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
