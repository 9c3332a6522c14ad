"""Opening levels from a CSV file: each line becomes a `count` event, which sets its item's level.

Read as a stream, line by line: a line that is broken cannot swallow those after it, so a quoted field ends on its
line. Only a digest of each item is kept, to find an item that comes twice.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Final

import msgspec

from consumer.errors import ExitCode, SettingsError, StopError
from consumer.simulate.events import GOOD, ShopEvent
from schemas.dead_letter import InvalidEvent
from schemas.transaction import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.simulate.events import KeyBy
    from schemas.transaction import Event, Limits

LEVEL_NAMES: Final = ("level", "new_stock_level")
_OPTIONAL: Final = ("unit_cost", "occurred_at")
_KNOWN: Final = ("store_id", "sku", *LEVEL_NAMES, *_OPTIONAL)
_LONGEST_LINE: Final = 65_536
_BOM: Final = b"\xef\xbb\xbf"
_HEADER: Final = "expected a header line with the columns store_id, sku and level, separated by ',' or ';', in UTF-8"
_EXPECTED: Final = {  # of a line, by the contract's fields
    "transaction_id": "1 to 128 characters without control characters",
    "store_id": "1 to 64 characters without control characters",
    "sku": "1 to 64 characters without control characters",
    "unit_cost": "a number such as 2 or 2.49, from 0 to 1000000, or nothing",
    "occurred_at": "an RFC 3339 date-time with an offset, such as 2026-01-01T06:00:00+01:00, or nothing",
    "new_stock_level": "a number such as 12 or 12.5, of at most 1000000000 in size and at most 6 decimals",
}


class BadLinesError(StopError):
    """Lines of an import file are bad; they were not sent."""

    exit_code = ExitCode.BAD_LINES


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no opening level.

    Attributes:
        number: of the line, from 1.
        problem: what was expected; holds nothing of the line.
    """

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class Document:
    """What the lines of a file have in common.

    Attributes:
        name: the transaction id of each of its events; None derives one from the item and the time.
        as_of: the time of each line that has none of its own, an RFC 3339 date-time.
        timestamp_ms: the Kafka timestamp of all its records.
        key_by: what keys a record.
        limits: the worker's bounds.
    """

    name: str | None
    as_of: str
    timestamp_ms: int
    key_by: KeyBy
    limits: Limits


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: which column is what, and how columns are separated.

    Attributes:
        columns: their names in their order.
        delimiter: a comma or a semicolon.
    """

    columns: tuple[str, ...]
    delimiter: str

    @property
    def level(self) -> str:
        """The name of the column that holds the level."""
        return next(name for name in LEVEL_NAMES if name in self.columns)

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns that no event takes anything from."""
        return tuple(name for name in self.columns if name not in _KNOWN)


def read_header(file: IO[bytes]) -> Header:
    """Read the first line of a file and choose the dialect by it.

    Raises:
        SettingsError: it is no header line.
    """
    line = _read_line(file)
    try:
        text = (line or b"").removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        raise SettingsError(f"line 1: {_HEADER}; it is no UTF-8") from None
    for delimiter in ",;":
        columns = tuple(name.strip().lower() for name in _fields(text, delimiter) or ())
        if {"store_id", "sku"} & set(columns):
            break
    else:
        raise SettingsError(f"line 1: {_HEADER}; found neither store_id nor sku")
    levels = [name for name in LEVEL_NAMES if name in columns]
    missing = [name for name in ("store_id", "sku") if name not in columns] + ([] if levels else ["level"])
    if missing:
        raise SettingsError(f"line 1: {_HEADER}; it lacks {', '.join(missing)}")
    if len(levels) > 1 or any(columns.count(name) > 1 for name in _KNOWN):
        raise SettingsError(f"line 1: {_HEADER}, each once; one is there twice")
    return Header(columns, delimiter)


def read_events(file: IO[bytes], header: Header, document: Document) -> Iterator[ShopEvent | BadLine]:
    """Yield for each further line its event, checked as the worker will check it, or what is wrong with it.

    Blank lines are passed over.
    """
    lines_of_items: dict[bytes, int] = {}
    number = 1
    while (line := _read_line(file)) is not None:
        number += 1
        if not line.strip():
            continue
        try:
            event = _event(_row(line, header), header, document)
        except _ProblemError as problem:
            yield BadLine(number, str(problem))
            continue
        item = blake2b(f"{event.store_id}\x1f{event.sku}".encode(), digest_size=16).digest()
        first = lines_of_items.setdefault(item, number)
        if first != number:
            yield BadLine(number, f"expected each item once; line {first} has this store_id and sku already")
        else:
            yield _shop_event(event, document, item)


class _ProblemError(Exception):
    """A line is no opening level; the text says what was expected."""


def _row(line: bytes, header: Header) -> dict[str, str]:
    """Split a line into its columns."""
    if len(line) > _LONGEST_LINE:
        raise _ProblemError(f"expected at most {_LONGEST_LINE} bytes")
    try:
        fields = _fields(line.decode(), header.delimiter)
    except UnicodeDecodeError:
        raise _ProblemError("expected UTF-8") from None
    if fields is None:
        raise _ProblemError("expected quotes in pairs around whole fields, closed on the same line")
    wanted = len(header.columns)
    if len(fields) != wanted:
        raise _ProblemError(f"expected {wanted} columns with {header.delimiter!r} between; found {len(fields)}")
    return dict(zip(header.columns, fields, strict=True))


def _event(row: dict[str, str], header: Header, document: Document) -> Event:
    """Return a row as a valid event."""
    try:
        return _decode(
            document,
            store_id=row["store_id"],
            sku=row["sku"],
            unit_cost=row.get("unit_cost", "").strip() or None,
            occurred_at=row.get("occurred_at", "").strip() or document.as_of,
            new_stock_level=row[header.level].strip(),
        )
    except InvalidEvent as invalid:
        if invalid.field is None:
            raise _ProblemError(f"occurred_at: expected a time {_time_range(document.limits)}") from None
        column = header.level if invalid.field == "new_stock_level" else invalid.field
        raise _ProblemError(f"{column}: expected {_EXPECTED[invalid.field]}") from None


def _decode(document: Document, **fields: object) -> Event:
    """Let the worker's own decoder read a `count`; numbers may still be strings, which the contract takes."""
    name = "opening" if document.name is None else document.name
    value = msgspec.json.encode({"transaction_id": name, "quantity": None, "transaction_type": "count", **fields})
    return decode(value, document.timestamp_ms, document.limits)


def _shop_event(event: Event, document: Document, item: bytes) -> ShopEvent:
    """Return the record of a valid event; its id depends on the item and the time, or is the document's."""
    transaction_id = event.transaction_id
    if document.name is None:
        digest = blake2b(item + event.occurred_us.to_bytes(8, "big"), digest_size=12)
        transaction_id = f"opening-{digest.hexdigest()}"
    value = msgspec.json.encode(
        {
            "transaction_id": transaction_id,
            "store_id": event.store_id,
            "sku": event.sku,
            "line_id": None,
            "quantity": None,
            "transaction_type": "count",
            "unit_cost": event.unit_cost,
            "occurred_at": event.occurred_at,
            "new_stock_level": event.new_stock_level,
        }
    )
    decode(value, document.timestamp_ms, document.limits)  # exactly what is sent is what was checked
    key = event.store_id if document.key_by == "store" else f"{event.store_id}:{event.sku}"
    return ShopEvent(key.encode(), value, document.timestamp_ms, GOOD)


def check_document(document: Document) -> None:
    """Check what all lines have in common, so that it is said once.

    Raises:
        SettingsError: the name is no transaction id, or the time is none or out of range.
    """
    try:
        _decode(document, store_id="s", sku="k", occurred_at=document.as_of, new_stock_level=0)
    except InvalidEvent as invalid:
        if invalid.field == "transaction_id":
            raise SettingsError(f"--document: expected {_EXPECTED['transaction_id']}") from None
        expected = (
            f"a time {_time_range(document.limits)}"
            if invalid.field is None
            else "an RFC 3339 date-time with an offset, such as 2026-01-01T06:00:00+01:00"
        )
        raise SettingsError(f"--as-of {document.as_of!r}: expected {expected}") from None


def _time_range(limits: Limits) -> str:
    return (
        f"from the year 2000 on, and at most {limits.max_clock_ahead_seconds} s (MAX_CLOCK_AHEAD_SECONDS) ahead of now"
    )


def _read_line(file: IO[bytes]) -> bytes | None:
    """Return the next line, of a far too long one only its beginning, None at the end."""
    line = file.readline(_LONGEST_LINE + 2)
    rest = line
    while rest and not rest.endswith(b"\n") and len(rest) > _LONGEST_LINE:
        rest = file.readline(_LONGEST_LINE + 2)
    return line or None


def _fields(text: str, delimiter: str) -> list[str] | None:
    """Split one line, None where its quotes do not come in pairs."""
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
