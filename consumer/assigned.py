"""One assigned partition, from being gained to being live."""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.checkpoint.lineage import Lineage

if TYPE_CHECKING:
    from consumer.checkpoint.reference import Reference
    from consumer.checkpoint.store import CheckpointName
    from consumer.goal import Goal
    from consumer.learning.task import PartitionTask, TaskSnapshot
    from consumer.retention import RetentionWatch

FIRST_RETRY_SECONDS: Final = 0.25
"""How long the first try to read a committed offset may take, and the pause between two tries."""


class Phase(Enum):
    """Where a partition stands between being assigned and being processed."""

    GAINED = "gained"  # assigned, its committed offset not yet read, or a rung of its ladder failed
    FRESH = "fresh"  # nothing was ever learned: its start offset awaits its first commit
    REPLAYING = "replaying"  # learning again what lies between its checkpoint and its committed offset
    ANCHORING = "anchoring"  # its state does not follow from what is committed: its own checkpoint awaits a commit
    LIVE = "live"


class Rung(NamedTuple):
    """One rung of a recovery ladder.

    Attributes:
        name: the checkpoint to begin with; None for the lowest rung, an empty task at the first offset.
        outcome: as `restores` counts it.
    """

    name: CheckpointName | None
    outcome: str


class Taking:
    """A snapshot that is being taken.

    Args:
        snapshot: of the partition's task.

    Attributes:
        snapshot: likewise.
        longest_pause: seconds that the loop stood still for it at one time, at most.
    """

    __slots__ = ("longest_pause", "snapshot")

    def __init__(self, snapshot: TaskSnapshot) -> None:
        self.snapshot = snapshot
        self.longest_pause = 0.0


class Assigned:
    """One assigned partition.

    Attributes:
        task: its state, from FRESH on.
        committed_offset: the group's committed offset as last read or confirmed; -1 while it is unknown or lost.
        reference: the reference committed with it.
        goal: where its replay ends and what it is held to there.
        rung: the rung that it stands on.
        failed: the rungs that failed, each with the reason.
        is_across_gap: the rung lies below the log's start, and the gap was accepted.
        adopted_offset: where another meaning's state was adopted: no rung lies below.
        awaits_commit: FRESH or ANCHORING, and the commit that lets it begin is not confirmed yet.
        confirmed: offsets of the checkpoints whose references were confirmed, the restored one first.
        durable: a checkpoint that is durable and waits for a commit to refer to it.
        taking: the snapshot that is being taken, turn by turn.
        is_snapshot_pending: a snapshot is being taken, or on its way to the store.
        lineage: what this assignment has written, for the writer alone.
        retention: what is watched of the log while checkpoints fail; None while they do not.
        behind: how many offsets lay ahead of its state when it got it.
        snapshot_at: when the last snapshot was begun, on the loop's clock.
        waits_for: why a restore waits; empty where it does not.
        last_timestamp_ms: Kafka timestamp of the last record in the open transaction.
    """

    def __init__(self, partition: int, now: float) -> None:
        self.partition = partition
        self.phase = Phase.GAINED
        self.task: PartitionTask | None = None
        self.committed_offset = -1
        self.reference: Reference | None = None
        self.goal: Goal | None = None
        self.rung: Rung | None = None
        self.failed: dict[Rung, str] = {}
        self.is_across_gap = False
        self.adopted_offset: int | None = None
        self.awaits_commit = False
        self.confirmed: deque[int] = deque()
        self.durable: CheckpointName | None = None
        self.taking: Taking | None = None
        self.is_snapshot_pending = False
        self.lineage = Lineage()
        self.retention: RetentionWatch | None = None
        self.behind = 0
        self.snapshot_at = now
        self.last_timestamp_ms: int | None = None
        self.waits_for = ""
        self.retry_at = now
        self.call_seconds = FIRST_RETRY_SECONDS

    @property
    def state(self) -> PartitionTask:
        """The task, where the phase says that there is one."""
        if self.task is None:
            raise AssertionError(f"partition {self.partition} is {self.phase.value} and has no task")
        return self.task

    @property
    def destination(self) -> Goal:
        """The goal, where the phase says that there is one."""
        if self.goal is None:
            raise AssertionError(f"partition {self.partition} is {self.phase.value} and has no goal")
        return self.goal

    @property
    def replay_distance(self) -> int:
        """How many offsets a restart would replay if it came now."""
        return self.state.next_offset - self.restart_offset

    @property
    def restart_offset(self) -> int:
        """Where a restart would begin to read if it came now."""
        return self.confirmed[-1] if self.confirmed else self.state.first_offset

    def begin_fresh(self, task: PartitionTask) -> None:
        """Take an empty task; nothing is fetched before its start offset is committed."""
        self.task = task
        self.phase = Phase.FRESH
        self.awaits_commit = True

    def give_up_taking(self) -> None:
        """Give up the snapshot that is being taken, if one is; what the store has got already goes on."""
        if self.taking is not None:
            self.taking, self.is_snapshot_pending = None, False

    def anchor(self, task: PartitionTask) -> None:
        """Take a state that nothing committed leads to; nothing is fetched before its own checkpoint is committed.

        Otherwise a crash could find outputs of this state beside a reference that leads to another one.
        """
        self.task = task
        self.phase = Phase.ANCHORING
        self.confirmed.clear()
        self.durable = None
        self.give_up_taking()  # of what came before
        self.snapshot_at = -math.inf
        self.awaits_commit = True
