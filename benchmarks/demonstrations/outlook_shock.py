"""A shop that changes overnight: how many days the outlook needs until it is right again, beside SES(0.05)."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from rich.progress import track

from benchmarks.figures import Figure
from benchmarks.outlook.shock import LONG_RUN, RIVAL, a_shop, days_until_calm, errors_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Report
    from tests.kafka import Broker

NEEDS_BROKER: Final = False
SEED: Final = 0
SEEDS: Final = tuple(range(5))


def demonstrate(report: Report, broker: Broker | None = None, directory: Path | None = None) -> None:  # noqa: ARG001 -- the pure core needs neither
    """Run each seed's shop, and hold the medians of the days against the rival's."""
    days: dict[str, dict[str, list[int]]] = {}
    levels: dict[str, dict[str, list[float]]] = {}
    for seed in track(SEEDS, "shops"):
        for group, by_method in errors_of(a_shop(seed)).items():
            for method, errors in by_method.items():
                days.setdefault(group, {}).setdefault(method, []).append(days_until_calm(errors))
                levels.setdefault(group, {}).setdefault(method, []).append(float(errors[-LONG_RUN:].mean()))
    report.counts.update(seeds=SEEDS, days=days, long_run_errors=levels)
    for group, taken in days.items():
        ours, theirs = median(taken["outlook"]), median(taken[RIVAL])
        report.add(Figure(f"{group}: days until SES(0.05) is calm, median of {len(SEEDS)}", theirs))
        report.add(Figure(f"{group}: days until the outlook is, fewer than that", ours, "<=", theirs - 1))
        for method, what in (("outlook", "the outlook"), (RIVAL, "SES(0.05)")):
            report.add(Figure(f"{group}: long-run squared error of {what} / variance", median(levels[group][method])))
