"""The checkpoint store's own producer: idempotent, confirmed by all in-sync replicas, and in no transaction."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException, Producer

from consumer.checkpoint.store import StoreError
from consumer.kafka.chunks import CHUNK_BYTES, CHUNK_HEADROOM_BYTES
from consumer.kafka.errors import error_of, of_checkpoints, of_configuration
from consumer.kafka.reach import Complaints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import KafkaError, Message

    from consumer.checkpoint.throttle import Throttle

_DEFAULTS: Final[Mapping[str, Any]] = {
    "linger.ms": 5,
    "compression.type": "lz4",
    "message.timeout.ms": 30_000,
    "queue.buffering.max.kbytes": 8_192,
}
_POLL_SECONDS: Final = 0.1
_MARGIN_SECONDS: Final = 5.0
"""What a delivery report may come later than the time limit of its record."""


class ChunkWriter:
    """Sends records to one partition at a time and waits until every one is confirmed; for one thread.

    After any failure the producer is thrown away: what became of its records is in doubt, and a new one has another
    identity. A record that arrives after all is a chunk or tombstone under its own key, at worst one too many.

    Args:
        config: librdkafka's properties common to all clients.
        topic: the checkpoint topic.
        throttle: bounds the bytes a second.
    """

    def __init__(self, config: Mapping[str, str], topic: str, throttle: Throttle) -> None:
        self._topic = topic
        self._throttle = throttle
        self._complaints = Complaints()
        self._producer: Producer | None = None
        largest = CHUNK_BYTES + CHUNK_HEADROOM_BYTES
        self._config: dict[str, Any] = {
            **_DEFAULTS,
            **config,
            "log_level": 0,  # what matters comes as an error
            "enable.idempotence": True,
            "acks": "all",
            "batch.size": CHUNK_BYTES,  # a batch of several chunks could be more than the topic takes
            "message.max.bytes": max(largest, int(config.get("message.max.bytes", largest))),
        }
        self._seconds = int(self._config["message.timeout.ms"]) / 1_000 + _MARGIN_SECONDS

    def send(self, partition: int, records: Sequence[tuple[bytes, bytes | None]]) -> list[int | None]:
        """Send records, pairs of key and value, in this order; return their offsets once all are confirmed.

        The offset of a record that had to be sent twice may be None: the broker knows it for a repeat, and not where.

        Raises:
            StoreError: one was refused, or not confirmed in time; others may be there.
        """
        deliveries = _Deliveries(len(records))
        try:
            producer = self._producer or self._new_producer()
            for number, (key, value) in enumerate(records):
                self._throttle.take(len(key) + len(value or b""))
                self._produce(producer, partition, key, value, deliveries, number)
            self._await(producer, deliveries)
        except (KafkaException, StoreError) as error:
            self._discard()
            if isinstance(error, KafkaException):
                raise self._failed(error_of(error)) from error
            raise
        return deliveries.offsets

    def _produce(  # noqa: PLR0913, PLR0917 -- a record and whom to tell
        self,
        producer: Producer,
        partition: int,
        key: bytes,
        value: bytes | None,
        deliveries: _Deliveries,
        number: int,
    ) -> None:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                producer.produce(self._topic, value, key, partition, partial(deliveries.note, number))
            except BufferError:
                if time.monotonic() > deadline:
                    raise self._late() from None
                producer.poll(_POLL_SECONDS)
            else:
                producer.poll(0)
                break
            finally:
                self._raise_failure(deliveries)

    def _await(self, producer: Producer, deliveries: _Deliveries) -> None:
        deadline = time.monotonic() + self._seconds
        while deliveries.missing:
            self._raise_failure(deliveries)
            if time.monotonic() > deadline:
                raise self._late()
            producer.poll(_POLL_SECONDS)
        self._raise_failure(deliveries)

    def _new_producer(self) -> Producer:
        try:
            self._producer = Producer({**self._config, "error_cb": self._complaints})
        except KafkaException as exception:
            raise of_configuration(exception) from exception
        return self._producer

    def _discard(self) -> None:
        """Throw the producer away; destroyed beside the caller, since that takes as long as a broker that hangs."""
        if self._producer is None:
            return
        self._producer.purge(blocking=False)
        doomed = [self._producer]
        self._producer = None
        threading.Thread(target=doomed.clear, name="discard-checkpoint-producer", daemon=True).start()

    def _raise_failure(self, deliveries: _Deliveries) -> None:
        if deliveries.error is not None:
            raise self._failed(deliveries.error)

    def _failed(self, error: KafkaError) -> StoreError:
        return of_checkpoints(error, f"write to topic {self._topic}")

    def _late(self) -> StoreError:
        last = "" if self._complaints.last is None else f" ({self._complaints.last.str()})"
        return StoreError(f"write to topic {self._topic}: not confirmed within {self._seconds:.0f} s{last}")


class _Deliveries:
    """What became of each record; its callback only takes notes.

    Attributes:
        offsets: by number; None until it is confirmed, and where the broker did not say.
        missing: how many have not been heard of.
        error: the first failure.
    """

    def __init__(self, count: int) -> None:
        self.offsets: list[int | None] = [None] * count
        self.missing = count
        self.error: KafkaError | None = None

    def note(self, number: int, error: KafkaError | None, message: Message) -> None:
        """Take in one delivery report."""
        self.missing -= 1
        if error is not None:
            self.error = self.error or error
        else:
            self.offsets[number] = message.offset()
