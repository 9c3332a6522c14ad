"""Workers join, leave and freeze, the broker freezes: readers see what they would have seen without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Report
from benchmarks.load import Feeder, OutputReader
from benchmarks.shop import FAULT_SHARE, LINEAR
from tests.kafka import wait_until
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker
    from tests.stage import WorkerProcess

SEED = 20261124
PARTITIONS = 6
RATE = 5_000
SETTLE_SECONDS = 60.0
FROZEN_WORKER_SECONDS = 14.0
FROZEN_BROKER_SECONDS = 20.0
SETTINGS = {"MODEL": "linear", "PROCESSING_GUARANTEE": "exactly_once", "CHECKPOINT_INTERVAL_SECONDS": "2"}


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Go through the changes one after another, input flowing, and compare with the independent loop."""
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="rebalance")
    gaps: dict[str, float] = {}

    with OutputReader(stage) as reader, Feeder(stage, rate=RATE, seed=SEED, fault_share=FAULT_SHARE) as feeder:

        def step(what: str, began: float) -> None:
            """See that every partition goes on, then note the longest gap since `began`."""
            since = reader.committed()
            wait_until(
                lambda: all(reader.has_new({number: offset}) for number, offset in since.items()),
                SETTLE_SECONDS,
                f"every partition to go on after: {what}",
            )
            gaps[what] = reader.longest_gap(began)
            print(f"  {what}: longest gap {gaps[what]:.1f} s", flush=True)

        mark = time.monotonic()
        with stage.worker("a", **SETTINGS) as first:
            step("a first worker starts", mark)
            mark = time.monotonic()
            with stage.worker("b", **SETTINGS) as second:
                _wait_for_a_live_partition(second)
                step("a second worker joins", mark)
                mark = time.monotonic()
                with stage.worker("c", **SETTINGS) as third:
                    _wait_for_a_live_partition(third)
                    step("a third worker joins", mark)

                    mark = time.monotonic()
                    second.freeze()
                    time.sleep(FROZEN_WORKER_SECONDS)  # past the session time-out of 10 s
                    second.thaw()
                    step("the second freezes past its session and thaws", mark)

                    mark = time.monotonic()
                    broker.freeze()
                    time.sleep(FROZEN_BROKER_SECONDS)
                    broker.thaw()
                    step("the broker freezes for 20 s", mark)

                    mark = time.monotonic()
                    report.counts["exit_codes"] = [third.terminate()]
                    step("the third leaves", mark)
                mark = time.monotonic()
                report.counts["exit_codes"].append(second.terminate())
                step("the second leaves", mark)
            feeder.finish()
            stage.wait_until_done(120)
            report.counts["exit_codes"].append(first.terminate())

    truth = stage.truth(LINEAR, seconds=300)
    report.counts.update(truth=truth.counts, gaps=gaps)
    report.add(Figure("records in the input", truth.counts["records"], ">", 0))
    report.add(Figure("dead letters", truth.counts["dead_letters"], ">", 0))
    report.add(Figure("repeats", truth.counts["repeats"], ">", 0))
    report.add(Figure("differences from the independent loop, to the byte", len(stage.differences(truth)), "=", 0))
    report.add(Figure("exit codes other than 0", sum(code != 0 for code in report.counts["exit_codes"]), "=", 0))
    for what, seconds in gaps.items():
        report.add(Figure(f"longest gap in any partition, s: {what}", seconds))


def _wait_for_a_live_partition(worker: WorkerProcess) -> None:
    wait_until(lambda: worker.events("partition_live"), SETTLE_SECONDS, "the worker to take a partition over")
