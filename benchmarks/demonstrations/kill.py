"""kill -9, again and again, while input flows: readers see what they would have seen without."""

from __future__ import annotations

import random
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

SEED = 20261124
PARTITIONS = 4
RATE = 5_000
KILLS_AT_START = 10
KILLS_IN_STREAM = 20
LONGEST_START_SECONDS = 3.0
LIFE_SECONDS = (0.3, 4.0)
MOST_SECONDS_TO_FIRST = 5.0
SETTINGS = {"MODEL": "linear", "PROCESSING_GUARANTEE": "exactly_once", "CHECKPOINT_INTERVAL_SECONDS": "1"}


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Kill, restart, and compare with the independent loop over the whole input."""
    rng = random.Random(SEED)
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="kill")
    plan = ["start"] * KILLS_AT_START + ["stream"] * KILLS_IN_STREAM
    rng.shuffle(plan)
    seconds_to_first: list[float] = []
    kills = {"start": 0, "stream": 0}
    with OutputReader(stage) as reader, Feeder(stage, rate=RATE, seed=SEED, fault_share=FAULT_SHARE) as feeder:
        with stage.worker(**SETTINGS):
            reader.wait_for_new(dict.fromkeys(range(PARTITIONS), 0), 60)
        while any(kills[kind] < plan.count(kind) for kind in kills):
            kind = plan[sum(kills.values())] if sum(kills.values()) < len(plan) else "start"
            since = reader.committed()
            with stage.worker(**SETTINGS) as worker:
                if kind == "start":
                    # Anywhere between its start and its first commit: joining, restoring, replaying.
                    time.sleep(rng.uniform(0.0, LONGEST_START_SECONDS))
                    if reader.has_new(since):
                        continue  # it was quicker; this one does not count
                else:
                    first = reader.wait_for_new(since, 60)
                    seconds_to_first.append(first - worker.started_at)
                    # Anywhere in its life: processing, committing, writing and pruning checkpoints.
                    time.sleep(rng.uniform(*LIFE_SECONDS))
                worker.kill()
            kills[kind] += 1
            print(f"  kill {sum(kills.values())} of {len(plan)}: {kind}", flush=True)
        since = reader.committed()
        with stage.worker(**SETTINGS) as worker:
            seconds_to_first.append(reader.wait_for_new(since, 60) - worker.started_at)
            feeder.finish()
            stage.wait_until_done(120)
            exit_code = worker.terminate()
    with stage.worker(**SETTINGS) as again:
        wait_until(lambda: len(again.events("partition_live")) == PARTITIONS, 60, "the next start to be live")
        restored = again.events("checkpoint_restored")
        report.counts["exit_code_of_next_start"] = again.terminate()

    truth = stage.truth(LINEAR, seconds=300)
    report.counts.update(truth=truth.counts, dead_letters=truth.reasons, seconds_to_first=seconds_to_first)
    report.add(Figure("kill -9 between start and first commit", kills["start"], "=", KILLS_AT_START))
    report.add(Figure("kill -9 in mid-stream", kills["stream"], "=", KILLS_IN_STREAM))
    report.add(Figure("records in the input", truth.counts["records"], ">", 0))
    report.add(Figure("predictions", truth.counts["predictions"], ">", 0))
    report.add(Figure("dead letters", truth.counts["dead_letters"], ">", 0))
    report.add(Figure("repeats", truth.counts["repeats"], ">", 0))
    report.add(Figure("differences from the independent loop, to the byte", len(stage.differences(truth)), "=", 0))
    report.add(
        Figure("longest time from restart to a new prediction, s", max(seconds_to_first), "<=", MOST_SECONDS_TO_FIRST)
    )
    report.add(Figure("exit code after SIGTERM", exit_code, "=", 0))
    report.add(Figure("partitions restored by the next start", len(restored), "=", PARTITIONS))
    replayed = sum(line["committed_offset"] - line["offset"] for line in restored)
    report.add(Figure("offsets that the next start replays", replayed, "=", 0))
