"""Machine code tried on whole records before a worker relies on it: outputs and state as Python's, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.guarded_kind import GuardedKind
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.model import ModelScope
from consumer.learning.regressor import RegressorKind
from consumer.learning.task import PartitionTask
from consumer.record import RecordBatch
from schemas.transaction import Limits

if TYPE_CHECKING:
    from consumer.learning.acceleration import Machine
    from consumer.learning.model import ModelKind

_RECORDS: Final = 400
_BATCH: Final = 80
_SEEN_IDS: Final = 150


def tasks_agree(machine: Machine) -> bool:
    """Let a task of each model apply some records either way, odd ones among them; tell whether all is the same."""
    kinds: tuple[ModelKind, ...] = (GuardedKind(), RegressorKind(get_ml_pipeline, {}))
    batches = [_batch(start) for start in range(0, _RECORDS, _BATCH)]
    return all(_applied(kind, batches, None) == _applied(kind, batches, machine) for kind in kinds)


def _applied(kind: ModelKind, batches: list[RecordBatch], machine: Machine | None) -> list[Any]:
    """Return what a task publishes for the batches, and its state afterwards."""
    settings = LearningSettings(
        model="", scope=ModelScope.PARTITION, seen_ids=_SEEN_IDS, invalid_window_records=100, limits=Limits()
    )
    task = PartitionTask(
        topic="trial",
        partition=0,
        first_offset=0,
        settings=settings,
        model_id="0123456789ab",
        model_kind=kind,
        partitions=1,
        find_machine=lambda: machine,
    )
    done: list[Any] = []
    for batch in batches:
        published = task.process_batch(batch, lambda _record: None)
        done += [published.keys, published.values, [letter.headers for letter in published.letters]]
    return [*done, {name: bytes(section) for name, section in task.snapshot().items()}]


def _batch(start: int) -> RecordBatch:
    numbers = range(start, start + _BATCH)
    values = [_value(number) for number in numbers]
    keys = [b"s:%d" % number for number in numbers]
    return RecordBatch(0, list(numbers), [-1] * _BATCH, keys, values, lambda _index: None)


def _value(number: int) -> bytes:
    """Return an event of one of two stores; some repeat an earlier one, some are odd or none at all."""
    number -= number % 7 == 6  # noqa: PLR2004 -- one in seven repeats the one before it
    event: dict[str, Any] = {
        "transaction_id": f"t{number}",
        "store_id": f"s{number % 2}",
        "sku": f"k{number % 11}",
        "quantity": number % 50 + 10.25 if number % 4 == 0 else -(number % 3) - 1,
        "occurred_at": f"2025-{number // 60 + 1:02d}-{number % 28 + 1:02d}T12:00:{number % 60:02d}.5+01:00",
        "line_id": [None, "1", " 2 ", "ü"][number % 4],
        "new_stock_level": None if number % 5 == 0 else number % 97 / 4,
        "unit_cost": number % 13 / 8,
    }
    return msgspec.json.encode(event)[: -1 if number % 29 == 0 else None]
