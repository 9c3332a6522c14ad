"""How the report's figures are drawn: their looks, their axes of days, and SVG that can stand in a page with others."""

from __future__ import annotations

import io
import math
import re
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from consumer.evaluate.report_page import GREY, INK, escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollar signs is a name
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "evaluation",  # the same evaluation gives the same bytes
}


class Picture:
    """A figure while it is drawn.

    Attributes:
        svg: the whole once it has been drawn.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = ""

    def axes(self) -> Axes:
        """Return the only axes."""
        return self.figure.subplots()


@contextmanager
def picture(name: str, told: str, width: float, height: float) -> Iterator[Picture]:
    """Have a figure drawn.

    Args:
        name: all of its ids begin with it.
        told: what it shows, for those who cannot see it.
        width: inches.
        height: likewise.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the reader's own matplotlibrc says
        mpl.rcParams.update(_STYLE)
        drawn = Picture(Figure(figsize=(width, height), layout="constrained", facecolor="white"))
        yield drawn
        file = io.StringIO()
        drawn.figure.savefig(file, format="svg", metadata={"Date": None})
    drawn.svg = _embedded(file.getvalue(), name, told)


def _embedded(document: str, name: str, told: str) -> str:
    """Return what of an SVG document stands in a page, its ids made unique in there."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", document[document.index("<svg") :], flags=re.DOTALL)

    def renamed(tag: re.Match[str]) -> str:
        return re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", tag[0])

    # In tags alone: a text may hold anything.
    svg = re.sub(r"<[^<>]+>", renamed, svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(told)}" ', 1).strip()


def ordinals(days: Sequence[str]) -> list[float]:
    """Return ISO dates as places on an axis."""
    return [float(date.fromisoformat(day).toordinal()) for day in days]


def plain(values: Sequence[float | None]) -> list[float]:
    """Return gaps as matplotlib takes them."""
    return [math.nan if value is None else value for value in values]


def widened(days: list[float], *rows: Sequence[float]) -> list[list[float]]:
    """Return a single day as a day's width: an area between one point and itself could not be seen."""
    if len(days) > 1:
        return [days, *(list(row) for row in rows)]
    return [[days[0] - 0.5, days[0] + 0.5], *([row[0], row[0]] for row in rows)]


def date_axis(axes: Axes, days: Sequence[float], most: int) -> None:
    """Have an axis from the first day to the last, its ticks at beginnings of months, or at days if it is short."""
    first, last = math.ceil(days[0]), math.floor(days[-1])
    every = [date.fromordinal(day) for day in range(first, last + 1)]
    months = [day for day in every if day.day == 1]
    if len(months) > 2:  # noqa: PLR2004 -- fewer ticks than that tell no scale
        ticks, length = months[:: math.ceil(len(months) / most)], len("2026-01")
    else:
        ticks, length = every[:: max(1, math.ceil(len(every) / 3))], len("2026-01-01")
    axes.set_xlim(days[0], days[-1])
    axes.set_xticks([day.toordinal() for day in ticks], [day.isoformat()[:length] for day in ticks])
