"""Whether a run's figures may be claimed: written into the repository, under its commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench.calibration import far_off
from benchmarks.bench.outcome import LEAST_ROUNDS, not_quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench.calibration import Calibration


def doubts(calibrations: list[Calibration], *, shortened_by: Sequence[str], is_clean: bool) -> list[str]:
    """Return why the figures are not to be claimed; nothing where they are.

    Args:
        calibrations: one before each round and one at the end.
        shortened_by: variables in the environment that made the run another than the one that is asked for.
        is_clean: what ran is what the commit holds.
    """
    found = [] if calibrations[0].is_quiet else [not_quiet(calibrations[0])]
    found += [f"round {number + 1} lies far off, see the calibrations" for number in far_off(calibrations)]
    rounds = len(calibrations) - 1
    if rounds < LEAST_ROUNDS:
        found.append(f"{rounds} rounds, expected at least {LEAST_ROUNDS}")
    found += [f"{name} is set" for name in shortened_by]
    if not is_clean:
        found.append("what ran is not what the commit holds")
    return found
