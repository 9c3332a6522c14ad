"""Quix Streams, the same work with its own guarantee: decode, features, predict, learn, encode, produce.

Written as its own documentation advises (Application, Serialization, Processing Guarantees): a `StreamingDataFrame`
from the input topic through `apply` into `to_topic`, the guarantee by `processing_guarantee`, here taken from the
worker's own setting of that name. Values stay bytes in both topics, since msgspec is faster than its JSON.

In its favour: a plain model for each partition in a variable, hence no state store, no changelog topic and no
checkpoint of a model; none of the contract's checks, no ledger, no memory of repeats; the span begins only with the
first event. The commit interval is its own default of 5 s, not the worker's: each commit waits for the producer and for
the broker while nothing is processed, so the fewer the faster.

Runs in an environment of its own (`benchmarks/bench/peers/quix.txt`): nothing but the stopwatch is imported.
"""

from __future__ import annotations

import gc
import os
import tempfile
from datetime import datetime
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, TopicPartition
from quixstreams import Application, message_context
from river import compose, linear_model, preprocessing

from benchmarks.bench.stopwatch import Stopwatch

_CALL_SECONDS: Final = 30.0


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
    """What is published: those of the worker's fields that an application without a ledger can know."""

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
    """Predicts for each transaction, then learns from it; after the last one it stops the application.

    Attributes:
        events: how many there were.
    """

    def __init__(self, stopwatch: Stopwatch, application: Application, end: int) -> None:
        self.events = 0
        self._stopwatch = stopwatch
        self._application = application
        self._end = end
        self._models: dict[int, Any] = {}
        self._decode = msgspec.json.Decoder(Transaction).decode
        self._encode = msgspec.json.Encoder().encode

    def predict(self, value: bytes) -> bytes:
        """Return the prediction for a transaction."""
        if not self._stopwatch.is_running:
            self._stopwatch.start()
        self.events += 1
        if self.events == self._end:
            self._application.stop()  # once this one is published and committed
        context = message_context()
        transaction = self._decode(value)
        moment = datetime.fromisoformat(transaction.occurred_at)
        features = {
            "quantity": abs(transaction.quantity),
            "day_of_week": moment.weekday(),
            "month": moment.month,
            "year": moment.year,
            "is_sale": 1 if transaction.quantity < 0 else 0,
            "unit_cost": transaction.unit_cost or 0.0,
        }
        model = self._models.get(context.partition)
        if model is None:
            model = self._models[context.partition] = _pipeline()
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
            context.partition,
            context.offset,
        )
        return self._encode(prediction)


def _pipeline() -> compose.Pipeline:
    """Return the pipeline of `MODEL=linear`."""
    return compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )


def _events(brokers: str, topic: str) -> int:
    """Return how many events the topic holds now."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "ends"})
    try:
        partitions = consumer.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), _CALL_SECONDS) for number in partitions]
    finally:
        consumer.close()
    return sum(end - begin for begin, end in ends)


def main() -> None:
    """Run the application over what the input topic holds now."""
    brokers, topic = os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["INPUT_TOPIC"]
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as directory:
        application = Application(
            broker_address=brokers,
            consumer_group=os.environ["CONSUMER_GROUP"],
            auto_offset_reset="earliest",
            processing_guarantee=os.environ["PROCESSING_GUARANTEE"].replace("_", "-"),
            state_dir=directory,  # nothing comes to lie there, but it is made in any case
            loglevel="WARNING",
        )
        learner = Learner(stopwatch, application, _events(brokers, topic))
        transactions = application.topic(topic, value_deserializer="bytes")
        predictions = application.topic(os.environ["OUTPUT_TOPIC"], value_serializer="bytes")
        application.dataframe(transactions).apply(learner.predict).to_topic(predictions)
        gc.collect()
        gc.freeze()
        application.run()
    stopwatch.stop(events=learner.events)


if __name__ == "__main__":
    main()
