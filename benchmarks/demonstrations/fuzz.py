"""Mutants by the million through core, checkpoints, metadata and settings, each judged by an independent reading.

What is wrong to accept and right to take stands at the head of each judge: `benchmarks/fuzzing/records.py`,
`checkpoints.py`, `references.py`, `environments.py`. Everything follows from the seed; a case that fails is printed
with seed, episode and number, and with what it was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Report
from benchmarks.fuzzing import checkpoints, environments, records, references
from benchmarks.fuzzing.content import CONTENT
from benchmarks.fuzzing.shards import PROCESSES, judge_all
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.fuzzing.shards import Judge, Shards
    from benchmarks.fuzzing.verdicts import Verdicts

SEED = 20261124
NEEDS_BROKER = False
RECORDS: Final = 1_000_000
CHECKPOINTS: Final = 20_000
REFERENCES: Final = 10_000
ENVIRONMENTS: Final = 10_000
VALID_SHARE: Final = 0.2
_SHOWN: Final = 10
_PROGRESS_SECONDS: Final = 15.0


def demonstrate(report: Report, _broker: None, _directory: Path) -> None:
    """Judge all of them, in as many processes as the machine has cores to spare for it."""
    print(f"  seed {SEED}, {PROCESSES} processes")
    parts: tuple[tuple[str, Judge, int, int], ...] = (
        ("records", records.judge_records, RECORDS, records.EPISODE_CASES),
        ("checkpoints", checkpoints.judge_checkpoints, CHECKPOINTS, checkpoints.EPISODE_CASES),
        ("metadata", references.judge_references, REFERENCES, references.EPISODE_CASES),
        ("settings", environments.judge_settings, ENVIRONMENTS, environments.EPISODE_CASES),
    )
    for name, judge, cases, of_each in parts:
        began = time.monotonic()
        shards = judge_all(judge, SEED, range(cases // of_each), progress=_Progress(name, cases))
        _add(report, name, cases, shards, time.monotonic() - began)
    applied = report.counts["checkpoints"]["mutations"]
    resealed = sum(number for name, (number, _) in applied.items() if name in CONTENT)
    report.add(Figure("checkpoints sealed anew, with digest and signature", resealed, ">=", CHECKPOINTS // 2))
    reached = report.counts["checkpoints"]["verdicts"]["refused by the unpickler"]
    report.add(Figure("checkpoints refused by the unpickler", reached, ">", 0))


def _add(report: Report, name: str, cases: int, shards: Shards, seconds: float) -> None:
    verdicts = shards.verdicts
    _print(name, verdicts)
    report.counts[name] = {
        "seconds": round(seconds, 1),
        "verdicts": dict(verdicts.verdicts.most_common()),
        "mutations": _shares(verdicts),
    }
    report.add(Figure(f"{name}: mutants", verdicts.cases, "=", cases))
    report.add(Figure(f"{name}: share of valid ones", verdicts.valid / max(1, verdicts.cases), ">=", VALID_SHARE))
    report.add(Figure(f"{name}: wrongly taken or refused, otherwise answered, or crashed", len(verdicts.found), "=", 0))
    report.add(Figure(f"{name}: episodes that hung or ended their process", shards.lost, "=", 0))
    report.add(Figure(f"{name}: slowest case, seconds of CPU", verdicts.slowest, "<=", SLOWEST_SECONDS))


def _shares(verdicts: Verdicts) -> dict[str, list[int]]:
    """Return how often each mutation was applied, and in how many valid mutants."""
    return {
        name: [number, verdicts.mutations[f"{name}, valid"]]
        for name, number in sorted(verdicts.mutations.items())
        if not name.endswith(", valid")
    }


def _print(name: str, verdicts: Verdicts) -> None:
    console = Console(width=120)
    table = Table("verdict", "mutants", title=name)
    for verdict, number in verdicts.verdicts.most_common():
        table.add_row(verdict, f"{number:,}")
    console.print(table)
    for found in verdicts.found[:_SHOWN]:
        print(f"  ! {found.where}: {found.what}")
    if len(verdicts.found) > _SHOWN:
        print(f"  ! and {len(verdicts.found) - _SHOWN} more")


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, name: str, cases: int) -> None:
        self._name = name
        self._cases = cases
        self._due = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, verdicts: Verdicts) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _PROGRESS_SECONDS
            print(f"  {self._name}: {verdicts.cases:,} of {self._cases:,}, {len(verdicts.found)} found", flush=True)
