"""The till: a process of its own that writes a worker's input as fast as it can, and lets all of it appear at once.

Each time it is told, it writes one Kafka transaction: a worker reads nothing of it before it ends. So the till takes no
cores from a worker under load, and does not wait for it either.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from benchmarks.latency.helper import Helper
from benchmarks.memory.books import Books, Order
from tests.kafka import unique

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from confluent_kafka import KafkaError, Message

    from tests.stage import Stage

_PATIENCE_SECONDS: Final = 600.0
_CALL_SECONDS: Final = 120.0
_POLL_EVERY: Final = 10_000


class Till(Helper):
    """Takes orders, all of one transaction at a time.

    Args:
        stage: has one partition, which nobody else writes to.
        seed: of what is sold.
        ends_by: nothing is waited for beyond it, on the monotonic clock.

    Attributes:
        sent: events that can be read.
        end: the offset after the last of them. Each transaction's marker takes one, too.
    """

    def __init__(self, stage: Stage, seed: int, ends_by: float) -> None:
        super().__init__("till", sell, stage.bootstrap_servers, stage.input, seed)
        self._ends_by = ends_by
        self.sent = self.end = 0
        self._is_busy = False

    def give(self, *orders: Order) -> None:
        """Give it what becomes one transaction, once it has done the one before."""
        self.wait()
        self._pipe.send(orders)
        self._is_busy = True

    def is_idle(self) -> bool:
        """Tell whether all orders are done."""
        if self._is_busy and self._pipe.poll(0):
            self.wait()
        return not self._is_busy

    def wait(self) -> None:
        """Wait until all orders are done.

        Raises:
            HelperError: they never will be, or not in time.
        """
        if self._is_busy:
            number = self.answer(max(0.0, min(_PATIENCE_SECONDS, self._ends_by - time.monotonic())))
            self.end += number + (self.sent > 0)
            self.sent += number
            self._is_busy = False


def sell(pipe: Connection, bootstrap_servers: str, topic: str, seed: int) -> None:
    """Write what is ordered, and answer with the number of events once they can be read.

    Raises:
        RuntimeError: some are not.
    """
    books = Books(seed)
    failures: list[str] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None and not failures:
            failures.append(error.str())

    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": unique("till"),
            "transaction.timeout.ms": 900_000,  # the most that a broker allows by default
            "message.timeout.ms": 120_000,
            "compression.type": "lz4",
            "linger.ms": 20,
            "delivery.report.only.error": True,
            "log_level": 0,
        }
    )
    producer.init_transactions(_CALL_SECONDS)
    while True:
        orders: tuple[Order, ...] = pipe.recv()
        producer.begin_transaction()
        number = 0
        for key, value, timestamp_ms in chain.from_iterable(map(books.made, orders)):
            while True:
                try:
                    producer.produce(topic, value, key, 0, on_delivery=note, timestamp=timestamp_ms)
                    break
                except BufferError:
                    producer.poll(0.1)
            number += 1
            if number % _POLL_EVERY == 0:
                producer.poll(0)
        left = producer.flush(_CALL_SECONDS)
        if left or failures:
            raise RuntimeError(f"events were not delivered ({left} still queued): {failures}")
        producer.commit_transaction(_CALL_SECONDS)
        pipe.send(number)
