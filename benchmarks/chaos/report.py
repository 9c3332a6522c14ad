"""A run as a demonstration: continued where it was interrupted, its figures held to bounds."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.chaos.__main__ import RUNS, say
from benchmarks.chaos.run import Orders, Run, orders_in
from benchmarks.chaos.tally import GROUPS, Tally, total
from benchmarks.figures import Figure, Report
from benchmarks.percentiles import percentiles
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def report_tally(report: Report, where: str, tally: Tally, bounds: Mapping[str, int]) -> None:
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


def burn(orders: Orders) -> Tally:
    """Return what a demonstration's run has shown; of the same code, what an interrupted one has finished counts.

    Raises:
        BrokerUnavailableError: no brokers can be started here.
    """
    place = _place(orders)
    if orders_in(place) != orders:
        shutil.rmtree(place, ignore_errors=True)
    return total(Run(orders, place, ROOT, say).complete())


def forget(orders: Orders) -> None:
    """Let the next run begin anew."""
    shutil.rmtree(_place(orders))


def _place(orders: Orders) -> Path:
    return RUNS / f"show-{orders.store}-{orders.nodes}"
