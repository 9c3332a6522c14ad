"""The stock outlook on a real year of 40 stores, day by day, beside nine baselines; what each of its parts is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.outlook.ablation import without_river
from benchmarks.outlook.bounds import ablation_figures, error_figures, later_figures
from benchmarks.outlook.evaluation import evaluated
from benchmarks.outlook.retail import ZONE, retail_sales, write_history
from consumer.evaluate.prequential import OUTLOOK

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Report
    from consumer.evaluate.result import Evaluation, Row
    from tests.kafka import Broker

NEEDS_BROKER: Final = False
SEED: Final = 0  # nothing is random
CHOSEN_ON_DAYS: Final = 182
"""Of the year, on which every setting of the outlook was chosen: its first half."""


def demonstrate(report: Report, broker: Broker | None, directory: Path) -> None:  # noqa: ARG001 -- the pure core needs none
    """Evaluate the year as `smart-inventory evaluate` does, then without River, then its second half alone."""
    path = directory / "year.parquet"
    write_history(retail_sales(), path)
    full = evaluated(path, ZONE, "the year", variants=True)
    for figure in error_figures(full):
        report.add(figure)
    without = evaluated(path, ZONE, "without River", prepare=without_river)
    for figure in ablation_figures(full, without):
        report.add(figure)
    later = evaluated(path, ZONE, "its second half", warm_up_days=CHOSEN_ON_DAYS)
    for figure in later_figures(later):
        report.add(figure)
    report.counts.update(
        settings_chosen_on_days=CHOSEN_ON_DAYS,
        rows=full.rows,
        items=full.items,
        origins=full.origins,
        scores=full.scores,
        calibration=full.calibration,
        weights=full.weights,
        scores_without_river=_ours(without),
        scores_of_the_second_half=later.scores,
    )


def _ours(evaluation: Evaluation) -> dict[int, Row]:
    return {horizon: rows[OUTLOOK] for horizon, rows in evaluation.scores.items()}
