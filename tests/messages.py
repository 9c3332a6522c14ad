"""Kafka messages as the independent loop takes and gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.oracle import Published

if TYPE_CHECKING:
    from confluent_kafka import Message

    from tests.oracle import InputRecord


def input_record(message: Message) -> InputRecord:
    """Return what the loop is fed for a message of the input topic."""
    return _offset(message), message.timestamp()[1], message.key(), message.value(), list(_headers(message))


def prediction(message: Message) -> Published:
    """Return a message of the output topic as the loop writes one.

    Raises:
        ValueError, KeyError: it does not say which record it is for.
    """
    value = message.value()
    offset = msgspec.json.decode(value or b"")["source_offset"]
    return Published("prediction", offset, message.key(), value, _headers(message))


def dead_letter(message: Message) -> Published:
    """Return a message of the dead-letter topic as the loop writes one.

    Raises:
        ValueError, KeyError: it does not say which record it is for.
    """
    headers = _headers(message)
    offset = int(dict(headers)["error.offset"] or b"")
    return Published("dead_letter", offset, message.key(), message.value(), headers)


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    return tuple(message.headers() or ())  # type: ignore[arg-type]  # a list of pairs on a fetched message


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:
        raise AssertionError("a fetched message has an offset")
    return offset
