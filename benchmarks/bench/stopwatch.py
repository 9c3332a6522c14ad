"""What a contender's process measures of itself: the span of the work, and what it took.

Of the standard library only: it runs in every contender's environment.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024


class Stopwatch:
    """Measures one span of this process: seconds on the wall clock, and CPU seconds of all of its threads."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether the span has begun."""
        return self._began is not None

    def start(self) -> None:
        """Begin the span; later calls change nothing."""
        if self._began is None:
            self._began = time.perf_counter(), time.process_time()

    def stop(self, *, events: int) -> None:
        """End the span and print its report.

        Args:
            events: how many input events were processed. What was published is for others to read back and count.

        Raises:
            RuntimeError: the span never began.
        """
        ended = time.perf_counter(), time.process_time()
        if self._began is None:
            raise RuntimeError("the stopwatch was never started: the input topic brought nothing")
        report = {
            "events": events,
            "seconds": ended[0] - self._began[0],
            "cpu_seconds": ended[1] - self._began[1],
            "peak_bytes": peak_bytes(),
        }
        print(json.dumps(report), flush=True)


def peak_bytes() -> int:
    """Return the most memory that this process has held resident.

    Linux counts what the process was before `exec` into `ru_maxrss`, so a child of a large process would seem large;
    `VmHWM` begins anew with the program.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
