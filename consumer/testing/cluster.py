"""A simulated Kafka: topics, one consumer group, transactions, on a clock of its own.

What it simulates is what the worker's guarantees rest on, each behaviour held against a real broker by the contract
suite (`tests/contract`). Nothing in it knows the worker.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from consumer.broker import InputTopic
from consumer.testing.connection import SimulatedConnection
from consumer.testing.faults import NoFaults
from consumer.testing.groups import GroupCoordinator
from consumer.testing.partition_log import PartitionLog
from consumer.testing.transactions import Offsets, TransactionCoordinator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from consumer.broker import RebalanceListener
    from consumer.record import Record
    from consumer.testing.faults import Faults
    from schemas.dead_letter import Headers

MAX_MESSAGE_BYTES: Final = 1_048_588
_LONGEST_MARKER_SECONDS: Final = 2.0


class SimulatedCluster:
    """The cluster behind all connections.

    Args:
        partitions: of each topic.
        seed: of what the network decides: how long a marker takes, whether a dying client's records still arrive.
        faults: decides what becomes of each call.

    Attributes:
        now: seconds on the cluster's clock; calls and waiting move it.
        topic_id: of the input; a topic created anew has another.
        while_frozen: what everybody else does while one process is frozen; set by whoever runs several.
    """

    def __init__(self, partitions: int, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.partitions = partitions
        self.rng = random.Random(seed)
        self.faults: Faults = faults or NoFaults()
        self.now = 0.0
        self.topic_id = "topic-1"
        self.offsets = Offsets()
        self.group = GroupCoordinator(partitions)
        self.transactions = TransactionCoordinator(self.offsets, self._marker_delay)
        self.while_frozen: Callable[[SimulatedConnection], None] = lambda _connection: self.advance(1.0)
        self._logs: dict[tuple[str, int], PartitionLog] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        """Return the time, which a look at the clock moves a little."""
        self.now += 0.0001
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass: late effects arrive, markers are written, sessions and transactions end."""
        self.now += seconds
        due = [each for each in self._later if each[0] <= self.now]
        self._later = [each for each in self._later if each[0] > self.now]
        for _, take_effect in due:  # one that waits lets time pass too, and comes by here again
            take_effect()
        self.transactions.advance(self.now)
        self.group.advance(self.now)

    def later(self, effect: Callable[[], None]) -> None:
        """Let a call's effect arrive some time after its caller gave up waiting."""
        self._later.append((self.now + self.rng.uniform(0.1, 15.0), effect))

    def is_quiet(self) -> bool:
        """Tell whether the group has no members, no transaction is pending, and no call's effect is still to come."""
        stable = all(self.offsets.is_stable(number) for number in range(self.partitions))
        return stable and not self.group.members and not self._later

    def log(self, topic: str, partition: int) -> PartitionLog:
        """Return a partition's log."""
        return self._logs.setdefault((topic, partition), PartitionLog(partition))

    def recreate(self, topic: str) -> None:
        """Delete the input topic and create it anew: another log, and no committed offsets."""
        for number in range(self.partitions):
            self._logs[topic, number] = PartitionLog(number)
        self.topic_id = f"topic-{int(self.topic_id.removeprefix('topic-')) + 1}"
        self.offsets.committed.clear()
        self.offsets.pending.clear()

    # What shops and readers do

    def send(  # noqa: PLR0913 -- what a record consists of
        self,
        topic: str,
        partition: int,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp_ms: int = 0,
    ) -> int:
        """Append a record outside of any transaction and return its offset."""
        return self.log(topic, partition).append(key, value, headers, timestamp_ms)

    def committed_records(self, topic: str, partition: int) -> Iterable[Record]:
        """Return what a read_committed reader of a partition sees from its start."""
        return self.log(topic, partition).committed(0)

    def _marker_delay(self) -> float:
        return max(0.0, self.rng.uniform(-_LONGEST_MARKER_SECONDS, _LONGEST_MARKER_SECONDS))


class SimulatedBroker:
    """One worker's way to the cluster: the `Broker` that it is built with.

    Args:
        cluster: the cluster.
        input_topic: what it consumes.
        group: its consumer group; a cluster has one, so this is part of its transactional id only.
        instance_id: its static name.
        is_transactional: exactly_once; else at_least_once.

    Attributes:
        connection: the latest one.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        *,
        input_topic: str,
        group: str = "g",
        instance_id: str = "worker-0",
        is_transactional: bool = True,
    ) -> None:
        self.cluster = cluster
        self.connection: SimulatedConnection | None = None
        self._input_topic = input_topic
        self._group = group
        self._instance_id = instance_id
        self._is_transactional = is_transactional

    def connect(self, listener: RebalanceListener) -> SimulatedConnection:
        """Build a client under this identity and let it join."""
        self.connection = SimulatedConnection(
            self.cluster,
            listener,
            input_topic=self._input_topic,
            instance_id=self._instance_id,
            transactional_id=f"{self._group}-{self._instance_id}" if self._is_transactional else None,
        )
        return self.connection

    def check_topics(self) -> InputTopic:
        """Return what the worker must know of the input topic."""
        return InputTopic(self.cluster.topic_id, self.cluster.partitions, MAX_MESSAGE_BYTES)
