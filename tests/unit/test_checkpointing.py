"""Snapshots of many models beside a loop that goes on: a few milliseconds a turn, one at a time, whole at a stop."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog

from consumer.assigned import Assigned, Phase
from consumer.checkpointing import Checkpointing, Pace
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.learning.model_sections import joined
from consumer.learning.regressor import RegressorKind
from consumer.metrics import PREFIX, Metrics
from consumer.record import Record
from schemas.transaction import Limits
from tests import core

if TYPE_CHECKING:
    from consumer.checkpoint.writer import Snapshot, Written
    from consumer.learning import PartitionTask

MODELS: Final = 40
PICKLE_SECONDS: Final = 0.001


class Slow:
    """A regressor that takes a millisecond to be pickled."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.learned = 0

    def predict_one(self, _features: object) -> float:
        return float(self.learned)

    def learn_one(self, _features: object, _level: float) -> None:
        self.learned += 1

    def __reduce__(self) -> Any:
        self.clock.now += self.clock.pickle_seconds
        return int, (self.learned,)


class Clock:
    """Time that passes while models are pickled, and not else."""

    now = 100.0
    pickle_seconds = 0.0

    def __call__(self) -> float:
        return self.now

    def __reduce__(self) -> Any:
        return float, ()


class Partitions(list[Assigned]):
    """The assignment, as far as checkpoints ask it."""

    def in_phase(self, phase: Phase) -> list[Assigned]:
        return [assigned for assigned in self if assigned.phase is phase]


class Queue:
    """A writer that only takes in."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.submitted: list[Snapshot] = []

    def submit(self, snapshot: Snapshot) -> None:
        self.submitted.append(snapshot)

    def finished(self, wait_seconds: float = 0.0) -> Written | None:
        self.clock.now += wait_seconds
        return None


class Loop:
    """One partition with many models, and what takes its snapshots."""

    def __init__(self) -> None:
        self.clock, self.metrics = Clock(), Metrics()
        self.queue = Queue(self.clock)
        learning = LearningSettings("slow", ModelScope.ITEM, 1_000, 100, Limits())
        kind = RegressorKind(lambda: Slow(self.clock), {})
        self.task: PartitionTask = core.new_task(learning, topic="sales", partition=0, model_id="0" * 12, kind=kind)
        self.assigned = Assigned(0, self.clock.now)
        self.assigned.task, self.assigned.phase = self.task, Phase.LIVE
        self.partitions = Partitions([self.assigned])
        for item in range(MODELS):
            self.sell(item)
        self.clock.pickle_seconds = PICKLE_SECONDS
        self.checkpointing = Checkpointing(
            assignment=self.partitions,  # type: ignore[arg-type]  # as far as it is asked
            writer=self.queue,  # type: ignore[arg-type]  # likewise
            interval=0.0,
            max_replay_records=10**9,
            clock=self.clock,
            metrics=self.metrics,
            log=structlog.get_logger(),
            pace=Pace(0.005, 1),
        )

    def sell(self, item: int) -> None:
        """Let an item's model learn; pickling before that is not the snapshot's time."""
        number = self.task.next_offset
        fields = {"transaction_id": str(number), "store_id": "s", "sku": str(item), "quantity": -1}
        value = json.dumps({**fields, "occurred_at": "2025-01-01T10:00:00Z", "new_stock_level": 5}).encode()
        self.task.process(Record(0, number, -1, b"s", value))

    def turn(self) -> float:
        """Take a turn; return how long it took."""
        before = self.clock.now
        self.checkpointing.turn(None)  # type: ignore[arg-type]  # nothing is asked of the log
        return self.clock.now - before

    def sample(self, name: str, **labels: str) -> float:
        """One of the metrics."""
        return self.metrics.registry.get_sample_value(f"{PREFIX}{name}", labels) or 0.0


@pytest.fixture
def loop() -> Loop:
    """A loop that has sold each item once."""
    return Loop()


def test_no_turn_is_long(loop: Loop) -> None:
    """The models take 40 ms, each turn a slice of at most 6; the pause is the longest slice, the phase has them all."""
    began, turns = loop.task.next_offset, []
    while not loop.queue.submitted:
        turns.append(loop.turn())
        assert loop.assigned.is_snapshot_pending
        assert loop.checkpointing.is_taking == (not loop.queue.submitted)
        before = loop.clock.now
        loop.sell(MODELS - 1)  # events come in between
        loop.clock.now = before
    assert len(turns) >= 7
    assert max(turns) <= 0.006 + 1e-9
    (snapshot,) = loop.queue.submitted
    assert snapshot.offset == began < loop.task.next_offset
    assert snapshot.pause_seconds == max(turns)
    assert loop.sample("phase_seconds_total", phase="snapshot") == pytest.approx(sum(turns))
    assert loop.sample("checkpoint_pause_seconds_sum") == max(turns)
    assert loop.sample("checkpoint_pause_seconds_count") == 1
    sections = {name: joined(section) for name, section in snapshot.sections.items()}
    assert [state for state, _ in core.models_of(sections).values()] == [1] * MODELS


def test_one_at_a_time(loop: Loop) -> None:
    """While one is being taken, or on its way, its partition begins no other; nor does any other partition."""
    other = Assigned(1, loop.clock.now)
    other.task, other.phase = Loop().task, Phase.LIVE
    loop.partitions.append(other)
    loop.turn()
    assert [each.taking is None for each in (loop.assigned, other)] == [False, True]
    while not loop.queue.submitted:
        assert other.taking is None
        loop.turn()
    loop.sell(1)
    while len(loop.queue.submitted) == 1:
        loop.turn()
    assert [each.owner for each in loop.queue.submitted] == [loop.assigned, other]
    loop.turn()
    assert loop.assigned.taking is None


def test_a_dropped_partition_drops_its_snapshot(loop: Loop) -> None:
    """Half a state of what is another worker's now is of no use to anybody."""
    loop.turn()
    loop.partitions.clear()
    for _ in range(20):
        loop.turn()
    assert loop.queue.submitted == []
    assert not loop.checkpointing.is_taking


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_stop_takes_the_newest_state_whole(loop: Loop, *, goes_on: bool) -> None:
    """What is half taken is finished at once, or given up where events came since, with signs of life meanwhile."""
    loop.turn()
    if goes_on:
        loop.sell(0)
    beats: list[float] = []
    assert not loop.checkpointing.finish(0.1, lambda: beats.append(loop.clock.now))  # nothing ever becomes durable
    (snapshot,) = loop.queue.submitted
    assert snapshot.offset == loop.task.next_offset
    taken = beats[: MODELS // 5]
    assert max(after - before for before, after in pairwise(taken)) <= 0.006 + 1e-9


def test_a_stop_has_a_deadline(loop: Loop) -> None:
    """A state that takes longer than there is time is not waited for."""
    assert not loop.checkpointing.finish(0.02, lambda: None)
    assert loop.queue.submitted == []
    assert loop.clock.now - 100.0 <= 0.03
