"""The report's tables: every score of every method, the best of a column in bold, and what each metric means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from consumer.evaluate.baselines import BASELINES
from consumer.evaluate.report_page import escape, terms, wide
from consumer.evaluate.report_verdict import OURS, horizons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.evaluate.result import Evaluation, Row

_OF_ALL: Final = frozenset({"mean_demand", "forecasts", "items", "items_without_scale"})
"""What is not about a method: said once a table where it is the same for all."""
_COUNTS: Final = frozenset({"forecasts", "items", "items_without_scale"})
_LOWER_IS_BETTER: Final = ("rmsse", "wape", "pinball_", "interval_score_")
_PERCENTAGES: Final = ("wape", "coverage_")

_MEANINGS: Final = {
    "rmsse": "An item's root mean squared error in units of the naive forecast's, averaged over items. "
    "Naive has 1; lower is better.",
    "bias": "All that was forecast minus all that came, as a share of what came. Nearest to 0% is best; above it, too "
    "much was forecast.",
    "wape": "Sum of the median forecasts' absolute errors, as a share of all demand. Lower is better.",
    "wape_busy": "wape over items with a mean demand of 3 units or more over the horizon. Lower is better.",
    "forecasts": "How many forecasts were scored: items times days.",
    "items": "Items that rmsse is over.",
    "items_without_scale": "Items that rmsse leaves out, as the naive forecast was never wrong there; the other "
    "metrics have them.",
    "mean_demand": "Mean of what came over the horizon, units an item: the scale of the errors that are in units.",
}
_METHODS: Final = {
    OURS: "this software's forecast: a mixture of experts with intervals learnt from its own past errors",
    "naive": "as much as in as many days before",
    "seasonal_naive": "the same weekdays of the last seven days",
    "mean_28": "the mean of the last 28 days",
    "tsb": "Teunter, Syntetos and Babai's method for demand on few days",
    "sba": "Croston's method for demand on few days, as corrected by Syntetos and Boylan",
    "ses_0.05_x_week": "simple exponential smoothing at rate 0.05, times a profile of the week",
}


def meaning(metric: str) -> str:
    """Return one line that explains a metric."""
    name, _, level = metric.rpartition("_")
    if name == "pinball":
        quantile = f"{100 * float(level):g}%"
        return (
            f"Mean pinball loss of the {quantile} quantile, the amount that demand is to stay below in {quantile} of "
            "cases; units. Lower is better."
        )
    if name == "coverage":
        return (
            f"Share of outcomes within the {level}% interval, its bounds included: {level}%, or somewhat more as "
            "demand comes in whole units."
        )
    if name == "width":
        return (
            f"Mean width of the {level}% interval, units. Has no best by itself: narrow is good only where it covers."
        )
    if name == "interval_score":
        return (
            f"Width of the {level}% interval, plus {2 / (1 - int(level) / 100):.0f} times the distance of an outcome "
            "outside, units. Lower is better."
        )
    return _MEANINGS.get(metric, "")


def method(name: str) -> str:
    """Return what a method is."""
    if name.startswith("ses_") and name not in _METHODS:
        return f"simple exponential smoothing at rate {name.removeprefix('ses_')}"
    if name.startswith("only "):
        return f"the outlook's expert {name.removeprefix('only ')} by itself"
    return _METHODS.get(name, "a baseline" if name in BASELINES else "a variant of the outlook")


def metrics(evaluation: Evaluation) -> list[str]:
    """Return all metrics, in the order in which rows have them."""
    return list(dict.fromkeys(key for rows in evaluation.scores.values() for row in rows.values() for key in row))


def tables(evaluation: Evaluation) -> str:
    """Return as HTML what metrics and methods are, and a table each horizon."""
    columns = metrics(evaluation)
    return "\n".join(
        [
            "<h3>What was compared</h3>",
            terms((each, method(each)) for each in evaluation.methods),
            "<h3>What was measured</h3>",
            terms((each, meaning(each)) for each in columns),
            *(
                wide(_table(horizon, {each: rows[each] for each in evaluation.methods if each in rows}, columns))
                for horizon, rows in sorted(evaluation.scores.items())
            ),
        ]
    )


def _table(horizon: int, rows: dict[str, Row], columns: list[str]) -> str:
    first = next(iter(rows.values()), {})
    same = [
        each for each in columns if each in _OF_ALL and all(row.get(each) == first.get(each) for row in rows.values())
    ]
    columns = [each for each in columns if each not in same]
    head = "".join(f'<th scope="col">{escape(each).replace("_", "_<wbr>")}</th>' for each in columns)
    best = {each: _best(each, rows) for each in columns}
    lines = []
    for name, row in rows.items():
        cells = []
        for each in columns:
            value = _finite(row.get(each))
            loss = None if value is None else _loss(each, value)
            text = shown(each, value)
            cells.append(f"<td><b>{text}</b></td>" if loss is not None and loss == best[each] else f"<td>{text}</td>")
        ours = ' class="ours"' if name == OURS else ""
        lines.append(f'<tr{ours}><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    told = ", ".join(f"{escape(each)} {shown(each, _finite(first[each]))}" for each in same)
    return (
        f"<table><caption>Demand over the next {horizons([horizon]).removeprefix('1 ')}"
        f"{f'<small>All methods: {told}</small>' if told else ''}</caption>"
        f'<thead><tr><th scope="col">method</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    )


def _best(metric: str, rows: dict[str, Row]) -> float | None:
    losses = [_loss(metric, value) for row in rows.values() if (value := _finite(row.get(metric))) is not None]
    return min((loss for loss in losses if loss is not None), default=None)


def _loss(metric: str, value: float) -> float | None:
    """Return how far a value is from the best that there could be; None where no value is better than another."""
    if metric == "bias":
        return abs(value)
    if metric.startswith("coverage_"):
        return abs(value - int(metric.removeprefix("coverage_")) / 100)
    return value if metric.startswith(_LOWER_IS_BETTER) else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def shown(metric: str, value: float | None) -> str:
    """Return a value as a table has it."""
    if value is None:
        return "\N{EN DASH}"
    if metric in _COUNTS:
        return f"{value:,.0f}"
    if metric == "bias":
        return signed(value)
    return f"{value:.1%}" if metric.startswith(_PERCENTAGES) else f"{value:.3f}"


def span(metric: str, values: Sequence[float | None]) -> str:
    """Return the least and the most of some values as a table has them."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return shown(metric, None)
    least, most = shown(metric, known[0]), shown(metric, known[-1])
    return least if least == most else f"{least} to {most}"


def signed(share: float) -> str:
    """Return a percentage with its sign; what rounds to 0 has none."""
    text = f"{abs(share):.1%}"
    sign = "+" if share > 0 else "\N{MINUS SIGN}"
    return text if text == "0.0%" else f"{sign}{text}"
