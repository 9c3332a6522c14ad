"""The client's limit: each record is consumed and produced again, in transactions of 200 ms, and that is all.

The two clients have the worker's properties. Partitions are assigned by hand: no time goes into joining a group.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks.bench.stopwatch import Stopwatch
from consumer import settings
from consumer.run import kafka_broker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

_CALL_SECONDS: Final = 30.0
_BATCH: Final = 10_000


def main() -> None:
    """Pass on everything that the input topic holds now."""
    loaded = settings.load()
    broker = kafka_broker(loaded, os.environ, structlog.get_logger())
    broker.check_topics()
    consumer, producer = Consumer(broker.consumer_config()), Producer(broker.producer_config())
    producer.init_transactions(_CALL_SECONDS)
    ends = _ends(consumer, loaded.input_topic)
    consumer.assign([TopicPartition(loaded.input_topic, number, OFFSET_BEGINNING) for number in ends])
    stopwatch = Stopwatch()
    stopwatch.start()
    positions, passed = dict.fromkeys(ends, 0), 0
    while positions != ends:
        producer.begin_transaction()
        due = time.monotonic() + loaded.commit_interval_ms / 1000
        while positions != ends and time.monotonic() < due:
            first = consumer.poll(0.05)
            if first is not None:
                passed += _pass_on((first, *consumer.consume(_BATCH, 0)), producer, loaded.output_topic, positions)
        offsets = [TopicPartition(loaded.input_topic, number, offset) for number, offset in positions.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), _CALL_SECONDS)
        producer.commit_transaction(_CALL_SECONDS)
    stopwatch.stop(events=passed)
    os._exit(0)  # as the worker does: what the interpreter tidies away at its end, Kafka's clients, may hang


def _ends(consumer: Consumer, topic: str) -> dict[int, int]:
    """Return where each partition that holds anything ends now."""
    numbers = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
    ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers}
    return {number: end for number, end in ends.items() if end}


def _pass_on(messages: Iterable[Message], producer: Producer, topic: str, positions: dict[int, int]) -> int:
    """Produce the messages again and note how far that is; return how many there were."""
    passed = 0
    for message in messages:
        if message.error() is not None:  # the end of a partition
            continue
        partition: int = message.partition()  # type: ignore[assignment]  # a fetched message has one
        while True:
            try:
                producer.produce(topic, message.value(), message.key(), partition)
            except BufferError:
                producer.poll(0.01)
            else:
                break
        positions[partition] = message.offset() + 1  # type: ignore[operator]  # likewise
        passed += 1
    return passed


if __name__ == "__main__":
    main()
