"""The whole worker, exactly once, beside a bare River loop, in alternating rounds of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.bench.arena import Arena
from benchmarks.bench.outcome import summary
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import BARE, WORKER
from benchmarks.bench.rounds import run_rounds
from benchmarks.figures import Figure, Report
from benchmarks.shop import valid_transactions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

SEED = 20261124
EVENTS = 300_000
PARTITIONS = 4
ROUNDS = 3
LEAST_RATIO = 0.5


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Take two of the benchmark's contenders, and hold the worker to its bound."""
    contenders = (BARE, WORKER)
    events = valid_transactions(EVENTS)
    arena = Arena(broker.bootstrap_servers, directory, events=events, partitions=PARTITIONS)
    with Shown(len(contenders) * ROUNDS, ROUNDS) as shown:
        rounds, calibrations = run_rounds(contenders, arena.turn, rounds=ROUNDS, seed=report.seed, watcher=shown)
    report.counts.update(events=arena.events, rounds=_plain(rounds), calibrations=_plain(calibrations))
    bare, worker = summary(contenders, rounds)
    report.add(Figure("bare River loop, events/s (median)", bare.rate.median))
    report.add(Figure("worker, exactly_once, events/s (median)", worker.rate.median))
    report.add(Figure("worker / bare, median of the rounds", worker.ratio.median, ">=", LEAST_RATIO))
    report.add(Figure("worst round's ratio", worker.ratio.lowest))


def _plain(found: object) -> object:
    return msgspec.to_builtins(found)
