"""bytewax, the same work without a guarantee: decode, features, predict, learn, encode, produce.

Written as its own documentation advises (Kafka connector, Performance): `KafkaSource` with a larger batch,
`flat_map_batch`, one worker in one process. In its favour: no recovery, hence no snapshots; a plain model for each
partition in a closure, no stateful operator; none of the contract's checks, no ledger, no memory of repeats; the span
begins only when the first batch is there.

Runs in an environment of its own (`benchmarks/bench/peers/bytewax.txt`): nothing but the stopwatch is imported.
"""

from __future__ import annotations

import gc
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from river import compose, linear_model, preprocessing

from benchmarks.bench.stopwatch import Stopwatch

if TYPE_CHECKING:
    from bytewax.connectors.kafka import KafkaSourceMessage

_BATCH: Final = 5_000  # as in the documentation's own example; 10,000 and 20,000 were not faster


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
    """What is published: those of the worker's fields that a flow without a ledger can know."""

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
    """Predicts for each transaction, then learns from it.

    Attributes:
        events: how many there were.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.events = 0
        self._stopwatch = stopwatch
        self._models: dict[int, Any] = {}
        self._decode = msgspec.json.Decoder(Transaction).decode
        self._encode = msgspec.json.Encoder().encode

    def predict(self, messages: list[KafkaSourceMessage]) -> list[KafkaSinkMessage]:
        """Return the predictions for a batch."""
        self._stopwatch.start()
        self.events += len(messages)
        return [KafkaSinkMessage(message.key, self._prediction(message)) for message in messages]

    def _prediction(self, message: KafkaSourceMessage) -> bytes:
        transaction = self._decode(message.value)
        moment = datetime.fromisoformat(transaction.occurred_at)
        features = {
            "quantity": abs(transaction.quantity),
            "day_of_week": moment.weekday(),
            "month": moment.month,
            "year": moment.year,
            "is_sale": 1 if transaction.quantity < 0 else 0,
            "unit_cost": transaction.unit_cost or 0.0,
        }
        model = self._models.get(message.partition)
        if model is None:
            model = self._models[message.partition] = _pipeline()
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
            message.partition,
            message.offset,
        )
        return self._encode(prediction)


def _pipeline() -> compose.Pipeline:
    """Return the pipeline of `MODEL=linear`."""
    return compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )


def main() -> None:
    """Run the flow over what the input topic holds now."""
    brokers = os.environ["KAFKA_BOOTSTRAP_SERVERS"].split(",")
    stopwatch = Stopwatch()
    learner = Learner(stopwatch)
    flow = Dataflow("predictions")
    source = KafkaSource(brokers, [os.environ["INPUT_TOPIC"]], tail=False, batch_size=_BATCH)
    transactions = op.input("transactions", flow, source)
    predictions = op.flat_map_batch("predict", transactions, learner.predict)
    op.output("predictions", predictions, KafkaSink(brokers, os.environ["OUTPUT_TOPIC"]))
    gc.collect()
    gc.freeze()
    cli_main(flow)
    stopwatch.stop(events=learner.events)


if __name__ == "__main__":
    main()
