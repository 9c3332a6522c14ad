"""Whether a run's figures may be claimed: written into the repository, under its commit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.bench.calibration import calibrate, far_off
from benchmarks.bench.outcome import LEAST_ROUNDS, not_quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench.calibration import Calibration

_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 2.0


def calibrate_at_rest(
    calibration: Callable[[], Calibration] = calibrate, sleep: Callable[[float], None] = time.sleep
) -> Calibration:
    """Return the first calibration that finds the machine quiet, or the last of ten.

    The broker has just been started when a demonstration begins, and is busy with itself for a while.
    """
    found = calibration()
    for _ in range(_ATTEMPTS - 1):
        if found.is_quiet:
            break
        sleep(_PAUSE_SECONDS)
        found = calibration()
    return found


def doubts(
    calibrations: list[Calibration], *, shortened_by: Sequence[str], is_clean: bool, slow_is_harder: bool = False
) -> list[str]:
    """Return why the figures are not to be claimed; nothing where they are.

    Args:
        calibrations: one before each round and one at the end.
        shortened_by: variables in the environment that made the run another than the one that is asked for.
        is_clean: what ran is what the commit holds.
        slow_is_harder: the bounds are upper ones on times and bytes. A host that slows the machine makes them harder to
            keep, so a slow round is no doubt; the calibrations stand beside the figures.
    """
    found = [] if calibrations[0].is_quiet else [not_quiet(calibrations[0])]
    if not slow_is_harder:
        found += [f"round {number + 1} lies far off, see the calibrations" for number in far_off(calibrations)]
    rounds = len(calibrations) - 1
    if rounds < LEAST_ROUNDS:
        found.append(f"{rounds} rounds, expected at least {LEAST_ROUNDS}")
    found += [f"{name} is set" for name in shortened_by]
    if not is_clean:
        found.append("what ran is not what the commit holds")
    return found
