"""Kinds of records that look odd and are good, repeats that are skipped, and repeats that contradict themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from benchmarks.kinds import (
    DAY_MS,
    LATE,
    PARTITIONS,
    PREDICTION,
    REPEAT,
    UNKNOWN_TYPE,
    Kind,
    altered,
    changed,
    edited,
    fields_of,
    iso,
    rewritten,
    routed,
    spaced,
    spelt,
    timed,
)
from schemas.dead_letter import Reason
from tests.oracle import java_murmur2

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.kinds import Fields, Sending


def _again(name: str, expected: str, edit: Callable[[Fields], Fields]) -> Kind:
    """Send an earlier event with other members."""
    return Kind(name, expected, lambda sent, _: replace(sent, value=json.dumps(edit(fields_of(sent))).encode()))


def _reordered(fields: Fields) -> Fields:
    return dict(reversed(fields.items())) | {"till": 7}


def _as_texts(fields: Fields) -> Fields:
    """Write numbers as strings, the time in another offset, and ids with white space: the same content."""
    occurred = datetime.fromisoformat(fields["occurred_at"]).astimezone(UTC)
    return fields | {
        "quantity": f"{fields['quantity']:.6f}",
        "store_id": f"\t{fields['store_id']} ",
        "occurred_at": f"{occurred:%Y-%m-%dt%H:%M:%S}.{occurred.microsecond:06}9z",
    }


def _second_later(written: str) -> str:
    occurred = datetime.fromisoformat(written)
    return occurred.replace(second=(occurred.second + 1) % 60).isoformat()


def _home(good: Sending) -> int:
    """Return the partition of the record's key."""
    return java_murmur2(good.key or b"") % 2**31 % PARTITIONS


REPEATS: Final = (
    Kind("the same again", REPEAT, lambda sent, _: sent),
    altered("the same, other headers", REPEAT, lambda sent: replace(sent, headers=[("try", b"2"), ("n", None)])),
    altered("the same, an hour later", REPEAT, lambda sent: replace(sent, timestamp_ms=sent.timestamp_ms + 3_600_000)),
    altered("the same, another key", REPEAT, lambda sent: replace(sent, key=b"another", partition=_home(sent))),
    rewritten("the same, framed", REPEAT, lambda value: b"\0\0\0\0\x07" + value),
    rewritten("the same, 1 MB longer by white space", REPEAT, spaced(1_000_000)),
    _again("the same, members reordered, one unknown", REPEAT, _reordered),
    _again("the same, numbers as strings, time in UTC", REPEAT, _as_texts),
)

CONFLICTS: Final = (
    _again(
        "again, another quantity",
        Reason.CONFLICTING_REPEAT,
        lambda fields: fields | {"quantity": fields["quantity"] * 2},
    ),
    _again(
        "again, another level",
        Reason.CONFLICTING_REPEAT,
        lambda f: f | {"new_stock_level": f["new_stock_level"] + 1e-6},
    ),
    _again("again, no level", Reason.CONFLICTING_REPEAT, lambda fields: fields | {"new_stock_level": None}),
    _again("again, another unit_cost", Reason.CONFLICTING_REPEAT, lambda fields: fields | {"unit_cost": 0.01}),
    _again(
        "again, another type", Reason.CONFLICTING_REPEAT, lambda fields: fields | {"transaction_type": "adjustment"}
    ),
    _again("again, corrects something", Reason.CONFLICTING_REPEAT, lambda fields: fields | {"corrects": "t0"}),
    _again(
        "again, 1 s later", Reason.CONFLICTING_REPEAT, lambda f: f | {"occurred_at": _second_later(f["occurred_at"])}
    ),
)


GOOD: Final = (
    changed(
        "unknown fields", PREDICTION, till=7, cashier={"name": ["x", None]}, quantity_millionths=9, occurred_us="x"
    ),
    changed("NaN in an unknown field", PREDICTION, till=float("nan")),
    spelt("till", "[" * 99 + "]" * 99, PREDICTION, "100 levels deep"),
    spelt("till", "9" * 4_300, PREDICTION, "unknown number of 4,300 digits"),
    changed("unknown type", UNKNOWN_TYPE, transaction_type="loan"),
    changed("unknown type in capitals, sign unchecked", UNKNOWN_TYPE, transaction_type="SALE", quantity=3),
    changed("type null", PREDICTION, transaction_type=None),
    spelt("quantity", '"x","quantity":true,"quantity":-1', PREDICTION, "duplicate key, the last one good"),
    rewritten("escaped name of a field", PREDICTION, lambda value: value.replace(b'"quantity"', b'"qu\\u0061ntity"')),
    rewritten("framed for a Schema Registry", PREDICTION, lambda value: b"\0\0\0\x01\x02" + value),
    rewritten("spaced out", PREDICTION, lambda value: b"\r\n\t " + value.replace(b",", b" ,\n") + b"\n"),
    *(spelt("quantity", token, PREDICTION) for token in ('"-2.50"', '"007"', "-0", "1e1", "0.000001", "1000000")),
    *(spelt("unit_cost", token, PREDICTION) for token in ("0", "1e6", "0.123456789", '"2.5"', "null")),
    *(spelt("new_stock_level", token, PREDICTION) for token in ("-3", "999999.999999", '"7"', "null")),
    spelt("line_id", "12", PREDICTION, "integer line_id"),
    spelt("corrects", '" t0 "', PREDICTION),
    spelt("line_id", json.dumps("é" * 2_000), PREDICTION, "line_id of 2,000 characters"),
    edited(
        "transaction_id in white space",
        PREDICTION,
        lambda f, _: f | {"transaction_id": f"\u3000{f['transaction_id']}\n"},
    ),
    edited("`timestamp` for occurred_at", PREDICTION, lambda f, _: {**f, "timestamp": f.pop("occurred_at")}),
    changed("count, quantity null", PREDICTION, transaction_type="count", quantity=None, new_stock_level=40),
    changed("void that corrects", PREDICTION, transaction_type="void", quantity=1, corrects="t0"),
    # Of an item of its own: the shop's next events would be late after it.
    edited("a day ahead, to the ms", PREDICTION, lambda f, ms: f | {"sku": "ahead", "occurred_at": iso(ms + DAY_MS)}),
    timed("lower-case t and z", PREDICTION, lambda ms: iso(ms)[:23].lower() + "z"),
    timed("12 decimals of a second", PREDICTION, lambda ms: iso(ms)[:23] + "456789012Z"),
    timed("leap second", PREDICTION, lambda ms: iso(ms)[:17] + "60Z"),
    timed("offset -00:00", PREDICTION, lambda ms: iso(ms)[:23] + "-00:00"),
    timed("3 days late", LATE, lambda ms: iso(ms - 3 * DAY_MS)),
    timed("the first instant of 2000", LATE, lambda _: "2000-01-01T00:00:00Z"),
    altered(
        "headers, error.* among them",
        PREDICTION,
        lambda good: replace(good, headers=[("error.reason", b"x"), ("n", None)]),
    ),
    altered("valid, 60,000 empty headers", PREDICTION, lambda good: replace(good, headers=[("", None)] * 60_000)),
    rewritten("valid, 1 MB", PREDICTION, spaced(1_000_000)),
    rewritten("valid, 5 MB", PREDICTION, spaced(5_000_000)),
    routed("no key", "no_key", lambda good: replace(good, key=None, partition=0)),
    routed("empty key", "other_key", lambda good: replace(good, key=b"", partition=1)),
    routed("another key", "other_key", lambda good: replace(good, key=b"elsewhere")),
    routed(
        "a known store in another partition",
        "other_partition",
        lambda good: replace(good, partition=(_home(good) + 1) % PARTITIONS),
    ),
)


ODD_KINDS: Final = (*REPEATS, *CONFLICTS, *GOOD)
