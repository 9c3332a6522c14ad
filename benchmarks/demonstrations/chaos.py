"""Every fault at once for half an hour on one broker, then ten minutes on three: readers see nothing of it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from benchmarks.chaos.plan import Kind
from benchmarks.chaos.report import burn, forget, report_tally
from benchmarks.chaos.run import Orders, current_commit
from benchmarks.chaos.tally import GROUPS
from benchmarks.figures import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Report
    from tests.kafka import Broker

SEED = 20261127
NEEDS_BROKER = False  # brokers of its own, behind a proxy
MINUTES: Final = 30.0
CLUSTER_MINUTES: Final = 10.0
BOUNDS: Final = {
    "worker kills": 100,
    "broker kills": 10,
    "broker freezes": 10,
    "zombies": 20,
    "membership changes": 30,
    "connection faults": 50,
    "checkpoint store faults": 10,
}
CLUSTER_BOUNDS: Final = {"broker kills": 8, "broker freezes": 4}


def demonstrate(report: Report, _broker: Broker | None, _directory: Path) -> None:
    """Let both burn; where an earlier attempt at the same code was interrupted, go on from what it has finished."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    orders = (
        Orders(MINUTES, SEED, nodes=1, commit=current_commit()),
        Orders(CLUSTER_MINUTES, SEED, nodes=3, commit=current_commit()),
    )
    single, cluster = (burn(each) for each in orders)
    for where, tally, bounds in (("", single, BOUNDS), ("three brokers: ", cluster, CLUSTER_BOUNDS)):
        report_tally(report, where, tally, bounds)
    kills = single.number(GROUPS["worker kills"])
    in_recovery = single.faults.get(Kind.KILL_IN_RECOVERY.value, 0)
    report.add(Figure("share of worker kills that hit a recovery", in_recovery / max(1, kills), ">=", 0.3))
    for each in orders:
        forget(each)
