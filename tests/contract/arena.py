"""Two places in which a behaviour can be shown: the simulated cluster, and a real broker."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # exported, though not by the stubs

from consumer.kafka.broker import ClientIdentity, KafkaBroker
from consumer.kafka.topics import TopicNames
from consumer.testing.cluster import SimulatedBroker, SimulatedCluster
from consumer.testing.grouping import ungrouped
from consumer.testing.partition_log import Fate
from tests.kafka import create_topics, read_all, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.broker import Connection, Notice
    from consumer.record import Record

PARTITIONS = 2


class Listener:
    """Notes what the group says, and when: whether the poll that it came in had returned."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[int]]] = []
        self.owned: set[int] = set()
        self.before_revoke: Callable[[], object] = lambda: None

    def on_gained(self, partitions: Sequence[int]) -> None:
        """Note it."""
        self.heard.append(("gained", sorted(partitions)))
        self.owned |= set(partitions)

    def on_revoked(self, partitions: Sequence[int]) -> None:
        """Note it, and do what a test wants done first."""
        self.before_revoke()
        self.heard.append(("revoked", sorted(partitions)))
        self.owned -= set(partitions)

    def on_lost(self, partitions: Sequence[int]) -> None:
        """Note it."""
        self.heard.append(("lost", sorted(partitions)))
        self.owned -= set(partitions)


class Client:
    """A connection, and what it has heard and fetched so far."""

    def __init__(self, connect: Callable[[Listener], Connection]) -> None:
        self.listener = Listener()
        self.connection = connect(self.listener)
        self.polled: list[Record | Notice] = []

    def poll(self) -> list[Record | Notice]:
        """Poll once."""
        polled = ungrouped(self.connection.poll(100, 0.1))
        self.polled += polled
        return polled


class Arena(Protocol):
    """Kafka with three topics and one group of its own."""

    input: str
    output: str

    def client(self, instance: str = "a", *, is_transactional: bool = True) -> Client:
        """Return a new client, which has begun to join."""

    def poll_until(self, is_done: Callable[[], object], *clients: Client, seconds: float = 60.0) -> None:
        """Let clients poll by turns until something is true."""

    def send(self, partition: int, *values: bytes) -> None:
        """Append records to the input."""

    def send_in_transaction(self, partition: int, *values: bytes, is_committed: bool) -> None:
        """Append records to the input in a transaction of their own, committed or aborted."""

    def visible(self, partition: int) -> list[bytes | None]:
        """Return what a read_committed reader of the output sees."""

    def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next record will get, committed or not."""

    def delete_below(self, topic: str, partition: int, offset: int) -> None:
        """Let retention remove records."""

    def expire_offsets(self) -> None:
        """Let an empty group's offsets expire."""

    def topic_id(self) -> str:
        """Return the input's topic id."""

    def recreate_input(self) -> None:
        """Delete the input and create it anew."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class SimulatedArena:
    """The simulated cluster."""

    def __init__(self, seed: int = 0) -> None:
        self.input, self.output = "in", "out"
        self._cluster = SimulatedCluster(PARTITIONS, seed=seed)

    def client(self, instance: str = "a", *, is_transactional: bool = True) -> Client:
        """Join the simulated group."""
        broker = SimulatedBroker(
            self._cluster, input_topic=self.input, instance_id=instance, is_transactional=is_transactional
        )
        return Client(broker.connect)

    def poll_until(self, is_done: Callable[[], object], *clients: Client, seconds: float = 60.0) -> None:
        """Poll on the simulated clock."""
        deadline = self._cluster.now + seconds
        while not is_done():
            assert self._cluster.now < deadline, f"not within {seconds:.0f} simulated seconds"
            for client in clients:
                client.poll()
            self._cluster.advance(0.05)

    def send(self, partition: int, *values: bytes) -> None:
        """Append."""
        for value in values:
            self._cluster.send(self.input, partition, value)

    def send_in_transaction(self, partition: int, *values: bytes, is_committed: bool) -> None:
        """Append with a marker."""
        log = self._cluster.log(self.input, partition)
        span = log.open()
        for value in values:
            log.append(None, value, None, 0, span)
        log.close(span, Fate.COMMITTED if is_committed else Fate.ABORTED)

    def visible(self, partition: int) -> list[bytes | None]:
        """Read, once the markers under way are written."""
        self._cluster.advance(3.0)
        return [record.value for record in self._cluster.committed_records(self.output, partition)]

    def end(self, topic: str, partition: int) -> int:
        """Look."""
        return self._cluster.log(topic, partition).end

    def delete_below(self, topic: str, partition: int, offset: int) -> None:
        """Delete."""
        self._cluster.log(topic, partition).delete_below(offset)

    def expire_offsets(self) -> None:
        """Expire."""
        self._cluster.advance(60.0)
        assert not self._cluster.group.members
        self._cluster.offsets.committed.clear()

    def topic_id(self) -> str:
        """Return the present one."""
        return self._cluster.topic_id

    def recreate_input(self) -> None:
        """Recreate."""
        self._cluster.recreate(self.input)

    def wait(self, seconds: float) -> None:
        """Advance the simulated clock."""
        self._cluster.advance(seconds)

    def close(self) -> None:
        """Nothing is left behind."""


class RealArena:
    """A real broker."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._names = TopicNames(unique("contract-in"), unique("contract-out"), unique("contract-dead"))
        self.input, self.output = self._names.input, self._names.output
        self._group = unique("contract")
        self._config = {"bootstrap.servers": bootstrap_servers}
        self._admin = AdminClient(dict(self._config))
        self._clients: list[Client] = []
        outputs = {self.output: PARTITIONS, self._names.dead_letters: PARTITIONS}
        create_topics(bootstrap_servers, outputs, {"max.message.bytes": str(2 * 1024 * 1024)})
        self._create_input()

    def _create_input(self) -> None:
        create_topics(self._servers, {self.input: PARTITIONS}, {"retention.ms": "-1"})

    def _broker(self, instance: str = "a", *, is_transactional: bool = True) -> KafkaBroker:
        config = {**self._config, "session.timeout.ms": "6000", "transaction.timeout.ms": "10000"}
        if not is_transactional:
            del config["transaction.timeout.ms"]
        identity = ClientIdentity(self._group, instance)
        log = structlog.get_logger()
        return KafkaBroker(config, self._names, identity, is_transactional=is_transactional, log=log)

    def client(self, instance: str = "a", *, is_transactional: bool = True) -> Client:
        """Join the real group."""
        client = Client(self._broker(instance, is_transactional=is_transactional).connect)
        self._clients.append(client)
        return client

    def poll_until(self, is_done: Callable[[], object], *clients: Client, seconds: float = 60.0) -> None:
        """Poll on the real clock."""
        deadline = time.monotonic() + seconds
        while not is_done():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
            for client in clients:
                client.poll()
            if not clients:
                time.sleep(0.05)

    def send(self, partition: int, *values: bytes) -> None:
        """Produce."""
        producer = Producer({**self._config, "enable.idempotence": True})
        for value in values:
            producer.produce(self.input, value, partition=partition)
        assert producer.flush(30) == 0

    def send_in_transaction(self, partition: int, *values: bytes, is_committed: bool) -> None:
        """Produce in a transaction."""
        producer = Producer({**self._config, "transactional.id": unique("shop")})
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.input, value, partition=partition)
        assert producer.flush(30) == 0
        if is_committed:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    def visible(self, partition: int) -> list[bytes | None]:
        """Read to the last stable offset."""
        return [message.value() for message in read_all(self._servers, self.output)[partition]]

    def end(self, topic: str, partition: int) -> int:
        """Ask for the high watermark."""
        asked = {TopicPartition(topic, partition): OffsetSpec.latest()}  # type: ignore[no-untyped-call]
        (future,) = self._admin.list_offsets(asked).values()
        offset: int = future.result(30).offset
        return offset

    def delete_below(self, topic: str, partition: int, offset: int) -> None:
        """Delete records, once they are all there: the marker of a commit comes some time after the commit."""

        def is_done() -> bool:
            (future,) = self._admin.delete_records([TopicPartition(topic, partition, offset)]).values()
            try:
                future.result(30)
            except KafkaException as exception:
                if exception.args[0].code() != KafkaError.OFFSET_OUT_OF_RANGE:
                    raise
                return False
            return True

        wait_until(is_done, 30, f"offset {offset} of {topic} to be below its high watermark")

    def expire_offsets(self) -> None:
        """Delete the group's offsets, which a broker lets happen to an empty group only."""

        def is_empty() -> bool:
            (future,) = self._admin.describe_consumer_groups([self._group]).values()
            return not future.result(30).members

        wait_until(is_empty, 60, "the group to be empty")
        (future,) = self._admin.delete_consumer_groups([self._group]).values()
        future.result(30)

    def topic_id(self) -> str:
        """Ask."""
        return self._broker().check_topics().topic_id

    def recreate_input(self) -> None:
        """Delete and create."""
        for future in self._admin.delete_topics([self.input]).values():
            future.result(30)
        wait_until(lambda: self.input not in self._admin.list_topics(timeout=30).topics, 30, "the topic to be gone")
        self._create_input()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """Throw away the clients that a behaviour has left, and wait until they are gone: the broker may go next."""
        for client in self._clients:
            with contextlib.suppress(AttributeError):  # thrown away by the behaviour already
                client.connection.discard()
        for thread in threading.enumerate():
            if thread.name == "discard-clients":
                thread.join(15)


def values_of(polled: Sequence[Any]) -> list[Any]:
    """Return the values of the records among what was polled, in order."""
    return [item.value for item in polled if hasattr(item, "value")]
