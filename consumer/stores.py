"""Which checkpoint store `CHECKPOINT_URL` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from consumer.checkpoint.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.checkpoint.store import ListedStore
    from consumer.settings import Settings


def open_store(settings: Settings, client_config: Callable[[], Mapping[str, str]]) -> ListedStore:  # noqa: ARG001
    """Return the store; nothing is asked of it yet.

    Args:
        settings: `CHECKPOINT_URL` among them.
        client_config: returns librdkafka's properties; asked only for a store that is in Kafka.

    Raises:
        SettingsError: `CHECKPOINT_URL` names none.
    """
    return DirectoryStore(Path(settings.checkpoint_location().path))
