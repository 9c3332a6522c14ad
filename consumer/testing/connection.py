"""One simulated consumer and one simulated producer, as the worker's `Connection`.

Each call asks the cluster's faults first what becomes of it. Callbacks are served only inside `poll`; the generation
changes in the background; what was produced is delivered some time later, at the latest before its transaction ends.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

from consumer.broker import Committed, Tail
from consumer.errors import AbortError, FencedError, RebuildError, RetryError
from consumer.testing.consumer import SimulatedConsumer
from consumer.testing.faults import Crash, Fault, begin_step
from consumer.testing.grouping import grouped
from consumer.testing.partition_log import Fate
from consumer.testing.producer import CALL_SECONDS, SimulatedProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.broker import Notice, Polled, Position, RebalanceListener
    from consumer.record import Record
    from consumer.testing.cluster import SimulatedCluster
    from schemas.dead_letter import Headers

T = TypeVar("T")

_ROUND_TRIP_SECONDS: Final = 0.001
_MOST_AT_ONCE: Final = 8
_ONE_IN_TWO: Final = 0.5

_ALWAYS: Final = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.FREEZE})
_LOCAL: Final = _ALWAYS | {Fault.REFUSED}
_QUESTION: Final = _LOCAL | {Fault.TIME_OUT}
_FENCING: Final = _QUESTION | {Fault.LOSE_REPLY, Fault.LATE, Fault.FENCED}
_TRANSACTIONAL: Final = _FENCING | {Fault.ABORT}
_POLL: Final = _LOCAL | {Fault.FENCED, Fault.STALE, Fault.UNDELIVERED}


class SimulatedConnection:
    """Both clients under one identity.

    Args:
        cluster: the cluster.
        listener: hears of rebalances, from within `poll`.
        input_topic: what it consumes.
        instance_id: its static name.
        transactional_id: None under at_least_once.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        listener: RebalanceListener,
        *,
        input_topic: str,
        instance_id: str,
        transactional_id: str | None,
    ) -> None:
        self._cluster = cluster
        self._input_topic = input_topic
        self._producer = SimulatedProducer(cluster, transactional_id)
        self._is_transactional = transactional_id is not None
        self._positions: Sequence[Position] = ()
        self._fetched_last: list[Record | Notice] = []
        self._consumer = SimulatedConsumer(cluster, listener, input_topic, instance_id)

    @property
    def is_dead(self) -> bool:
        """The process is gone, or has thrown these clients away."""
        return self._consumer.is_dead

    def die(self) -> None:
        """End as a killed process does: what is on its way to the broker may still arrive."""
        if not self.is_dead and self._cluster.rng.random() < _ONE_IN_TWO:
            self._producer.deliver_in_background()
        self._consumer.is_dead = True

    # Joining and reading

    def settle(self) -> None:
        """Fence and abort whatever an earlier client of this identity left open."""
        if self._is_transactional:
            self._call("settle", _FENCING, self._producer.init, RebuildError)

    def poll(self, max_records: int, timeout: float) -> list[Polled]:
        """Serve callbacks, then return what was fetched."""
        fault = self._begin_call("poll", _POLL)
        if fault is Fault.UNDELIVERED:
            self._producer.lose_queued()
        elif self._cluster.rng.random() < _ONE_IN_TWO:
            self._producer.deliver_in_background()
        if fault is Fault.REFUSED:
            raise RebuildError("poll: simulated")
        if fault is Fault.FENCED:
            raise FencedError("poll: simulated")
        self._consumer.check_name()
        self._consumer.serve()
        polled = self._consumer.fetch(min(max_records, self._cluster.rng.randint(1, _MOST_AT_ONCE)))
        fresh, stale = list(polled), self._fetched_last if fault is Fault.STALE else []
        self._fetched_last = fresh
        if not polled:
            self._cluster.advance(max(timeout, _ROUND_TRIP_SECONDS))
        if fault is Fault.CRASH_AFTER:
            raise Crash("poll")
        return [*grouped(stale), *grouped(fresh)]

    def start(self, partition: int, offset: int) -> None:
        """Fetch a partition from an offset on."""
        self._call("start", _LOCAL, lambda: self._consumer.start(partition, offset), RebuildError)

    def stop(self, partitions: Sequence[int]) -> None:
        """Fetch these no more."""
        self._call("stop", _LOCAL, lambda: self._consumer.stop(partitions), RebuildError)

    def committed(self, partition: int, timeout: float) -> Committed | None:
        """Return the committed offset; RetryError while a transaction is pending on it."""

        def ask() -> Committed | None:
            offsets = self._cluster.offsets
            if not offsets.is_stable(partition):
                self._cluster.advance(timeout)
            if not offsets.is_stable(partition):
                raise RetryError("read the committed offset: a transaction is pending on it")
            return offsets.committed.get(partition)

        return self._call("committed", _QUESTION, ask, RetryError)

    def log_range(self, partition: int, *, cached: bool = False) -> tuple[int, int]:
        """Return the log's start and the last stable offset."""
        log = self._cluster.log(self._input_topic, partition)
        if cached:
            return log.start, log.stable
        return self._call("log_range", _QUESTION, lambda: (log.start, log.stable), RetryError)

    def tail(self, topic: str, partition: int) -> Tail:
        """Return the last record that a read_committed reader of an output partition sees."""
        log = self._cluster.log(topic, partition)

        def ask() -> Tail:
            records = list(log.committed(0))
            return Tail(records[-1] if records else None, is_cut=not records and log.start > 0)

        return self._call("tail", _QUESTION, ask, RetryError)

    # The transaction

    def begin(self) -> None:
        """Begin; the broker learns of it with the first record."""
        self._call("begin", _ALWAYS, lambda: None, RebuildError)

    def produce_many(
        self, topic: str, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        """Queue many records, each a call that may go wrong."""
        for key, value in zip(keys, values, strict=True):
            self.produce(topic, partition, key, value, None)

    def produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        """Queue one record."""
        allowed = _LOCAL | {Fault.ABORT} if self._is_transactional else _LOCAL
        self._call(
            "produce", allowed, lambda: self._producer.produce(topic, partition, key, value, headers), RebuildError
        )

    def send_offsets(self, positions: Sequence[Position]) -> None:
        """Add offsets to the transaction; under at_least_once wait for every delivery."""
        self._positions = positions
        if not self._is_transactional:
            self._call("send_offsets", _LOCAL, self._producer.flush, RebuildError)
            return
        self._call("send_offsets", _TRANSACTIONAL, self._add_offsets, RebuildError)

    def commit(self) -> None:
        """Commit the transaction, or under at_least_once the offsets."""
        if not self._is_transactional:
            self._call("commit", _FENCING, self._commit_offsets, RebuildError)
            return
        self._producer.flush()  # the client does so before it asks the coordinator
        self._call("commit", _TRANSACTIONAL, lambda: self._producer.end(Fate.COMMITTED), RebuildError)

    def abort(self) -> None:
        """Abort the open transaction."""
        if self._is_transactional:
            self._call("abort", _FENCING, lambda: self._producer.end(Fate.ABORTED), RebuildError)

    # The end

    def leave(self) -> None:
        """Do nothing more: the process ends."""
        self._consumer.is_dead = True

    def discard(self) -> None:
        """Throw both clients away; what they have on its way may still arrive."""
        self._begin_call("discard", _ALWAYS)
        self.die()

    def close(self, timeout: float) -> bool:
        """Leave in good order: a static member stays in the group until its session ends."""
        self._begin_call("close", _ALWAYS)
        self._consumer.is_dead = True
        return timeout > 0

    # What becomes of a call

    def _begin_call(self, step: str, allowed: frozenset[Fault]) -> Fault:
        if self.is_dead:
            raise AssertionError(f"{step} on clients that were thrown away")
        self._cluster.advance(_ROUND_TRIP_SECONDS)
        fault = begin_step(self._cluster.faults, step, allowed)
        if fault is Fault.FREEZE:
            self._consumer.is_frozen = True
            self._cluster.while_frozen(self)
            self._consumer.is_frozen = False
            self._cluster.group.advance(self._cluster.now)
        return fault

    def _call(
        self, step: str, allowed: frozenset[Fault], effect: Callable[[], T], doubt: type[RetryError | RebuildError]
    ) -> T:
        fault = self._begin_call(step, allowed)
        errors = {Fault.REFUSED: doubt, Fault.ABORT: AbortError, Fault.FENCED: FencedError}
        if fault in errors:
            raise errors[fault](f"{step}: simulated")
        if fault is Fault.TIME_OUT or fault is Fault.LATE:
            if fault is Fault.LATE:
                self._cluster.later(lambda: _ignoring_refusals(effect))
            self._cluster.advance(CALL_SECONDS)
            raise doubt(f"{step}: timed out")
        result = effect()
        if fault is Fault.CRASH_AFTER:
            raise Crash(step)
        if fault is Fault.LOSE_REPLY:
            self._cluster.advance(CALL_SECONDS)
            raise doubt(f"{step}: timed out")
        return result

    # Effects at the broker

    def _add_offsets(self) -> None:
        """The coordinator checks that this is a member of the present generation, not that it owns the partitions."""
        self._consumer.check_name()
        if not self._consumer.is_member():
            raise AbortError("send_offsets: the group does not know this member any more")
        offsets = {each.partition: Committed(each.offset, each.metadata) for each in self._positions}
        self._producer.add_offsets(offsets)

    def _commit_offsets(self) -> None:
        self._consumer.check_name()
        if not self._consumer.is_member():
            raise RebuildError("commit offsets: the group does not know this member any more")
        for each in self._positions:
            self._cluster.offsets.committed[each.partition] = Committed(each.offset, each.metadata)


def _ignoring_refusals(effect: Callable[[], Any]) -> None:
    with contextlib.suppress(RetryError, AbortError, RebuildError):
        effect()  # refused or not, nobody is there to hear so
