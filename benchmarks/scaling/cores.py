"""Who uses how many cores in a span."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.usage import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

_STAT: Final = Path("/proc/stat")


class Used(NamedTuple):
    """Seconds of CPU.

    Attributes:
        workers: of the workers' processes.
        broker: of the broker, and of this process, which asks it how far the workers are.
        elsewhere: of everything else on the machine.
    """

    workers: float
    broker: float
    elsewhere: float


class CoreMeter:
    """Measures from its making on.

    The broker is what this process has started beside the workers. One that others have started, or that lives in a
    container, is not told apart from everything else on the machine, which then all counts as the broker.

    Args:
        workers: the workers' processes.
        supervisor: the one that has started them, or the only worker.
    """

    def __init__(self, workers: Sequence[int], supervisor: int) -> None:
        started = [each for each in children(os.getpid()) if each not in {supervisor, *workers}]
        self._workers = list(workers)
        self._broker = [os.getpid(), *started] if started else []
        self._before = self._now()

    def used(self) -> Used:
        """Return what has been used since."""
        workers, broker, everything = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return split(workers, broker if self._broker else None, everything)

    def _now(self) -> tuple[float, float, float]:
        return _total(self._workers), _total(self._broker), _busy_seconds()


def split(workers: float, broker: float | None, everything: float) -> Used:
    """Return who used what of everything; None is a broker that cannot be told apart."""
    left = max(0.0, everything - workers)  # the two are counted in ticks, at two moments
    if broker is None:
        return Used(workers, left, 0.0)
    return Used(workers, broker, max(0.0, left - broker))


def busy_ticks(line: str) -> int:
    """Return the ticks that `/proc/stat`'s line of all CPUs counts as work: not idle, not waiting, not stolen.

    >>> busy_ticks("cpu  100 20 30 4000 50 6 7 8 0 0")
    163
    """
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = (int(word) for word in line.split()[1:8])
    return user + nice + system + interrupts + soft_interrupts


def children(process_id: int) -> list[int]:
    """Return the processes that this one has started and that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if int(fields[1]) == process_id:
            found.append(int(stat.parent.name))
    return sorted(found)


def _total(process_ids: Sequence[int]) -> float:
    return sum(cpu_seconds(each) for each in process_ids)


def _busy_seconds() -> float:
    with _STAT.open(encoding="ascii") as lines:
        return busy_ticks(next(lines)) / os.sysconf("SC_CLK_TCK")
