"""Which checkpoint store `CHECKPOINT_URL` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from consumer.checkpoint.directory import DirectoryStore
from consumer.errors import SettingsError
from consumer.settings import BUCKET_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.checkpoint.bucket_store import BucketStore
    from consumer.checkpoint.store import ListedStore
    from consumer.settings import CheckpointLocation, Settings


def open_store(settings: Settings, client_config: Callable[[], Mapping[str, str]]) -> ListedStore:  # noqa: ARG001
    """Return the store; nothing is asked of it yet.

    Args:
        settings: `CHECKPOINT_URL` among them.
        client_config: returns librdkafka's properties; asked only for a store that is in Kafka.

    Raises:
        SettingsError: `CHECKPOINT_URL` names none, or one whose library is missing or refuses its own variables.
    """
    location = settings.checkpoint_location()
    if location.scheme in BUCKET_SCHEMES:
        return _bucket_store(location)
    return DirectoryStore(Path(location.path))


def _bucket_store(location: CheckpointLocation) -> BucketStore:
    try:
        from consumer.checkpoint.bucket import Bucket  # noqa: PLC0415 -- its library is an optional extra
        from consumer.checkpoint.bucket_store import BucketStore  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"CHECKPOINT_URL={location.scheme}://{location.path}: expected the library {error.name}; install it with "
            '`pip install "smart-inventory[objects]"`'
        ) from error
    return BucketStore(Bucket(location.scheme, location.path))
