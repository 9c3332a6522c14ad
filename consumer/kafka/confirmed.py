"""A producer for commands: whatever it was given is confirmed by all in-sync replicas, or an error says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from consumer.errors import BrokerError
from consumer.kafka.errors import error_of, of_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Message

    from consumer.record import Record

_DEFAULTS: Final[Mapping[str, Any]] = {
    "log_level": 0,
    "linger.ms": 5,
    "compression.type": "lz4",
    "message.max.bytes": 1_200_000,
    "message.timeout.ms": 30_000,
}


class ConfirmedProducer:
    """Idempotent, so that a retry neither repeats nor reorders within a partition; no transaction.

    Attributes:
        confirmed: records that the broker has confirmed.
    """

    def __init__(self, config: Mapping[str, str]) -> None:
        self.confirmed = 0
        self._failed = 0
        self._first_failure = ""
        try:
            self._producer = Producer({**_DEFAULTS, **config, "enable.idempotence": True, "acks": "all"})
        except KafkaException as exception:
            raise of_configuration(exception) from exception

    def send(self, topic: str, record: Record) -> None:
        """Queue a record for the partition that it names, with its timestamp, or the present where it has none.

        Raises:
            BrokerError: this or an earlier record was refused or not confirmed in time.
        """
        while True:
            try:
                self._producer.produce(
                    topic,
                    record.value,
                    record.key,
                    record.partition,
                    self._on_delivery,
                    timestamp=max(0, record.timestamp_ms),  # 0 stands for the present
                    headers=record.headers,  # type: ignore[arg-type]  # pairs
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as exception:
                self._on_delivery(error_of(exception), None)
            else:
                self._producer.poll(0)
                if not self._failed:
                    return
            if self._failed:
                raise self._failure(topic)

    def confirm(self, topic: str) -> None:
        """Wait until the broker has confirmed every record; it ends, since each has its time limit.

        Raises:
            BrokerError: one was refused or not confirmed in time.
        """
        while not self._failed and self._producer.flush(1.0):  # in short steps: Ctrl-C counts only between them
            pass
        if self._failed:
            raise self._failure(topic)

    def _on_delivery(self, error: KafkaError | None, _message: Message | None) -> None:
        if error is None:
            self.confirmed += 1
        else:
            self._failed += 1
            self._first_failure = self._first_failure or error.str()

    def _failure(self, topic: str) -> BrokerError:
        self._producer.purge()  # what is still queued has no use any more
        self._producer.flush(1.0)
        return BrokerError(
            f"{self.confirmed} records were confirmed by topic {topic}, then one was not: {self._first_failure}"
        )
