"""The recovery ladder: each gained partition finds the state that belongs to its committed offset, or stops.

Its rungs, from the top: the referenced checkpoint, every older one of this identity from the newest on, each with a
longer replay, then a replay from the first offset ever learned. A rung holds only if its replay arrives at what was
committed; each one is logged and counted. The cases that no rung leads out of have files of their own:
`consumer.adoption` (another meaning) and `consumer.lost_offsets` (no committed offset of ours).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from consumer.adoption import Adoption
from consumer.assigned import Assigned, Phase, Rung
from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.reader import MissingCheckpointError
from consumer.checkpoint.reference import UnreadableReferenceError, decode_reference
from consumer.errors import LogGapError, RebuildError, StateError
from consumer.goal import CommittedGoal
from consumer.lost_offsets import LostOffsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Connection
    from consumer.checkpoint.envelope import Identity
    from consumer.checkpoint.reader import CheckpointReader
    from consumer.checkpoint.reference import Reference
    from consumer.goal import Goal
    from consumer.learning.output import Outcome
    from consumer.learning.task import PartitionTask
    from consumer.metrics import Metrics
    from consumer.permissions import Permissions

_NEW_GROUP: Final = "use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
_MOST_REASONS: Final = 4
RUNG_EVENTS: Final = {
    "checkpoint": "checkpoint_restored",
    "older_checkpoint": "older_checkpoint_restored",
    "replay_from_first": "replay_from_first",
    "empty": "partition_empty",
}
"""The log's events by the outcomes of `restores`: a rung was taken."""

FAILURE_EVENTS: Final = {
    "rebuilt": "checkpoint_missing",
    "unusable_checkpoint": "checkpoint_unusable",
    "replay_differs": "replay_differs",
}
"""Likewise: a rung has failed."""


class Recovery:
    """Brings partitions to their state.

    Args:
        identity: whose state it accepts.
        reader: reads checkpoints.
        new_task: builds an empty task from (partition, first offset).
        topics: where each kind of outcome is published.
        permissions: what the operator allows.
        accepts_gaps: what retention has removed is done without (`ON_GAP=accept`).
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        identity: Identity,
        reader: CheckpointReader,
        new_task: Callable[[int, int], PartitionTask],
        topics: Mapping[Outcome, str],
        permissions: Permissions,
        accepts_gaps: bool,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._identity = identity
        self._reader = reader
        self._new_task = new_task
        self._adoption = Adoption(
            identity=identity, reader=reader, new_task=new_task, is_allowed=permissions.adopt_state, log=log
        )
        self._lost_offsets = LostOffsets(
            identity=identity, reader=reader, topics=topics, permissions=permissions, metrics=metrics, log=log
        )
        self._may_rebuild = permissions.rebuild
        self._accepts_gaps = accepts_gaps
        self._metrics = metrics
        self._log = log

    def restore(self, assigned: Assigned, connection: Connection) -> None:
        """Bring one gained partition to the state that belongs to its committed offset, or begin to replay towards it.

        Raises:
            StateError: only the operator can say how to go on.
            LogGapError: the log no longer holds what is needed.
            RetryError: the broker did not answer; the partition stays gained.
        """
        partition = assigned.partition
        committed = connection.committed(partition, assigned.call_seconds)
        try:
            reference = None if committed is None else decode_reference(committed.metadata)
        except UnreadableReferenceError as error:
            self._without_offset(assigned, str(error), connection)
            return
        if committed is None or reference is None:
            self._without_offset(assigned, None, connection)
            return
        if reference.topic_id != self._identity.topic_id:
            raise StateError(
                f"partition {partition} of group {self._identity.group} was committed with topic id "
                f"{reference.topic_id}; this worker has {self._identity.topic_id}: the topic was deleted and created "
                f"anew, so this is another log; {_NEW_GROUP}"
            )
        if (reference.fingerprint, reference.hash_seed) != (self._identity.fingerprint, self._identity.hash_seed):
            self._adopt(assigned, reference, committed.offset)
            return
        assigned.reference, assigned.committed_offset = reference, committed.offset
        assigned.adopted_offset = reference.adopted_offset
        self._descend(assigned, CommittedGoal(committed.offset, reference), connection)

    def has_arrived(self, assigned: Assigned, connection: Connection) -> bool:
        """Finish a replay that reached its goal; tell whether the partition is live now.

        Where what it arrived with is not what must be there, this rung has failed and the partition is gained anew:
        the next `restore` takes the next rung.
        """
        assigned.state.skip_to(assigned.destination.offset)
        if not self._settle(assigned):
            assigned.phase = Phase.GAINED
        if assigned.phase is Phase.LIVE:
            return True
        connection.stop([assigned.partition])
        return False

    def out_of_range(self, assigned: Assigned, connection: Connection) -> None:
        """Judge a running partition whose next record the log does not hold; nothing of it is uncommitted.

        Raises:
            LogGapError: it was removed and that is not accepted, or the log has lost its end.
            RebuildError: it is there after all.
        """
        partition, needed = assigned.partition, assigned.state.next_offset
        low, end = connection.log_range(partition)
        if needed > end:
            raise LogGapError(
                f"partition {partition} of {self._identity.topic} must go on at offset {needed}, but the log ends at "
                f"{end}: it has lost records, as after an unclean leader election; restore them, or {_NEW_GROUP}"
            )
        if needed >= low:
            raise RebuildError(f"partition {partition}: offset {needed} is said to be out of range and is not")
        if assigned.phase is Phase.LIVE:
            self._cross(partition, needed, low)
            assigned.state.skip_to(low)
            assigned.anchor(assigned.state)
        else:
            assigned.phase = Phase.GAINED  # the ladder is judged anew, now that the log begins higher
        connection.stop([partition])

    # The ways to a state

    def _without_offset(self, assigned: Assigned, foreign: str | None, connection: Connection) -> None:
        partition = assigned.partition
        first, end = connection.log_range(partition)
        goal = self._lost_offsets.judge(partition, foreign, end, connection)
        if goal is not None:
            self._descend(assigned, goal, connection)
            return
        assigned.begin_fresh(self._new_task(partition, first))
        assigned.behind = end - first
        self._log.info("partition_fresh", partition=partition, offset=first)

    def _adopt(self, assigned: Assigned, reference: Reference, committed_offset: int) -> None:
        partition = assigned.partition
        task = self._adoption.adopt(partition, reference, committed_offset)
        if task is None:  # nothing was ever learned: there is nothing to take over but the place
            assigned.begin_fresh(self._new_task(partition, committed_offset))
        else:
            assigned.anchor(task)
            assigned.adopted_offset = committed_offset
        self._metrics.restored("adopted")

    # The ladder

    def _descend(self, assigned: Assigned, goal: Goal, connection: Connection) -> None:
        """Take the highest rung that has not failed yet."""
        assigned.goal = goal
        for rung in self._rungs(assigned, goal):
            if rung not in assigned.failed and self._stand_on(rung, assigned, connection):
                return
        reasons = "; ".join(
            (f"the checkpoint at offset {rung.name.offset}: {reason}" if rung.name else f"a replay of all: {reason}")
            for rung, reason in list(assigned.failed.items())[-_MOST_REASONS:]
        )
        adopted = "" if assigned.adopted_offset is None else f" down to the state adopted at {assigned.adopted_offset}"
        raise StateError(
            f"no rung of the recovery ladder{adopted} leads partition {assigned.partition} to offset {goal.offset} "
            f"({reasons}): the log was changed, the model is not deterministic, or a --skip that was given then is "
            f"missing now. Restore the checkpoints in the {self._reader.where()}, or {_NEW_GROUP}"
        )

    def _rungs(self, assigned: Assigned, goal: Goal) -> Iterator[Rung]:
        """Yield the rungs from the top; the store is listed only once the first has failed."""
        partition, floor = assigned.partition, assigned.adopted_offset
        reference = goal.reference if isinstance(goal, CommittedGoal) else None
        referenced = self._reader.referenced(partition, reference) if reference is not None else None
        if referenced is not None:
            yield Rung(referenced, "checkpoint")
        if reference is None or reference.records_applied > 0:
            lowest = floor if floor is not None else reference.first_offset if reference is not None else 0
            for name in self._reader.names(partition):
                if lowest <= name.offset <= goal.offset and name != referenced:
                    yield Rung(name, "older_checkpoint")
        if floor is None:
            is_empty = reference is not None and goal.offset == reference.first_offset
            yield Rung(None, "empty" if is_empty else "replay_from_first")

    def _stand_on(self, rung: Rung, assigned: Assigned, connection: Connection) -> bool:
        """Begin with a rung; False, logged and counted, where it does not hold."""
        goal, partition = assigned.destination, assigned.partition
        low, end = connection.log_range(partition)
        task = self._task_of(rung, assigned, low)
        if task is None:
            return False
        assigned.behind = end - task.next_offset
        assigned.task, assigned.rung = task, rung
        assigned.confirmed = deque([rung.name.offset] if rung.name is not None else [])
        self._metrics.restored(rung.outcome)
        report = self._log.info if rung.outcome in {"checkpoint", "empty"} else self._log.warning
        report(RUNG_EVENTS[rung.outcome], partition=partition, offset=task.next_offset, committed_offset=goal.offset)
        goal.begin(task.next_offset)
        if task.next_offset == goal.offset and not self._holds(assigned):
            return False  # before a gap above it is accepted: this much can still be compared
        begins_at = 0 if rung.name is None and not isinstance(goal, CommittedGoal) else task.next_offset
        assigned.is_across_gap = begins_at < low
        if assigned.is_across_gap:
            self._cross(partition, begins_at, low)
            task.skip_to(low)
        if task.next_offset < goal.offset:
            assigned.phase = Phase.REPLAYING
        elif not self._settle(assigned):
            return False
        if assigned.phase is not Phase.ANCHORING:
            connection.start(partition, task.next_offset)
        return True

    def _task_of(self, rung: Rung, assigned: Assigned, low: int) -> PartitionTask | None:
        """Return the task that a rung begins with; None where its checkpoint cannot be used."""
        goal = assigned.destination
        expected = goal.reference.first_offset if isinstance(goal, CommittedGoal) else None
        task = self._new_task(assigned.partition, low if expected is None else expected)
        if rung.name is None:
            return task
        try:
            self._reader.load(rung.name, task, first_offset=expected, highest_offset=goal.offset)
        except MissingCheckpointError as error:
            if rung.outcome == "checkpoint":
                self._judge_missing(rung.name.offset, assigned, str(error))
            self._note_failure(assigned, rung, "rebuilt", str(error))
            return None
        except EnvelopeError as error:
            self._note_failure(assigned, rung, "unusable_checkpoint", str(error))
            return None
        return task

    def _judge_missing(self, offset: int, assigned: Assigned, reason: str) -> None:
        """Stop where the referenced checkpoint is missing, unless told to go on: it may be safe on another host."""
        if not self._may_rebuild:
            raise StateError(
                f"the checkpoint at offset {offset}, to which the committed offset {assigned.committed_offset} of "
                f"partition {assigned.partition} refers, cannot be had: {reason}. Restore it there, or point "
                "CHECKPOINT_URL at where it is; `run --rebuild` goes on without it, from an older checkpoint or the "
                "whole log"
            )

    def _settle(self, assigned: Assigned) -> bool:
        """Let a state that stands at its goal, or beyond it across a gap, become live or an anchor."""
        task, goal = assigned.state, assigned.destination
        if not assigned.is_across_gap and not self._holds(assigned):
            return False
        is_committed = isinstance(goal, CommittedGoal)
        if assigned.is_across_gap and isinstance(goal, CommittedGoal):
            task.records_applied = goal.reference.records_applied
            task.chain.rebase(bytes.fromhex(goal.reference.chain))
        if is_committed and not assigned.is_across_gap:
            assigned.phase = Phase.LIVE
            # What was replayed is worth keeping at once: a worker that dies young again and again would otherwise
            # replay a little more each time, for ever.
            assigned.snapshot_at = -math.inf
            if assigned.rung is not None and assigned.rung.outcome == "older_checkpoint":
                assigned.durable = assigned.rung.name  # what is committed refers to one that cannot be used any more
            self._log.info("partition_live", partition=assigned.partition, offset=task.next_offset)
            return True
        if not is_committed:
            self._metrics.restored("resumed")
        assigned.anchor(task)
        self._log.info("partition_anchors", partition=assigned.partition, offset=task.next_offset)
        return True

    def _holds(self, assigned: Assigned) -> bool:
        """Compare what arrived with what must be there; False, logged and counted, where it differs."""
        contradiction = assigned.destination.contradiction(assigned.state)
        if contradiction is None:
            return True
        if assigned.rung is None:
            raise AssertionError(f"partition {assigned.partition} arrived without a rung")
        self._note_failure(assigned, assigned.rung, "replay_differs", f"it gave {contradiction}")
        return False

    def _note_failure(self, assigned: Assigned, rung: Rung, outcome: str, reason: str) -> None:
        assigned.failed[rung] = reason
        self._metrics.restored(outcome)
        offset = rung.name.offset if rung.name is not None else None
        self._log.error(FAILURE_EVENTS[outcome], partition=assigned.partition, offset=offset, reason=reason)

    def _cross(self, partition: int, needed: int, low: int) -> None:
        """Accept that the log begins above what is needed, or stop."""
        if not self._accepts_gaps:
            raise LogGapError(
                f"partition {partition} of {self._identity.topic} is needed from offset {needed} on, but the log "
                f"begins at {low}: retention has deleted records that were not read or that the model learned from. "
                f"Restore a checkpoint at or above {low} in the {self._reader.where()} where there was one, set "
                f"ON_GAP=accept to go on at {low} without them, or {_NEW_GROUP}"
            )
        self._metrics.count("gaps_accepted")
        self._metrics.count("gap_records", low - needed)
        self._log.warning("gap_accepted", partition=partition, needed_offset=needed, log_start=low)
