"""Alternating rounds: each contender has one turn in each round, in an order drawn anew; between them a calibration."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from benchmarks.bench.arena import Run  # noqa: TC001 -- msgspec reads the annotation
from benchmarks.bench.calibration import calibrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench.calibration import Calibration
    from benchmarks.bench.roster import Contender


class Round(msgspec.Struct, frozen=True):
    """One turn of each contender.

    Attributes:
        runs: by contender, in the order in which they ran.
    """

    runs: dict[str, Run]


class Watcher(Protocol):
    """Whoever shows how far the rounds are."""

    def begins(self, number: int, contender: Contender, seconds_left: float | None) -> None:
        """Hear that a turn begins; the time left is None until something has been measured."""

    def ended(self, number: int, contender: Contender, run: Run) -> None:
        """Hear what a turn measured."""


class TimeLeft:
    """Estimates the time left from the turns so far: each like its own last one, an unknown one like their mean."""

    def __init__(self, turns: Sequence[str]) -> None:
        self._turns = list(turns)
        self._seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Note how long a turn took, checks included."""
        self._turns.remove(name)
        self._seconds[name] = seconds

    def seconds(self) -> float | None:
        """Return the estimate, None until there is a turn to go by."""
        if not self._seconds:
            return None
        mean = statistics.mean(self._seconds.values())
        return sum(self._seconds.get(name, mean) for name in self._turns)


def run_rounds(  # noqa: PLR0913 -- who, how often, in which order; the rest are seams
    contenders: Sequence[Contender],
    turn: Callable[[Contender], Run],
    *,
    rounds: int,
    seed: int,
    watcher: Watcher,
    calibration: Callable[[], Calibration] = calibrate,
) -> tuple[list[Round], list[Calibration]]:
    """Run all rounds.

    Args:
        contenders: who takes part.
        turn: runs one of them and checks what it did.
        rounds: how many.
        seed: of the order in each round.
        watcher: hears of each turn.
        calibration: tells how quiet the machine is.

    Returns:
        The rounds, and the calibrations: one before each round and one at the end.
    """
    rng = random.Random(seed)
    left = TimeLeft([contender.name for contender in contenders] * rounds)
    done: list[Round] = []
    calibrations = [calibration()]
    for number in range(rounds):
        runs: dict[str, Run] = {}
        for contender in rng.sample(contenders, len(contenders)):
            watcher.begins(number, contender, left.seconds())
            began = time.monotonic()
            runs[contender.name] = turn(contender)
            left.add(contender.name, time.monotonic() - began)
            watcher.ended(number, contender, runs[contender.name])
        done.append(Round(runs))
        calibrations.append(calibration())
    return done, calibrations
