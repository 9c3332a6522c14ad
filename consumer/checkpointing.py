"""When checkpoints are taken, and what becomes of them.

A snapshot begins between two records, is taken a few milliseconds a turn where there are many models, and made durable
in the background; the reference to it rides in the first commit after that (protocol rule 5). Older ones go only after
enough references were confirmed (rule 7).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.assigned import Phase, Taking
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


class Pace(NamedTuple):
    """How fast a snapshot of many models is taken.

    Attributes:
        seconds: for that long the loop stands still a turn, and for one look at the clock more.
        models: so many are pickled between two looks at the clock; some milliseconds' worth on a busy machine.
    """

    seconds: float = 0.005
    models: int = 16


USUAL_PACE: Final = Pace()


class Checkpointing:
    """Takes snapshots of live partitions when they are due and hands durable ones to the next commit.

    Args:
        interval: seconds between two snapshots of a partition.
        max_replay_records: the replay distance at which the worker must stop.
        clock: the loop's monotonic clock, in seconds.
        pace: how fast a snapshot is taken.
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
        pace: Pace = USUAL_PACE,
    ) -> None:
        self._assignment = assignment
        self._writer = writer
        self._interval = interval
        self._max_replay_records = max_replay_records
        self._clock = clock
        self._pace = pace
        self._metrics = metrics
        self._log = log
        self._last_error = "none was taken in time"

    @property
    def is_taking(self) -> bool:
        """Tell whether a snapshot is being taken: then the loop should not wait for records."""
        return any(assigned.taking is not None for assigned in self._assignment)

    def turn(self, connection: Connection) -> None:
        """Take in what was written, and go on with one snapshot, or begin one that is due, so that no turn grows long.

        Raises:
            CheckpointsError: a restart would have to replay more than `MAX_REPLAY_RECORDS`, or soon more than the log
                holds.
            RetryError: the broker did not say where the log starts.
        """
        self._collect(0.0)
        is_free = not self._go_on()
        now = self._clock()
        for assigned in self._assignment.in_phase(Phase.ANCHORING):
            is_wanted = assigned.awaits_commit and assigned.durable is None and not assigned.is_snapshot_pending
            if is_free and is_wanted and now - assigned.snapshot_at >= _URGENT_SECONDS:
                self._begin(assigned)
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
            if is_free and now - assigned.snapshot_at >= interval and self._is_worthwhile(assigned):
                self._begin(assigned)
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
        self._give_up_older()
        while True:
            for assigned in self._assignment.in_phase(Phase.LIVE):
                if self._is_worthwhile(assigned):
                    self._begin(assigned)
            beat()
            while self._go_on():
                beat()
                if self._clock() >= deadline:
                    return False
            if not any(assigned.is_snapshot_pending for assigned in self._assignment):
                return True
            if self._clock() >= deadline:
                return False
            if not self._collect(_WAIT_SECONDS):
                return False

    def _give_up_older(self) -> None:
        """Give up what is being taken of a state that has gone on since: a new snapshot is worth more."""
        for assigned in self._assignment:
            if assigned.taking is not None and assigned.taking.snapshot.offset != assigned.state.next_offset:
                assigned.give_up_taking()

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

    def _begin(self, assigned: Assigned) -> None:
        """Begin a snapshot of a partition that has none on its way, and take as much of it as a turn may."""
        started = self._clock()
        assigned.taking = Taking(assigned.state.begin_snapshot())
        assigned.is_snapshot_pending = True
        assigned.snapshot_at = started
        self._take(assigned, assigned.taking, started)

    def _go_on(self) -> bool:
        """Take more of the one snapshot that is being taken; tell whether there was one."""
        for assigned in self._assignment:
            if assigned.taking is not None:
                self._take(assigned, assigned.taking, self._clock())
                return True
        return False

    def _take(self, assigned: Assigned, taking: Taking, started: float) -> None:
        """Take models until the turn's time is over; hand a complete snapshot over."""
        seconds, models = self._pace
        is_complete = taking.snapshot.advance(models)
        while not is_complete and self._clock() - started < seconds:
            is_complete = taking.snapshot.advance(models)
        if is_complete:
            assigned.taking = None
            sections = taking.snapshot.sections()
        pause = self._clock() - started  # to hand it over is to put it into a queue
        longest = taking.longest_pause = max(taking.longest_pause, pause)
        self._metrics.count("phase_seconds", pause, "snapshot")
        if is_complete:
            offset = taking.snapshot.offset
            self._writer.submit(Snapshot(assigned, assigned.partition, offset, sections, longest, assigned.lineage))
            self._metrics.observe("checkpoint_pause_seconds", longest)

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
