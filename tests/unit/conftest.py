"""Workers on a scripted cluster."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from consumer.assembly import build_worker
from consumer.health import Health
from consumer.metrics import Metrics
from consumer.permissions import Permissions
from consumer.settings import Settings
from consumer.stores import open_store
from consumer.surroundings import Surroundings
from tests.scripted import DEAD_LETTERS, OUTPUT, Clock, Log, Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from consumer.worker import Worker


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Leave the process's logging as it was, whatever a test sets up."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def new_worker(tmp_path: Path) -> Callable[..., Worker]:
    """Make workers on a log; their checkpoints go to one directory."""

    def make(log: Log, *, end: int | None = None, allow: str = "", hash_seed: str = "0", **changed: Any) -> Worker:
        values = {
            "model": "linear",
            "checkpoint_url": f"file:{tmp_path / 'checkpoints'}",
            "transaction_max_records": 20,
            **changed,
        }
        metrics = Metrics()
        settings = Settings(
            consumer_group="g", input_topic="in", output_topic=OUTPUT, dead_letter_topic=DEAD_LETTERS, **values
        )
        worker = build_worker(
            settings,
            broker=log,
            store=open_store(settings, dict),
            topic=log.topic,
            health=Health(Clock()),
            metrics=metrics,
            log=structlog.get_logger(),
            hash_seed=hash_seed,
            stop_at_end=True,
            skips=(),
            permissions=Permissions(**dict.fromkeys(allow.split(), True)),
            surroundings=Surroundings(clock=Clock(), sleep=lambda _seconds: None, reads_of=lambda store: store),
        )
        if end is not None:
            assert worker._end is not None
            worker._end._offsets = {0: end}  # else it would leave at once where everything is committed
        return worker

    return make


@pytest.fixture
def truth(new_worker: Callable[..., Worker], tmp_path: Path) -> Callable[[int], list[bytes]]:
    """What an undisturbed worker publishes for so many records."""

    def publish(records: int) -> list[bytes]:
        log = Log(records)
        new_worker(log, checkpoint_url=f"file:{tmp_path / f'truth-{records}'}").run()
        return log.outputs

    return publish


@pytest.fixture
def shop(new_worker: Callable[..., Worker], tmp_path: Path) -> Shop:
    """Sixty records done, checkpoints at 20, 40 and 60, the last one referenced."""
    return Shop(new_worker, tmp_path / "checkpoints", (20, 40, 60))
