"""Whether the outlook's intervals are honest on the real year, and how wide where the true ones are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.outlook import retail, synthetic
from benchmarks.outlook.bounds import calibration_figures, width_figures
from benchmarks.outlook.evaluation import evaluated
from benchmarks.outlook.ideal import Seen, ideal

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Report
    from tests.kafka import Broker

NEEDS_BROKER: Final = False
SEED: Final = 20261128


def demonstrate(report: Report, broker: Broker | None, directory: Path) -> None:  # noqa: ARG001 -- the pure core needs none
    """Evaluate the year, make the truth that an ideal forecaster would know, then evaluate a made-up shop."""
    path = directory / "year.parquet"
    retail.write_history(retail.retail_sales(), path)
    seen = Seen()
    evaluation = evaluated(path, retail.ZONE, "the year", write=seen.write)
    ideals = ideal(*seen.days(), SEED)
    for figure in calibration_figures(evaluation, ideals):
        report.add(figure)

    shop = synthetic.truth(SEED)
    path = directory / "shop.parquet"
    retail.write_history(synthetic.sales_of(shop, SEED + 1), path)
    intervals = synthetic.Intervals()
    of_shop = evaluated(path, synthetic.ZONE, "a made-up shop", write=intervals.write)
    widths = intervals.widths(shop)
    for figure in width_figures(widths):
        report.add(figure)
    report.counts.update(
        rows=evaluation.rows,
        items=evaluation.items,
        origins=evaluation.origins,
        calibration=evaluation.calibration,
        ideal={horizon: each._asdict() for horizon, each in ideals.items()},
        made_up_shop={
            "items": of_shop.items,
            "origins": of_shop.origins,
            "calibration": of_shop.calibration,
            "widths": {horizon: each._asdict() for horizon, each in widths.items()},
        },
    )
