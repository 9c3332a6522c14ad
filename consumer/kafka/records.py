"""Fetched messages of the client as records of ours."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from consumer.kafka.headers import headers_of
from consumer.record import Record, RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import KafkaError, Message

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
    errors = [message.error() for message in messages]
    start = 0
    for at, error in enumerate(errors):
        if error is not None:
            yield from _by_partition(messages[start:at])
            yield [messages[at]], error
            start = at + 1
    yield from _by_partition(messages[start:])


def _by_partition(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], None]]:
    partitions = [message.partition() for message in messages]
    starts = [at for at, pair in enumerate(pairwise(partitions), 1) if pair[0] != pair[1]]
    for start, stop in pairwise([0, *starts, len(messages)] if messages else ()):
        yield messages[start:stop], None


def batch_of_messages(messages: Sequence[Message]) -> RecordBatch:
    """Return fetched messages of one partition, none of them an error, as a batch."""
    return RecordBatch(
        messages[0].partition(),  # type: ignore[arg-type]  # a fetched message has one
        [message.offset() for message in messages],  # type: ignore[misc]
        [timestamp if kind else _NO_TIMESTAMP for kind, timestamp in [message.timestamp() for message in messages]],
        [message.key() for message in messages],
        [message.value() for message in messages],
        lambda index: headers_of(messages[index]),
    )
