"""The simulated transaction coordinator: producer epochs, fencing, time-outs, and markers that take their time.

Kafka's rules that matter here (KIP-98, KIP-447, KIP-890): `init_transactions` fences every earlier producer of the same
transactional id and aborts what it left open; an open transaction is aborted by the coordinator once it is older than
its time-out and the next scan comes; the end of a transaction is decided at the coordinator first and becomes visible
in each partition when its marker gets there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.testing.partition_log import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.broker import Committed
    from consumer.testing.partition_log import PartitionLog, Span

SCAN_SECONDS: Final = 10.0
TIMEOUT_SECONDS: Final = 10.0


class Offsets:
    """A group's committed offsets, and those that a transaction has added without having ended."""

    def __init__(self) -> None:
        self.committed: dict[int, Committed] = {}
        self.pending: dict[int, list[Ongoing]] = {}

    def is_stable(self, partition: int) -> bool:
        """Tell whether no transaction is pending on a partition's offset."""
        return not self.pending.get(partition)


class Ongoing:
    """One transaction of one producer.

    Attributes:
        began_at: on the cluster's clock.
        fate: OPEN until the coordinator has decided.
        spans: its records' spans by log.
        offsets: the offsets that it would commit.
        markers: what is still to be written: when, and how.
    """

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.fate = Fate.OPEN
        self.spans: dict[PartitionLog, Span] = {}
        self.offsets: dict[int, Committed] = {}
        self.markers: list[tuple[float, Callable[[], None]]] = []


class TransactionalId:
    """What the coordinator knows of one `transactional.id`: the epoch that may write, and its transaction."""

    def __init__(self) -> None:
        self.epoch = -1
        self.ongoing: Ongoing | None = None


class TransactionCoordinator:
    """All transactional ids of a cluster.

    Args:
        offsets: the group's offsets, which transactions commit too.
        marker_delay: how long the next marker takes to its partition, in seconds.
    """

    def __init__(self, offsets: Offsets, marker_delay: Callable[[], float]) -> None:
        self._offsets = offsets
        self._marker_delay = marker_delay
        self._ids: dict[str, TransactionalId] = {}
        self._next_scan = SCAN_SECONDS

    def of(self, transactional_id: str) -> TransactionalId:
        """Return what is known of an id."""
        return self._ids.setdefault(transactional_id, TransactionalId())

    def init(self, transactional_id: str, now: float) -> int | None:
        """Fence earlier producers, abort what they left open; None while its markers are under way."""
        known = self.of(transactional_id)
        if known.ongoing is not None and known.ongoing.fate is Fate.OPEN:
            known.epoch += 1
            self.end(known, Fate.ABORTED, now)
        if known.ongoing is not None:
            return None
        known.epoch += 1
        return known.epoch

    def ongoing(self, known: TransactionalId, now: float) -> Ongoing | None:
        """Return the open transaction, begun if need be; None while an earlier one's markers are under way."""
        if known.ongoing is None:
            known.ongoing = Ongoing(now)
        return known.ongoing if known.ongoing.fate is Fate.OPEN else None

    def add_offsets(self, ongoing: Ongoing, offsets: Mapping[int, Committed]) -> None:
        """Let offsets become committed with the transaction; until then nobody is told the former ones."""
        for partition, committed in offsets.items():
            ongoing.offsets[partition] = committed
            pending = self._offsets.pending.setdefault(partition, [])
            if ongoing not in pending:
                pending.append(ongoing)

    def end(self, known: TransactionalId, fate: Fate, now: float) -> None:
        """Decide an open transaction and send its markers on their ways."""
        ongoing = known.ongoing
        if ongoing is None:
            return
        ongoing.fate = fate
        for log, span in ongoing.spans.items():
            ongoing.markers.append((now + self._marker_delay(), lambda log=log, span=span: log.close(span, fate)))  # type: ignore[misc]  # bound now
        ongoing.markers.append((now + self._marker_delay(), lambda: self._settle_offsets(ongoing)))
        self.advance(now)

    def advance(self, now: float) -> None:
        """Write the markers that are due, and let the scan find what is older than its time-out."""
        for known in self._ids.values():
            ongoing = known.ongoing
            if ongoing is None:
                continue
            for marker in [each for each in ongoing.markers if each[0] <= now]:
                ongoing.markers.remove(marker)
                marker[1]()
            if ongoing.fate is not Fate.OPEN and not ongoing.markers:
                known.ongoing = None
        if now < self._next_scan:
            return
        while self._next_scan <= now:
            self._next_scan += SCAN_SECONDS
        for known in self._ids.values():
            ongoing = known.ongoing
            if ongoing is not None and ongoing.fate is Fate.OPEN and now - ongoing.began_at >= TIMEOUT_SECONDS:
                known.epoch += 1  # whoever had it open is fenced
                self.end(known, Fate.ABORTED, now)

    def _settle_offsets(self, ongoing: Ongoing) -> None:
        for partition, committed in ongoing.offsets.items():
            self._offsets.pending[partition].remove(ongoing)
            if ongoing.fate is Fate.COMMITTED:
                self._offsets.committed[partition] = committed
