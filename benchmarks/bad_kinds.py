"""Kinds of records that the contract refuses, each with the reason of its dead letter."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from benchmarks.kinds import DAY_MS, Kind, altered, changed, edited, iso, rewritten, spaced, spelt, timed, without
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from schemas.dead_letter import Headers


def _only(token: bytes) -> Kind:
    """Send JSON that is no object."""
    return rewritten(f"only {token.decode()}", Reason.NOT_JSON, lambda _: token)


def _in_sku(name: str, bad: bytes) -> Kind:
    """Put bytes into a string."""
    return rewritten(f"{name} in a string", Reason.NOT_JSON, lambda value: value.replace(b'"sku":"', b'"sku":"' + bad))


def _without_level(name: str, **changes: object) -> Kind:
    """Count without telling the level."""
    return edited(
        f"count without new_stock_level, {name}",
        Reason.COUNT_WITHOUT_LEVEL,
        lambda fields, _: {key: content for key, content in fields.items() if key != "new_stock_level"} | changes,
    )


NOTHING: Final = (
    rewritten("tombstone", Reason.EMPTY_VALUE, lambda _: None),
    rewritten("no bytes", Reason.EMPTY_VALUE, lambda _: b""),
)

NOT_JSON: Final = (
    rewritten("text", Reason.NOT_JSON, lambda _: b"till offline"),
    rewritten("cut short", Reason.NOT_JSON, lambda value: value[:-9]),
    rewritten("array", Reason.NOT_JSON, lambda value: b"[" + value + b"]"),
    rewritten("string", Reason.NOT_JSON, lambda value: json.dumps(value.decode()).encode()),
    *(_only(token) for token in (b"7", b"true", b"null", b"[]")),
    rewritten("white space only", Reason.NOT_JSON, lambda _: b" \r\n\t"),
    rewritten("something after it", Reason.NOT_JSON, lambda value: value + b" x"),
    rewritten("two objects", Reason.NOT_JSON, lambda value: value + value),
    rewritten("comma at the end", Reason.NOT_JSON, lambda value: value[:-1] + b",}"),
    rewritten("single quotes", Reason.NOT_JSON, lambda value: value.replace(b'"', b"'")),
    rewritten("comment", Reason.NOT_JSON, lambda value: b"/* till 7 */" + value),
    rewritten("byte order mark", Reason.NOT_JSON, lambda value: b"\xef\xbb\xbf" + value),
    rewritten("UTF-16", Reason.NOT_JSON, lambda value: value.decode().encode("utf-16")),
    rewritten("gzip", Reason.NOT_JSON, lambda value: gzip.compress(value, mtime=0)),
    rewritten("NUL after it", Reason.NOT_JSON, lambda value: value + b"\0"),
    rewritten("form feed before it", Reason.NOT_JSON, lambda value: b"\f" + value),
    *(
        spelt("sku", f'"a{raw}"', Reason.NOT_JSON, f"{name} in a string")
        for name, raw in (
            ("raw NUL", "\0"),
            ("raw line break", "\n"),
            ("lone surrogate", "\\ud800"),
            ("bad escape", "\\x41"),
        )
    ),
    _in_sku("bad UTF-8", b"\xff"),
    _in_sku("overlong UTF-8", b"\xc0\x80"),
    _in_sku("surrogate in UTF-8", b"\xed\xa0\x80"),
    _in_sku("UTF-8 cut short", b"\xe6\xbc"),
    spelt("till", '"\\udc00"', Reason.NOT_JSON, "lone surrogate in an unknown field"),
    spelt("till", "[" * 100 + "]" * 100, Reason.NOT_JSON, "101 levels deep"),
    spelt("till", '{"a":' * 100_000, Reason.NOT_JSON, "100,000 levels deep"),
    spelt("till", "9" * 4_301, Reason.NOT_JSON, "number of 4,301 digits"),
    *(spelt("quantity", token, Reason.NOT_JSON) for token in ("+1", "01", "1.", ".5", "0x10", "1_000", "-NaN", "1,5")),
    rewritten("frame cut short", Reason.NOT_JSON, lambda value: b"\0\0\x01" + value),
    rewritten("frame around nothing", Reason.NOT_JSON, lambda _: b"\0\0\0\0\x01"),
    rewritten("frame in a frame", Reason.NOT_JSON, lambda value: b"\0\0\0\0\x01" * 2 + value),
    rewritten("frame of another magic", Reason.NOT_JSON, lambda value: b"\x01\0\0\0\x01" + value),
)

MISSING: Final = tuple(without(field) for field in ("transaction_id", "store_id", "sku", "quantity", "occurred_at"))

_BAD_IDS: Final = (
    "true",
    "null",
    "[]",
    "{}",
    "1.5",
    "1e2",
    '""',
    '" \\u3000"',
    '"a\\u0000b"',
    '"a\\u0085b"',
    '"\\u001ca"',
)
_BAD_NUMBERS: Final = (
    *("true", "[1]", "{}", '"three"', '""', "NaN", "Infinity", "-Infinity", "1e400", '"NaN"'),
    *('"1e3"', '"+1"', '" 1"', '"1."', '".5"', '"٣"', '"1,5"', '"0x10"'),
)
_BAD_TIMES: Final = (
    *("1490961600", "1490961600000.5", "true", "null", "[]", '""', '"now"', '"2025-01-06"', '"2025-01-06T10:00:00"'),
    *('"2025-01-06 10:00:00Z"', '"2025-02-30T10:00:00Z"', '"2025-02-29T10:00:00Z"', '"2025-13-01T10:00:00Z"'),
    *('"2025-01-06T24:00:00Z"', '"2025-01-06T10:60:00Z"', '"2025-01-06T10:00:61Z"', '"2025-01-06T10:00:00+24:00"'),
    *(
        '"2025-01-06T10:00:00+01:60"',
        '"2025-01-06T10:00:00+0100"',
        '"2025-01-06T10:00:00,5Z"',
        '"2025-W02-1T10:00:00Z"',
    ),
    *('"0000-01-01T00:00:00Z"', '"9999-12-31T23:59:60Z"', '"٢٠٢٥-01-06T10:00:00Z"', '"2025-01-06T10:00Z"'),
)

INVALID: Final = (
    *(spelt("transaction_id", token) for token in _BAD_IDS),
    spelt("transaction_id", json.dumps("x" * 129), name="transaction_id of 129 characters"),
    *(spelt(field, token) for field in ("store_id", "sku") for token in ("true", "null", "1.5", '""', '"a\\u007f"')),
    *(spelt(field, json.dumps("é" * 65), name=f"{field} of 65 characters") for field in ("store_id", "sku")),
    *(spelt(field, token) for field in ("line_id", "corrects") for token in ("false", "1.5", "[]", '""', '"a\\nb"')),
    *(spelt("quantity", token) for token in (*_BAD_NUMBERS, "null", "0.1234567", "1000000.000001", "-1e7", "5e-324")),
    spelt("quantity", "1" + "0" * 400, name="quantity of 401 digits"),
    *(spelt("transaction_type", token) for token in ("7", "false", "[]", "{}")),
    *(spelt("unit_cost", token) for token in ("-0.01", "1000000.01", "true", '"-1"', "NaN", "1e400", "[]")),
    *(spelt("occurred_at", token) for token in _BAD_TIMES),
    *(spelt("new_stock_level", token) for token in ("true", '"full"', "1e10", "-1000000001", "0.0000005", "NaN", "{}")),
    spelt("quantity", '-1,"quantity":true', name="duplicate key, the last one bad"),
    spelt("timestamp", '"2025-01-06T10:00:00Z","occurred_at":7', name="occurred_at bad, timestamp good"),
)

BETWEEN_FIELDS: Final = (
    _without_level("quantity null", transaction_type="count", quantity=None),
    _without_level("quantity 0", transaction_type="count", quantity=0, new_stock_level=None),
    *(
        changed(f"{kind} of {quantity:+}", Reason.SIGN_CONTRADICTS_TYPE, transaction_type=kind, quantity=quantity)
        for kind, quantity in (
            *(("sale", 3), ("waste", 0.5), ("transfer_out", 1)),
            *(("return", -1), ("receipt", -0.000001), ("transfer_in", -9)),
        )
    ),
    timed("1999", Reason.OCCURRED_AT_OUT_OF_RANGE, lambda _: "1999-12-31T23:59:59.999999Z"),
    timed("2000 in the east, 1999 in UTC", Reason.OCCURRED_AT_OUT_OF_RANGE, lambda _: "2000-01-01T00:00:00+00:01"),
    timed("2099", Reason.OCCURRED_AT_OUT_OF_RANGE, lambda _: "2099-01-01T00:00:00Z"),
    timed("a day and 1 ms ahead", Reason.OCCURRED_AT_OUT_OF_RANGE, lambda ms: iso(ms + DAY_MS + 1)),
)

_MB: Final = 1_000_000


def _with_headers(name: str, headers: Headers) -> Kind:
    """Give an invalid event these headers."""
    return altered(
        f"not JSON, {name}", Reason.NOT_JSON, lambda good: replace(good, value=b"till offline", headers=headers)
    )


HEADERS: Final = (
    _with_headers("null header value", [("trace", None), ("trace", b""), ("", b"x")]),
    _with_headers("binary and repeated headers", [("b", bytes(range(256))), ("b", b"1"), ("b", b"2"), ("é", b"\xff")]),
    _with_headers("error.* headers of its own", [("error.reason", b"mine"), ("error.", b"x"), ("error", b"kept")]),
    _with_headers("refused 3 times before", [("error.attempts", b"3"), ("Error.reason", b"kept")]),
    _with_headers("nonsense in error.attempts", [("error.attempts", "٣".encode()), ("error.attempts", b"-1")]),
    _with_headers("null error.attempts", [("error.attempts", None)]),
    _with_headers("1,000 headers", [(f"h{number}", b"v" * number) for number in range(1_000)]),
    altered("not JSON, no key", Reason.NOT_JSON, lambda good: replace(good, key=None, partition=0, value=b"{")),
    altered("not JSON, empty key", Reason.NOT_JSON, lambda good: replace(good, key=b"", partition=1, value=b"{")),
    altered(
        "not JSON, binary key", Reason.NOT_JSON, lambda good: replace(good, key=b"\0\xff", partition=0, value=b"{")
    ),
)

SIZES: Final = (
    rewritten("1 MB of white space around an array", Reason.NOT_JSON, lambda value: b"[" + b" " * _MB + value + b"]"),
    rewritten(
        "1 MB and a bad quantity",
        Reason.INVALID_FIELD,
        lambda v: spaced(_MB)(v.replace(b'"quantity":', b'"quantity":"x",\n"q":')),
    ),
    rewritten("1.1 MB, not JSON", Reason.TOO_LARGE, lambda value: value[:-1] + b" " * 1_100_000),
    rewritten("5 MB, not JSON", Reason.TOO_LARGE, lambda value: value[:-1] + b"[" * 5_000_000),
    altered(
        "not JSON, 1.1 MB of headers",
        Reason.TOO_LARGE,
        lambda good: replace(good, value=b"{", headers=[("h", b"0" * 1_100_000)]),
    ),
    altered(
        "not JSON, 1 MB and 60,000 empty headers",
        Reason.TOO_LARGE,
        lambda good: replace(good, value=b"{" + b" " * _MB, headers=[("", None)] * 60_000),
    ),
    altered(
        "not JSON, 1.1 MB of key",
        Reason.TOO_LARGE,
        lambda good: replace(good, value=b"{", key=b"k" * 1_100_000, partition=0),
    ),
    altered("valid, 1.1 MB of key", Reason.TOO_LARGE, lambda good: replace(good, key=b"k" * 1_100_000, partition=0)),
    changed("valid, line_id of 1.1 MB", Reason.TOO_LARGE, line_id="l" * 1_100_000),
    changed("valid, line_id of 0.6 MB of quotes", Reason.TOO_LARGE, line_id='"' * 600_000),
    changed("valid, occurred_at of 1.1 MB", Reason.TOO_LARGE, occurred_at=f"2025-01-06T10:00:00.{'0' * 1_100_000}Z"),
)

BAD_KINDS: Final = (*NOTHING, *NOT_JSON, *MISSING, *INVALID, *BETWEEN_FIELDS, *HEADERS, *SIZES)
