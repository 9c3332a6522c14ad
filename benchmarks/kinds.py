"""A kind of record: how it is made of a good event, and what the contract says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.dead_letter import Headers

Fields = dict[str, Any]

PREDICTION: Final = "prediction"
LATE: Final = "prediction, late"
UNKNOWN_TYPE: Final = "prediction, unknown type"
REPEAT: Final = "skipped, counted"
MISROUTED: Final = "prediction, misrouted: "

DAY_MS: Final = 86_400_000
PARTITIONS: Final = 3
"""Of the topic that the records are sent to."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One record to be sent.

    Attributes:
        partition: where to, None for where the partitioner puts it.
        kind: its kind's name, "" for a good event of the shop.
        expected: what the contract says of it.
    """

    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers | None = None
    partition: int | None = None
    kind: str = ""
    expected: str = PREDICTION


class Kind(NamedTuple):
    """A kind of record.

    Attributes:
        name: in the printed table.
        expected: `prediction` with what is counted of it, `skipped, counted`, or a dead letter's reason.
        change: makes one of an event of the shop: of one sent before where the kind is about repeats, else of a copy
            with an identity of its own; a running number tells apart what two of a kind must not share.
    """

    name: str
    expected: str
    change: Callable[[Sending, int], Sending]


def is_letter(expected: str) -> bool:
    """Tell whether an expectation is a dead letter's reason."""
    return expected in set(Reason)


def fields_of(sending: Sending) -> Fields:
    """Return the members of an event of the shop."""
    fields: Fields = json.loads(sending.value or b"")
    return fields


def rewritten(name: str, expected: str, edit: Callable[[bytes], bytes | None]) -> Kind:
    """Rewrite the value's bytes."""
    return Kind(name, expected, lambda good, _: replace(good, value=edit(good.value or b"")))


def edited(name: str, expected: str, edit: Callable[[Fields, int], Fields]) -> Kind:
    """Rewrite the members, given the Kafka timestamp too; the standard library encodes, because it writes NaN."""

    def change(good: Sending, _number: int) -> Sending:
        return replace(good, value=json.dumps(edit(fields_of(good), good.timestamp_ms)).encode())

    return Kind(name, expected, change)


def changed(name: str, expected: str, **changes: object) -> Kind:
    """Give members other values."""
    return edited(name, expected, lambda fields, _: fields | changes)


def without(field: str) -> Kind:
    """Leave a required field out."""
    return edited(
        f"no {field}",
        Reason.MISSING_FIELD,
        lambda fields, _: {name: content for name, content in fields.items() if name != field},
    )


def timed(name: str, expected: str, written: Callable[[int], str]) -> Kind:
    """Let the event occur at a time that depends on its Kafka timestamp."""
    return edited(name, expected, lambda fields, timestamp_ms: fields | {"occurred_at": written(timestamp_ms)})


def spelt(field: str, token: str, expected: str = Reason.INVALID_FIELD, name: str | None = None) -> Kind:
    """Spell one member's JSON out, in an event whose type agrees with any sign."""

    def change(good: Sending, _number: int) -> Sending:
        text = json.dumps(fields_of(good) | {"transaction_type": "adjustment", field: "@"})
        return replace(good, value=text.replace('"@"', token).encode())

    return Kind(name or f"{field}: {token}", expected, change)


def altered(name: str, expected: str, alter: Callable[[Sending], Sending]) -> Kind:
    """Change key, headers, partition or Kafka timestamp."""
    return Kind(name, expected, lambda good, _: alter(good))


def routed(name: str, wrong: str, alter: Callable[[Sending], Sending]) -> Kind:
    """Send a new item's first event on a wrong way."""

    def change(good: Sending, number: int) -> Sending:
        fields = fields_of(good) | {"sku": f"new, {name}, {number}"}
        return alter(replace(good, value=json.dumps(fields).encode()))

    return Kind(name, MISROUTED + wrong, change)


def iso(timestamp_ms: int) -> str:
    """Return a time with milliseconds in RFC 3339."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")


def spaced(number: int) -> Callable[[bytes], bytes]:
    """Lengthen a value by white space, which compresses well, before its first member."""
    return lambda value: value[:1] + b" " * number + value[1:]


def answer(expected: str) -> str:
    """Return what of an expectation shows in the output topics; the rest shows in the metrics."""
    return PREDICTION if expected == UNKNOWN_TYPE or expected.startswith(MISROUTED) else expected
