"""Every fault at once for half an hour on one broker, then ten minutes on three: readers see nothing of it."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, Final

from benchmarks.chaos.__main__ import RUNS, say
from benchmarks.chaos.plan import Kind
from benchmarks.chaos.run import Orders, Run, current_commit, orders_in
from benchmarks.chaos.tally import GROUPS, Tally, total
from benchmarks.figures import Figure, Report
from benchmarks.percentiles import percentiles
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

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
    "disk faults": 10,
}
CLUSTER_BOUNDS: Final = {"broker kills": 8, "broker freezes": 4}


def demonstrate(report: Report, _broker: Broker | None, _directory: Path) -> None:
    """Let both burn; where an earlier attempt at the same code was interrupted, go on from what it has finished."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    single = _burn(Orders(MINUTES, SEED, nodes=1, commit=current_commit()))
    cluster = _burn(Orders(CLUSTER_MINUTES, SEED, nodes=3, commit=current_commit()))
    for where, tally, bounds in (("", single, BOUNDS), ("three brokers: ", cluster, CLUSTER_BOUNDS)):
        report_tally(report, where, tally, bounds)
    kills = single.number(GROUPS["worker kills"])
    in_recovery = single.faults.get(Kind.KILL_IN_RECOVERY.value, 0)
    report.add(Figure("share of worker kills that hit a recovery", in_recovery / max(1, kills), ">=", 0.3))
    for orders in (1, 3):
        shutil.rmtree(_place(orders))


def report_tally(report: Report, where: str, tally: Tally, bounds: dict[str, int]) -> None:
    """Add what a run has shown to a report.

    Args:
        report: the report.
        where: what each figure's name begins with.
        tally: what was shown.
        bounds: by group of faults, how many there must be at least.
    """
    report.add(Figure(f"{where}minutes of faults", round(tally.seconds / 60, 1)))
    for name, kinds in GROUPS.items():
        if name in bounds:
            report.add(Figure(f"{where}{name}", tally.number(kinds), ">=", bounds[name]))
        elif tally.number(kinds):
            report.add(Figure(f"{where}{name}", tally.number(kinds)))
    report.add(Figure(f"{where}records in the input", tally.records, ">", 0))
    report.add(Figure(f"{where}predictions and dead letters equal to the byte", tally.equal, ">", 0))
    report.add(Figure(f"{where}lost", tally.lost, "=", 0))
    report.add(Figure(f"{where}twice", tally.doubled, "=", 0))
    report.add(Figure(f"{where}otherwise different", tally.differing, "=", 0))
    report.add(Figure(f"{where}final states compared", tally.states, ">", 0))
    report.add(Figure(f"{where}final states unequal to an undisturbed worker's", tally.unequal_states, "=", 0))
    report.add(Figure(f"{where}worker exits that a restart does not mend", tally.odd_exits, "=", 0))
    report.add(Figure(f"{where}findings of any kind", len(tally.findings), "=", 0))
    for kind, seconds in sorted(tally.recoveries.items()):
        _, p50, p99, longest = percentiles(seconds)
        for what, value in (("p50", p50), ("p99", p99), ("longest", longest)):
            report.add(Figure(f"{where}recovery, s, {what}: {kind}", value))
    report.counts[where.strip(": ") or "one broker"] = {
        "faults": tally.faults,
        "without_effect": tally.without_effect,
        "exit_codes": tally.exits,
        "log_events": tally.events,
        "longest_replay": tally.longest_replay,
        "findings": tally.findings,
    }


def _burn(orders: Orders) -> Tally:
    place = _place(orders.nodes)
    if orders_in(place) != orders:
        shutil.rmtree(place, ignore_errors=True)
    return total(Run(orders, place, ROOT, say).complete())


def _place(nodes: int) -> Path:
    return RUNS / f"show-{nodes}"
