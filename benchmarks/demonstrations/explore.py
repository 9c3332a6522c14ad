"""Ten thousand seeded schedules of crashes, doubts, zombies and rebalances over the simulated Kafka."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure, Report
from tests.explore.faults import STEPS
from tests.explore.runner import explore

if TYPE_CHECKING:
    from pathlib import Path

SEED: Final = 0
NEEDS_BROKER: Final = False
SCHEDULES: Final = int(os.environ.get("SCHEDULES", "10000"))
LEAST_CRASHES: Final = 50
_PROGRESS_SECONDS: Final = 15.0


def demonstrate(report: Report, _broker: None, _directory: Path) -> None:
    """Play them, and count what struck where."""
    began = said = time.monotonic()

    def progress(played: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _PROGRESS_SECONDS:
            said = time.monotonic()
            left = (said - began) / played * (SCHEDULES - played)
            print(f"  {played:,} of {SCHEDULES:,} schedules, {left:.0f} s left", flush=True)

    found = explore(range(SEED, SEED + SCHEDULES), on_progress=progress)
    for seed, violations in list(found.violations.items())[:10]:
        print(f"  seed {seed}: {violations[0][:400]}\n    python -m tests.explore --seed {seed} --shrink", flush=True)
    by_fault: Counter[str] = Counter()
    for (_, fault), number in found.struck.items():
        by_fault[fault] += number
    report.counts.update(
        seeds=[SEED, SEED + SCHEDULES - 1],
        crashes_by_step={step: found.crashes(step) for step in STEPS},
        calls_by_step={step: found.visits[step] for step in STEPS},
        faults=dict(sorted(by_fault.items())),
        actions=dict(sorted(found.actions.items())),
        violations={str(seed): list(violations) for seed, violations in found.violations.items()},
    )
    fewest = min(STEPS, key=found.crashes)
    report.add(Figure("schedules", found.schedules, "=", SCHEDULES))
    report.add(Figure("faults that struck", sum(by_fault.values()), ">", 0))
    report.add(Figure(f"crashes at the step with the fewest ({fewest})", found.crashes(fewest), ">=", LEAST_CRASHES))
    report.add(Figure("crashes at a step, all steps", sum(found.crashes(step) for step in STEPS)))
    report.add(Figure("schedules with a violation", len(found.violations), "=", 0))
    report.add(Figure("longest way to the end after the last fault, in turns", found.most_turns))
