"""A fetched message of the client as a record of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.kafka.headers import headers_of
from consumer.record import Record

if TYPE_CHECKING:
    from confluent_kafka import Message

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
