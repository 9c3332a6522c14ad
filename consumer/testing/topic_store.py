"""A simulated checkpoint topic: chunk by chunk, each of which may be lost, come late, or lie there unconfirmed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.store import StoreError
from consumer.errors import RetryError
from consumer.testing.faults import Crash, Fault, begin_step, end_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.envelope import Data
    from consumer.checkpoint.store import CheckpointName
    from consumer.testing.cluster import SimulatedCluster
    from consumer.testing.store import Disk

_CHUNKS: Final = 3
_STEP: Final = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.REFUSED})
_RECORD: Final = _STEP | {Fault.LOSE_REPLY, Fault.LATE}
_READ: Final = _STEP | {Fault.LATE}


class SimulatedTopicStore:
    """One process's way to the topic, with the steps of `CheckpointTopic`.

    Args:
        disk: the topic, shared by all processes of a simulation.
        cluster: its Kafka, on whose clock late records arrive.
    """

    def __init__(self, disk: Disk, cluster: SimulatedCluster) -> None:
        self._disk = disk
        self._cluster = cluster

    def write(self, name: CheckpointName, data: Data) -> str:
        """Send chunk after chunk, then wait until all are confirmed."""
        lost = [
            number
            for number in range(_CHUNKS)
            if not self._record("store.chunk", partial(self._disk.put_chunk, name, number, _CHUNKS, data))
        ]
        self._fail("store.confirm", self._step("store.confirm", _STEP))
        if lost:
            raise StoreError(f"store.chunk: chunks {lost} were not confirmed in time")
        return _place(name)

    def read(self, name: CheckpointName) -> bytes | None:
        """Read it from its place on; the answer may come the next time."""
        self._answer("store.fetch")
        return self._disk.files.get(name)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Read it whole; the answer may come the next time."""
        del length
        return self.read(name)

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Walk through a partition, which tells each place; the answer may come the next time."""
        self._answer("store.scan")
        found = sorted(name for name in self._disk.files if name.is_of(group, topic, partition))
        return [replace(name, place=_place(name)) for name in found]

    def delete(self, name: CheckpointName) -> None:
        """Send a tombstone for each chunk, then wait until all are confirmed."""
        lost = [
            number
            for number in range(_CHUNKS)
            if not self._record("store.tombstone", partial(self._disk.drop_chunk, name, number, _CHUNKS))
        ]
        if lost:
            raise StoreError(f"store.tombstone: tombstones {lost} were not confirmed in time")

    def check(self, _group: str, _topic: str) -> None:
        """Nothing is in the way."""

    def where(self) -> str:
        """Name it."""
        return "simulated topic"

    def _record(self, step: str, effect: Callable[[], None]) -> bool:
        """Send one record; tell whether it was confirmed."""
        fault = self._step(step, _RECORD)
        if fault is Fault.LATE:
            self._cluster.later(effect)
        elif fault is not Fault.REFUSED:
            effect()
        if fault is Fault.CRASH_AFTER:
            raise Crash(step)
        return fault is Fault.NONE

    def _answer(self, step: str) -> None:
        """Let a question through, or say that its answer is on its way."""
        fault = self._step(step, _READ)
        if fault is Fault.LATE:
            raise RetryError(f"{step}: it is being read from the simulated topic")
        self._fail(step, fault)

    def _step(self, step: str, allowed: frozenset[Fault]) -> Fault:
        return begin_step(self._cluster.faults, step, allowed)

    @staticmethod
    def _fail(step: str, fault: Fault) -> None:
        end_step(step, fault, "no answer from the simulated topic")


def _place(name: CheckpointName) -> str:
    """Return a place that follows from the name, so that a disturbed worker's reference can be that of another."""
    return f"{name.offset}+{_CHUNKS}"
