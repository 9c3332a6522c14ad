"""The assignment: partitions come and go, and each advances by commits.

A partition's life: gained → (fresh | replaying | anchoring) → live → dropped. How a gained one finds its state is the
recovery's matter (`consumer.recovery`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.assigned import FIRST_RETRY_SECONDS, Assigned, Phase
from consumer.checkpoint.reference import Reference
from consumer.errors import RetryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Connection, Position
    from consumer.checkpoint.envelope import Identity
    from consumer.metrics import Metrics
    from consumer.recovery import Recovery

_LONGEST_CALL_SECONDS: Final = 5.0


class Superseded(NamedTuple):
    """What a confirmed commit lets go.

    Attributes:
        below: checkpoints of the partition below this offset may be removed.
        kept: but not one that stands here.
    """

    partition: int
    below: int
    kept: int | None


class Assignment:
    """All assigned partitions of this worker.

    Args:
        identity: whose state it writes and accepts.
        recovery: brings a gained partition to its state.
        keep: how many references must be confirmed before an older checkpoint may go.
        clock: the loop's monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        identity: Identity,
        recovery: Recovery,
        keep: int,
        clock: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._identity = identity
        self._recovery = recovery
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

    def restore_gained(self, connection: Connection, beat: Callable[[], None]) -> None:
        """Bring each gained partition to its state; one whose broker calls fail stays gained and is tried again.

        Calls `beat` before each one: of many, each may take a while.
        """
        for assigned in self.in_phase(Phase.GAINED):
            if self._clock() < assigned.retry_at:
                continue
            beat()
            try:
                self._recovery.restore(assigned, connection)
            except RetryError as error:
                # Most often a lost worker's transaction is pending on the offset: it ends by the broker's time-out.
                if str(error) != assigned.waits_for:  # it may wait for long, and says so once
                    self._log.info("restore_waits", partition=assigned.partition, reason=str(error))
                assigned.waits_for = str(error)
                assigned.call_seconds = min(2 * assigned.call_seconds, _LONGEST_CALL_SECONDS)
                assigned.retry_at = self._clock() + FIRST_RETRY_SECONDS
            else:
                assigned.waits_for = ""

    def start_committed(self, connection: Connection) -> None:
        """Begin to read the fresh and the anchored partitions whose first commit is confirmed by now."""
        for assigned in [*self.in_phase(Phase.FRESH), *self.in_phase(Phase.ANCHORING)]:
            if not assigned.awaits_commit:
                connection.start(assigned.partition, assigned.state.next_offset)
                assigned.phase = Phase.LIVE
                self._log.info("partition_live", partition=assigned.partition, offset=assigned.state.next_offset)

    # Commits

    def reference_of(self, assigned: Assigned) -> Reference:
        """Return the reference to commit with a partition's next offset."""
        task = assigned.state
        before = assigned.reference
        name = assigned.durable
        return Reference(
            checkpoint_offset=name.offset if name else (before.checkpoint_offset if before else None),
            checkpoint_digest=name.digest if name else (before.checkpoint_digest if before else None),
            checkpoint_place=name.place if name else (before.checkpoint_place if before else None),
            topic_id=self._identity.topic_id,
            fingerprint=self._identity.fingerprint,
            hash_seed=self._identity.hash_seed,
            first_offset=task.first_offset,
            records_applied=task.records_applied,
            chain=task.chain.digest().hex(),
            adopted_offset=assigned.adopted_offset,
        )

    def to_commit(self) -> list[Assigned]:
        """Return the partitions whose offset or reference is ahead of what is committed."""
        return [assigned for assigned in self._assigned.values() if _is_ahead(assigned)]

    def confirm(self, committed: Sequence[tuple[Assigned, Reference, Position]]) -> list[Superseded]:
        """Take note of a confirmed commit; return what may be removed now."""
        superseded = []
        for assigned, reference, position in committed:
            assigned.committed_offset = position.offset
            assigned.reference = reference
            assigned.awaits_commit = False
            if assigned.durable is not None:
                if assigned.durable.offset not in assigned.confirmed:
                    assigned.confirmed.append(assigned.durable.offset)
                assigned.durable = None
                if len(assigned.confirmed) > self._keep:
                    assigned.confirmed.popleft()
                    superseded.append(
                        Superseded(assigned.partition, assigned.confirmed[0], kept=assigned.adopted_offset)
                    )
        return superseded


def _is_ahead(assigned: Assigned) -> bool:
    if assigned.phase is Phase.LIVE:
        return assigned.durable is not None or assigned.state.next_offset > assigned.committed_offset
    if assigned.phase is Phase.ANCHORING:
        return assigned.awaits_commit and assigned.durable is not None
    return assigned.phase is Phase.FRESH and assigned.awaits_commit
