"""Fetched messages of the client as records of ours."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from confluent_kafka import Message

from consumer.kafka.headers import headers_of
from consumer.record import Record, RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import KafkaError

_NO_TIMESTAMP: Final = -1


def record_of(message: Message) -> Record:
    """Return a fetched message, one without an error, as a record."""
    kind, timestamp = message.timestamp()
    return Record(
        message.partition(),  # type: ignore[arg-type]  # a fetched message has one
        message.offset(),  # type: ignore[arg-type]
        timestamp if kind else _NO_TIMESTAMP,
        message.key(),
        message.value(),
        headers_of(message),
    )


def runs_of(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], KafkaError | None]]:
    """Return the messages in their order: runs of one partition's, and each that is an error alone, with its error."""
    errors = list(map(Message.error, messages))
    start = 0
    for at, error in enumerate(errors):
        if error is not None:
            yield from _by_partition(messages[start:at])
            yield [messages[at]], error
            start = at + 1
    yield from _by_partition(messages[start:])


def _by_partition(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], None]]:
    partitions = list(map(Message.partition, messages))
    if len(set(partitions)) == 1:
        yield messages, None
        return
    starts = [at for at, pair in enumerate(pairwise(partitions), 1) if pair[0] != pair[1]]
    for start, stop in pairwise([0, *starts, len(messages)] if messages else ()):
        yield messages[start:stop], None


def batch_of_messages(messages: Sequence[Message]) -> RecordBatch:
    """Return fetched messages of one partition, none of them an error, as a batch."""
    return RecordBatch(
        messages[0].partition(),  # type: ignore[arg-type]  # a fetched message has one
        list(map(Message.offset, messages)),  # type: ignore[arg-type]
        [timestamp if kind else _NO_TIMESTAMP for kind, timestamp in map(Message.timestamp, messages)],
        list(map(Message.key, messages)),
        list(map(Message.value, messages)),
        lambda index: headers_of(messages[index]),
    )
