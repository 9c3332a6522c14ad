"""A reader of the output, read_committed, that notes when it had each prediction."""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.latency.sender import READY
from tests.kafka import unique

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from confluent_kafka import Message

_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.1
_SILENT_SECONDS: Final = 1.0
FINISH: Final = "finish"


class Seen(NamedTuple):
    """Predictions of one input partition, in the order of reading.

    Attributes:
        offsets: of the events that they are for.
        at: when the reader had each, on the monotonic clock.
    """

    offsets: array[int]
    at: array[float]


class _Source(msgspec.Struct):
    source_partition: int
    source_offset: int


def read(pipe: Connection, bootstrap_servers: str, topic: str, partitions: int) -> None:
    """Say that it is ready, read until told to finish, then until nothing comes any more, and tell what was seen.

    Nothing is tuned for speed: a reader with the client's default settings.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique("latency-reader"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        pipe.send(READY)
        pipe.send(_read(pipe, consumer, partitions))
    finally:
        consumer.close()


def _read(pipe: Connection, consumer: Consumer, partitions: int) -> dict[int, Seen]:
    seen = {number: Seen(array("q"), array("d")) for number in range(partitions)}
    is_finishing = False
    while True:
        # Not `consume(n, t)`, which waits all of t for n: the first one alone, then what is there already.
        first = consumer.poll(_SILENT_SECONDS if is_finishing else _POLL_SECONDS)
        if first is None:
            if is_finishing:
                return seen
        else:
            _note([first], time.monotonic(), seen)
            _note(consumer.consume(_BATCH, 0), time.monotonic(), seen)
        if not is_finishing and pipe.poll(0):
            is_finishing = pipe.recv() == FINISH


def _note(messages: list[Message], at: float, seen: dict[int, Seen]) -> None:
    for message in messages:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        source = msgspec.json.decode(message.value() or b"", type=_Source)
        offsets, moments = seen[source.source_partition]
        offsets.append(source.source_offset)
        moments.append(at)
