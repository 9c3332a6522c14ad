"""How long a restart and a takeover may take, and the figures that say whether they did not take longer."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure
from benchmarks.percentiles import percentiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESTART_SECONDS: Final = 3.0
ALLOWANCE_SECONDS: Final = 3.0
SESSION_SECONDS: Final = 10.0
TRANSACTION_SECONDS: Final = 10.0
"""Both as they are by default."""


def takeover_bound(scan_seconds: float) -> float:
    """Return how long it may take until another worker publishes for a dead one's partitions.

    The group must notice (session time-out), and the coordinator must abort the dead one's open transaction, which it
    looks for every `scan_seconds` once the transaction has timed out.
    """
    return max(SESSION_SECONDS, TRANSACTION_SECONDS + scan_seconds) + ALLOWANCE_SECONDS


def restart_figures(seconds: Sequence[float], planned: int, baseline: Sequence[float]) -> Iterator[Figure]:
    """Yield the figures of restarts.

    Args:
        seconds: of each restart, from the process's start to its first new committed prediction.
        planned: how many restarts there were to be.
        baseline: seconds that a new Python needs to import River on this machine, input flowing.
    """
    yield Figure("restarts of the same INSTANCE_ID after kill -9", len(seconds), "=", planned)
    found = percentiles(seconds)
    yield Figure("seconds from restart to a new committed prediction, median", median(seconds), "<=", RESTART_SECONDS)
    yield Figure("seconds from restart to a new committed prediction, max", found.max)
    yield Figure("seconds to import River alone meanwhile, median", median(baseline))


def takeover_figures(seconds: Sequence[float], planned: int, scan_seconds: float) -> Iterator[Figure]:
    """Yield the figures of takeovers on a broker that scans every `scan_seconds`.

    Args:
        seconds: of each, from the kill -9 to a new committed prediction in the last of the dead worker's partitions.
        planned: how many there were to be.
        scan_seconds: the coordinator's scan interval.
    """
    where = f"scan interval {scan_seconds:g} s"
    yield Figure(f"takeovers by another worker after kill -9, {where}", len(seconds), "=", planned)
    found = percentiles(seconds)
    yield Figure(f"seconds from kill to a new prediction in every partition, median, {where}", found.p50)
    bound = takeover_bound(scan_seconds)
    yield Figure(f"seconds from kill to a new prediction in every partition, max, {where}", found.max, "<=", bound)
