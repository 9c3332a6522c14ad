"""Which checkpoint store `CHECKPOINT_URL` names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from consumer.checkpoint.directory import DirectoryStore

if TYPE_CHECKING:
    from consumer.checkpoint.store import CheckpointStore
    from consumer.settings import Settings


def open_store(settings: Settings) -> CheckpointStore:
    """Return the store; nothing is asked of it yet.

    Raises:
        SettingsError: `CHECKPOINT_URL` names none.
    """
    return DirectoryStore(Path(settings.checkpoint_location().path))
