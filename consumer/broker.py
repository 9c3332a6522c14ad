"""The seam to Kafka: the small interface through which the worker sees it, real or simulated.

Every method may block for a bounded time. They raise only this software's errors: `RetryError` where a
non-transactional call may simply be made again, `AbortError` and `RebuildError` where the open transaction is lost,
`StopError` where only the operator can help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from consumer.record import Record, RecordBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.dead_letter import Headers


class Notice(msgspec.Struct, frozen=True):
    """Something else than a record that a poll returns in order."""

    partition: int
    offset: int


class EndOfPartition(Notice, frozen=True):
    """The log of a partition ends at `offset` for now: everything below it has been delivered, in order."""


class OutOfRange(Notice, frozen=True):
    """The log does not hold the record that comes next, `offset` says nothing; no more of the partition is fetched."""


Polled = Record | RecordBatch | Notice
"""What a poll returns: each says of which partition it is, and with which offset it begins."""


class Tail(NamedTuple):
    """What the end of an output partition holds.

    Attributes:
        record: its last committed record, None where it holds none.
        is_cut: it holds none, but held some once: retention has removed them.
    """

    record: Record | None
    is_cut: bool


class Position(NamedTuple):
    """An offset to commit; never without its metadata, which would erase the reference."""

    partition: int
    offset: int
    metadata: str


class Committed(NamedTuple):
    """A committed offset and its metadata."""

    offset: int
    metadata: str | None


class InputTopic(NamedTuple):
    """What the worker must know of the input topic.

    Attributes:
        topic_id: the broker's id of this topic; one created anew under the same name has another.
        partitions: how many it has.
        max_message_bytes: the largest record that it takes, as the broker counts it.
    """

    topic_id: str
    partitions: int
    max_message_bytes: int


class RebalanceListener(Protocol):
    """Is told what the group assigns and takes. Called from within `poll` and `close`; must never raise."""

    def on_gained(self, partitions: Sequence[int]) -> None:
        """Partitions were assigned. Nothing is fetched from them before `start`."""

    def on_revoked(self, partitions: Sequence[int]) -> None:
        """Partitions go to another worker when this returns: the last moment to commit what was done for them."""

    def on_lost(self, partitions: Sequence[int]) -> None:
        """Partitions are gone already: nothing can be committed for them any more."""


class Connection(Protocol):
    """One consumer and one producer under one identity, built and thrown away together.

    A transaction goes `begin`, `produce`..., `send_offsets`, `commit`; or `abort`. Under at_least_once `begin` and
    `abort` do nothing, `send_offsets` waits for every output's delivery and `commit` commits the offsets.
    """

    def settle(self) -> None:
        """Abort whatever an earlier client of this identity left open; before anything else but joining."""

    def poll(self, max_records: int, timeout: float) -> list[Polled]:
        """Return the next records of the started partitions, in order; wait `timeout` seconds for the first one.

        They come one by one, or several of one partition as a batch, whose offsets rise.
        """

    def start(self, partition: int, offset: int) -> None:
        """Fetch an assigned partition from `offset` on."""

    def stop(self, partitions: Sequence[int]) -> None:
        """Fetch these no more and drop what was fetched of them; they stay assigned."""

    def committed(self, partition: int, timeout: float) -> Committed | None:
        """Return the group's committed offset once no transaction is pending on it; None if there is none."""

    def log_range(self, partition: int, *, cached: bool = False) -> tuple[int, int]:
        """Return the first offset that the input partition still holds and the last stable offset.

        With `cached`, what the last fetch told, without asking the broker; (-1, -1) if nothing yet.
        """

    def tail(self, topic: str, partition: int) -> Tail:
        """Return what the end of an output or dead-letter partition holds, for a read_committed reader."""

    def begin(self) -> None:
        """Begin a transaction."""

    def produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        """Send one record; waits where the client's queue is full."""

    def produce_many(
        self, topic: str, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        """Send records without headers, in their order; likewise."""

    def send_offsets(self, positions: Sequence[Position]) -> None:
        """Add offsets to the transaction, under the group's present generation."""

    def commit(self) -> None:
        """Commit; only after `send_offsets` returned in this transaction."""

    def abort(self) -> None:
        """Abort; only where an `AbortError` said that this settles it, or where nothing is in doubt."""

    def leave(self) -> None:
        """Do nothing more with either client: the process ends, and what is open is never committed."""

    def discard(self) -> None:
        """Throw both clients away without waiting for them; nothing of an open transaction may be committed."""

    def close(self, timeout: float) -> bool:
        """Leave in good order; tell whether that was done within `timeout` seconds."""


class Broker(Protocol):
    """Builds connections and answers questions about topics."""

    def connect(self, listener: RebalanceListener) -> Connection:
        """Return a new connection that has begun to join the group; the listener hears of it from `poll` on."""

    def check_topics(self) -> InputTopic:
        """Check that the topics fit their purposes.

        Raises:
            TopicsError: one is missing, has too few partitions, or the input is compacted.
        """
