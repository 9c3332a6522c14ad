"""Several Apache Kafka brokers as one cluster, each a Java process and a controller too; or one that is like them.

Every node has two addresses: its own, and one for clients that are to reach it through something in between, such as a
proxy that cuts connections.
"""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .apache import ApacheBroker, new_cluster_id
from .broker import BrokerError, free_port
from .deadline import wait_until
from .settings import SINGLE_NODE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from .jars import Installation

_LEADER_SECONDS = 30.0
_ATTEMPTS = 3
_MIN_IN_SYNC = 2
_REPLICATED = {
    "default.replication.factor": "{nodes}",
    "offsets.topic.replication.factor": "{nodes}",
    "transaction.state.log.replication.factor": "{nodes}",
    "share.coordinator.state.topic.replication.factor": "{nodes}",
    "transaction.state.log.min.isr": "{in_sync}",
    "share.coordinator.state.topic.min.isr": "{in_sync}",
    "min.insync.replicas": "{in_sync}",
}


class Ports(NamedTuple):
    """Where a node is found.

    Attributes:
        direct: for tests.
        behind: where it listens for what stands in between.
        front: where that listens; the node names this address to clients that come that way.
        controller: for the other nodes' controllers.
    """

    direct: int
    behind: int
    front: int
    controller: int


class Node(ApacheBroker):
    """One broker of a cluster."""

    @classmethod
    def prepare(cls, installation: Installation, number: int, ports: Sequence[Ports], heap_megabytes: int) -> Self:
        """Return a node that does not run yet."""
        directory = Path(tempfile.mkdtemp(prefix="kafka-node-"))
        node = cls(installation, directory, ports[number].direct, heap_megabytes)
        properties = node_properties(number, ports, str(directory / "data"))
        text = "".join(f"{key}={value}\n" for key, value in properties.items())
        (directory / "server.properties").write_text(text, encoding="utf-8")
        return node

    def restart(self) -> None:
        """Start it again on its address and data; on a machine that has much else to do, that may take two attempts.

        Raises:
            BrokerError: it did not become ready in three.
        """
        for _ in range(_ATTEMPTS - 1):
            with suppress(BrokerError):
                super().restart()
                return
        super().restart()

    def begin(self, cluster_id: str) -> None:
        """Format the node and start it; it is ready once enough of the others are."""
        self._format(cluster_id)
        self._launch()


def node_properties(number: int, ports: Sequence[Ports], data: str) -> dict[str, str]:
    """Return the `server.properties` of a cluster's node, counted from 0."""
    own = ports[number]
    counts = {"nodes": len(ports), "in_sync": min(_MIN_IN_SYNC, len(ports))}
    return {
        **SINGLE_NODE,
        **{key: value.format(**counts) for key, value in _REPLICATED.items()},
        "process.roles": "broker,controller",
        "node.id": str(number + 1),
        "controller.quorum.voters": ",".join(f"{i + 1}@127.0.0.1:{each.controller}" for i, each in enumerate(ports)),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{own.direct},FRONT://127.0.0.1:{own.behind},"
        f"CONTROLLER://127.0.0.1:{own.controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{own.direct},FRONT://127.0.0.1:{own.front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,FRONT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
    }


class Cluster:
    """Brokers that replicate each other; a context manager that starts and stops them.

    Args:
        installation: what they run from.
        nodes: how many; topics are replicated to all of them, and written with at least 2 in sync if there are so many.
        heap_megabytes: of each.
    """

    def __init__(self, installation: Installation, nodes: int, *, heap_megabytes: int = 512) -> None:
        self.ports = [Ports(*distinct_ports(4)) for _ in range(nodes)]
        self._installation = installation
        self._heap_megabytes = heap_megabytes
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self.nodes: list[Node] = []

    @property
    def bootstrap_servers(self) -> str:
        """The nodes' own addresses."""
        return ",".join(f"127.0.0.1:{each.direct}" for each in self.ports)

    @property
    def front_servers(self) -> str:
        """The addresses of what stands before them."""
        return ",".join(f"127.0.0.1:{each.front}" for each in self.ports)

    def __enter__(self) -> Self:
        """Start all nodes and wait until they answer.

        Raises:
            BrokerError: one did not become ready.
        """
        try:
            for number in range(len(self.ports)):
                node = Node.prepare(self._installation, number, self.ports, self._heap_megabytes)
                self.nodes.append(self._stack.enter_context(node))
            cluster_id = new_cluster_id()
            with ThreadPoolExecutor(len(self.nodes)) as pool:  # none of three is ready before a second one is there
                for started in [pool.submit(node.begin, cluster_id) for node in self.nodes]:
                    started.result()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def leader(self, topic: str, partition: int, *, without: int | None = None) -> int:
        """Return the number of the node, from 0, that leads a partition now.

        Args:
            topic: its topic.
            partition: its number.
            without: a node that is not asked, since it cannot answer.
        """
        admin = self._admin(without)

        def led() -> int:
            try:
                return int(admin.list_topics(topic, timeout=5).topics[topic].partitions[partition].leader)
            except (KafkaException, KeyError):
                return 0

        return wait_until(lambda: max(0, led()), _LEADER_SECONDS, f"a leader of {topic} {partition}") - 1

    def is_whole(self) -> bool:
        """Tell whether every replica of every partition is in sync, as the controller sees it."""
        try:
            topics = self._admin().list_topics(timeout=5).topics
        except KafkaException:
            return False
        partitions = [partition for topic in topics.values() for partition in topic.partitions.values()]
        return all(len(each.isrs) == len(each.replicas) and each.leader >= 0 for each in partitions)

    def _admin(self, without: int | None = None) -> AdminClient:
        asked = [f"127.0.0.1:{each.direct}" for number, each in enumerate(self.ports) if number != without]
        return AdminClient({"bootstrap.servers": ",".join(asked), "log_level": 0})


def distinct_ports(number: int) -> list[int]:
    """Return so many free ports, no two the same."""
    ports: set[int] = set()
    while len(ports) < number:
        ports.add(free_port())
    return list(ports)
