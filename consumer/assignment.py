"""The assignment: partitions come and go, and each finds the state that belongs to its committed offset.

A partition's life: gained → (fresh | replaying) → live → dropped. The recovery ladder, each rung logged and counted:
the referenced checkpoint, then a replay from the first offset ever learned. What neither can restore stops the worker.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from consumer.assigned import FIRST_RETRY_SECONDS, Assigned, Phase
from consumer.checkpoint.envelope import EnvelopeError, unseal
from consumer.checkpoint.reference import Reference, UnreadableReferenceError, decode_reference
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.unpickling import UnsafePickleError, decode_sections
from consumer.errors import LogGapError, RetryError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Committed, Connection, Position
    from consumer.checkpoint.envelope import Identity
    from consumer.checkpoint.store import CheckpointStore
    from consumer.checkpoint.unpickling import Admitted
    from consumer.learning.task import PartitionTask
    from consumer.metrics import Metrics

_LONGEST_CALL_SECONDS: Final = 5.0


class Assignment:
    """All assigned partitions of this worker.

    Args:
        identity: whose state it writes and accepts.
        store: where checkpoints are.
        admitted: what they may name.
        key: the key that they must be signed with, None where they must not be signed.
        new_task: builds an empty task from (partition, first offset).
        keep: how many references must be confirmed before an older checkpoint may go.
        clock: the loop's monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        identity: Identity,
        store: CheckpointStore,
        admitted: Admitted,
        key: bytes | None,
        new_task: Callable[[int, int], PartitionTask],
        keep: int,
        clock: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._identity = identity
        self._store = store
        self._admitted = admitted
        self._key = key
        self._new_task = new_task
        self._keep = keep
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._assigned: dict[int, Assigned] = {}
        self.has_joined = False

    def __iter__(self) -> Iterator[Assigned]:
        return iter(self._assigned.values())

    def __len__(self) -> int:
        return len(self._assigned)

    def running(self) -> dict[int, Assigned]:
        """Return the partitions that are being fetched, by number."""
        return {
            number: assigned
            for number, assigned in self._assigned.items()
            if assigned.phase in {Phase.REPLAYING, Phase.LIVE}
        }

    def in_phase(self, phase: Phase) -> list[Assigned]:
        """Return the partitions in a phase."""
        return [assigned for assigned in self._assigned.values() if assigned.phase is phase]

    @property
    def is_settled(self) -> bool:
        """The group was joined, and every assigned partition (possibly none) is live."""
        return self.has_joined and all(assigned.phase is Phase.LIVE for assigned in self)

    # Partitions come and go

    def gain(self, partitions: Iterable[int]) -> None:
        """Take note of assigned partitions; `restore_gained` does the work, outside the client's callback."""
        self.has_joined = True
        for partition in partitions:
            self._assigned[partition] = Assigned(partition, self._clock())

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions and their state; the log and the store have it."""
        for partition in partitions:
            if self._assigned.pop(partition, None) is not None:
                self._metrics.forget(partition)

    def drop_all(self) -> None:
        """Forget everything: the clients are built anew."""
        self.drop(list(self._assigned))
        self.has_joined = False

    def restart_all(self, connection: Connection) -> None:
        """Drop every task but keep the partitions: with the same clients, restore them from their committed offsets."""
        partitions = list(self._assigned)
        connection.stop(partitions)
        self.gain(partitions)

    # The recovery ladder

    def restore_gained(self, connection: Connection) -> None:
        """Bring each gained partition to its state; one whose broker calls fail stays gained and is tried again."""
        for assigned in self.in_phase(Phase.GAINED):
            if self._clock() < assigned.retry_at:
                continue
            try:
                committed = connection.committed(assigned.partition, assigned.call_seconds)
                if committed is None:
                    self._begin_fresh(assigned, connection)
                else:
                    self._restore(assigned, committed, connection)
            except RetryError as error:
                # Most often a lost worker's transaction is pending on the offset: it ends by the broker's time-out.
                self._log.info("restore_waits", partition=assigned.partition, reason=str(error))
                if assigned.phase is not Phase.GAINED:  # it failed after it was started: begin again from the beginning
                    connection.stop([assigned.partition])
                    assigned.phase = Phase.GAINED
                assigned.call_seconds = min(2 * assigned.call_seconds, _LONGEST_CALL_SECONDS)
                assigned.retry_at = self._clock() + FIRST_RETRY_SECONDS

    def start_fresh(self, connection: Connection) -> None:
        """Begin to read the fresh partitions whose start offset is committed by now."""
        for assigned in self.in_phase(Phase.FRESH):
            if assigned.committed_offset >= 0:
                self._start(assigned, connection)
                assigned.phase = Phase.LIVE

    def has_replayed(self, assigned: Assigned, connection: Connection) -> bool:
        """Finish a replay that reached the committed offset; tell whether the partition is live now.

        The count and the digest must equal the committed reference's. If they do not, this rung of the ladder has
        failed and the next one begins.
        """
        task, reference = assigned.state, assigned.reference
        if reference is None:
            raise AssertionError(f"partition {assigned.partition} replays without a reference")
        task.skip_to(assigned.committed_offset)
        found = (task.records_applied, task.chain.digest().hex())
        if found == (reference.records_applied, reference.chain):
            assigned.phase = Phase.LIVE
            # What was replayed is worth keeping at once: a worker that dies young again and again would otherwise
            # replay a little more each time, for ever.
            assigned.snapshot_at = -math.inf
            self._log.info("partition_live", partition=assigned.partition, offset=task.next_offset)
            return True
        if not assigned.is_from_checkpoint:
            raise StateError(
                f"replaying partition {assigned.partition} from its first offset {reference.first_offset} gave "
                f"{found[0]} records with digest {found[1]}; the committed offset {assigned.committed_offset} says "
                f"{reference.records_applied} records with digest {reference.chain}: the log was changed, or the "
                "model is not deterministic. Start a new group with a new output topic"
            )
        self._log.error("replay_differs", partition=assigned.partition, found=found)
        connection.stop([assigned.partition])
        self._replay_from_first(assigned, reference, connection)
        return assigned.phase is Phase.LIVE

    # Commits

    def reference_of(self, assigned: Assigned) -> Reference:
        """Return the reference to commit with a partition's next offset."""
        task = assigned.state
        before = assigned.reference
        name = assigned.durable
        return Reference(
            checkpoint_offset=name.offset if name else (before.checkpoint_offset if before else None),
            checkpoint_digest=name.digest if name else (before.checkpoint_digest if before else None),
            topic_id=self._identity.topic_id,
            fingerprint=self._identity.fingerprint,
            hash_seed=self._identity.hash_seed,
            first_offset=task.first_offset,
            records_applied=task.records_applied,
            chain=task.chain.digest().hex(),
        )

    def to_commit(self) -> list[Assigned]:
        """Return the partitions whose offset or reference is ahead of what is committed."""
        return [
            assigned
            for assigned in self._assigned.values()
            if (assigned.phase is Phase.FRESH and assigned.committed_offset < 0)
            or (
                assigned.phase is Phase.LIVE
                and (assigned.durable is not None or assigned.state.next_offset > assigned.committed_offset)
            )
        ]

    def confirm(self, committed: Sequence[tuple[Assigned, Reference, Position]]) -> list[tuple[int, int]]:
        """Take note of a confirmed commit; return (partition, offset) pairs below which checkpoints may go."""
        prunable = []
        for assigned, reference, position in committed:
            assigned.committed_offset = position.offset
            assigned.reference = reference
            if assigned.durable is not None:
                assigned.confirmed.append(assigned.durable.offset)
                assigned.durable = None
                if len(assigned.confirmed) > self._keep:
                    assigned.confirmed.popleft()
                    prunable.append((assigned.partition, assigned.confirmed[0]))
        return prunable

    # The rungs

    def _begin_fresh(self, assigned: Assigned, connection: Connection) -> None:
        """Start a partition that nothing knows yet; where the store or the output knows it, its offset was lost."""
        partition, identity = assigned.partition, self._identity
        known_by = None
        if self._names(partition):
            known_by = f"the checkpoint {self._store.where()}"
        elif connection.last_published(partition) is not None:
            known_by = "the output topic"
        if known_by is not None:
            raise StateError(
                f"group {identity.group} has no committed offset for partition {partition} of {identity.topic}, but "
                f"{known_by} holds results for it: the group's offsets expired or were deleted. Starting anew would "
                "publish everything twice. Use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
            )
        first, _ = connection.log_range(partition)
        assigned.task = self._new_task(partition, first)
        assigned.phase = Phase.FRESH
        self._metrics.restored("fresh")
        self._log.info("partition_fresh", partition=partition, offset=first)

    def _restore(self, assigned: Assigned, committed: Committed, connection: Connection) -> None:
        partition = assigned.partition
        try:
            reference = decode_reference(committed.metadata)
        except UnreadableReferenceError as error:
            raise StateError(
                f"partition {partition} of group {self._identity.group}: {error}. Another tool has committed or reset "
                "this offset, so which model belongs there is unknown. Use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
            ) from error
        self._compare(partition, reference)
        assigned.reference, assigned.committed_offset = reference, committed.offset
        if reference.checkpoint_offset is None:
            self._replay_from_first(assigned, reference, connection)
            return
        task = self._from_checkpoint(partition, reference, committed.offset)
        if task is None:
            self._replay_from_first(assigned, reference, connection)
            return
        assigned.task = task
        assigned.is_from_checkpoint = True
        assigned.confirmed = deque([reference.checkpoint_offset])
        self._metrics.restored("checkpoint")
        self._log.info(
            "checkpoint_restored", partition=partition, offset=task.next_offset, committed_offset=committed.offset
        )
        self._begin_replay(assigned, connection)

    def _compare(self, partition: int, reference: Reference) -> None:
        """Refuse a reference to another log or another meaning: neither may change silently."""
        identity = self._identity
        compared = (
            ("topic id", reference.topic_id, identity.topic_id, "the topic was deleted and created anew"),
            (
                "fingerprint",
                reference.fingerprint,
                identity.fingerprint,
                "the model or a setting it depends on changed",
            ),
            ("hash seed", reference.hash_seed, identity.hash_seed, "the worker runs under another PYTHONHASHSEED"),
        )
        for what, committed, present, meaning in compared:
            if committed != present:
                raise StateError(
                    f"partition {partition} of group {identity.group} was committed with {what} {committed}; this "
                    f"worker has {present}: {meaning}. Restore the former one, or use a new CONSUMER_GROUP with a new "
                    "OUTPUT_TOPIC"
                )

    def _from_checkpoint(self, partition: int, reference: Reference, committed_offset: int) -> PartitionTask | None:
        """Load the referenced checkpoint; None, logged and counted, where it cannot be used."""
        try:
            return self._load(partition, reference, committed_offset)
        except (EnvelopeError, StoreError, UnsafePickleError) as error:
            self._metrics.restored("unusable_checkpoint")
            self._log.error(
                "checkpoint_unusable", partition=partition, offset=reference.checkpoint_offset, reason=str(error)
            )
            return None

    def _load(self, partition: int, reference: Reference, committed_offset: int) -> PartitionTask:
        """Load the referenced checkpoint; every field of its header must be what was asked for."""
        identity, offset, digest = self._identity, reference.checkpoint_offset, reference.checkpoint_digest
        if offset is None or digest is None:
            raise AssertionError("only called where the reference names a checkpoint")
        if offset > committed_offset:
            raise EnvelopeError(f"it stands at offset {offset}, above the committed offset {committed_offset}")
        data = self._store.read(CheckpointName(identity.group, identity.topic, partition, offset, digest))
        if data is None:
            raise EnvelopeError(f"it is missing in the {self._store.where()}")
        header, sections = unseal(data, self._key)
        found = (header.digest, header.identity(), header.partition, header.offset)
        expected = (digest, identity, partition, offset)
        if found != expected:
            raise EnvelopeError(f"it is another one than was asked for: expected {expected}; found {found}")
        task = self._new_task(partition, reference.first_offset)
        task.restore(decode_sections(sections, self._admitted))
        if (task.next_offset, task.first_offset) != (offset, reference.first_offset):
            raise EnvelopeError("its state stands at another offset than its header")
        return task

    def _replay_from_first(self, assigned: Assigned, reference: Reference, connection: Connection) -> None:
        """The lowest rung: an empty task learns everything again."""
        partition, first = assigned.partition, reference.first_offset
        low, _ = connection.log_range(partition)
        if low > first and assigned.committed_offset > first:
            raise LogGapError(
                f"partition {partition} of {self._identity.topic} must be replayed from offset {first}, but the log "
                f"begins at {low}: retention has deleted records that the model learned from. Restore the checkpoint "
                f"in the {self._store.where()}, or use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
            )
        assigned.task = self._new_task(partition, first)
        assigned.is_from_checkpoint = False
        assigned.confirmed.clear()
        if assigned.committed_offset > first:
            self._metrics.restored("replay_from_first")
            self._log.warning(
                "replay_from_first", partition=partition, offset=first, committed_offset=assigned.committed_offset
            )
        else:
            self._metrics.restored("empty")
        self._begin_replay(assigned, connection)

    def _begin_replay(self, assigned: Assigned, connection: Connection) -> None:
        assigned.phase = Phase.REPLAYING
        self._start(assigned, connection)
        if assigned.state.next_offset >= assigned.committed_offset:
            self.has_replayed(assigned, connection)

    def _start(self, assigned: Assigned, connection: Connection) -> None:
        connection.start(assigned.partition, assigned.state.next_offset)

    def _names(self, partition: int) -> list[CheckpointName]:
        try:
            return self._store.names(self._identity.group, self._identity.topic, partition)
        except StoreError as error:
            raise StateError(
                f"whether partition {partition} has checkpoints cannot be told: {error}; make the "
                f"{self._store.where()} readable, or change CHECKPOINT_URL"
            ) from error
