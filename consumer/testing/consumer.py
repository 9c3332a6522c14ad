"""The simulated consumer: a member of the group, its positions, and what it has fetched ahead."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from consumer.broker import EndOfPartition, OutOfRange
from consumer.errors import FencedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.broker import Notice, RebalanceListener
    from consumer.record import Record
    from consumer.testing.cluster import SimulatedCluster

_NOWHERE: Final = 2**63 - 1


class SimulatedConsumer:
    """One consumer, a static member of the group.

    Args:
        cluster: the cluster.
        listener: hears of rebalances, from within `serve`.
        input_topic: what it consumes.
        instance_id: its static name.

    Attributes:
        is_frozen: its process stands still, its heartbeats too.
        is_dead: its process is gone, or has thrown it away.
        positions: what it fetches, by partition.
    """

    def __init__(
        self, cluster: SimulatedCluster, listener: RebalanceListener, input_topic: str, instance_id: str
    ) -> None:
        self.is_frozen = False
        self.is_dead = False
        self.positions: dict[int, int] = {}
        self._cluster = cluster
        self._listener = listener
        self._input_topic = input_topic
        self._instance_id = instance_id
        self._owned: set[int] = set()
        self._events: deque[tuple[str, list[int]]] = deque()
        self._ended_at: dict[int, int] = {}
        cluster.group.join(instance_id, self, cluster.now)

    def is_responsive(self) -> bool:
        """Tell whether its background thread runs."""
        return not self.is_frozen and not self.is_dead

    def told(self, *, gained: Iterable[int] | None = None, revoked: Iterable[int] | None = None) -> None:
        """Queue what the coordinator says, for the next poll."""
        for name, numbers in (("revoked", revoked), ("gained", gained)):
            if numbers is not None:
                self._events.append((name, list(numbers)))

    def check_name(self) -> None:
        """Find out whether another client took its name.

        Raises:
            FencedError: one did.
        """
        if self._cluster.group.is_replaced(self._instance_id, self):
            raise FencedError("another client took this instance id")

    def is_member(self) -> bool:
        """Tell whether the coordinator still knows it."""
        return self._cluster.group.is_member(self._instance_id, self)

    def serve(self) -> None:
        """Serve what the coordinator said since the last poll; one that it has forgotten joins anew."""
        group = self._cluster.group
        if not self.is_member():
            lost, self._owned, self.positions = sorted(self._owned), set(), {}
            self._events.clear()
            if lost:
                self._listener.on_lost(lost)
            group.join(self._instance_id, self, self._cluster.now)
            return
        while self._events:
            name, numbers = self._events.popleft()
            if name == "gained":
                self._owned.update(numbers)
                self._listener.on_gained(numbers)
                continue
            self._listener.on_revoked(numbers)
            self._owned.difference_update(numbers)
            for number in numbers:
                self.positions.pop(number, None)
            group.released(self._instance_id, self, numbers, self._cluster.now)

    def start(self, partition: int, offset: int) -> None:
        """Fetch a partition from an offset on."""
        self.positions[partition] = offset
        self._ended_at.pop(partition, None)

    def stop(self, partitions: Iterable[int]) -> None:
        """Fetch these no more."""
        for partition in partitions:
            self.positions.pop(partition, None)

    def fetch(self, most: int) -> list[Record | Notice]:
        """Return at most so many of the next records, partitions in any order, each one's records in theirs."""
        polled: list[Record | Notice] = []
        numbers = list(self.positions)
        self._cluster.rng.shuffle(numbers)
        for number in numbers:
            log, position = self._cluster.log(self._input_topic, number), self.positions[number]
            if not log.start <= position <= log.end:
                del self.positions[number]  # as the real client, which fetches no more until it is told where
                polled.append(OutOfRange(number, _NOWHERE))
                continue
            stable = log.stable
            for record in log.committed(position):
                if len(polled) >= most:
                    break
                polled.append(record)
                self.positions[number] = record.offset + 1
            if len(polled) < most and self._ended_at.get(number) != stable:
                self._ended_at[number] = self.positions[number] = stable
                polled.append(EndOfPartition(number, stable))
        return polled
