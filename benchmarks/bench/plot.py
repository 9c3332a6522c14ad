"""The one plot: each contender's rate with its spread, and its ratio to the bare River loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.bench.roster import BARE, Kind
from benchmarks.bench.table import footnote, headline, label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.bench.outcome import Outcome, Row

# Colours by Okabe and Ito, told apart under every kind of colour blindness; shapes tell them apart without any.
_COLOURS: Final = {Kind.OURS: "#0072B2", Kind.LIMIT: "#444444", Kind.PEER: "#D55E00"}
_MARKERS: Final = {Kind.OURS: "o", Kind.LIMIT: "s", Kind.PEER: "D"}
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "bench",  # the same figures give the same file
}


def plot(outcome: Outcome, path: Path) -> None:
    """Write the plot; the suffix of `path` says whether as SVG or PNG."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 1.7 + 0.42 * len(outcome.rows)), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        _draw(axes, outcome)
        figure.suptitle(headline(outcome), fontsize=11, x=0.01, ha="left")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(Kind), frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None, "Title": headline(outcome)} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=110, metadata=metadata)


def _draw(axes: Axes, outcome: Outcome) -> None:
    bare = next(row.rate.median for row in outcome.rows if row.name == BARE.name)
    axes.axvline(bare, color="#999999", linestyle="--", linewidth=1, zorder=0)
    shown: set[Kind] = set()
    for height, row in enumerate(outcome.rows):
        _dot(axes, row, height, kind=None if row.kind in shown else row.kind.value)
        shown.add(row.kind)
    axes.set_xscale("log")
    lowest = min(row.rate.lowest for row in outcome.rows)
    highest = max(row.rate.highest for row in outcome.rows)
    axes.set_xlim(lowest * 0.8, highest * 1.2 * (highest / lowest) ** 0.3)  # the rightmost rate's text has room
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.set_yticks(range(len(outcome.rows)), [label(outcome, row) for row in outcome.rows])
    axes.set_ylim(len(outcome.rows) - 0.4, -0.6)
    lines = ["events per second, logarithmic; whiskers: lowest and highest round", footnote(outcome)]
    axes.set_xlabel("\n".join(line for line in lines if line is not None))
    to_bare: Callable[[Any], Any] = lambda rate: rate / bare  # noqa: E731 -- of numbers and arrays alike
    from_bare: Callable[[Any], Any] = lambda ratio: ratio * bare  # noqa: E731
    above = axes.secondary_xaxis("top", functions=(to_bare, from_bare))
    above.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    above.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    above.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    above.set_xlabel("rate as a multiple of the bare River loop's")
    axes.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("left", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _dot(axes: Axes, row: Row, height: int, *, kind: str | None) -> None:
    rate, colour = row.rate, _COLOURS[row.kind]
    axes.errorbar(
        rate.median,
        height,
        xerr=[[rate.median - rate.lowest], [rate.highest - rate.median]],
        fmt=_MARKERS[row.kind],
        color=colour,
        markersize=8,
        capsize=4,
        elinewidth=1.5,
        label=kind,
    )
    axes.annotate(
        f"{rate.median:,.0f}  ({row.ratio.median:.2f}x)",
        (rate.highest, height),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
