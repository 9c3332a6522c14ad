"""The seam behind which checkpoints are kept."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class CheckpointName(NamedTuple):
    """The name of one immutable checkpoint; whatever the state, another name.

    Attributes:
        group: the consumer group.
        topic: the input topic.
        partition: the input partition.
        offset: the next offset of the state within.
        digest: the checkpoint's digest, hexadecimal.
    """

    group: str
    topic: str
    partition: int
    offset: int
    digest: str


class StoreError(Exception):
    """The store could not do what was asked: disk full, no permission, not reachable."""


class CheckpointStore(Protocol):
    """Keeps immutable checkpoints by name.

    Methods may block and may be called from another thread than the loop's, one call at a time. All but `read` raise
    `StoreError` where the store fails.
    """

    def write(self, name: CheckpointName, data: bytes) -> None:
        """Keep `data` durably under `name`; when this returns, no crash can lose or tear it."""

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the checkpoint, None where it is absent.

        Raises:
            StoreError: it is there but cannot be read.
        """

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of all checkpoints of a partition, lowest offset first."""

    def delete(self, name: CheckpointName) -> None:
        """Remove a checkpoint; an absent one is no error."""

    def where(self) -> str:
        """Return the place in words that an operator can act on."""
