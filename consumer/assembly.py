"""The worker's parts, put together. Imports River: see `consumer.run` for what is done meanwhile."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import river

from consumer import __version__
from consumer.checkpoint.envelope import Identity
from consumer.checkpoint.model_file import read_warm_start
from consumer.errors import SettingsError
from consumer.learning.fingerprint import LearningSettings, OutlookSettings, fingerprint
from consumer.learning.model import ModelScope
from consumer.learning.size import OUTPUT_MARGIN_BYTES
from consumer.model_choice import admitted_classes, model_kind
from consumer.outlook.policies import Policies, PoliciesError
from consumer.permissions import NONE_GIVEN, Permissions
from consumer.surroundings import REAL, Surroundings
from consumer.worker import Worker
from consumer.zones import ZONE_DATA, zone_of
from schemas.transaction import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Broker, InputTopic
    from consumer.checkpoint.model_file import WarmStart
    from consumer.checkpoint.store import CheckpointStore
    from consumer.health import Health
    from consumer.metrics import Metrics
    from consumer.settings import Settings
    from consumer.skips import SkipRange


def warm_start_of(settings: Settings, *, is_required: bool) -> WarmStart | None:
    """Return what `ML_MODEL_PATH` names for new models to begin with; None where there is nothing.

    Raises:
        SettingsError: there is nothing, and it is required.
        ModelFileError: the file holds no model that may be used.
    """
    path = settings.ml_model_path
    found = None if path is None else read_warm_start(path, admitted_classes(settings.model))
    if found is None and is_required:
        raise SettingsError(
            "--require-warm-start: ML_MODEL_PATH is not set; expected a model's file"
            if path is None
            else f"--require-warm-start: expected a model in ML_MODEL_PATH={path}; there is no such file: put it there"
        )
    return found


def learning_settings(settings: Settings, topic: InputTopic, warm_start: WarmStart | None) -> LearningSettings:
    """Return what a prediction depends on, but for the model itself."""
    return LearningSettings(
        model=settings.model,
        scope=ModelScope(settings.model_scope.value),
        seen_ids=settings.seen_ids,
        invalid_window_records=settings.invalid_window_records,
        limits=Limits(settings.max_quantity, settings.max_clock_ahead_seconds),
        max_output_bytes=topic.max_message_bytes + OUTPUT_MARGIN_BYTES,
        warm_start=None if warm_start is None else warm_start.digest,
        item_retire_days=settings.item_retire_days,
        outlook=_outlook_settings(settings),
    )


def _outlook_settings(settings: Settings) -> OutlookSettings | None:
    if settings.outlook_topic is None:
        return None
    path = settings.policies_file
    try:
        policies = Policies() if path is None else Policies(Path(path).read_bytes())
    except OSError as error:
        raise SettingsError(f"POLICIES_FILE={path}: expected a JSON file to read; {error.strerror}") from error
    except PoliciesError as error:
        raise SettingsError(f"POLICIES_FILE={path}: {error}") from error
    return OutlookSettings(zone_of(settings.store_timezone), ZONE_DATA, policies)


def build_worker(  # noqa: PLR0913 -- its parts, named
    settings: Settings,
    *,
    broker: Broker,
    store: CheckpointStore,
    topic: InputTopic,
    health: Health,
    metrics: Metrics,
    log: FilteringBoundLogger,
    hash_seed: str,
    stop_at_end: bool,
    skips: Sequence[SkipRange],
    permissions: Permissions = NONE_GIVEN,
    surroundings: Surroundings = REAL,
) -> Worker:
    """Return a worker of these settings over this broker.

    Other surroundings than the real ones are for simulations.
    """
    warm_start = warm_start_of(settings, is_required=permissions.require_warm_start)
    learning = learning_settings(settings, topic, warm_start)
    kind = model_kind(settings.model, None if warm_start is None else warm_start.new)
    meaning = fingerprint(learning, kind.parameters)
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
        store=store,
        identity=Identity(
            group=settings.consumer_group,
            topic=settings.input_topic,
            topic_id=topic.topic_id,
            model_id=meaning.model_id,
            fingerprint=meaning.digest,
            hash_seed=hash_seed,
            meaning=meaning.parts,
        ),
        admitted=admitted_classes(settings.model),
        learning=learning,
        model_kind=kind,
        settings=settings,
        health=health,
        metrics=metrics,
        log=log,
        partitions=topic.partitions,
        stop_at_end=stop_at_end,
        skips=skips,
        permissions=permissions,
        surroundings=surroundings,
    )
