"""Chaos with each checkpoint store, each worker's own disk wiped at each start: nothing lost, no full replay."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from benchmarks.chaos.places import STORES
from benchmarks.chaos.report import burn, forget, report_tally
from benchmarks.chaos.run import Orders, current_commit
from benchmarks.figures import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Report
    from tests.kafka import Broker

SEED = 20261128
NEEDS_BROKER = False  # brokers of its own, behind a proxy
MINUTES: Final = 5.0
BOUNDS: Final = {"worker kills": 15, "broker kills": 1, "zombies": 1, "membership changes": 4}


def demonstrate(report: Report, _broker: Broker | None, _directory: Path) -> None:
    """Let each store burn; where an earlier attempt at the same code was interrupted, go on from there."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    orders = [Orders(MINUTES, SEED, store=store, commit=current_commit()) for store in STORES]
    for each in orders:
        tally = burn(each)
        where = f"{each.store}: "
        report_tally(report, where, tally, BOUNDS)
        report.add(Figure(f"{where}starts on an empty disk", tally.events.get("started", 0), ">", 0))
        report.add(Figure(f"{where}longest replay after a checkpoint, records", tally.longest_replay))
        if each.store != "file":
            report.add(Figure(f"{where}replays of everything", tally.full_replays, "=", 0))
            report.add(Figure(f"{where}checkpoints missed", tally.events.get("checkpoint_missing", 0), "=", 0))
    for each in orders:
        forget(each)
