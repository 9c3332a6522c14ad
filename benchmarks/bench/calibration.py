"""Whether the machine is quiet: a fixed spin loop on every core, at the start, between rounds and at the end.

What else runs takes time from the loops (their share of the wall clock falls); what slows the processor itself, heat or
a neighbour on the same host, lowers their rate. `python -m benchmarks.bench.calibration SECONDS` is one such loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Final

import msgspec

from benchmarks.bench import ROOT

QUIET_SHARE: Final = 0.95
"""At the start, each loop is to have its core for this share of the time."""

FAR_OFF: Final = 0.9
"""A calibration below this part of the run's best lies far off, and the rounds beside it with it."""

_SECONDS: Final = 0.5
_STEPS: Final = 1_000


class Calibration(msgspec.Struct, frozen=True):
    """What the spin loops did.

    Attributes:
        rate: loops' steps a second, all cores together.
        share: of the wall clock that the loops had a core; 1 where nothing else runs.
        load: the system's load average over the last minute, which remembers what ended a while ago.
    """

    rate: float
    share: float
    load: float

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing else of weight runs."""
        return self.share >= QUIET_SHARE


def calibrate(seconds: float = _SECONDS) -> Calibration:
    """Spin on every core at once."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "benchmarks.bench.calibration", str(seconds)]
    loops = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(os.cpu_count() or 1)]
    spun = [json.loads(loop.communicate(timeout=60)[0]) for loop in loops]
    return Calibration(
        rate=sum(steps / wall for steps, wall, _ in spun),
        share=sum(cpu for _, _, cpu in spun) / sum(wall for _, wall, _ in spun),
        load=load,
    )


def far_off(calibrations: list[Calibration]) -> list[int]:
    """Return the rounds, counted from 0, that began or ended at a calibration far below the run's best.

    Args:
        calibrations: one before each round and one at the end.
    """
    best = max(calibration.rate for calibration in calibrations)
    is_off = [calibration.rate < FAR_OFF * best for calibration in calibrations]
    return [number for number in range(len(calibrations) - 1) if is_off[number] or is_off[number + 1]]


def _spin(seconds: float) -> tuple[int, float, float]:
    """Return how many thousand steps were done, and the wall and CPU seconds that they took."""
    began, began_cpu = time.perf_counter(), time.process_time()
    steps = 0
    while time.perf_counter() - began < seconds:
        number = 1
        for _ in range(_STEPS):
            number = number * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        steps += 1
    return steps, time.perf_counter() - began, time.process_time() - began_cpu


if __name__ == "__main__":
    print(json.dumps(_spin(float(sys.argv[1]))))
