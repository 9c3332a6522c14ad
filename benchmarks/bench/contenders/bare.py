"""The bare River loop: features and targets ready in memory, `predict_one` then `learn_one`, nothing else.

One model for each partition, as the worker has them; one thread; the broker is idle meanwhile.
"""

from __future__ import annotations

import gc
import os

from benchmarks.bench.stopwatch import Stopwatch
from benchmarks.shop import LINEAR
from consumer.learning import get_features, get_ml_pipeline
from schemas.transaction import MILLION, decode
from tests.kafka import read_all


def main() -> None:
    """Read the input, make everything ready, and time the loop."""
    records = read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["INPUT_TOPIC"], deadline_seconds=120)
    partitions = []
    for messages in records.values():
        samples = []
        for message in messages:
            event = decode(message.value(), message.timestamp()[1], LINEAR.limits)
            if event.level_millionths is not None:
                samples.append((get_features(event), event.level_millionths / MILLION))
        partitions.append((get_ml_pipeline(), samples))
    del records
    gc.collect()
    gc.freeze()
    stopwatch = Stopwatch()
    stopwatch.start()
    for model, samples in partitions:
        predict_one, learn_one = model.predict_one, model.learn_one
        for features, level in samples:
            predict_one(features)
            learn_one(features, level)
    stopwatch.stop(events=sum(len(samples) for _, samples in partitions))


if __name__ == "__main__":
    main()
