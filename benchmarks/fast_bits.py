"""The fast path over real events beside River's own methods, in one process: prints what it counted as JSON.

Run by `make show NAME=bit-for-bit-fast`, which sets what the processor may do.
"""

from __future__ import annotations

import json
import struct
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from benchmarks.shop import LINEAR, valid_transactions
from consumer.learning import acceleration, get_features, get_ml_pipeline
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.model_sections import MODELS
from consumer.model_choice import model_kind
from consumer.record import Record, RecordBatch, batch_of
from schemas.transaction import MILLION, decode
from tests.core import new_task, unpickled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumer.learning import PartitionTask

_BATCH: Final = 2_000
_MODEL_ID: Final = "0123456789ab"
_AFTER: Final = 1_000
"""Events that plain River goes on with from the checkpoint."""


def main() -> None:
    """Compare the first so many real events; the last ones are for going on from the checkpoint."""
    number = int(sys.argv[1])
    refusal = acceleration.load()
    if refusal is not None:
        sys.exit(f"there is no fast path here: {refusal}")
    records = list(_records(number + _AFTER))
    print(json.dumps({**_linear(records), **_guarded(records[:number])}))


def _records(number: int) -> Iterator[Record]:
    for offset, event in enumerate(valid_transactions(number)):
        yield Record(0, offset, event.timestamp_ms, event.key, event.value)


def _linear(records: Sequence[Record]) -> dict[str, int]:
    """River's own methods, event by event, beside the fast path: predictions, numbers, and what comes after."""
    task, river = _task("linear"), get_ml_pipeline()
    compared = unequal = 0
    for batch in _batches(records[:-_AFTER]):
        published = task.process_batch(batch, _refused)
        for record, value in zip(batch.records(), published.values, strict=True):
            expected = _river(river, record)
            compared += 1
            unequal += _bits(json.loads(value or b"")["predicted_stock_level"]) != _bits(expected)
    state: Any = unpickled(task.snapshot())[MODELS]
    (checkpointed, count) = state[""]
    wanted, found = _numbers(river), _numbers(checkpointed)
    after = sum(_bits(_river(checkpointed, each)) != _bits(_river(river, each)) for each in records[-_AFTER:])
    return {
        "predictions": compared,
        "predictions that differ": unequal,
        "checkpointed numbers": len(wanted),
        "checkpointed numbers that differ": sum(a != b for a, b in zip(wanted, found, strict=True))
        + (count != compared),
        "later predictions by plain River that differ": after,
    }


def _guarded(records: Sequence[Record]) -> dict[str, int]:
    """The fast path beside the same model in Python, event by event."""
    single, fast = _task("guarded"), _task("guarded")
    unequal = 0
    for batch in _batches(records):
        published = fast.process_batch(batch, _refused)
        for record, value in zip(batch.records(), published.values, strict=True):
            output = single.process(record)
            unequal += output is None or output.value != value
    return {
        "guarded predictions that differ from Python's": unequal,
        "guarded checkpoint sections that differ": sum(
            one != other for one, other in zip(single.snapshot().values(), fast.snapshot().values(), strict=True)
        ),
    }


def _task(model: str) -> PartitionTask:
    learning = LINEAR._replace(model=model)
    return new_task(learning, topic="sales", partition=0, model_id=_MODEL_ID, kind=model_kind(model))


def _batches(records: Sequence[Record]) -> Iterator[RecordBatch]:
    rest = iter(records)
    while part := list(islice(rest, _BATCH)):
        yield batch_of(part)


def _river(model: Any, record: Record) -> float:  # noqa: ANN401 -- a River pipeline
    """Predict and learn by River's own two methods."""
    event = decode(record.value, record.timestamp_ms, LINEAR.limits)
    features = get_features(event)
    predicted: float = model.predict_one(features)
    if event.level_millionths is None:
        raise AssertionError("each of these events has its level")
    model.learn_one(features, event.level_millionths / MILLION)
    return predicted


def _numbers(pipeline: Any) -> list[bytes]:  # noqa: ANN401 -- a River pipeline
    """Return every number of the pipeline, bit for bit."""
    scaler, regression = pipeline["scale"], pipeline["lin_reg"]
    parts = (scaler.counts, scaler.means, scaler.vars, regression.weights)
    numbers = [part[name] for part in parts for name in FEATURE_NAMES]
    return [*map(_bits, numbers), _bits(regression.intercept), _bits(regression.optimizer.n_iterations)]


def _bits(number: float) -> bytes:
    return struct.pack("<d", number)


def _refused(record: Record) -> None:
    raise AssertionError(f"offset {record.offset} is valid, and was refused")


if __name__ == "__main__":
    main()
