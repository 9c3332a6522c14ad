"""The real Kafka: the clients' configuration, and new connections."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import KafkaException, Producer

from consumer.errors import SettingsError
from consumer.kafka.connection import CALL_SECONDS, OVERDUE_SECONDS, QUEUE_FULL_SECONDS, KafkaConnection
from consumer.kafka.embedded import UNCHECKED, embedded_topic, is_embedded
from consumer.kafka.errors import error_of, of_configuration
from consumer.kafka.reach import await_broker
from consumer.kafka.repetitions import LineFilter, Repetitions
from consumer.kafka.topics import (
    ADMIN_SECONDS,
    INPUT_MESSAGE_BYTES,
    OUTPUT_HEADROOM_BYTES,
    TopicNames,
    check_topics,
    cluster_of,
)
from consumer.settings import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import InputTopic, RebalanceListener

OWNED: Final = frozenset(
    {
        "isolation.level",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "transactional.id",
        "acks",
        "request.required.acks",  # librdkafka's other name for acks
        "enable.idempotence",
        "auto.offset.reset",
        "enable.partition.eof",
        "partition.assignment.strategy",
    }
)
"""Properties that the worker owns: setting one would break a guarantee. `enable.auto.*` is owned as well."""


_SOCKET_TIMEOUT_MS: Final = 60_000  # librdkafka's default


class ClientIdentity(NamedTuple):
    """Who a worker is to Kafka.

    Attributes:
        group: the consumer group.
        instance_id: unique in the group; becomes `group.instance.id` and part of `transactional.id`.
    """

    group: str
    instance_id: str


def is_owned(name: str) -> bool:
    """Tell whether the worker owns this librdkafka property."""
    return name in OWNED or name.startswith("enable.auto.")


def unknown_properties(properties: Mapping[str, str]) -> list[str]:
    """Return those names that librdkafka does not know.

    Raises:
        SettingsError: a known one has a value that librdkafka refuses.
    """
    unknown: list[str] = []
    for name, value in properties.items():
        try:
            Producer({name: value, "log_level": 0})
        except (AttributeError, TypeError) as error:  # the binding's own, which takes no text from the environment
            raise SettingsError(f"{_variable(name)} cannot be set from the environment: {error}; unset it") from error
        except KafkaException as exception:
            reason = error_of(exception).str()
            if "No such configuration property" in reason:
                unknown.append(name)
            # A property that needs its companions (sasl.*, ssl.*) is judged with them when the clients are built.
            elif not reason.startswith("Failed to create"):
                shown = redacted(name, value)
                raise SettingsError(
                    f"{_variable(name)}={shown!r}: expected a value that Kafka's client takes for {name} "
                    f"({reason.strip()}); mend it, or unset it"
                ) from exception
    return unknown


class KafkaBroker:
    """Builds connections to a real Kafka.

    Args:
        client_config: librdkafka's properties common to all clients, `bootstrap.servers` among them.
        names: the worker's topics.
        identity: who the worker is.
        is_transactional: exactly_once; else at_least_once.
        log: the worker's log; librdkafka's own lines go there too.

    Attributes:
        client_config: as given.
    """

    def __init__(
        self,
        client_config: Mapping[str, str],
        names: TopicNames,
        identity: ClientIdentity,
        *,
        is_transactional: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self.client_config = client_config
        self._client_config: dict[str, Any] = dict(client_config)
        if "debug" not in client_config:
            # With debug on, serving the log queue from poll(0) can block for minutes (librdkafka issue 5325).
            logger = logging.getLogger("librdkafka")
            if not any(isinstance(each, LineFilter) for each in logger.filters):
                logger.addFilter(LineFilter())
            self._client_config["logger"] = logger
        self._names = names
        self._identity = identity
        self._is_transactional = is_transactional
        self._log = log
        self._largest_output = INPUT_MESSAGE_BYTES + OUTPUT_HEADROOM_BYTES  # until the topics are checked
        self._is_real = False  # until the broker has answered
        self._has_warned = False
        self._repetitions = Repetitions()  # of all connections, one after the other: each is new to the same trouble

    def connect(self, listener: RebalanceListener) -> KafkaConnection:
        """Build both clients and begin to join the group."""
        try:
            return KafkaConnection(
                consumer_config=self.consumer_config(),
                producer_config=self.producer_config(),
                input_topic=self._names.input,
                is_transactional=self._is_transactional,
                listener=listener,
                log=self._log,
                repetitions=self._repetitions,
            )
        except KafkaException as exception:
            raise of_configuration(exception) from exception

    @property
    def longest_call_seconds(self) -> float:
        """How long one call of the connection may take and be in good order."""
        config = self.producer_config()
        queue_full = min(QUEUE_FULL_SECONDS, int(config["message.timeout.ms"]) / 1000)  # then the queue has drained
        calls = [CALL_SECONDS + OVERDUE_SECONDS, ADMIN_SECONDS, queue_full]
        if not self._is_transactional:  # the consumer's commit has no time-out but this one
            calls.append(int(self._client_config.get("socket.timeout.ms", _SOCKET_TIMEOUT_MS)) / 1000)
        return max(calls)

    def await_answer(self, seconds: float, is_cancelled: Callable[[], bool]) -> None:
        """Wait until a broker answers, and say meanwhile that and why this waits.

        Raises:
            BrokerError: none does within that time, or it refuses this worker.
        """

        def tell(cause: str, seconds_left: float) -> None:
            brokers = self._client_config["bootstrap.servers"]
            self._log.warning("waiting_for_broker", brokers=brokers, reason=cause, seconds_left=round(seconds_left))

        await_broker(self._client_config, seconds=seconds, on_wait=tell, is_cancelled=is_cancelled)

    def check_topics(self) -> InputTopic:
        """Check the topics through the admin client, and that the producer may send what they take."""
        topic = self._embedded_topic() or check_topics(self._client_config, self._names)
        self._largest_output = topic.max_message_bytes + OUTPUT_HEADROOM_BYTES
        own = self._client_config.get("message.max.bytes")
        if own is not None and int(own) < self._largest_output:
            raise SettingsError(
                f"KAFKA_MESSAGE_MAX_BYTES={own}: expected at least {self._largest_output}, 64 KiB more than "
                f"{self._names.input} takes; raise it, or unset it"
            )
        return topic

    def _embedded_topic(self) -> InputTopic | None:
        """Return what can be known of the input where the broker is librdkafka's embedded one; None of a real one."""
        if self._is_real:
            return None
        cluster = cluster_of(self._client_config)
        self._is_real = not is_embedded(cluster)
        if self._is_real:
            return None
        topic = embedded_topic(cluster, self._names, is_transactional=self._is_transactional)
        if not self._has_warned:
            self._has_warned = True
            self._log.warning(
                "embedded_broker",
                unchecked=list(UNCHECKED),
                reason="librdkafka's embedded broker is for trying out: it does not answer these checks, and nothing "
                "outlives the process that hosts it",
            )
        return topic

    def consumer_config(self) -> dict[str, Any]:
        """Return the consumer's properties: what the operator may change first, what the worker owns last."""
        return {
            "session.timeout.ms": 10_000,  # how long a dead worker's partitions wait for another
            "heartbeat.interval.ms": 500,  # by its answer a worker learns that a dead one's partitions are to be had
            "queued.max.messages.kbytes": 16_384,  # bounds the prefetch
            "queued.min.messages": 50_000,
            "fetch.queue.backoff.ms": 20,  # the default, 1 s, stalls each time the small queue is full
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 60_000,  # finds added partitions within a minute
            **self._client_config,
            "group.id": self._identity.group,
            "group.instance.id": self._identity.instance_id,
            "group.protocol": "classic",  # KIP-848 refuses a restarted static member until its session ends
            "partition.assignment.strategy": "cooperative-sticky",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # never a silent reset
            "enable.partition.eof": True,
        }

    def producer_config(self) -> dict[str, Any]:
        """Return the producer's properties, ordered likewise."""
        config = {
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 50_000,
            "queue.buffering.max.kbytes": 65_536,
            "delivery.report.only.error": True,
            "message.max.bytes": self._largest_output,
            **self._client_config,
            "enable.idempotence": True,
            "acks": "all",
        }
        if self._is_transactional:
            config.setdefault("transaction.timeout.ms", 10_000)
            config["message.timeout.ms"] = config["transaction.timeout.ms"]  # librdkafka wants it no longer than that
            config["transactional.id"] = transactional_id(self._identity.group, self._identity.instance_id)
        else:
            config.setdefault("message.timeout.ms", 30_000)
        return config


def transactional_id(group: str, instance_id: str) -> str:
    """Return the identity of a worker's transactions: by it, whoever comes next aborts what was left open."""
    return f"{group}-{instance_id}"


def _variable(name: str) -> str:
    return "KAFKA_" + name.replace(".", "_").upper()
