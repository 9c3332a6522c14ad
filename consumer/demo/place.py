"""Where the demo happens: a broker embedded in this process, or topics of its own on the user's broker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from consumer import logs
from consumer.errors import BrokerError
from consumer.kafka.errors import error_of
from consumer.kafka.reach import await_broker
from consumer.kafka.topics import TopicNames, create_topics
from consumer.run import client_properties
from consumer.settings import Guarantee, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTITIONS: Final = 4
"""As many as the embedded broker gives to each topic; on the user's broker the demo has the same."""

_CALL_SECONDS: Final = 10.0
_EMBEDDED_TOPICS: Final = TopicNames(
    "inventory.transactions", "inventory.stock-predictions", "inventory.transactions.dead-letters"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A broker with the demo's topics on it.

    Attributes:
        client_config: librdkafka's properties of every client, `bootstrap.servers` among them.
        topics: the demo's.
        group: the worker's consumer group.
        guarantee: what the worker can promise there.
        is_embedded: the broker lives in this process, and so does everything on it.
        host: keeps the embedded broker alive; None where the broker is the user's.
    """

    client_config: Mapping[str, str]
    topics: TopicNames
    group: str
    guarantee: Guarantee
    is_embedded: bool
    host: Producer | None = None

    @property
    def address(self) -> str:
        """The broker's address, as clients take it."""
        return self.client_config["bootstrap.servers"]

    def describe(self) -> str:
        """Say where this is and what may be relied on there, in one sentence."""
        if self.is_embedded:
            return "embedded broker: for trying out; recovery is shown by `make demo-recovery`"
        return f"{self.guarantee}, on your broker at {self.address}"

    def worker_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a worker there: no setting of the user's but how to reach the user's broker."""
        ours = {name.upper() for name in Settings.model_fields}
        kept = {name: value for name, value in environment.items() if name not in ours}
        if self.is_embedded:
            kept = {name: value for name, value in kept.items() if not name.startswith("KAFKA_")}
        return {
            **kept,
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "INPUT_TOPIC": self.topics.input,
            "OUTPUT_TOPIC": self.topics.output,
            "DEAD_LETTER_TOPIC": self.topics.dead_letters,
            "CONSUMER_GROUP": self.group,
            "INSTANCE_ID": "demo",
            "PROCESSING_GUARANTEE": self.guarantee.value,
            "METRICS_PORT": "0",
        }


def open_place(settings: Settings, environment: Mapping[str, str], on_wait: Callable[[str, float], None]) -> Place:
    """Return a place with its topics created: on the broker of the settings, or embedded where they name none.

    Args:
        settings: name the user's broker, or none.
        environment: its security, in `KAFKA_*`.
        on_wait: hears why the user's broker does not answer yet, and the seconds left.

    Raises:
        BrokerError: no broker answered, or none could be opened here.
        SettingsError: a `KAFKA_*` variable is refused.
        TopicsError: the user's broker refused a topic.
    """
    if settings.kafka_bootstrap_servers is None:
        return _embedded()
    name = f"inventory.demo-{secrets.token_hex(4)}"
    topics = TopicNames(f"{name}.transactions", f"{name}.stock-predictions", f"{name}.transactions.dead-letters")
    config = {"log_level": "0", **client_properties(settings, environment, logs.quiet())}  # errors come as errors
    await_broker(config, on_wait=on_wait)
    create_topics(config, topics, partitions=PARTITIONS, replication_factor=-1, retention_ms=-1)
    return Place(config, topics, name, Guarantee.EXACTLY_ONCE, is_embedded=False)


def _embedded() -> Place:
    """Open a broker in this process; asking it for a topic by name creates the topic."""
    try:
        host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = host.list_topics(timeout=_CALL_SECONDS).brokers.values()
        for topic in _EMBEDDED_TOPICS.all():
            host.list_topics(topic, timeout=_CALL_SECONDS)
    except KafkaException as exception:
        raise BrokerError(
            f"no broker could be opened in this process ({error_of(exception).str()}): it needs a free port of "
            "127.0.0.1; or name a broker of your own in KAFKA_BOOTSTRAP_SERVERS"
        ) from exception
    config = {"bootstrap.servers": f"{broker.host}:{broker.port}", "log_level": "0"}
    return Place(config, _EMBEDDED_TOPICS, "inventory.demo", Guarantee.AT_LEAST_ONCE, is_embedded=True, host=host)
