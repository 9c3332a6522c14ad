"""Many schedules, on all cores; and a failing one made small."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.explore.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.explore.schedule import Verdict

_SLICE: Final = 50
_MOST_TRIES: Final = 400


@dataclass
class Findings:
    """What many schedules have come to.

    Attributes:
        schedules: how many were played.
        violations: by seed.
        struck: faults by (step, fault's name).
        visits: calls by step.
        actions: what operators and the world did.
        most_turns: the longest way to the end after the last fault, in turns of all workers.
    """

    schedules: int = 0
    violations: dict[int, tuple[str, ...]] = field(default_factory=dict)
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    visits: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    most_turns: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one schedule."""
        self.schedules += 1
        if verdict.violations:
            self.violations[verdict.seed] = verdict.violations
        self.struck.update((step, fault) for _, step, fault in verdict.struck)
        self.visits.update(verdict.visits)
        self.actions.update(verdict.actions)
        self.most_turns = max(self.most_turns, verdict.turns)

    def crashes(self, step: str) -> int:
        """How often a worker died right before or right after a step."""
        return self.struck[step, "CRASH_BEFORE"] + self.struck[step, "CRASH_AFTER"]


def explore(
    seeds: Iterable[int],
    *,
    is_enough: Callable[[Findings], bool] = lambda _findings: False,
    on_progress: Callable[[int], None] = lambda _schedules: None,
) -> Findings:
    """Play schedules on all cores, in the order of their seeds, until all are done or `is_enough` says so."""
    findings = Findings()
    seeds = list(seeds)
    slices = [seeds[start : start + _SLICE] for start in range(0, len(seeds), _SLICE)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=_keep_path, initargs=(sys.path,)) as pool:
        for verdicts in pool.map(_play, slices):
            for verdict in verdicts:
                findings.add(verdict)
            on_progress(findings.schedules)
            if is_enough(findings):
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return findings


def shrink(seed: int) -> Verdict:
    """Return the verdict of a failing schedule with as few actions and faults as still make it fail."""
    best = Schedule(seed).run()
    if not best.violations:
        raise ValueError(f"the schedule of seed {seed} does not fail")
    actions, spared, tries = _fewest_actions(seed), set[int](), 0
    best = Schedule(seed, most_actions=actions).run()
    while tries < _MOST_TRIES:
        for call, _, _ in best.struck:
            tries += 1
            verdict = Schedule(seed, spared=spared | {call}, most_actions=actions).run()
            if verdict.violations:
                best, spared = verdict, spared | {call}
                break
        else:
            break
    return best


def _fewest_actions(seed: int) -> int:
    """Halve the number of actions for as long as the schedule still fails."""
    low, high = 0, 250
    while low < high:
        middle = (low + high) // 2
        if Schedule(seed, most_actions=middle).run().violations:
            high = middle
        else:
            low = middle + 1
    return high


def _play(seeds: list[int]) -> list[Verdict]:
    return [Schedule(seed).run() for seed in seeds]


def _keep_path(path: list[str]) -> None:
    sys.path[:] = path
