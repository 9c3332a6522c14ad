"""The curve as a picture: one panel a rate, percentiles over commit intervals, the bound beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.latency.setting import ALLOWANCE_MS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.latency.rows import Row

# Colours by Okabe and Ito, told apart under every kind of colour blindness; shapes tell them apart without any.
_LINES: Final = (("p50", "#0072B2", "o"), ("p99", "#D55E00", "D"), ("p999", "#444444", "s"))
_LABELS: Final = {"p50": "half of all (p50)", "p99": "p99, lowest to highest round", "p999": "p99.9"}
_NO_INTERVAL: Final = -30  # where at_least_once stands, apart from the curve
_TITLE: Final = "From an event to its prediction, as a read_committed reader has it"
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "latency",  # the same figures give the same file
}


def plot(found: Sequence[Row], path: Path) -> None:
    """Write the picture; the suffix of `path` says whether as SVG or PNG."""
    rates = sorted({row.setting.rate for row in found})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 4.4), layout="constrained", facecolor="white")
        panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
        for axes, rate in zip(panels, rates, strict=True):
            _draw(axes, rate, [row for row in found if row.setting.rate == rate])
        panels[0].set_ylabel("milliseconds")
        figure.suptitle(_TITLE, fontsize=11, x=0.01, ha="left")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None, "Title": _TITLE} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=110, metadata=metadata)


def _draw(axes: Axes, rate: int, found: Sequence[Row]) -> None:
    curve = [row for row in found if row.setting.interval_ms is not None]
    apart = [row for row in found if row.setting.interval_ms is None]
    for name, colour, marker in _LINES:
        for rows in (curve, apart):
            axes.errorbar(
                [row.setting.interval_ms or _NO_INTERVAL for row in rows],
                [getattr(row, name) for row in rows],
                yerr=_spread(rows) if name == "p99" else None,
                color=colour,
                marker=marker,
                markersize=6,
                capsize=4,
                label=_LABELS[name] if rows is curve else None,
            )
    bounds = [each + ALLOWANCE_MS for each in _intervals(curve)]
    told = f"bound on p99: interval + {ALLOWANCE_MS}"
    axes.plot(_intervals(curve), bounds, color="#999999", linestyle="--", label=told)
    axes.set_xticks(
        [*([_NO_INTERVAL] if apart else []), *_intervals(curve)],
        [*(["at least\nonce"] if apart else []), *(str(each) for each in _intervals(curve))],
    )
    axes.set_ylim(bottom=0)
    axes.set_title(f"{rate:,} events/s", fontsize=10)
    axes.set_xlabel("commit interval, ms, exactly once")
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _intervals(rows: Sequence[Row]) -> list[int]:
    return [row.setting.interval_ms for row in rows if row.setting.interval_ms is not None]


def _spread(rows: Sequence[Row]) -> list[list[float]]:
    return [[row.p99 - row.p99_lowest for row in rows], [row.p99_highest - row.p99 for row in rows]]
