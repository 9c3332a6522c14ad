"""The simulated producer: a queue, an epoch, and a transaction at the coordinator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.errors import AbortError, FencedError, RebuildError, RetryError
from consumer.testing.partition_log import Fate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.broker import Committed
    from consumer.testing.cluster import SimulatedCluster
    from consumer.testing.transactions import Ongoing
    from schemas.dead_letter import Headers

CALL_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.1


class _Queued(NamedTuple):
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class SimulatedProducer:
    """One producer.

    Args:
        cluster: the cluster.
        transactional_id: None for one without transactions.
    """

    def __init__(self, cluster: SimulatedCluster, transactional_id: str | None) -> None:
        self.transactional_id = transactional_id
        self._cluster = cluster
        self._epoch = -1
        self._queued: list[_Queued] = []
        self._has_failed = False

    def init(self) -> None:
        """Fence every earlier producer of this id and wait until what they left open is ended.

        Raises:
            RebuildError: that took too long.
        """
        deadline = self._cluster.now + CALL_SECONDS
        while (epoch := self._cluster.transactions.init(self._id, self._cluster.now)) is None:
            if self._cluster.now > deadline:
                raise RebuildError("init_transactions: timed out")
            self._cluster.advance(_PAUSE_SECONDS)
        self._epoch = epoch

    def produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        """Queue one record; it is delivered some time later."""
        self._queued.append(_Queued(topic, partition, key, value, headers))

    def deliver_in_background(self) -> None:
        """Deliver what is queued, if the broker takes it; whether it did shows at the transaction's end."""
        if not self._queued or self._has_failed:
            return
        try:
            self._deliver()
        except (RetryError, AbortError, RebuildError):
            self._has_failed = True

    def lose_queued(self) -> None:
        """Let the delivery of what is queued fail; that shows at the transaction's end."""
        self._has_failed = bool(self._queued)

    def flush(self) -> None:
        """Wait until everything is delivered.

        Raises:
            FencedError: another producer has the id now.
            AbortError: a record was not delivered, which fails the transaction.
            RebuildError: likewise, without transactions.
        """
        if self._has_failed:
            self._queued = []  # it stays failed until an abort, as the real client does: a second commit fails too
            if self.transactional_id is None:
                raise RebuildError("flush: not every output was delivered")
            self._check_epoch()
            raise AbortError("a record was not delivered")
        if self._queued:
            self._deliver()

    def add_offsets(self, offsets: Mapping[int, Committed]) -> None:
        """Add offsets to the transaction, which begins with them if it has not yet.

        Raises:
            FencedError: another producer has the id now, or the coordinator has aborted the transaction.
            RebuildError: an earlier transaction is still being ended.
        """
        self._cluster.transactions.add_offsets(self._ongoing(), offsets)

    def end(self, fate: Fate) -> None:
        """Ask the coordinator to end the transaction; nothing happens where none was begun.

        Raises:
            FencedError: another producer has the id now, or the coordinator has aborted the transaction.
        """
        if fate is Fate.ABORTED:
            self._queued, self._has_failed = [], False
        self._check_epoch()
        known = self._cluster.transactions.of(self._id)
        if known.ongoing is not None and known.ongoing.fate is Fate.OPEN:
            self._cluster.transactions.end(known, fate, self._cluster.now)

    @property
    def _id(self) -> str:
        if self.transactional_id is None:
            raise AssertionError("this producer has no transactions")
        return self.transactional_id

    def _check_epoch(self) -> None:
        if self._epoch != self._cluster.transactions.of(self._id).epoch:
            raise FencedError("another producer has this transactional id, or the coordinator aborted its transaction")

    def _ongoing(self) -> Ongoing:
        """Return the open transaction, waiting for an earlier one's markers."""
        deadline = self._cluster.now + CALL_SECONDS
        while True:
            self._check_epoch()
            known = self._cluster.transactions.of(self._id)
            ongoing = self._cluster.transactions.ongoing(known, self._cluster.now)
            if ongoing is not None:
                return ongoing
            if self._cluster.now > deadline:
                raise RebuildError("an earlier transaction is still being ended")
            self._cluster.advance(_PAUSE_SECONDS)

    def _deliver(self) -> None:
        ongoing = None if self.transactional_id is None else self._ongoing()
        queued, self._queued = self._queued, []
        for each in queued:
            log = self._cluster.log(each.topic, each.partition)
            span = None
            if ongoing is not None:
                span = ongoing.spans.get(log)
                if span is None:
                    span = ongoing.spans[log] = log.open()
            log.append(each.key, each.value, each.headers, 0, span)
