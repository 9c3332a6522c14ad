"""The whole worker, exactly once, beside a bare River loop, in alternating rounds of one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Report
from benchmarks.shop import real_transactions
from tests.stage import ROOT, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

SEED = 20261124
EVENTS = 300_000
PARTITIONS = 4
ROUNDS = 3
LEAST_RATIO = 0.5


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Alternate between the bare loop, with the broker idle, and the worker over the same events."""
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="speed")
    sent = stage.send(real_transactions(EVENTS, seed=SEED)).by_kind
    records = sum(sent.values())
    bare_rates, worker_rates = [], []
    for number in range(ROUNDS):
        bare_rates.append(_bare_rate())
        if number:
            stage.renew_group()
        stage.directory = directory / str(number)
        worker_rates.append(records / _worker_seconds(stage))
        print(f"  round {number + 1}: bare {bare_rates[-1]:,.0f}/s, worker {worker_rates[-1]:,.0f}/s", flush=True)
    report.counts.update(records=records, bare_per_second=bare_rates, worker_per_second=worker_rates)
    bare, worker = statistics.median(bare_rates), statistics.median(worker_rates)
    report.add(Figure("bare River loop, events/s (median)", bare))
    report.add(Figure("worker, exactly_once, events/s (median)", worker))
    report.add(Figure("worker / bare", worker / bare, ">=", LEAST_RATIO))
    report.add(Figure("worst round's ratio", min(w / b for w, b in zip(worker_rates, bare_rates, strict=True))))


def _bare_rate() -> float:
    """Run the bare loop in a process of its own, as the worker runs in one."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", str(EVENTS), str(SEED)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["events_per_second"])


def _worker_seconds(stage: Stage) -> float:
    """Return the time from the first fetch to the end, with every offset committed and every checkpoint written."""
    worker = stage.run_to_end("worker-0", 300, MODEL="linear", PROCESSING_GUARANTEE="exactly_once")
    began = min(_time(line["timestamp"]) for line in worker.events("partition_fresh"))
    (stopped,) = (_time(line["timestamp"]) for line in worker.events("stopped"))
    return stopped - began


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
