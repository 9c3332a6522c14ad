"""One Kafka transaction: predictions, dead letters, and the input offsets with their references, all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.learning.output import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.broker import Connection, Position
    from consumer.learning.output import Output, Published


class Transaction:
    """Begins lazily with the first output or offset, and is bounded by time and by count.

    An open transaction holds back every reader of the output topic, hence the bounds; one that was begun while there
    is nothing to do would only time out, hence the laziness.

    Args:
        connection: the clients.
        output_topic: where predictions go.
        dead_letter_topic: where refused records go.
        outlook_topic: where outlooks go; None where there are none.
        interval: seconds from the first record until it is due.
        max_records: records after which it is due.
        clock: monotonic, in seconds.
    """

    def __init__(  # noqa: PLR0913 -- what bounds it, named
        self,
        connection: Connection,
        *,
        output_topic: str,
        dead_letter_topic: str,
        outlook_topic: str | None,
        interval: float,
        max_records: int,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._output_topic = output_topic
        self._dead_letter_topic = dead_letter_topic
        self._outlook_topic = outlook_topic
        self._interval = interval
        self._max_records = max_records
        self._clock = clock
        self._began_at: float | None = None
        self._records = 0

    @property
    def is_open(self) -> bool:
        """A transaction has begun and is neither committed nor aborted."""
        return self._began_at is not None

    @property
    def records(self) -> int:
        """How many records it covers so far."""
        return self._records

    @property
    def age(self) -> float:
        """Seconds since it began; 0 where none is open."""
        return 0.0 if self._began_at is None else self._clock() - self._began_at

    def is_due(self) -> bool:
        """Tell whether it has reached one of its bounds."""
        return self.is_open and (self._records >= self._max_records or self.age >= self._interval)

    def add(self, partition: int, output: Output | None) -> None:
        """Cover one more record of an input partition, and send what it published to the partition of its number."""
        if self._began_at is None:
            self._begin()
        self._records += 1
        if output is None:
            return
        topic = self._output_topic if output.outcome is Outcome.PREDICTION else self._dead_letter_topic
        self._connection.produce(topic, partition, output.key, output.value, output.headers)

    def add_batch(self, partition: int, records: int, published: Published) -> None:
        """Cover more records of an input partition, and send what they published."""
        if self._began_at is None:
            self._begin()
        self._records += records
        if published.values:
            self._connection.produce_many(self._output_topic, partition, published.keys, published.values)
        for letter in published.letters:
            self._connection.produce(self._dead_letter_topic, partition, letter.key, letter.value, letter.headers)

    def add_outlooks(self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> None:
        """Send outlooks that records of an input partition, covered already, have led to; a null value is a tombstone.

        They take no part in the count: however many items a record closes, it is one record.
        """
        if self._outlook_topic is None:
            raise AssertionError("outlooks are made where there is a topic for them")
        if self._began_at is None:
            self._begin()
        self._connection.produce_many(self._outlook_topic, partition, keys, values)

    def commit(self, positions: Sequence[Position]) -> None:
        """Commit the outputs and the positions in one.

        When this returns, they are committed. When it raises, they are not, or it is in doubt whether they are: either
        way the tasks are dropped and restored from what the broker then says is committed.
        """
        if self._began_at is None:
            self._begin()
        # Never the second without the first's success in this very transaction: with the broker frozen, the offsets
        # call timed out, the commit after it went through, and outputs became visible without their offsets.
        self._connection.send_offsets(positions)
        self._connection.commit()
        self._close()

    def abort(self) -> None:
        """Abort what is open, if anything is."""
        if self._began_at is not None:
            self._connection.abort()
            self._close()

    def _begin(self) -> None:
        self._connection.begin()
        self._began_at = self._clock()

    def _close(self) -> None:
        self._began_at = None
        self._records = 0
