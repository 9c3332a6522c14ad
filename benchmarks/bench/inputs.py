"""The input topic as it is read back, and copies of its first events for contenders too slow for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from confluent_kafka import Message

_FLUSH_SECONDS: Final = 60.0
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Input:
    """A topic that a contender reads from its beginning to its end.

    Attributes:
        topic: its name.
        values: by partition, in offset order; offsets count from 0.
    """

    topic: str
    values: Mapping[int, Sequence[bytes | None]]

    @property
    def ends(self) -> dict[int, int]:
        """How many events each partition holds."""
        return {partition: len(values) for partition, values in self.values.items()}

    @property
    def events(self) -> int:
        """How many events there are."""
        return sum(self.ends.values())


def first_of(partitions: Mapping[int, Sequence[_Record]], events: int) -> dict[int, Sequence[_Record]]:
    """Return the first of each partition: equally many where it holds that many, at most `events` together."""
    each = events // len(partitions)
    return {partition: records[:each] for partition, records in partitions.items()}


def copy(messages: Iterable[Message], *, bootstrap_servers: str, topic: str) -> None:
    """Send messages to the partitions that they come from, keys and timestamps included; wait until all are there.

    Raises:
        TimeoutError: not all of them were confirmed in time.
    """
    config = {"bootstrap.servers": bootstrap_servers, "compression.type": "lz4", "enable.idempotence": True}
    producer = Producer({**config, "linger.ms": 20, "log_level": 0})
    for message in messages:
        partition: int = message.partition()  # type: ignore[assignment]  # a fetched message has one
        while True:
            try:
                producer.produce(topic, message.value(), message.key(), partition, timestamp=message.timestamp()[1])
            except BufferError:
                producer.poll(0.01)
            else:
                break
    if left := producer.flush(_FLUSH_SECONDS):
        raise TimeoutError(f"{left:,} events of the copy in {topic} were not confirmed within {_FLUSH_SECONDS:.0f} s")
