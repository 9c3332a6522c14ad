"""The worker's parts, put together. Imports River: see `consumer.run` for what is done meanwhile."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import river

from consumer import __version__
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import Identity
from consumer.learning.fingerprint import LearningSettings, fingerprint
from consumer.learning.model import ModelScope, get_ml_pipeline
from consumer.worker import Worker
from schemas.transaction import Limits

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Broker, InputTopic
    from consumer.health import Health
    from consumer.metrics import Metrics
    from consumer.settings import Settings


def learning_settings(settings: Settings) -> LearningSettings:
    """Return those settings that a prediction depends on."""
    return LearningSettings(
        model=settings.model,
        scope=ModelScope(settings.model_scope.value),
        seen_ids=settings.seen_ids,
        invalid_window_records=settings.invalid_window_records,
        limits=Limits(settings.max_quantity, settings.max_clock_ahead_seconds),
    )


def build_worker(  # noqa: PLR0913 -- its parts, named
    settings: Settings,
    *,
    broker: Broker,
    topic: InputTopic,
    health: Health,
    metrics: Metrics,
    log: FilteringBoundLogger,
    hash_seed: str,
    stop_at_end: bool,
) -> Worker:
    """Return a worker of these settings over this broker."""
    learning = learning_settings(settings)
    meaning = fingerprint(learning)
    metrics.built(
        {
            "version": __version__,
            "model_id": meaning.model_id,
            "river": river.__version__,
            "python": platform.python_version(),
        }
    )
    return Worker(
        broker=broker,
        store=DirectoryStore(settings.checkpoint_directory()),
        identity=Identity(
            group=settings.consumer_group,
            topic=settings.input_topic,
            topic_id=topic.topic_id,
            model_id=meaning.model_id,
            fingerprint=meaning.digest,
            hash_seed=hash_seed,
        ),
        learning=learning,
        model_factory=get_ml_pipeline,
        settings=settings,
        health=health,
        metrics=metrics,
        log=log,
        partitions=topic.partitions,
        stop_at_end=stop_at_end,
    )
