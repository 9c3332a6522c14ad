"""The report of an evaluation: one HTML file that needs nothing else, for readers who have never seen this software."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from consumer.evaluate.errors import MissingExtraError
from consumer.evaluate.report_page import escape, page, section, terms, tile
from consumer.evaluate.report_table import shown, span, tables
from consumer.evaluate.report_verdict import OURS, comparisons, horizons, overall, percent, ranked, verdict

if TYPE_CHECKING:
    from consumer.evaluate.result import Evaluation


def render(evaluation: Evaluation) -> str:
    """Return the report as one HTML document; the same evaluation gives the same text.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from consumer.evaluate import report_sections as sections  # noqa: PLC0415 -- matplotlib is an optional extra
    except ModuleNotFoundError as missing:
        raise MissingExtraError(missing.name or "matplotlib") from missing
    title = f"Demand forecasts on {evaluation.file}"
    return page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            _verdict(evaluation),
            _tiles(evaluation),
            _facts(evaluation),
            sections.errors(evaluation),
            sections.examples(evaluation),
            sections.calibration(evaluation),
            sections.over_time(evaluation),
            sections.weights(evaluation),
            section(
                "All scores",
                "A table for each horizon. The best value of a column is bold, where one can be better than another.",
                tables(evaluation),
            ),
        ],
    )


def _verdict(evaluation: Evaluation) -> str:
    found = comparisons(evaluation)
    won = " won" if found and all(each.gap < 0 for each in found) else ""
    baselines = len({method for horizon in evaluation.scores for method in ranked(evaluation, horizon)})
    days = horizons(sorted(evaluation.scores))
    how = (
        f"At the end of each day, the outlook (this software's forecast) and {baselines} well-known simple methods "
        f"(the baselines) forecast each item's demand over the next {days}, from nothing but the days before. Each "
        "forecast was then held against the demand that came. Error means RMSSE: an item's typical error in units of "
        "that of the naive forecast, which says that as much will be sold as in as many days before."
    )
    return f'<p class="verdict{won}">{escape(verdict(evaluation))}</p>\n<p>{escape(how)}</p>'


def _tiles(evaluation: Evaluation) -> str:
    coverage, how = _coverage(evaluation)
    found = {days: row.get("forecasts") for days, row in _ours(evaluation).items()}
    counts = {days: count for days, count in found.items() if count}
    return "\n".join(
        [
            '<div class="tiles">',
            _error_tile(evaluation),
            tile(
                "Bias of the outlook",
                span("bias", [row.get("bias") for row in _ours(evaluation).values()]),
                "All that was forecast against all that came: above 0 too much, below 0 too little. "
                "Lowest and highest over the horizons.",
            ),
            tile("Coverage of its 80% interval", coverage, how),
            tile(
                "Forecasts scored",
                f"{sum(counts.values()):,}",
                f"Of {evaluation.items_with_demand:,} items with demand, from {evaluation.origins:,} days, over the "
                f"next {horizons(counts)}.",
            ),
            "</div>",
        ]
    )


def _error_tile(evaluation: Evaluation) -> str:
    means = overall(evaluation)
    title = "Error of the outlook (RMSSE)"
    over = horizons(each.horizon for each in comparisons(evaluation))
    baselines = {method for horizon in evaluation.scores for method in ranked(evaluation, horizon)}
    best = next((method for method in means if method in baselines), None)
    if OURS not in means or best is None:
        return tile(title, shown("rmsse", None), "The history is too short for it.")
    ours, theirs = means[OURS], means[best]
    gap = "the same"
    if ours != theirs and theirs > 0:
        gap = f"the outlook's is {percent(ours / theirs - 1)} {'lower' if ours < theirs else 'higher'}"
    return tile(
        title,
        f"{ours:.3f}",
        f"Best baseline, {best}: {theirs:.3f}; {gap}. Geometric means over {over}. Lower is better.",
    )


def _coverage(evaluation: Evaluation) -> tuple[str, str]:
    """Return the coverage at 80% and how it was counted."""
    plain = span("coverage_80", [row.get("coverage_80") for row in _ours(evaluation).values()])
    honest = span("coverage_80", [found["coverage_80"] for found in evaluation.calibration.values()])
    if not evaluation.calibration:
        return plain, "Its aim is 80%. Counted with the interval's bounds."
    return honest, (
        f"Its aim is 80%. Lowest and highest over the horizons; an outcome on a bound counts in part. With the bounds "
        f"counted whole: {plain}."
    )


def _ours(evaluation: Evaluation) -> dict[int, dict[str, float | int | None]]:
    return {horizon: rows[OURS] for horizon, rows in sorted(evaluation.scores.items()) if OURS in rows}


def _facts(evaluation: Evaluation) -> str:
    days = (date.fromisoformat(evaluation.last_day) - date.fromisoformat(evaluation.first_day)).days + 1
    refused = sum(evaluation.refused.values())
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in evaluation.refused.items())
    items = (
        f"{evaluation.items:,} pairs of store and sku; {evaluation.items_with_demand:,} of them ever had demand; of "
        f"{evaluation.items_without_level:,} the stock at the end is not known"
    )
    scored = f"forecasts from {evaluation.origins:,} days, after {evaluation.warm_up_days:,} days to warm up"
    told_of = [
        ("File", evaluation.file),
        ("History", f"{evaluation.first_day} to {evaluation.last_day}, {days:,} days"),
        ("Rows read", f"{evaluation.rows:,}"),
        ("Rows refused", f"{refused:,} ({_share(refused, evaluation.rows)}). {reasons}" if refused else "none"),
        ("Rows repeated", f"{evaluation.repeats:,}, counted once" if evaluation.repeats else "none"),
        ("Items", items),
        ("Scored", scored),
        ("Took", f"{evaluation.seconds:,.1f} s"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in evaluation.versions.items())),
    ]
    return section("What was evaluated", "", terms(told_of))


def _share(part: int, whole: int) -> str:
    return f"{percent(part / whole)} of all" if whole else "of none"
