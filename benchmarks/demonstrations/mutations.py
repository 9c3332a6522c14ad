"""Planted bugs: each rule of the commit path, taken out in a copy of the code, turns the exploration red."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure, Report
from tests.explore.mutations import MUTATIONS, hunt

if TYPE_CHECKING:
    from pathlib import Path

SEED: Final = 0
NEEDS_BROKER: Final = False
SCHEDULES: Final = 10_000
LEAST_BUGS: Final = 12


def demonstrate(report: Report, _broker: None, directory: Path) -> None:
    """Hunt them one by one, and say at which seed each was found."""
    found = {}
    for number, mutation in enumerate(MUTATIONS):
        began = time.monotonic()
        caught = hunt(mutation, directory / str(number), schedules=SCHEDULES, seed=SEED)
        where = f"seed {caught.seed}" if caught.seed is not None else f"not in {caught.schedules:,} schedules"
        print(f"  {mutation.name}: {where}, {time.monotonic() - began:.0f} s: {caught.violation[:100]}", flush=True)
        found[mutation.name] = {"seed": caught.seed, "violation": caught.violation}
    report.counts["bugs"] = found
    report.add(Figure("planted bugs", len(found), ">=", LEAST_BUGS))
    report.add(Figure("bugs that no schedule found", sum(each["seed"] is None for each in found.values()), "=", 0))
