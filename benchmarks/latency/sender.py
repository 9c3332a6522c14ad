"""Tills that never wait: events at a steady rate, each with the moment at which it was given to the client.

The pace is one of arrivals, not of answers: an event is sent when it is due, however far behind the worker, or the
sender itself, may be. Were the next one to wait, a stall would be counted once and not for all who suffer from it.
"""

from __future__ import annotations

import time
from array import array
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Producer

from consumer.simulate.live import as_of_now
from consumer.simulate.synthetic import synthetic_events
from schemas.routing import home_partition

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from confluent_kafka import KafkaError, Message

_SLICE_SECONDS: Final = 0.001
_FLUSH_SECONDS: Final = 60.0
READY: Final = "ready"


class Load(NamedTuple):
    """What is sent.

    Attributes:
        bootstrap_servers: the broker.
        topic: empty, and nobody else's: the n-th record of a partition has offset n.
        partitions: of the topic.
        rate: events a second.
        events: how many.
        seed: of the shop.
    """

    bootstrap_servers: str
    topic: str
    partitions: int
    rate: int
    events: int
    seed: int


class Sent(NamedTuple):
    """What was sent, all of it confirmed. All times are on the monotonic clock that a machine's processes share.

    Attributes:
        began: when the first event was due.
        ended: when the last one had been given to the client.
        at: for each partition, by offset, the moment right before the client was given the event.
        behind: for each event, in the order of sending, the seconds by which that was later than due.
    """

    began: float
    ended: float
    at: dict[int, array[float]]
    behind: array[float]


class _Failures:
    """Keeps the first failed delivery; called by the client, so it never raises."""

    def __init__(self) -> None:
        self.first: str | None = None

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None and self.first is None:
            self.first = error.str()


def send(pipe: Connection, load: Load) -> None:
    """Make all events, say that they are ready, wait for a word, send them, and tell what was sent.

    Raises:
        RuntimeError: an event was not delivered.
    """
    homes: dict[bytes, int] = {}
    prepared = []
    shop = synthetic_events(seed=load.seed, key_by="item")
    for event in islice(as_of_now(shop, time.time), load.events):
        if event.key not in homes:
            homes[event.key] = home_partition(event.key, load.partitions)
        prepared.append((event.key, event.value, homes[event.key]))
    failures = _Failures()
    # The client's own defaults but for what the contract wants of a till: nothing lost, doubled or reordered by it.
    producer = Producer(
        {
            "bootstrap.servers": load.bootstrap_servers,
            "enable.idempotence": True,
            "delivery.report.only.error": True,
            "log_level": 0,
        }
    )
    producer.list_topics(load.topic, timeout=30)  # connected, and the partitions known, before the clock runs
    pipe.send(READY)
    pipe.recv()
    sent = _send(producer, load, prepared, failures)
    left = producer.flush(_FLUSH_SECONDS)
    if left or failures.first is not None:
        raise RuntimeError(f"events were not delivered ({left} still queued): {failures.first}")
    pipe.send(sent)


def due_by(seconds: float, rate: int, events: int) -> int:
    """Return how many of so many events are due after these seconds; the first one is at 0.

    >>> [due_by(seconds, 1_000, 3) for seconds in (-0.01, 0.0, 0.001, 9.0)]
    [0, 1, 2, 3]
    """
    return 0 if seconds < 0 else min(events, int(seconds * rate) + 1)


def _send(producer: Producer, load: Load, prepared: list[tuple[bytes, bytes | None, int]], failures: _Failures) -> Sent:
    at = {number: array("d") for number in range(load.partitions)}
    behind = array("d")
    clock, rate, topic = time.monotonic, load.rate, load.topic
    began = clock() + _SLICE_SECONDS
    number = 0
    while number < len(prepared):
        due = due_by(clock() - began, rate, len(prepared))
        for key, value, partition in prepared[number:due]:
            now = clock()
            at[partition].append(now)
            behind.append(now - began - len(behind) / rate)
            while True:
                try:
                    producer.produce(topic, value, key, partition, on_delivery=failures)
                    break
                except BufferError:  # the client's queue is full: the event waits, its time has been noted
                    producer.poll(0.01)
        number = due
        producer.poll(0)
        time.sleep(_SLICE_SECONDS)
    return Sent(began, clock(), at, behind)
