"""One segment of a run: a broker and topics of its own, minutes of faults, and then the reckoning."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from benchmarks.chaos.crew import Crew
from benchmarks.chaos.disk import release
from benchmarks.chaos.faults import Hand
from benchmarks.chaos.guard import Guard
from benchmarks.chaos.onlooker import Onlooker
from benchmarks.chaos.places import open_place
from benchmarks.chaos.plan import Kind
from benchmarks.chaos.proxy import Network
from benchmarks.chaos.recoveries import Recoveries
from benchmarks.chaos.scene import OverError, Scene
from benchmarks.chaos.states import final_states, unequal
from benchmarks.chaos.tally import MENDED_BY_A_RESTART, Tally
from benchmarks.load import Feeder
from benchmarks.shop import FAULT_SHARE, LINEAR
from tests.kafka import DeadlineExceededError, wait_until
from tests.kafka.cluster import Cluster
from tests.stage import ROOT, Stage, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.chaos.places import Place
    from benchmarks.chaos.plan import Track
    from tests.kafka.jars import Installation

PARTITIONS: Final = 6
WORKERS: Final = 3
SETTINGS: Final = {
    "MODEL": "linear",
    "PROCESSING_GUARANTEE": "exactly_once",
    "CHECKPOINT_INTERVAL_SECONDS": "2",
    "WATCHDOG_SECONDS": "30",  # a worker that stands still holds up its group's rebalances
    "PYTHONFAULTHANDLER": "1",  # one that hangs all the same is asked for its stacks
    "KAFKA_SESSION_TIMEOUT_MS": "6000",  # the least that brokers allow: zombies are made sooner
}
_START_SECONDS: Final = 180.0
_FULL_REPLAY: Final = "replay_from_first"
_REPORT_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Scenario:
    """What a run's segments have in common.

    Attributes:
        seed: of everything drawn.
        nodes: brokers.
        rate: events a second.
        seconds: how long a segment burns.
        store: where checkpoints are kept.
        root: where the workers' code is.
        patience: seconds that the workers have to come to rest after the last fault.
    """

    seed: int
    nodes: int
    rate: int
    seconds: float
    store: str = "file"
    root: Path = ROOT
    patience: float = 300.0


class Segment:
    """One segment.

    Args:
        scenario: of the run.
        number: from 0.
        tracks: its faults.
        directory: of its own, for logs and checkpoints.
        installation: what brokers run from.
        say: told what happens.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        scenario: Scenario,
        number: int,
        tracks: Sequence[Track],
        *,
        directory: Path,
        installation: Installation,
        say: Callable[[str], None],
    ) -> None:
        self._scenario = scenario
        self._seed = f"{scenario.seed}/{number}"
        self._number = number
        self._tracks = tracks
        self._directory = directory
        self._installation = installation
        self._say = say
        self._failures: list[BaseException] = []
        self._early_replays = 0

    def run(self) -> Tally:
        """Burn, settle, compare; everything that was started has ended when this returns or raises."""
        release(self._directory / "checkpoints")
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        with ExitStack() as stack:
            cluster = Cluster(self._installation, self._scenario.nodes)
            network = stack.enter_context(Network([(each.front, each.behind) for each in cluster.ports]))
            stack.enter_context(cluster)
            stage = Stage(
                cluster.bootstrap_servers,
                self._directory,
                partitions=PARTITIONS,
                prefix="chaos",
                root=self._scenario.root,
            )
            guard = stack.enter_context(Guard())
            place = stack.enter_context(open_place(self._scenario.store, stage))
            recoveries = Recoveries()
            onlooker = stack.enter_context(Onlooker(stage, LINEAR, recoveries))
            names = [f"worker-{number}" for number in range(WORKERS)]
            environment = {**SETTINGS, **place.settings(), "KAFKA_BOOTSTRAP_SERVERS": cluster.front_servers}

            def spawn(name: str, log: Path) -> WorkerProcess:
                # Each start is on an empty machine: nothing local outlives the process before.
                machine = self._directory / "machines" / name
                shutil.rmtree(machine, ignore_errors=True)
                machine.mkdir(parents=True)
                local = {"PYTHONPATH": str(stage.root), "TMPDIR": str(machine), "HOME": str(machine)}
                settings = {**stage.environment(name, **environment), **local}
                worker = WorkerProcess(settings, log, *place.flags, root=machine)
                guard.watch(worker.process.pid)
                return worker

            crew = stack.enter_context(Crew(names, spawn, self._directory))
            feeder = stack.enter_context(
                Feeder(
                    stage,
                    rate=self._scenario.rate,
                    seed=self._scenario.seed + self._number,
                    fault_share=FAULT_SHARE,
                    source="synthetic",
                    key_by="item",
                )
            )
            scene = Scene(stage, cluster, network, crew, place, onlooker, recoveries, self._seed)
            tally = Tally()
            try:
                tally.seconds = self._burn(scene, feeder)
                self._settle(scene, feeder)
                self._compare_states(scene, place, tally)
            except (DeadlineExceededError, AssertionError, KafkaException, subprocess.TimeoutExpired) as error:
                tally.findings.append(f"{type(error).__name__}: {error}")
                for slot in crew.all():
                    self._say(f"{slot.name}, partitions {sorted(slot.look().live)}: {slot.life.last_words()}")
            self._reckon(scene, tally)
        shutil.rmtree(self._directory / "checkpoints", ignore_errors=True)
        return tally

    # Burning

    def _burn(self, scene: Scene, feeder: Feeder) -> float:
        """Let all tracks come to their ends; return how long that took."""
        every = set(range(PARTITIONS))
        wait_until(lambda: scene.crew.live() == every, _START_SECONDS, "every partition to be live")
        scene.felt(Kind.JOIN)
        wait_until(lambda: scene.recoveries.pending == 0, _START_SECONDS, "every partition to be predicted for")
        wait_until(lambda: scene.stage.checkpointed() == every, _START_SECONDS, "every partition to have a checkpoint")
        self._early_replays = scene.crew.number(_FULL_REPLAY)  # from before there was anything to restore
        self._say("input flows, every partition is live")
        began = time.monotonic()
        threads = [
            threading.Thread(target=self._follow, args=(scene, track, began), name=track.name, daemon=True)
            for track in self._tracks
        ]
        for thread in threads:
            thread.start()
        try:
            said = began
            while any(thread.is_alive() for thread in threads) or time.monotonic() - began < self._scenario.seconds:
                if scene.onlooker.failure is not None:
                    raise AssertionError(f"the reader failed: {scene.onlooker.failure!r}")
                if feeder.exit_code is not None:
                    raise AssertionError(f"the simulated shop ended by itself, with {feeder.exit_code}")
                if self._failures:
                    raise AssertionError(f"a fault could not be done: {self._failures[0]!r}") from self._failures[0]
                if time.monotonic() - said >= _REPORT_SECONDS:
                    said = time.monotonic()
                    self._tell(scene, said - began)
                time.sleep(_LOOK_SECONDS)
        finally:
            scene.is_over.set()
            for thread in threads:
                thread.join()
        return round(time.monotonic() - began, 1)

    def _follow(self, scene: Scene, track: Track, began: float) -> None:
        hand = Hand(scene, track.name)
        try:
            for fault in track.faults:
                scene.pause(max(0.0, began + fault.at - time.monotonic()))
                hand.do(fault)
        except OverError:
            pass
        except BaseException as error:  # noqa: BLE001 -- the main thread must hear of it
            self._failures.append(error)

    def _tell(self, scene: Scene, seconds: float) -> None:
        comparison = scene.onlooker.comparison
        self._say(
            f"{seconds:4.0f} s: {scene.faults.total()} faults, {comparison.seen:,} outputs read, "
            f"{comparison.waiting:,} awaited, {comparison.wrong} wrong"
        )

    # Settling

    def _settle(self, scene: Scene, feeder: Feeder) -> None:
        """Let the last fault's traces fade, end the input, and have the workers come to its end and stop."""
        patience = self._scenario.patience
        wait_until(lambda: scene.recoveries.pending == 0, patience, "all recoveries to end")
        feeder.finish()
        every = set(range(PARTITIONS))
        wait_until(lambda: scene.crew.live() == every, patience, "every partition to be live at the end")
        scene.stage.wait_until_done(patience)
        scene.crew.rest()
        for slot in scene.crew.slots:
            slot.terminate()
        ends = scene.onlooker.ends()
        wait_until(lambda: scene.onlooker.has_reached(ends), patience, "the reader to reach the ends")
        scene.onlooker.finish()

    # The reckoning

    def _compare_states(self, scene: Scene, place: Place, tally: Tally) -> None:
        """Hold the final states to those of one undisturbed worker that reads the same input in a group of its own."""
        stage, store, settings = scene.stage, place.reads(), {**SETTINGS, **place.settings()}
        if any(state.checkpoint_offset != state.offset for state in final_states(stage, store).values()):
            stage.run_to_end("worker-0", 120, flags=place.flags, **settings)
        disturbed = final_states(stage, store)
        stage.renew_group()
        stage.run_to_end("undisturbed", 300, **settings)
        undisturbed = final_states(stage, store)
        differing = unequal(disturbed, undisturbed)
        tally.states, tally.unequal_states = len(undisturbed), len(differing)
        tally.findings.extend(differing)

    def _reckon(self, scene: Scene, tally: Tally) -> None:
        record, comparison = scene.crew.record, scene.onlooker.comparison
        for slot in scene.crew.all():
            slot.kill()
        tally.faults = {kind.value: number for kind, number in sorted(scene.faults.items())}
        tally.without_effect = {kind.value: number for kind, number in sorted(scene.without_effect.items())}
        tally.exits = {str(code): number for code, number in sorted(record.exits.items())}
        tally.events = dict(sorted(record.events.items()))
        tally.longest_replay = record.longest_replay
        tally.full_replays = record.events[_FULL_REPLAY] - self._early_replays
        tally.recoveries = scene.recoveries.seconds()
        tally.records = comparison.records
        counts = comparison.counts.values()
        tally.equal = sum(each.equal for each in counts)
        tally.lost = sum(each.lost for each in counts)
        tally.doubled = sum(each.doubled for each in counts)
        tally.differing = sum(each.differing for each in counts)
        odd = {code: number for code, number in record.exits.items() if code not in MENDED_BY_A_RESTART}
        tally.findings.extend([*record.findings, *comparison.findings[:20]])
        tally.findings.extend(f"{number} workers ended with {code}" for code, number in odd.items())
        if scene.onlooker.failure is not None:
            tally.findings.append(f"the reader failed: {scene.onlooker.failure!r}")
