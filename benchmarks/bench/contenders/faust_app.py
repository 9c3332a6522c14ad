"""Faust, the same work, at least once: decode, features, predict, learn, encode, produce.

Written as its own documentation advises: an agent over the stream's events (Streams, `events()`), which sends each
prediction to a topic; keys and values are bytes, decoded by hand; uvloop as its event loop. Its wheel brings its
compiled parts along.

In its favour: no table, hence no changelog topic; a plain model for each partition in a variable; none of the
contract's checks, no ledger, no memory of repeats; no web server and no leader topic; the span begins only with the
first event. Its producer waits for larger batches: by default it sends a request for every second prediction.

Runs in an environment of its own (`benchmarks/bench/peers/faust.txt`): nothing but the stopwatch is imported.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import faust
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from river import compose, linear_model, preprocessing

from benchmarks.bench.stopwatch import Stopwatch

if TYPE_CHECKING:
    from faust.types import EventT, StreamT


_LINGER_SECONDS: Final = 0.1
_BATCH_BYTES: Final = 262_144


class Transaction(msgspec.Struct):
    """What the work needs of a stock transaction."""

    transaction_id: str
    store_id: str
    sku: str
    line_id: str | None
    quantity: float
    unit_cost: float | None
    occurred_at: str
    new_stock_level: float


class Prediction(msgspec.Struct):
    """What is published: those of the worker's fields that an agent without a ledger can know."""

    transaction_id: str
    store_id: str
    sku: str
    line_id: str | None
    occurred_at: str
    predicted_stock_level: float
    observed_stock_level: float
    source_partition: int
    source_offset: int


class Learner:
    """Predicts for each transaction, then learns from it."""

    def __init__(self) -> None:
        self._models: dict[int, Any] = {}
        self._decode = msgspec.json.Decoder(Transaction).decode
        self._encode = msgspec.json.Encoder().encode

    def predict(self, event: EventT) -> bytes:
        """Return the prediction for a transaction."""
        partition = event.message.partition
        transaction = self._decode(event.value)
        moment = datetime.fromisoformat(transaction.occurred_at)
        features = {
            "quantity": abs(transaction.quantity),
            "day_of_week": moment.weekday(),
            "month": moment.month,
            "year": moment.year,
            "is_sale": 1 if transaction.quantity < 0 else 0,
            "unit_cost": transaction.unit_cost or 0.0,
        }
        model = self._models.get(partition)
        if model is None:
            model = self._models[partition] = _pipeline()
        predicted = model.predict_one(features)
        model.learn_one(features, transaction.new_stock_level)
        prediction = Prediction(
            transaction.transaction_id,
            transaction.store_id,
            transaction.sku,
            transaction.line_id,
            transaction.occurred_at,
            predicted,
            transaction.new_stock_level,
            partition,
            event.message.offset,
        )
        return self._encode(prediction)


def _pipeline() -> compose.Pipeline:
    """Return the pipeline of `MODEL=linear`."""
    return compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )


async def _events(brokers: list[str], topic: str) -> int:
    """Return how many events the topic holds now."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    events: int = sum(ends.values()) - sum(begins.values())
    return events


async def _run(directory: str) -> None:
    """Run the application over what the input topic holds now."""
    brokers, topic = os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(","), os.environ["INPUT_TOPIC"]
    end = await _events(brokers, topic)
    stopwatch, learner, done = Stopwatch(), Learner(), asyncio.Event()
    application = faust.App(
        os.environ["CONSUMER_GROUP"],
        broker=[f"kafka://{broker}" for broker in brokers],
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        producer_linger=_LINGER_SECONDS,
        producer_max_batch_size=_BATCH_BYTES,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=directory,
    )
    transactions = application.topic(topic, value_type=bytes)
    predictions = application.topic(os.environ["OUTPUT_TOPIC"], value_type=bytes)

    @application.agent(transactions)  # type: ignore[untyped-decorator]
    async def predict(stream: StreamT[bytes]) -> None:
        events = 0
        async for event in stream.events():
            stopwatch.start()
            message = event.message
            await predictions.send(key=message.key, value=learner.predict(event), partition=message.partition)
            events += 1
            if events == end:
                done.set()

    gc.collect()
    gc.freeze()
    await application.start()
    await done.wait()
    await application.stop()
    stopwatch.stop(events=end)


def main() -> None:
    """Run the application until it has done everything."""
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(_run(directory))


if __name__ == "__main__":
    main()
