"""One assigned partition, from being gained to being live."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from consumer.checkpoint.reference import Reference
    from consumer.checkpoint.store import CheckpointName
    from consumer.learning.task import PartitionTask

FIRST_RETRY_SECONDS: Final = 0.25
"""How long the first try to read a committed offset may take, and the pause between two tries."""


class Phase(Enum):
    """Where a partition stands between being assigned and being processed."""

    GAINED = "gained"  # assigned, its committed offset not yet read
    FRESH = "fresh"  # no committed offset: its start offset awaits its first commit
    REPLAYING = "replaying"  # learning again what lies between its checkpoint and its committed offset
    LIVE = "live"


class Assigned:
    """One assigned partition.

    Attributes:
        task: its state, from FRESH on.
        committed_offset: the group's committed offset as last read or confirmed.
        reference: the reference committed with it.
        confirmed: offsets of the checkpoints whose references were confirmed, the restored one first.
        durable: a checkpoint that is durable and waits for a commit to refer to it.
        is_snapshot_pending: a snapshot is on its way to the store.
        snapshot_at: when the last snapshot was taken, on the loop's clock.
        last_timestamp_ms: Kafka timestamp of the last record in the open transaction.
        is_from_checkpoint: the task was restored from a checkpoint, so the ladder has a lower rung.
    """

    def __init__(self, partition: int, now: float) -> None:
        self.partition = partition
        self.phase = Phase.GAINED
        self.task: PartitionTask | None = None
        self.committed_offset = -1
        self.reference: Reference | None = None
        self.confirmed: deque[int] = deque()
        self.durable: CheckpointName | None = None
        self.is_snapshot_pending = False
        self.snapshot_at = now
        self.is_from_checkpoint = False
        self.last_timestamp_ms: int | None = None
        self.retry_at = now
        self.call_seconds = FIRST_RETRY_SECONDS

    @property
    def state(self) -> PartitionTask:
        """The task, where the phase says that there is one."""
        if self.task is None:
            raise AssertionError(f"partition {self.partition} is {self.phase.value} and has no task")
        return self.task

    @property
    def replay_distance(self) -> int:
        """How many offsets a restart would replay if it came now."""
        task = self.state
        return task.next_offset - (self.confirmed[-1] if self.confirmed else task.first_offset)
