"""The bare River loop: features and targets ready in memory, `predict_one` then `learn_one`, nothing else."""

from __future__ import annotations

import gc
import json
import sys
import time

from benchmarks.shop import LINEAR, real_transactions
from consumer.learning import get_features, get_ml_pipeline
from schemas import InvalidEvent
from schemas.transaction import MILLION, decode


def main() -> None:
    """Print the rate over the valid events of the same input."""
    number, seed = map(int, sys.argv[1:])
    samples = []
    for event in real_transactions(number, seed=seed):
        try:
            decoded = decode(event.value, event.timestamp_ms, LINEAR.limits)
        except InvalidEvent:
            continue
        if decoded.level_millionths is not None:
            samples.append((get_features(decoded), decoded.level_millionths / MILLION))
    model = get_ml_pipeline()
    predict_one, learn_one = model.predict_one, model.learn_one
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    for features, level in samples:
        predict_one(features)
        learn_one(features, level)
    seconds = time.perf_counter() - began
    print(json.dumps({"events": len(samples), "seconds": seconds, "events_per_second": len(samples) / seconds}))


if __name__ == "__main__":
    main()
