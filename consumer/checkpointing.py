"""When checkpoints are taken, and what becomes of them.

A snapshot is taken between records and made durable in the background; the reference to it rides in the first commit
after that (protocol rule 5). Older ones go only after enough references were confirmed (rule 7).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from consumer.assigned import Phase
from consumer.checkpoint.writer import Snapshot
from consumer.errors import CheckpointsError
from consumer.retention import ASK_SECONDS, RetentionWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.assigned import Assigned
    from consumer.assignment import Assignment, Superseded
    from consumer.broker import Connection
    from consumer.checkpoint.writer import Writer, Written
    from consumer.metrics import Metrics

_WAIT_SECONDS: Final = 0.2
_URGENT_SECONDS: Final = 1.0
"""Time between two tries once half of `MAX_REPLAY_RECORDS` is used up, and where an anchor holds a partition back."""


class Checkpointing:
    """Takes snapshots of live partitions when they are due and hands durable ones to the next commit.

    Args:
        interval: seconds between two snapshots of a partition.
        max_replay_records: the replay distance at which the worker must stop.
        clock: the loop's monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        assignment: Assignment,
        writer: Writer,
        interval: float,
        max_replay_records: int,
        clock: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._assignment = assignment
        self._writer = writer
        self._interval = interval
        self._max_replay_records = max_replay_records
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._last_error = "none was taken in time"

    def turn(self, connection: Connection) -> None:
        """Take in what was written, and take at most one snapshot that is due, so that no turn grows long.

        Raises:
            CheckpointsError: a restart would have to replay more than `MAX_REPLAY_RECORDS`, or soon more than the log
                holds.
            RetryError: the broker did not say where the log starts.
        """
        self._collect(0.0)
        now = self._clock()
        for assigned in self._assignment.in_phase(Phase.ANCHORING):
            is_wanted = assigned.awaits_commit and assigned.durable is None and not assigned.is_snapshot_pending
            if is_wanted and now - assigned.snapshot_at >= _URGENT_SECONDS:
                self._take(assigned)
                return
        for assigned in self._assignment.in_phase(Phase.LIVE):
            if assigned.retention is not None:
                self._heed_retention(assigned, assigned.retention, connection)
            distance = assigned.replay_distance
            self._metrics.gauge("replay_distance_records", distance, assigned.partition)
            if distance > self._max_replay_records:
                raise CheckpointsError(
                    f"partition {assigned.partition}: a restart would replay {distance} records, more than "
                    f"MAX_REPLAY_RECORDS={self._max_replay_records}; the last checkpoint failed: {self._last_error}. "
                    "Make the checkpoint store writable, or raise MAX_REPLAY_RECORDS"
                )
            is_urgent = 2 * distance >= self._max_replay_records
            interval = min(self._interval, _URGENT_SECONDS) if is_urgent else self._interval
            if now - assigned.snapshot_at >= interval and self._is_worthwhile(assigned):
                self._take(assigned)
                return

    def _heed_retention(self, assigned: Assigned, watch: RetentionWatch, connection: Connection) -> None:
        """Stop rather than let retention take what a restart would replay, while no checkpoint can be written."""
        now = self._clock()
        if now - watch.asked_at < ASK_SECONDS:
            return
        watch.asked_at = now
        start, _ = connection.log_range(assigned.partition)
        watch.note(start)
        needed = assigned.restart_offset
        if watch.is_next_step_too_far(needed):
            raise CheckpointsError(
                f"partition {assigned.partition}: a restart would replay from offset {needed}, and retention, which "
                f"has reached offset {start}, would delete that next; the last checkpoint failed: {self._last_error}. "
                "Make the checkpoint store writable, or raise the input topic's retention"
            )
        if watch.has_passed(needed) and not watch.is_too_late:
            watch.is_too_late = True  # to stop now would lose the state: only a checkpoint can still save it
            self._log.error("replay_impossible", partition=assigned.partition, needed=needed, log_start=start)

    def finish(self, seconds: float, beat: Callable[[], None]) -> bool:
        """Checkpoint every live partition where it stands; tell whether all were durable within `seconds`.

        Calls `beat` again and again while it waits.
        """
        deadline = self._clock() + seconds
        while True:
            beat()
            for assigned in self._assignment.in_phase(Phase.LIVE):
                if self._is_worthwhile(assigned):
                    self._take(assigned)
            if not any(assigned.is_snapshot_pending for assigned in self._assignment):
                return True
            if self._clock() >= deadline:
                return False
            if not self._collect(_WAIT_SECONDS):
                return False

    def prune(self, superseded: Sequence[Superseded]) -> None:
        """Let the writer remove what a confirmed commit has superseded."""
        for each in superseded:
            self._writer.prune(each.partition, each.below, each.kept)

    def _is_worthwhile(self, assigned: Assigned) -> bool:
        """Tell whether a snapshot now would be newer than what exists or is under way."""
        if assigned.is_snapshot_pending:
            return False
        newest = assigned.durable.offset if assigned.durable else (assigned.confirmed[-1] if assigned.confirmed else -1)
        return assigned.state.next_offset > newest and assigned.state.records_applied > 0

    def _take(self, assigned: Assigned) -> None:
        started = self._clock()
        task = assigned.state
        sections = task.snapshot()
        pause = self._clock() - started  # to hand it over is to put it into a queue
        self._writer.submit(Snapshot(assigned, assigned.partition, task.next_offset, sections, pause, assigned.lineage))
        assigned.is_snapshot_pending = True
        assigned.snapshot_at = started
        self._metrics.count("phase_seconds", pause, "snapshot")
        self._metrics.observe("checkpoint_pause_seconds", pause)

    def _collect(self, wait_seconds: float) -> bool:
        """Take in finished snapshots, waiting for the first; tell whether all of them were written."""
        written = self._writer.finished(wait_seconds)
        is_good = True
        while written is not None:
            is_good = self._take_in(written) and is_good
            written = self._writer.finished()
        return is_good

    def _take_in(self, written: Written) -> bool:
        snapshot = written.snapshot
        owner = next((assigned for assigned in self._assignment if assigned is snapshot.owner), None)
        if owner is not None:
            owner.is_snapshot_pending = False
        if written.name is None:
            self._last_error = written.error
            if owner is not None and owner.retention is None:
                owner.retention = RetentionWatch()
            self._metrics.count("checkpoint_failures")
            self._log.error(
                "checkpoint_failed", partition=snapshot.partition, offset=snapshot.offset, reason=written.error
            )
            return False
        self._metrics.gauge("last_checkpoint_timestamp_seconds", time.time())
        self._metrics.observe("checkpoint_seconds", written.seconds)
        # Nothing will ever refer to it where its partition was dropped meanwhile, or anchors elsewhere by now.
        if owner is not None and (owner.phase is Phase.LIVE or owner.state.next_offset == snapshot.offset):
            owner.durable = written.name
            owner.retention = None
            self._metrics.gauge("checkpoint_bytes", written.state_bytes, snapshot.partition)
        self._log.info(
            "checkpoint_written",
            partition=snapshot.partition,
            offset=snapshot.offset,
            bytes=written.size,
            state_bytes=written.state_bytes,
            parents=written.parents,
            seconds=round(written.seconds, 3),
            pause_ms=round(snapshot.pause_seconds * 1000, 3),
        )
        return True
