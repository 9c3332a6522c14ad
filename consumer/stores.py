"""Which checkpoint store `CHECKPOINT_URL` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.throttle import Throttle
from consumer.errors import SettingsError
from consumer.settings import BUCKET_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.checkpoint.bucket_store import BucketStore
    from consumer.checkpoint.store import ListedStore
    from consumer.settings import CheckpointLocation, Settings


def open_store(settings: Settings, client_config: Callable[[], Mapping[str, str]]) -> ListedStore:
    """Return the store; nothing is asked of it yet.

    Args:
        settings: `CHECKPOINT_URL` among them.
        client_config: returns librdkafka's properties; asked only for a store that is in Kafka.

    Raises:
        SettingsError: `CHECKPOINT_URL` names none, or one whose library is missing or refuses its own variables.
    """
    location = settings.checkpoint_location()
    throttle = Throttle(settings.checkpoint_bytes_per_second)
    if location.scheme in BUCKET_SCHEMES:
        return _bucket_store(location, throttle)
    if location.scheme == "kafka":
        from consumer.kafka.checkpoint_topic import CheckpointTopic  # noqa: PLC0415 -- a directory needs no Kafka client

        return CheckpointTopic(client_config(), settings.consumer_group, location.path, throttle)
    return DirectoryStore(Path(location.path))


def _bucket_store(location: CheckpointLocation, throttle: Throttle) -> BucketStore:
    try:
        from consumer.checkpoint.bucket import Bucket  # noqa: PLC0415 -- its library is an optional extra
        from consumer.checkpoint.bucket_store import BucketStore  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"CHECKPOINT_URL={location.scheme}://{location.path}: expected the library {error.name}; install it with "
            '`pip install "smart-inventory[objects]"`'
        ) from error
    return BucketStore(Bucket(location.scheme, location.path), throttle.take)
