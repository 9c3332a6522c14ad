"""The one plot: what each rule serves from how much stock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[Any]

# Colours by Okabe and Ito, told apart under every kind of colour blindness; shapes tell them apart without any.
_OURS: Final = "#0072B2"
_MEANS: Final = "#D55E00"
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "orders",  # the same figures give the same file
}


def plot(  # noqa: PLR0913 -- two curves, a point on one and what to call it
    path: Path,
    *,
    ours: tuple[Floats, Floats],
    means: tuple[Floats, Floats],
    levels: tuple[float, ...],
    zs: tuple[float, ...],
    point: tuple[float, float, float],
    title: str,
) -> None:
    """Write the plot as SVG.

    Args:
        path: of the file.
        ours: mean stocks and fill rates.
        means: likewise, of the other rule.
        levels: the service levels of ours.
        zs: of the other rule.
        point: a fill rate of ours, its stock, and the other rule's stock at the same fill rate.
        title: what is to be seen.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 4.4), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        fill, stock, rival = point
        axes.annotate("", (stock, 100 * fill), (rival, 100 * fill), arrowprops={"arrowstyle": "->", "color": "#444444"})
        axes.annotate(
            f"{1 - stock / rival:.0%} less stock for the same service",
            ((stock + rival) / 2, 100 * fill),
            (45, -34),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.8},
            color="#444444",
        )
        _curve(axes, *ours, [f"{100 * level:g}%" for level in levels], _OURS, "o", "the outlook, by service level", -1)
        _curve(axes, *means, [f"{z:g}" for z in zs], _MEANS, "D", "28-day means, by z", 1)
        axes.set_xlabel("mean stock, units an item")
        axes.set_ylabel("fill rate, % of units wanted")
        axes.grid(color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("right", "top"):
            axes.spines[side].set_visible(False)
        axes.legend(loc="lower right", frameon=False)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None, "Title": title})
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _curve(  # noqa: PLR0913, PLR0917 -- a curve and how it looks
    axes: Axes, stocks: Floats, fills: Floats, names: list[str], colour: str, marker: str, label: str, side: int
) -> None:
    axes.plot(stocks, 100 * fills, marker=marker, color=colour, label=label, markersize=5)
    for stock, fill, name in zip(stocks, fills, names, strict=True):
        axes.annotate(
            name,
            (stock, 100 * fill),
            (7 * side, 2 if side < 0 else -8),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            fontsize=8,
            color=colour,
        )
