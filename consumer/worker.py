"""The loop: poll, process, commit; and one recovery path for everything that can go wrong in between.

The way of one record: `_turn` polls it, `_process` hands it to its partition's task and adds the output to the open
Kafka transaction, `_commit` makes outputs, offset and checkpoint reference visible in one.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from consumer.accelerator import Accelerator
from consumer.assigned import Phase
from consumer.assignment import Assignment
from consumer.broker import Notice, OutOfRange, Position
from consumer.checkpoint.joining import JoinedReads
from consumer.checkpoint.patient_reads import PatientReads
from consumer.checkpoint.reader import CheckpointReader
from consumer.checkpoint.writer import Sealing
from consumer.checkpointing import Checkpointing
from consumer.collector import Collector
from consumer.end_of_input import EndOfInput
from consumer.errors import (
    AbortError,
    FencedError,
    InvalidRatioError,
    LogGapError,
    ModelError,
    NameClashError,
    RebuildError,
    RecoverableError,
    RetryError,
    SmartInventoryError,
    StateError,
)
from consumer.learning.output import Outcome
from consumer.learning.task import PartitionTask, Tally
from consumer.permissions import NONE_GIVEN, Permissions
from consumer.record import RecordBatch
from consumer.recovery import Recovery
from consumer.replay_progress import ReplayLines, ReplayProgress
from consumer.settings import GapPolicy
from consumer.surroundings import REAL, Surroundings
from consumer.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.assigned import Assigned
    from consumer.broker import Broker, Connection, Polled
    from consumer.checkpoint.envelope import Identity
    from consumer.checkpoint.store import CheckpointStore
    from consumer.checkpoint.unpickling import Admitted
    from consumer.health import Health
    from consumer.learning.fingerprint import LearningSettings
    from consumer.learning.model import ModelKind
    from consumer.learning.output import Output
    from consumer.metrics import Metrics
    from consumer.record import Record
    from consumer.settings import Settings
    from consumer.skips import SkipRange

_REPLAYING: Final = Phase.REPLAYING  # a global is found faster than an enum's member
_DEAD_LETTER: Final = Outcome.DEAD_LETTER
_BATCH_RECORDS: Final = 2_000
_POLL_SECONDS: Final = 0.1
_FENCED_WITHIN_SECONDS: Final = 60.0
_REBUILD_PAUSE_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
_GAUGES_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 10.0
"""Everything is committed by then: a close that takes longer hangs, however long a stop may take."""


class Worker:
    """One worker: one consumer, one producer, one loop, one thread.

    Args:
        broker: Kafka, real or simulated.
        store: where checkpoints go.
        identity: whose state this is.
        admitted: what a checkpoint may name.
        learning: the settings that predictions depend on.
        model_kind: makes the models.
        settings: everything else.
        health: what the loop says of itself.
        partitions: how many the input topic has.
        stop_at_end: leave once the group has committed up to where the input ended at the start.
        skips: ranges of records that the operator wants passed over.
        permissions: what the operator allows in recovery.
        surroundings: its clock and its background.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        broker: Broker,
        store: CheckpointStore,
        identity: Identity,
        admitted: Admitted,
        learning: LearningSettings,
        model_kind: ModelKind,
        settings: Settings,
        health: Health,
        metrics: Metrics,
        log: FilteringBoundLogger,
        partitions: int,
        stop_at_end: bool = False,
        skips: Sequence[SkipRange] = (),
        permissions: Permissions = NONE_GIVEN,
        surroundings: Surroundings = REAL,
    ) -> None:
        clock, key = surroundings.clock, settings.signing_key()
        self._broker = broker
        self._identity = identity
        self._learning = learning
        self._model_kind = model_kind
        self._skips = skips
        self._permissions = permissions
        self._settings = settings
        self._health = health
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._sleep = surroundings.sleep
        self._recovery = Recovery(
            identity=identity,
            reader=CheckpointReader(
                PatientReads(surroundings.reads_of(JoinedReads(store, key)), clock=clock, metrics=metrics, log=log),
                identity,
                admitted=admitted,
            ),
            new_task=self._new_task,
            topics={Outcome.PREDICTION: settings.output_topic, Outcome.DEAD_LETTER: settings.dead_letter_topic},
            permissions=permissions,
            accepts_gaps=settings.on_gap is GapPolicy.ACCEPT,
            metrics=metrics,
            log=log,
        )
        self._assignment = Assignment(
            identity=identity,
            recovery=self._recovery,
            keep=settings.checkpoint_keep,
            clock=clock,
            metrics=metrics,
            log=log,
        )
        self._replay_progress = ReplayProgress(self._assignment, surroundings.replays or ReplayLines(log), clock)
        self._checkpointing = Checkpointing(
            assignment=self._assignment,
            writer=surroundings.new_writer(
                Sealing(store, identity, admitted=admitted, key=key, sharing=surroundings.sharing)
            ),
            interval=settings.checkpoint_interval_seconds,
            max_replay_records=settings.max_replay_records,
            clock=clock,
            metrics=metrics,
            log=log,
            pace=surroundings.pace,
        )
        self._accelerator = Accelerator(surroundings.accelerate, log)
        self._collector = Collector()
        self._connection: Connection
        self._transaction: Transaction
        self._pending: SmartInventoryError | None = None  # noted inside a client's callback, raised after the poll
        self._partitions = partitions
        self._fenced_at: deque[float] = deque()
        self._is_stopping = False
        self._are_clients_settled = False
        self._end = EndOfInput(clock, log) if stop_at_end else None
        self._gauges_at = 0.0
        self._committed_at = clock()
        self._rebuilds = 0

    # From start to end

    def stop(self) -> None:
        """Ask the loop to finish its transaction, checkpoint and leave; safe inside a signal handler."""
        self._is_stopping = True

    def run(self, connection: Connection | None = None) -> None:
        """Run until told to stop, or until the end where `stop_at_end` says so.

        Args:
            connection: one built and settled ahead, with this worker as its listener, to save the time to join.

        Raises:
            StopError: only the operator can help.
        """
        self.begin(connection)
        while not self.step():
            pass

    def begin(self, connection: Connection | None = None) -> None:
        """Take the connection, or build one; what `run` does before its first step."""
        self._are_clients_settled = connection is not None
        self._use(connection or self._broker.connect(self))

    def step(self) -> bool:
        """Take one turn of the loop, recovery included; tell whether the worker has left.

        Raises:
            StopError: only the operator can help.
        """
        try:
            if self._is_stopping and not self._are_clients_settled:
                self.abandon()  # nothing is open and nothing can be committed
                return True
            if not self._are_clients_settled:
                self._settle()
                self._are_clients_settled = True
            if self._is_stopping or self._has_reached_end():
                self._finish()
                return True
            self._turn()
        except RecoverableError as error:
            self._are_clients_settled = self._recover(error)
        except RetryError as error:
            self._log.info("retry", reason=str(error))
        return False

    def _has_reached_end(self) -> bool:
        if self._end is None or (self._permissions != NONE_GIVEN and not self._assignment.is_settled):
            return False  # told to adopt or to rebuild, it does so even where no record is left to read
        return self._end.is_reached(self._connection, self._assignment, self._partitions)

    @property
    def is_settled(self) -> bool:
        """It has joined the group, and every partition assigned to it, possibly none, is live."""
        return self._are_clients_settled and self._assignment.is_settled

    def abandon(self) -> None:
        """Throw the clients away, committing nothing: the next start finds what was committed."""
        self._connection.discard()

    def leave(self) -> None:
        """Leave the clients to the end of the process, committing nothing: the next start finds what was committed."""
        self._connection.leave()

    def _finish(self) -> None:
        """Checkpoint where everything stands and commit once more, so that the next start replays nothing."""
        self._health.not_ready("stopping")
        self._replay_progress.end()
        self._commit()  # first of all: a transaction left open while checkpoints are written could time out
        if not self._checkpointing.finish(self._settings.shutdown_seconds / 2, lambda: self._health.beat("finish")):
            self._log.error("stopped_without_checkpoint", reason="a checkpoint could not be written in time")
        self._commit()
        self._health.beat("close")
        if not self._connection.close(min(_CLOSE_SECONDS, self._settings.shutdown_seconds / 4)):
            self._log.warning("close_hangs", reason="the broker did not answer; leaving all the same")
        self._log.info("stopped")

    # One turn

    def _turn(self) -> None:
        self._health.beat("poll")
        started = self._clock()
        polled = self._connection.poll(_BATCH_RECORDS, self._poll_seconds())
        if self._pending is not None:
            pending, self._pending = self._pending, None
            raise pending
        processing = self._clock()
        self._metrics.count("phase_seconds", processing - started, "poll")
        if polled:
            self._health.beat("process")
            self._process(polled)
            self._metrics.observe("batch_records", sum(map(_size_of, polled)))
            self._metrics.count("phase_seconds", self._clock() - processing, "process")
        if not self._assignment.is_settled:
            self._restore()
        self._replay_progress.turn()
        self._health.beat("checkpoint")
        self._checkpointing.turn(self._connection)
        if self._is_commit_due():
            self._commit()
        if self._clock() >= self._gauges_at:
            self._publish_gauges()

    def _is_commit_due(self) -> bool:
        """A transaction is due by its own bounds; without one, offsets and references wait no longer than it would."""
        if self._transaction.is_open:
            # The first one is due at once: readers have waited for it through a start, or through a recovery.
            return not self._has_committed or self._transaction.is_due()
        return self._clock() - self._committed_at >= self._settings.commit_interval_ms / 1000

    def _poll_seconds(self) -> float:
        if self._assignment.in_phase(Phase.FRESH):
            return 0.0  # what they wait for is this loop's own: a commit, then to be started
        if self._checkpointing.is_taking:
            return 0.0  # the rest of the snapshot waits for this loop's turns
        if not self._transaction.is_open:
            return _POLL_SECONDS
        return max(0.0, min(_POLL_SECONDS, self._settings.commit_interval_ms / 1000 - self._transaction.age))

    def _process(self, polled: Sequence[Polled]) -> None:
        running = self._assignment.running()
        at = polled[0]
        try:
            for item in polled:
                self._health.record = at = item
                if not isinstance(item, RecordBatch):
                    self._process_one(item, running)
                elif not self._process_batch(item, running):
                    for record in item.records():
                        self._health.record = at = record
                        self._process_one(record, running)
        except SmartInventoryError:
            raise
        except Exception as error:
            raise ModelError(
                f"the model raised {type(error).__name__} at partition {at.partition}, offset {at.offset}: "
                f"{error}; the record is not committed. Mend the model or choose another"
            ) from error
        for assigned in running.values():
            self._publish_tally(assigned)
            self._send_outlooks(assigned)
        self._settle_models()
        self._metrics.gauge("last_processed_timestamp_seconds", time.time())

    def _process_batch(self, batch: RecordBatch, running: dict[int, Assigned]) -> bool:
        """Process many records at once where nothing asks for each alone; tell whether that was so."""
        assigned = running.get(batch.partition)
        if assigned is None:
            return True  # fetched before its partition was dropped
        task = assigned.task
        if task is None or batch.offset < task.next_offset or not task.takes_batches or self._skips:
            return False
        if assigned.phase is _REPLAYING:
            return self._replay_batch(assigned, batch, running)
        self._accelerator.note(len(batch))
        published = task.process_batch(batch, partial(self._judge, task))
        self._transaction.add_batch(batch.partition, len(batch), published)
        assigned.last_timestamp_ms = batch.timestamps_ms[-1]
        return True

    def _replay_batch(self, assigned: Assigned, batch: RecordBatch, running: dict[int, Assigned]) -> bool:
        """Learn again what lies below the goal, and go on live with what lies beyond; see `_process_batch`."""
        task, goal = assigned.state, assigned.destination
        below = bisect_left(batch.offsets, goal.offset)
        if goal.asks_for_outputs or not below:
            return False
        self._accelerator.note(below)
        task.replay_batch(batch.part(0, below))
        is_all_below = below == len(batch)
        if (is_all_below and task.next_offset < goal.offset) or not self._has_arrived(assigned, running):
            return True
        return is_all_below or self._process_batch(batch.part(below, len(batch)), running)

    def _process_one(self, item: Record | Notice, running: dict[int, Assigned]) -> None:
        assigned = running.get(item.partition)
        if assigned is None:
            return  # fetched before its partition was dropped
        task = assigned.task
        if task is None or item.offset < task.next_offset:
            return  # fetched before its partition was restored
        if assigned.phase is _REPLAYING and not self._replay(assigned, item, running):
            return
        if isinstance(item, Notice):
            self._heed(assigned, item, running)
            return
        output = self._apply(task, item)
        if output is not None and output.outcome is _DEAD_LETTER:
            self._judge(task, item)
        self._transaction.add(item.partition, output)
        assigned.last_timestamp_ms = item.timestamp_ms

    def _apply(self, task: PartitionTask, record: Record) -> Output | None:
        """Let the task process a record, unless the operator said to pass over it."""
        if any(skip.covers(record.partition, record.offset) for skip in self._skips):
            task.skip(record)
            return None
        return task.process(record)

    def _judge(self, task: PartitionTask, record: Record) -> None:
        """Stop rather than drain a topic into the dead letters; the open transaction goes with the clients.

        Raises:
            InvalidRatioError: the share of invalid events has crossed the limit.
        """
        ratio, limit = task.invalid_ratio(), self._settings.max_invalid_ratio
        if ratio > limit:
            raise InvalidRatioError(
                f"partition {record.partition}, offset {record.offset}: {ratio:.1%} of the last "
                f"{self._learning.invalid_window_records} records are invalid, more than MAX_INVALID_RATIO={limit:g}; "
                "nothing of this transaction is committed. See the dead letters' error.reason, mend the producer, then "
                f"raise MAX_INVALID_RATIO, or pass over a range with `run --skip {record.partition}:FROM-TO`"
            )

    def _replay(self, assigned: Assigned, item: Record | Notice, running: dict[int, Assigned]) -> bool:
        """Learn again what lies below the goal; tell whether `item` is still to be processed live."""
        task, goal = assigned.state, assigned.destination
        is_beyond = item.offset >= goal.offset
        if isinstance(item, OutOfRange):
            return True
        if not is_beyond:
            if isinstance(item, Notice):
                raise LogGapError(
                    f"partition {item.partition} ends at offset {item.offset}, below the committed offset "
                    f"{goal.offset}: the log has lost records, as after an unclean leader election"
                )
            goal.note(item, self._apply(task, item))  # what it would publish was published and committed before
        if not is_beyond and task.next_offset < goal.offset:
            return False
        return self._has_arrived(assigned, running) and is_beyond

    def _has_arrived(self, assigned: Assigned, running: dict[int, Assigned]) -> bool:
        """Tell whether a replay that has come to its goal goes on live from here."""
        self._publish_tally(assigned)
        self._send_outlooks(assigned)  # nowhere, before it is live
        if self._recovery.has_arrived(assigned, self._connection):
            return True
        del running[assigned.partition]  # it will be fetched anew, from elsewhere or only once it is anchored
        return False

    def _heed(self, assigned: Assigned, notice: Notice, running: dict[int, Assigned]) -> None:
        """Follow what the client says of the log: it ends here for now, or the next record is not there any more."""
        if not isinstance(notice, OutOfRange):
            assigned.state.skip_to(notice.offset)  # markers and aborted records take offsets too
            return
        del running[notice.partition]  # it goes on from elsewhere
        self._publish_tally(assigned)
        try:
            if assigned.phase is Phase.LIVE:
                self._commit()  # what was done below the gap, before its offset jumps
                self._health.beat("process")
            self._recovery.out_of_range(assigned, self._connection)
        except RetryError as error:
            # Not retried from here: the rest of the batch has been fetched and would never come again.
            raise RebuildError(str(error)) from error

    def _send_outlooks(self, assigned: Assigned) -> None:
        """Send what the records applied so far have led to; what a replay says was said before."""
        task = assigned.task
        if task is None:
            return
        if assigned.phase is not Phase.LIVE:
            task.forget_outlooks()
            return
        keys, values = task.take_outlooks()
        if keys:
            self._transaction.add_outlooks(assigned.partition, keys, values)
            self._metrics.count("outlooks", len(keys))

    def _settle_models(self) -> None:
        self._collector.settle(sum(each.task.model_count for each in self._assignment if each.task is not None))

    def _restore(self) -> None:
        started = self._clock()
        gained = self._assignment.in_phase(Phase.GAINED)
        if any(assigned.partition >= self._partitions for assigned in gained):
            self._partitions = self._broker.check_topics().partitions  # the topic has grown: do the outputs suffice?
            for assigned in self._assignment.running().values():
                assigned.state.partitions = self._partitions
        with self._collector.pausing():
            self._assignment.restore_gained(self._connection, lambda: self._health.beat("restore"))
            self._settle_models()
        for assigned in gained:
            if assigned.phase is not Phase.GAINED and assigned.state.takes_batches:
                self._accelerator.expect(assigned.behind)
        self._assignment.start_committed(self._connection)
        self._metrics.count("phase_seconds", self._clock() - started, "restore")

    def _commit(self) -> None:
        """Commit what has advanced: outputs, offsets and references in one."""
        advancing = self._assignment.to_commit()
        if not advancing:
            self._transaction.abort()  # what it covered was lost with its partitions
            return
        self._health.beat("commit")
        started = self._clock()
        for assigned in advancing:
            self._send_outlooks(assigned)
        age = self._transaction.age
        committing = []
        for assigned in advancing:
            reference = self._assignment.reference_of(assigned)
            position = Position(assigned.partition, assigned.state.next_offset, reference.encode())
            committing.append((assigned, reference, position))
        self._transaction.commit([position for _, _, position in committing])

        self._checkpointing.prune(self._assignment.confirm(committing))
        self._rebuilds = 0
        self._committed_at = self._clock()
        self._has_committed = True
        self._metrics.count("transactions", 1, "committed")
        self._metrics.count("phase_seconds", self._committed_at - started, "commit")
        self._metrics.observe("transaction_seconds", age + self._committed_at - started)
        now = time.time()
        self._metrics.gauge("last_commit_timestamp_seconds", now)
        for assigned in advancing:
            if assigned.last_timestamp_ms is not None:
                self._metrics.observe("record_e2e_seconds", max(0.0, now - assigned.last_timestamp_ms / 1000))
                assigned.last_timestamp_ms = None

    # Rebalances: called from within the connection's poll, where nothing may be raised

    def on_gained(self, partitions: Sequence[int]) -> None:
        """Take note; the restoring is done between polls."""
        self._metrics.count("rebalances", len(partitions), "gained")
        self._log.info("partitions_gained", partitions=list(partitions))
        self._assignment.gain(partitions)

    def on_revoked(self, partitions: Sequence[int]) -> None:
        """Commit before the partitions go: what is not committed now, their next owner does again."""
        self._metrics.count("rebalances", len(partitions), "revoked")
        self._log.info("partitions_revoked", partitions=list(partitions))
        try:
            self._commit()
        except SmartInventoryError as error:
            self._pending = error
        self._health.beat("poll")  # which goes on
        self._assignment.drop(partitions)

    def on_lost(self, partitions: Sequence[int]) -> None:
        """Give up the open transaction: it covers records that are another worker's now."""
        self._metrics.count("rebalances", len(partitions), "lost")
        self._log.warning("partitions_lost", partitions=list(partitions))
        self._assignment.drop(partitions)
        self._pending = AbortError("partitions were lost")

    # Recovery

    def _recover(self, error: RecoverableError) -> bool:
        """Return to what is committed; tell whether the clients are settled.

        An abort that the broker asked for keeps the clients. Everything else builds them anew, since what the broker
        did, or will still do, with the open transaction is in doubt.
        """
        self._health.not_ready(f"recovering: {error}")
        self._health.beat("recover")
        self._log.warning("recovering", kind=type(error).__name__, reason=str(error))
        self._pending = None
        if isinstance(error, AbortError):
            try:
                self._transaction.abort()
                self._assignment.restart_all(self._connection)
            except RecoverableError as worse:
                error = worse
            else:
                self._metrics.count("transactions", 1, "aborted")
                return True
        if isinstance(error, FencedError):
            self._note_fencing(error)
        self._metrics.count("transactions", 1, "rebuilt")
        self._metrics.count("clients_rebuilt")
        self._connection.discard()
        self._assignment.drop_all()
        self._sleep(_REBUILD_PAUSE_SECONDS[min(self._rebuilds, len(_REBUILD_PAUSE_SECONDS) - 1)])
        self._rebuilds += 1
        self._health.beat("connect")
        self._use(self._broker.connect(self))
        return False

    def _note_fencing(self, error: FencedError) -> None:
        now = self._clock()
        while self._fenced_at and now - self._fenced_at[0] > _FENCED_WITHIN_SECONDS:
            self._fenced_at.popleft()
        self._fenced_at.append(now)
        if len(self._fenced_at) > 1:
            raise NameClashError(
                f"INSTANCE_ID={self._settings.instance_id!r}: fenced twice within a minute, as by another worker of "
                f"group {self._identity.group} under this name; give each worker its own"
            ) from error

    def _settle(self) -> None:
        """Fence and abort what an earlier client left, and see that the log is still the same log."""
        self._health.beat("settle")
        self._connection.settle()
        self._health.beat("settle")
        topic = self._broker.check_topics()
        self._partitions = topic.partitions
        if topic.topic_id != self._identity.topic_id:
            raise StateError(
                f"topic {self._identity.topic} was deleted and created anew while the worker ran (topic id "
                f"{self._identity.topic_id}, now {topic.topic_id}): another log. Use a new CONSUMER_GROUP with a new "
                "OUTPUT_TOPIC"
            )

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        self._has_committed = False  # through this connection
        self._transaction = Transaction(
            connection,
            output_topic=self._settings.output_topic,
            dead_letter_topic=self._settings.dead_letter_topic,
            outlook_topic=self._settings.outlook_topic,
            interval=self._settings.commit_interval_ms / 1000,
            max_records=self._settings.transaction_max_records,
            clock=self._clock,
        )

    # What others see

    def _publish_tally(self, assigned: Assigned) -> None:
        tally, assigned.state.tally = assigned.state.tally, Tally()
        if assigned.phase is Phase.LIVE:
            self._metrics.add_tally(tally)
        else:
            self._metrics.count(
                "records_replayed",
                tally.predictions + tally.repeats + tally.skipped + tally.ticks + sum(tally.dead_letters.values()),
            )

    def _publish_gauges(self) -> None:
        self._gauges_at = self._clock() + _GAUGES_SECONDS
        live = self._assignment.in_phase(Phase.LIVE)
        self._metrics.gauge("assigned_partitions", len(self._assignment))
        self._metrics.gauge("live_partitions", len(live))
        self._metrics.gauge("models", sum(assigned.state.model_count for assigned in live))
        for assigned in live:
            low, end = self._connection.log_range(assigned.partition, cached=True)
            if end >= 0:
                lag = end - max(assigned.committed_offset, low)
                self._metrics.gauge("lag_records", max(0, lag), assigned.partition)
        if self._assignment.is_settled:
            self._health.ready()
        elif not self._assignment.has_joined:
            self._health.not_ready("joining the group")
        else:
            waiting = sorted({assigned.waits_for for assigned in self._assignment.in_phase(Phase.GAINED)} - {""})
            why = f"; waiting: {'; '.join(waiting)}" if waiting else ""
            self._health.not_ready(f"{len(live)} of {len(self._assignment)} assigned partitions are restored{why}")

    def _new_task(self, partition: int, first_offset: int) -> PartitionTask:
        return PartitionTask(
            topic=self._identity.topic,
            partition=partition,
            first_offset=first_offset,
            settings=self._learning,
            model_id=self._identity.model_id,
            model_kind=self._model_kind,
            partitions=self._partitions,
        )


def _size_of(item: Polled) -> int:
    return len(item) if isinstance(item, RecordBatch) else 1
