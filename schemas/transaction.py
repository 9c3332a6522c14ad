"""The stock transaction: the input contract, version 1, and its decoder.

The order of a decoder's refusals is part of the contract (a dead letter's reason is compared byte by byte): first
JSON, then every field's own rule in the table's order, then the rules that look at several fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError
from pydantic_core import CoreSchema, core_schema

from schemas import json_rules
from schemas.dead_letter import EXPECTED, InvalidEvent, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

MILLION: Final = 1_000_000
MAX_LEVEL: Final = 1e9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRAME_BYTES: Final = 5  # a Schema Registry's magic 0x00 and 4-byte schema id
_YEAR_2000_US: Final = 946_684_800 * MILLION

MOST_LEVELS: Final = 100
"""Levels of JSON's objects and arrays, the event itself the first. Parsers draw this line anywhere (RFC 8259, 9),
pydantic's not even for each kind of nesting at the same depth: so it is drawn here, below theirs."""

PLAIN_BYTES: Final = 4_096  # a longer value may hold a number on whose digits the two parsers disagree
_CACHED_MOMENTS: Final = 4_096
_CACHED_CHARACTERS: Final = 64  # a fraction may have any number of digits: 4,096 of those would fill the memory

_ID_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NUMBER_PATTERN: Final = r"^-?[0-9]+(\.[0-9]+)?$"
# The shape of RFC 3339, section 5.6; whether the day exists is for datetime to say.
_TIME_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_RFC_3339: Final = re.compile(_TIME_PATTERN.removeprefix("^").removesuffix("$")).fullmatch

# The closing quote may be missing: else a text of nothing but escaped quotes would be searched again from each of them.
_bracket_or_string: Final = re.compile(rb'[\[\]{}]|"[^"\\]*(?:\\.?[^"\\]*)*"?', re.DOTALL).finditer

TAKES_AWAY: Final = frozenset({"sale", "waste", "transfer_out"})
BRINGS: Final = frozenset({"return", "receipt", "transfer_in"})
KNOWN_TYPES: Final = TAKES_AWAY | BRINGS | {"adjustment", "count", "void"}

_WHOLE: Final[dict[float | None, int]] = {float(units): units * MILLION for units in range(-1_000, 10_001)}
"""Usual quantities and levels in millionths: to look one up takes a quarter of the time that reckoning it does."""

_QUANTITY: Final = json_rules.number(-1e6, 1e6, decimals=6)
_COST: Final = json_rules.number(0, 1e6, decimals=None)
_LEVEL: Final = json_rules.number(-MAX_LEVEL, MAX_LEVEL, decimals=6)


def _identifier(max_length: int | None) -> GetPydanticSchema:
    """Strip a string id and bound it; take an integer id as its digits. A boolean is no integer."""

    def schema(_source: Any, _handler: Any) -> CoreSchema:  # noqa: ANN401 -- pydantic's own signature
        text = core_schema.str_schema(
            strict=True, strip_whitespace=True, min_length=1, max_length=max_length, pattern=_ID_PATTERN
        )
        digits = core_schema.no_info_after_validator_function(str, core_schema.int_schema(strict=True))
        return core_schema.union_schema([text, core_schema.chain_schema([digits, text])], mode="left_to_right")

    return GetPydanticSchema(schema, lambda _core, _handler: json_rules.identifier(max_length))


def _number(ge: float | None = None, le: float | None = None, *, described: json_rules.JsonSchema) -> GetPydanticSchema:
    """Take a finite JSON number, or a string of plain decimal digits; nothing else is a number."""

    def schema(_source: Any, _handler: Any) -> CoreSchema:  # noqa: ANN401 -- pydantic's own signature
        number = core_schema.float_schema(strict=True, allow_inf_nan=False, ge=ge, le=le)
        digits = core_schema.str_schema(strict=True, pattern=_NUMBER_PATTERN)
        parsed = core_schema.chain_schema([digits, core_schema.float_schema(allow_inf_nan=False, ge=ge, le=le)])
        return core_schema.union_schema([number, parsed], mode="left_to_right")

    return GetPydanticSchema(schema, lambda _core, _handler: described)


class InventoryTransaction(BaseModel):
    """One stock transaction at one item, as a point-of-sale system reports it.

    Types are strict: a boolean is no number, a number is no date. Unknown fields are ignored; of duplicate keys the
    last counts. A number means the IEEE 754 double nearest to its text.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra=json_rules.complete_transaction)

    transaction_id: Annotated[str, _identifier(128)] = Field(description="The receipt's or document's id.")
    store_id: Annotated[str, _identifier(64)] = Field(description="With sku, the item.")
    sku: Annotated[str, _identifier(64)] = Field(description="With store_id, the item.")
    line_id: Annotated[str, _identifier(None)] | None = Field(
        default=None, description="Tells lines of one receipt apart that have the same sku."
    )
    quantity: Annotated[float, _number(described=_QUANTITY)] | None = Field(
        description="Signed, in units: below 0 leaves the shelf. Null only in a count."
    )
    transaction_type: Annotated[str, Field(strict=True)] | None = Field(
        default=None, description="Null means a sale below 0, else a receipt. Unknown ones are kept and counted."
    )
    unit_cost: Annotated[float, _number(ge=0.0, le=1e6, described=_COST)] | None = Field(
        default=None, description="Cost of one unit."
    )
    occurred_at: Annotated[str, Field(strict=True, pattern=_TIME_PATTERN)] = Field(
        validation_alias=AliasChoices("occurred_at", "timestamp"),
        description="RFC 3339 date-time with offset; `timestamp` is another name for it. Echoed as written.",
        json_schema_extra=json_rules.moment(),
    )
    new_stock_level: Annotated[float, _number(ge=-MAX_LEVEL, le=MAX_LEVEL, described=_LEVEL)] | None = Field(
        default=None, description="Stock in units after this transaction; below 0 is oversold. Required in a count."
    )
    corrects: Annotated[str, _identifier(None)] | None = Field(
        default=None, description="The transaction that a void or correction takes back."
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """The contract's bounds that a retailer may set.

    Attributes:
        max_quantity: largest size of a quantity, in units.
        max_clock_ahead_seconds: how far `occurred_at` may lie ahead of the record's Kafka timestamp.
    """

    max_quantity: float = 1e6
    max_clock_ahead_seconds: int = 86_400


class StockTransaction(Protocol):
    """What features need of a stock transaction: `InventoryTransaction` and `Event` both have it."""

    @property
    def quantity(self) -> float | None:
        """Signed quantity in units."""

    @property
    def unit_cost(self) -> float | None:
        """Cost of one unit."""

    @property
    def occurred_at(self) -> str:
        """RFC 3339 date-time with offset."""


class Moment(msgspec.Struct, gc=False, frozen=True, forbid_unknown_fields=True):
    """An instant and its calendar day in its own offset.

    Part of `Event`, so an event may bring one: it takes no unknown fields either, whose bytes would go unread.

    Attributes:
        us: microseconds since 1970 UTC.
        day_of_week: Monday is 0.
    """

    us: int
    day_of_week: int
    month: int
    year: int


class Event(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A valid stock transaction: the contract's fields in the table's order, then its exact values.

    A plain struct, because it is built for every record: 0.3 µs against 1.7 µs for the pydantic model.

    Attributes:
        quantity_millionths: the signed quantity in millionths of a unit; a null quantity counts as 0.
        level_millionths: the observed level in millionths of a unit, or None.
        occurred_us: `occurred_at` as microseconds since 1970 UTC.
        moment: the same instant with its calendar day, read once.
    """

    transaction_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    store_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    quantity: float | None
    occurred_at: str
    line_id: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    transaction_type: str | None = None
    unit_cost: Annotated[float, msgspec.Meta(ge=0.0, le=1e6)] | None = None
    new_stock_level: Annotated[float, msgspec.Meta(ge=-MAX_LEVEL, le=MAX_LEVEL)] | None = None
    corrects: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    # Not of the contract: `decode` sets all four, whatever an event of that field name brought.
    quantity_millionths: int = 0
    level_millionths: int | None = None
    occurred_us: int = 0
    moment: Moment | None = None


def parse_moment(text: str) -> Moment:
    """Read an RFC 3339 date-time with an offset.

    Digits beyond microseconds are cut off. A leap second (`:60`) is the first instant of the next minute, because
    neither Kafka's timestamps nor Python's know it.

    Raises:
        ValueError: the text has not that form, or such a day or time does not exist.
    """
    moment = _moments.get(text)
    if moment is None:
        moment = _read_moment(text)
        if len(text) <= _CACHED_CHARACTERS:
            if len(_moments) >= _CACHED_MOMENTS:
                _moments.clear()
            _moments[text] = moment
    return moment


def _read_moment(text: str) -> Moment:
    # An offset of +01:60 and, from some version on, the hour 24 are datetime's own liberties.
    if _RFC_3339(text) is None or (text[-3] == ":" and text[-2:] > "59") or text[11:13] > "23":
        raise ValueError("not an RFC 3339 date-time with an offset")
    text = text.upper()  # RFC 3339 allows a lower-case "t" and "z"
    if text[17:19] == "60":
        moment = datetime.fromisoformat(text[:17] + "59" + text[19:]).replace(microsecond=0) + timedelta(seconds=1)
    else:
        moment = datetime.fromisoformat(text)
    delta = moment - _EPOCH
    us = (delta.days * 86_400 + delta.seconds) * MILLION + delta.microseconds
    return Moment(us, moment.weekday(), moment.month, moment.year)


_moments: Final[dict[str, Moment]] = {}  # the lines of one receipt share their time


def decode(value: bytes | None, timestamp_ms: int, limits: Limits) -> Event:
    """Decode a record's value into a valid event.

    Args:
        value: the record's value, None for a tombstone.
        timestamp_ms: the record's Kafka timestamp in milliseconds; below 0 means that it has none, and the bound on
            the future does not apply.
        limits: the contract's bounds.

    Raises:
        InvalidEvent: the first rule of the contract that the event breaks.
    """
    if not value:
        raise InvalidEvent(Reason.EMPTY_VALUE)
    if value[0] == 0:
        value = value[_FRAME_BYTES:]  # framed for a Schema Registry
    event = _decode_plain(value) or _decode_any(value)

    event.quantity_millionths = quantity = _quantity_millionths(event, limits.max_quantity)
    event.occurred_us = occurred_us = _moment(event).us
    event.level_millionths = _level_millionths(event)

    kind = event.transaction_type
    if (quantity > 0 and kind in TAKES_AWAY) or (quantity < 0 and kind in BRINGS):
        raise InvalidEvent(Reason.SIGN_CONTRADICTS_TYPE)
    if occurred_us < _YEAR_2000_US or (
        timestamp_ms >= 0 and occurred_us > timestamp_ms * 1000 + limits.max_clock_ahead_seconds * MILLION
    ):
        raise InvalidEvent(Reason.OCCURRED_AT_OUT_OF_RANGE)
    return event


def decode_plain(values: Sequence[bytes | None], timestamps_ms: Sequence[int], limits: Limits) -> list[Event | None]:
    """Decode the values of many records at once, each as `decode` would if it is a valid event of the plain form.

    None stands for every other one, invalid or only of another form: `decode` tells. Written out, because it is done
    for every record; a property test holds the two together.

    Args:
        values: the records' values.
        timestamps_ms: their Kafka timestamps.
        limits: the contract's bounds.
    """
    most, ahead_us = limits.max_quantity, limits.max_clock_ahead_seconds * MILLION
    surely_past_us = min(timestamps_ms, default=0) * 1000 + ahead_us
    are_plain = _are_plain(values)
    whole, remembered = _WHOLE.get, _moments.get
    events: list[Event | None] = []
    append = events.append
    for value, timestamp_ms in zip(values, timestamps_ms, strict=True):
        if not value or len(value) > PLAIN_BYTES:
            append(None)
            continue
        try:
            event = _msgspec_decode(value)
            event.moment = moment = remembered(event.occurred_at) or parse_moment(event.occurred_at)
        except (ValueError, OverflowError):  # a DecodeError of msgspec's and a UnicodeDecodeError are ValueErrors
            append(None)
            continue
        quantity, level, kind, occurred_us = event.quantity, event.new_stock_level, event.transaction_type, moment.us
        event.occurred_us = occurred_us
        millionths = whole(quantity)
        if millionths is None:
            millionths = 0 if quantity is None and kind == "count" else _in_millionths(quantity)
        level_millionths = whole(level)
        if level_millionths is None and (level is not None or kind == "count"):
            level_millionths = _in_millionths(level)
            if level_millionths is None:
                millionths = None
        if (
            millionths is None
            or (quantity is not None and not -most <= quantity <= most)
            or (millionths > 0 and kind in TAKES_AWAY)
            or (millionths < 0 and kind in BRINGS)
            or occurred_us < _YEAR_2000_US
            or (occurred_us > surely_past_us and timestamp_ms >= 0 and occurred_us > timestamp_ms * 1000 + ahead_us)
            or not (are_plain or _has_plain_ids(event))
        ):
            append(None)
            continue
        event.quantity_millionths, event.level_millionths = millionths, level_millionths
        append(event)
    return events


def _in_millionths(number: float | None) -> int | None:
    """Return a number in millionths, None where it is none or has more decimals, or is too large to tell.

    Exact for sizes up to 1e9: there a double still tells neighbouring millionths apart, and n / 1e6 is the double
    nearest to the decimal text.
    """
    if number is None or not -MAX_LEVEL <= number <= MAX_LEVEL:
        return None
    millionths = round(number * 1e6)
    return millionths if millionths / MILLION == number else None


def _are_plain(values: Sequence[bytes | None]) -> bool:
    """Tell whether no id in any of these JSON texts can hold white space or a control character.

    The parser itself refuses unescaped ones below U+0020 in a string.
    """
    text = b"".join(filter(None, values))
    return text.isascii() and b" " not in text and b"\\" not in text and b"\x7f" not in text


def _moment(event: Event) -> Moment:
    if event.moment is None:
        try:
            event.moment = parse_moment(event.occurred_at)
        except (ValueError, OverflowError):
            raise InvalidEvent(Reason.INVALID_FIELD, "occurred_at") from None
    return event.moment


def _quantity_millionths(event: Event, max_quantity: float) -> int:
    quantity = event.quantity
    if quantity is None:
        if event.transaction_type != "count":
            raise InvalidEvent(Reason.INVALID_FIELD, "quantity")
        return 0
    if not -max_quantity <= quantity <= max_quantity:
        raise InvalidEvent(Reason.INVALID_FIELD, "quantity")
    millionths = _in_millionths(quantity)
    if millionths is None:
        raise InvalidEvent(Reason.INVALID_FIELD, "quantity")
    return millionths


def _level_millionths(event: Event) -> int | None:
    level = event.new_stock_level
    if level is None:
        if event.transaction_type == "count":
            raise InvalidEvent(Reason.COUNT_WITHOUT_LEVEL)
        return None
    millionths = _in_millionths(level)
    if millionths is None:
        raise InvalidEvent(Reason.INVALID_FIELD, "new_stock_level")
    return millionths


def _decode_plain(value: bytes) -> Event | None:
    """Decode the plain form that nearly every event has, or return None and leave the verdict to pydantic.

    It accepts a strict subset of the contract with equal values (a property test holds the two together): string ids
    without white space, JSON numbers, no unknown fields, so that no byte goes unread.
    """
    if len(value) > PLAIN_BYTES:
        return None
    try:
        event = _msgspec_decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):  # ValidationError is a DecodeError
        return None
    if not _has_plain_ids(event):
        return None
    try:
        event.moment = parse_moment(event.occurred_at)
    except (ValueError, OverflowError):
        return None
    return event


def _has_plain_ids(event: Event) -> bool:
    ids = event.transaction_id + event.store_id + event.sku
    if event.line_id is not None:
        ids += event.line_id
    if event.corrects is not None:
        ids += event.corrects
    return " " not in ids and ids.isprintable()


def _decode_any(value: bytes) -> Event:
    """Decode whatever the contract allows through pydantic, which also finds the reason of a refusal."""
    if value.count(b"[") + value.count(b"{") > MOST_LEVELS and _is_deeper_than(MOST_LEVELS, value):
        raise InvalidEvent(Reason.NOT_JSON)
    try:
        transaction = _pydantic_decode(value)
    except ValidationError as error:
        raise _first_field_error(error) from None
    return Event(
        transaction_id=transaction.transaction_id,
        store_id=transaction.store_id,
        sku=transaction.sku,
        line_id=transaction.line_id,
        quantity=transaction.quantity,
        transaction_type=transaction.transaction_type,
        unit_cost=transaction.unit_cost,
        occurred_at=transaction.occurred_at,
        new_stock_level=transaction.new_stock_level,
        corrects=transaction.corrects,
    )


def _is_deeper_than(levels: int, value: bytes) -> bool:
    """Tell whether JSON is nested deeper; of what is no JSON any answer will do."""
    depth = 0
    for found in _bracket_or_string(value):
        first = found[0][0]
        if first in b"[{":
            depth += 1
            if depth > levels:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _first_field_error(error: ValidationError) -> InvalidEvent:
    """Turn pydantic's errors into the first refusal in the contract's table order."""
    broken: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        location = detail["loc"]
        if not location:  # no JSON, or JSON that is no object
            return InvalidEvent(Reason.NOT_JSON)
        field = "occurred_at" if location[0] == "timestamp" else str(location[0])
        broken.setdefault(field, detail["type"])
    for field in EXPECTED:
        if field in broken:
            missing = broken[field] == "missing"
            return InvalidEvent(Reason.MISSING_FIELD if missing else Reason.INVALID_FIELD, field)
    raise AssertionError(f"pydantic refused a field that the contract does not have: {sorted(broken)}")


_msgspec_decode: Final = msgspec.json.Decoder(Event).decode
_pydantic_decode: Final = InventoryTransaction.__pydantic_validator__.validate_json
