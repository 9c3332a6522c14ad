"""How long it takes: a restart of the same worker after kill -9, and a takeover by another one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.figures import Figure, Report
from benchmarks.load import CommittedOffsets, Feeder
from benchmarks.recovery_times.arrivals import Arrivals
from benchmarks.recovery_times.bounds import restart_figures, takeover_figures
from benchmarks.recovery_times.story import owned, steps
from benchmarks.soak.lag import LagMeter
from benchmarks.usage import cpu_seconds
from tests.kafka import find_broker, wait_until
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.kafka import Broker
    from tests.stage import WorkerProcess

SEED: Final = 20261127
PARTITIONS: Final = 4
RATE: Final = 5_000
RESTARTS: Final = 20
TAKEOVERS: Final = 6
DEFAULT_SCAN_SECONDS: Final = 10.0
SHORT_SCAN_SECONDS: Final = 1.0
SCAN: Final = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
LIFE_SECONDS: Final = (1.0, 11.0)  # once it has caught up: a checkpoint is anything from 0 to 10 s old at the kill
PATIENCE_SECONDS: Final = 60.0
COMMIT_SECONDS: Final = 0.2
BASELINE_EVERY: Final = 4  # restarts
IMPORT: Final = "import time; began = time.monotonic(); from river import linear_model; print(time.monotonic() - began)"


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Restart, take over on this broker, and take over on one that scans more often."""
    rounds = int(os.environ.get("ROUNDS") or 0)
    report.is_claimed = not rounds
    restarts, takeovers = rounds or RESTARTS, rounds or TAKEOVERS
    rng = random.Random(SEED)
    stage = Stage(broker.bootstrap_servers, directory / "a", partitions=PARTITIONS, prefix="recovery")
    with _Scene(stage) as scene:
        restarted, baseline = scene.restart_often(restarts, rng, report)
        taken_over = {DEFAULT_SCAN_SECONDS: scene.take_over_often(takeovers, rng, report, "takeovers")}
    with find_broker().start(heap_megabytes=1024, properties={SCAN: f"{SHORT_SCAN_SECONDS * 1000:.0f}"}) as quicker:
        stage = Stage(quicker.bootstrap_servers, directory / "b", partitions=PARTITIONS, prefix="recovery")
        with _Scene(stage) as other:
            taken_over[SHORT_SCAN_SECONDS] = other.take_over_often(takeovers, rng, report, "takeovers_short_scan")
    for figure in restart_figures(restarted, restarts, baseline):
        report.add(figure)
    for scan_seconds, seconds in taken_over.items():
        for figure in takeover_figures(seconds, takeovers, scan_seconds):
            report.add(figure)
    gap = max(scene.longest_gap, other.longest_gap)
    report.add(Figure("longest gap meanwhile in a partition of the worker that takes over, s", gap))
    report.add(Figure("predictions seen", scene.arrivals.seen + other.arrivals.seen, ">", 0))
    out_of_turn = scene.arrivals.out_of_turn + other.arrivals.out_of_turn
    report.add(Figure("predictions twice or out of order", out_of_turn, "=", 0))


class _Scene:
    """A stage with its input flowing, a reader, and someone to ask for offsets."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._feeder = Feeder(
            stage, rate=RATE, seed=SEED, fault_share=0.0, source="synthetic", key_by="item", is_live=True
        )
        self._offsets = CommittedOffsets(stage)
        self._meter = LagMeter(stage)
        self._workers: dict[str, WorkerProcess] = {}
        self.arrivals = Arrivals(stage)
        self.longest_gap = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.kill()
        with self._feeder, self.arrivals, self._meter:
            self._offsets.close()

    def restart_often(self, number: int, rng: random.Random, report: Report) -> tuple[list[float], list[float]]:
        """Kill and restart one worker so often; return the seconds of each, and of River's import alone meanwhile."""
        restarts: list[dict[str, Any]] = []
        baseline: list[float] = []
        self._start("a")
        for each in range(1, number + 1):
            self._catch_up()
            if each % BASELINE_EVERY == 1:
                baseline.append(_import_seconds())
            time.sleep(rng.uniform(*LIFE_SECONDS))
            self._workers["a"].kill()
            self.arrivals.mark(self._offsets.now())
            started_at = time.time()
            worker = self._start("a")
            seconds = self.arrivals.wait_for_any(PATIENCE_SECONDS) - worker.started_at
            used = cpu_seconds(worker.process.pid)
            self.arrivals.wait_for(range(PARTITIONS), PATIENCE_SECONDS)
            story = steps(worker.events(), started_at)
            restored = worker.events("checkpoint_restored")
            replayed = sum(line["committed_offset"] - line["offset"] for line in restored)
            found = {"seconds": round(seconds, 3), "cpu_seconds": used, "replayed": replayed, "steps": story}
            restarts.append(found)
            print(f"  restart {each} of {number}: {found}", flush=True)
        report.counts["restarts"] = restarts
        report.counts["import_seconds"] = baseline
        return [restart["seconds"] for restart in restarts], baseline

    def take_over_often(self, number: int, rng: random.Random, report: Report, name: str) -> list[float]:
        """Let two workers share the input and kill one, now this and now that; return the seconds of each takeover."""
        rounds = []
        for each in range(1, number + 1):
            for instance in ("a", "b"):
                if instance not in self._workers or self._workers[instance].process.poll() is not None:
                    self._start(instance)
            self._wait_for_shares()
            self._catch_up()
            time.sleep(rng.uniform(*LIFE_SECONDS))
            victim = "a" if each % 2 else "b"
            orphans = owned(self._workers[victim].events())
            killed_at = time.monotonic()
            self._workers[victim].kill()
            self.arrivals.mark(self._offsets.now())
            reached = self.arrivals.wait_for(orphans, PATIENCE_SECONDS)
            gap = self.arrivals.longest_gap(set(range(PARTITIONS)) - orphans)
            found = {
                "seconds": round(max(reached.values()) - killed_at, 3),
                "first_partition_seconds": round(min(reached.values()) - killed_at, 3),
                "survivors_longest_gap": round(gap, 3),
            }
            rounds.append(found)
            print(f"  {name} {each} of {number}: {found}", flush=True)
        report.counts[name] = rounds
        self.longest_gap = max([self.longest_gap, *(found["survivors_longest_gap"] for found in rounds)])
        return [found["seconds"] for found in rounds]

    def _start(self, instance: str) -> WorkerProcess:
        worker = self._workers[instance] = self._stage.worker(instance, MODEL="guarded")
        return worker

    def _catch_up(self) -> None:
        now = time.monotonic()
        if self._meter.seconds_to_zero(now, COMMIT_SECONDS, now + PATIENCE_SECONDS, self._check) is None:
            raise AssertionError(f"the workers did not catch up with the input within {PATIENCE_SECONDS:.0f} s")

    def _wait_for_shares(self) -> None:
        share = PARTITIONS // 2
        wait_until(
            lambda: all(len(owned(worker.events())) == share for worker in self._workers.values()),
            PATIENCE_SECONDS,
            "each of two workers to have half of the partitions",
        )

    def _check(self) -> None:
        if self._feeder.exit_code is not None:
            raise AssertionError(f"the simulated shop ended by itself, with {self._feeder.exit_code}")
        for worker in self._workers.values():
            if worker.process.poll() is not None:
                raise AssertionError(f"a worker ended by itself: {worker.log.read_text(encoding='utf-8')[-2000:]}")


def _import_seconds() -> float:
    """Return how long a new Python takes to import what every worker needs, and what takes longest."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)
