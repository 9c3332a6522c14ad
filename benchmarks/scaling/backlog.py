"""A backlog that appears at once: workers that share the partitions already find all of it at one moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from tests.kafka import unique

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.simulate.events import ShopEvent

_CALL_SECONDS: Final = 120.0
_POLL_EVERY: Final = 10_000


class Backlog:
    """Events in one open Kafka transaction: on the broker, and not yet to be read by workers.

    Sent before the workers had shared the partitions, the first of them would begin alone; sent while they work, the
    sender would take cores from them.

    Args:
        bootstrap_servers: the broker.
        topic: takes the events.
    """

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "transactional.id": unique("backlog"),
                "transaction.timeout.ms": 600_000,
                "message.timeout.ms": 120_000,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "log_level": 0,
            }
        )
        self._producer.init_transactions(_CALL_SECONDS)
        self._producer.begin_transaction()

    def add(self, events: Iterable[ShopEvent]) -> None:
        """Write events; they are on the broker when this returns.

        Raises:
            RuntimeError: some are not.
        """
        for number, event in enumerate(events, start=1):
            while True:
                try:
                    self._producer.produce(self._topic, event.value, event.key, timestamp=event.timestamp_ms)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            if number % _POLL_EVERY == 0:
                self._producer.poll(0)
        left = self._producer.flush(_CALL_SECONDS)
        if left:
            raise RuntimeError(f"{left} events were not written within {_CALL_SECONDS:.0f} s")

    def release(self) -> float:
        """Let everybody read them, and return when that began, on the monotonic clock."""
        began = time.monotonic()
        self._producer.commit_transaction(_CALL_SECONDS)
        return began
