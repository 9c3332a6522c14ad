"""JSON events to columns, compiled to machine code by Numba.

Only the plain form is read here, which nearly every event has. An event that is taken is valid, and each column is what
`schemas.transaction.decode` would give; whatever is unusual, let alone invalid, is left to Python, which judges. So
there are rules here that the contract does not have, and none of the contract's is missing.

Importing this module compiles, or loads what an earlier process has compiled.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from consumer.learning.columns import (
    CORRECTS,
    COST,
    COST_UNITS,
    DAY_OF_WEEK,
    IS_PLAIN,
    KIND,
    LEVEL,
    LINE_ID,
    MONTH,
    NO_NUMBER,
    OCCURRED_AT,
    OCCURRED_US,
    QUANTITY,
    QUANTITY_UNITS,
    SKU,
    STORE_ID,
    TRANSACTION_ID,
    TRANSACTION_TYPE,
    YEAR,
    byte_table,
)
from consumer.learning.compiling import compiled_now

# The contract's, version 1; a test compares them.
PLAIN_BYTES: Final = 4_096
MAX_LEVEL: Final = 1e9
MAX_COST: Final = 1e6
YEAR_2000_US: Final = 946_684_800_000_000
KINDS: Final = (
    b"adjustment",
    b"count",
    b"receipt",
    b"return",
    b"sale",
    b"transfer_in",
    b"transfer_out",
    b"void",
    b"waste",
)
SIGNS: Final = (0, 0, 1, 1, -1, 1, -1, 0, -1)
"""Which sign a quantity of each kind must not contradict; 0 where it may have any."""

_COUNT: Final = 1
_RECEIPT: Final = 2
_SALE: Final = 4

_KEYS: Final = (
    # The texts, in the order of their columns in spans.
    (b"transaction_id", 128),
    (b"store_id", 64),
    (b"sku", 64),
    (b"line_id", PLAIN_BYTES),
    (b"occurred_at", PLAIN_BYTES),
    (b"corrects", PLAIN_BYTES),
    (b"transaction_type", PLAIN_BYTES),
    # The numbers.
    (b"quantity", 0),
    (b"unit_cost", 0),
    (b"new_stock_level", 0),
)
"""Each key and how many bytes its text may have."""

_TEXTS: Final = 7
_QUANTITY_FIELD: Final = 7
_COST_FIELD: Final = 8
_NULLABLE: Final = 1 << LINE_ID // 2 | 1 << CORRECTS // 2 | 1 << TRANSACTION_TYPE // 2 | 7 << _TEXTS
_REQUIRED: Final = (
    1 << TRANSACTION_ID // 2 | 1 << STORE_ID // 2 | 1 << SKU // 2 | 1 << OCCURRED_AT // 2 | 1 << _QUANTITY_FIELD
)

_SPACE: Final = 0x20
_QUOTE: Final = 0x22
_PLUS: Final = 0x2B
_COMMA: Final = 0x2C
_MINUS: Final = 0x2D
_POINT: Final = 0x2E
_ZERO: Final = 0x30
_COLON: Final = 0x3A
_BEGIN: Final = 0x7B
_END: Final = 0x7D

# What a byte is within a text.
_PLAIN: Final = 0
_ODD: Final = 1
_CLOSES: Final = 2
_LEADS: Final = 3
"""The first of the two bytes of a letter."""
_BLANK: Final = 4

_MOST_DIGITS: Final = 15
"""So many digits are a whole number below 2**53, and up to 10**22 powers of ten are exact too: hence their quotient is
the double nearest to the text (Clinger)."""

_MOST_DECIMALS: Final = 6
_LARGEST_TIMESTAMP_MS: Final = 2**52
"""A thousand times more still fits; no event lies that far in the future."""

_MICROSECONDS: Final = 1_000_000
_SHORTEST_MOMENT: Final = 20
_NO_OFFSET: Final = 2**31
_DAYS_TO_1970: Final = 719_468
"""From 1 March of the year 0: years are reckoned from March, so that a leap day comes last."""


def _classes() -> Any:  # noqa: ANN401 -- an array
    """Return what each byte is within a text.

    All letters of two bytes that are let in are printable ones: U+00C0 to U+027F, and Cyrillic to U+047F.
    """
    classes = np.full(256, _ODD, np.uint8)
    classes[0x21:0x7F] = _PLAIN
    classes[ord("\\")] = _ODD
    classes[list(b" \t\n\r")] = _BLANK
    classes[_QUOTE] = _CLOSES
    classes[0xC3:0xCA] = _LEADS
    classes[0xD0:0xD2] = _LEADS
    return classes


def _fields() -> Any:  # noqa: ANN401 -- an array
    """Return for each first letter the first field that has it; for other bytes any, which its key then is not."""
    fields = np.zeros(256, np.int64)
    for field in reversed(range(len(_KEYS))):
        fields[_KEYS[field][0][0]] = field
    return fields


_CLASSES: Final = _classes()
_FIELDS: Final = _fields()
_KEY_BYTES, _KEY_LENGTHS = byte_table([key + b'"' for key, _ in _KEYS])
KIND_TABLE: Final = byte_table(KINDS)
_KIND_BYTES, _KIND_LENGTHS = KIND_TABLE
_MOST_BYTES: Final = np.array([most for _, most in _KEYS])
_SIGNS: Final = np.array(SIGNS)
_POWERS: Final = np.array([10.0**power for power in range(_MOST_DIGITS + 1)])
_SCALES: Final = np.array([10 ** (_MOST_DECIMALS - decimals) for decimals in range(_MOST_DECIMALS + 1)])
_MONTH_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


# Where a text is walked through, an unsigned index spares the question whether it counts from the end: a seventh.


@compiled_now("int64(uint8[::1], int64, int64)", allocates=False)
def _after_blanks(text: Any, at: int, end: int) -> int:  # noqa: ANN401 -- an array
    """Return where white space from `at` on ends."""
    while at < end and text[np.uint64(at)] <= _SPACE and _CLASSES[text[np.uint64(at)]] == _BLANK:
        at += 1
    return at


@compiled_now("int64(uint8[::1], int64, int64)", allocates=False)
def _field_at(text: Any, at: int, end: int) -> int:  # noqa: ANN401 -- an array
    """Return the field of the key that begins at `at` and ends with a quote, -1 where it is none."""
    if at + 2 > end:
        return -1
    field = _FIELDS[text[np.uint64(at)]]
    if field == 1 and text[np.uint64(at + 1)] == ord("k"):
        field = 2
    elif field == 0 and at + 12 < end and text[np.uint64(at + 12)] == ord("t"):
        field = 6
    length = _KEY_LENGTHS[field]
    if at + length > end:
        return -1
    for i in range(length):
        if text[np.uint64(at + i)] != _KEY_BYTES[field, i]:
            return -1
    return field  # type: ignore[no-any-return]


@compiled_now("int64(uint8[::1], int64, int64)", allocates=False)
def _text_end(text: Any, at: int, end: int) -> int:  # noqa: ANN401 -- an array
    """Return where the quote is that closes the text from `at` on, -1 where anything in it is odd."""
    while at < end:
        what = _CLASSES[text[np.uint64(at)]]
        if what == _PLAIN:
            at += 1
        elif what == _CLOSES:
            return at
        elif what == _LEADS and at + 1 < end and text[np.uint64(at + 1)] & 0xC0 == 0x80:  # noqa: PLR2004 -- 10xxxxxx follows
            at += 2
        else:
            return -1
    return -1


@compiled_now("UniTuple(int64, 3)(uint8[::1], int64, int64)", allocates=False)
def _number(text: Any, at: int, end: int) -> tuple[int, int, int]:  # noqa: ANN401 -- an array
    """Read a decimal number.

    Returns:
        Where it ends, -1 where it is odd; its digits as a signed whole number; how many of them are decimals.
    """
    is_negative = text[at] == _MINUS
    if is_negative:
        at += 1
    digits, decimals, first = 0, 0, at
    while at < end and _ZERO <= text[at] < _ZERO + 10:
        digits = digits * 10 + (text[at] - _ZERO)
        at += 1
    whole = at - first
    begins_with_zero = whole > 0 and text[first] == _ZERO
    if whole == 0 or (whole > 1 and begins_with_zero):
        return -1, 0, 0
    if at < end and text[at] == _POINT:
        at += 1
        first = at
        while at < end and _ZERO <= text[at] < _ZERO + 10:
            digits = digits * 10 + (text[at] - _ZERO)
            at += 1
        decimals = at - first
        if decimals == 0:
            return -1, 0, 0
    if whole + decimals > _MOST_DIGITS or (is_negative and digits == 0):
        return -1, 0, 0
    return at, (-digits if is_negative else digits), decimals


@compiled_now("int64(uint8[::1], int64)", allocates=False)
def _two_digits(text: Any, at: int) -> int:  # noqa: ANN401 -- an array
    """Return a number of two digits, -1 where they are none."""
    tens, ones = text[at] - _ZERO, text[at + 1] - _ZERO
    if 0 <= tens < 10 and 0 <= ones < 10:  # noqa: PLR2004 -- digits
        return tens * 10 + ones  # type: ignore[no-any-return]
    return -1


@compiled_now("UniTuple(int64, 2)(uint8[::1], int64, int64)", allocates=False)
def _fraction(text: Any, at: int, end: int) -> tuple[int, int]:  # noqa: ANN401 -- an array
    """Return the microseconds of a second's decimals from `at` on, -1 where they are odd, and where they end."""
    microseconds, weight = 0, _MICROSECONDS
    while at < end and _ZERO <= text[at] < _ZERO + 10:
        weight //= 10
        microseconds += (text[at] - _ZERO) * weight
        at += 1
        if weight == 0:
            return -1, at
    return (-1 if weight == _MICROSECONDS else microseconds), at


@compiled_now("int64(uint8[::1], int64, int64)", allocates=False)
def _offset(text: Any, at: int, end: int) -> int:  # noqa: ANN401 -- an array
    """Return the minutes that a zone, which is the text from `at` to `end`, is ahead of UTC."""
    if text[at] == ord("Z") and at + 1 == end:
        return 0
    if at + 6 != end or (text[at] != _PLUS and text[at] != _MINUS) or text[at + 3] != _COLON:
        return _NO_OFFSET
    hours, minutes = _two_digits(text, at + 1), _two_digits(text, at + 4)
    if hours | minutes < 0 or hours > 23 or minutes > 59:  # noqa: PLR2004 -- a clock's
        return _NO_OFFSET
    offset = hours * 60 + minutes
    return offset if text[at] == _PLUS else -offset  # type: ignore[no-any-return]


@compiled_now("UniTuple(int64, 4)(uint8[::1], int64, int64)", allocates=False)
def _moment(text: Any, at: int, end: int) -> tuple[int, int, int, int]:  # noqa: ANN401, PLR0911 -- an array; rules
    """Read an RFC 3339 date-time with an offset.

    Returns:
        Microseconds since 1970 UTC, and of its own calendar day the day of the week, the month and the year; the year
        is 0 where the text is odd.
    """
    none = (0, 0, 0, 0)
    if end - at < _SHORTEST_MOMENT:
        return none
    if (
        text[at + 4] != _MINUS
        or text[at + 7] != _MINUS
        or text[at + 10] != ord("T")
        or text[at + 13] != _COLON
        or text[at + 16] != _COLON
    ):
        return none
    century, years, month = _two_digits(text, at), _two_digits(text, at + 2), _two_digits(text, at + 5)
    day, hour, minute = _two_digits(text, at + 8), _two_digits(text, at + 11), _two_digits(text, at + 14)
    second = _two_digits(text, at + 17)
    if century | years | month | day | hour | minute | second < 0:
        return none
    year = century * 100 + years
    if year == 0 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 -- a clock's
        return none
    is_leap_year = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = 29 if month == 2 and is_leap_year else _MONTH_DAYS[month - 1]  # noqa: PLR2004 -- February
    if not 1 <= day <= last:
        return none

    at += 19
    microseconds = 0
    if text[at] == _POINT:
        microseconds, at = _fraction(text, at + 1, end)
        if microseconds < 0 or at == end:
            return none
    offset = _offset(text, at, end)
    if offset == _NO_OFFSET:
        return none

    from_march = month - 3 if month > 2 else month + 9  # noqa: PLR2004 -- February
    marches = year if month > 2 else year - 1  # noqa: PLR2004
    days = marches * 365 + marches // 4 - marches // 100 + marches // 400
    days += (153 * from_march + 2) // 5 + day - 1 - _DAYS_TO_1970
    seconds = days * 86_400 + (hour * 60 + minute - offset) * 60 + second
    return seconds * _MICROSECONDS + microseconds, (days + 3) % 7, month, year


@compiled_now("int64(uint8[::1], int64, int64)", allocates=False)
def _kind_of(text: Any, at: int, length: int) -> int:  # noqa: ANN401 -- an array
    """Return a type's place among the known ones, -1 where it is another."""
    for kind in range(len(_KIND_LENGTHS)):
        if length == _KIND_LENGTHS[kind]:
            i = 0
            while i < length and text[at + i] == _KIND_BYTES[kind, i]:
                i += 1
            if i == length:
                return kind
    return -1


@compiled_now("int64(int64, int64)", allocates=False)
def _millionths(digits: int, decimals: int) -> int:
    """Return a number of at most a billion units in millionths, NO_NUMBER where it is larger or has more decimals."""
    if decimals > _MOST_DECIMALS or abs(digits / _POWERS[decimals]) > MAX_LEVEL:
        return NO_NUMBER
    return digits * _SCALES[decimals]  # type: ignore[no-any-return]


@compiled_now(
    "boolean(uint8[::1], int64, int64, int64, float64, int64, int64[::1], int64[::1], float64[::1])",
    allocates=False,
)
def _parse(  # noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917 -- each rule leaves at once
    text: Any,  # noqa: ANN401 -- arrays
    at: int,
    end: int,
    timestamp_ms: int,
    max_quantity: float,
    ahead_us: int,
    spans: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    doubles: Any,  # noqa: ANN401
) -> bool:
    """Read the value from `at` to `end` into a row; tell whether it is a valid event of the plain form."""
    if not 0 < end - at <= PLAIN_BYTES:
        return False
    at = _after_blanks(text, at, end)
    if at == end or text[at] != _BEGIN:
        return False
    spans[LINE_ID + 1] = spans[CORRECTS + 1] = spans[TRANSACTION_TYPE + 1] = -1
    quantity_digits = cost_digits = level_digits = NO_NUMBER
    quantity_decimals = cost_decimals = level_decimals = 0
    seen = 0
    while True:
        at = _after_blanks(text, at + 1, end)
        if at == end or text[at] != _QUOTE:
            return False
        field = _field_at(text, at + 1, end)
        if field < 0 or seen >> field & 1:
            return False
        seen |= 1 << field
        at = _after_blanks(text, at + 1 + _KEY_LENGTHS[field], end)
        if at == end or text[at] != _COLON:
            return False
        at = _after_blanks(text, at + 1, end)
        if at == end:
            return False
        if text[at] == _QUOTE:
            start = at + 1
            at = _text_end(text, start, end)
            length = at - start
            if field >= _TEXTS or not 1 <= length <= _MOST_BYTES[field]:
                return False
            spans[2 * field], spans[2 * field + 1] = start, length
            at += 1
        elif text[at] == ord("n"):
            if (
                not _NULLABLE >> field & 1
                or at + 4 > end
                or text[at + 1] != ord("u")
                or text[at + 2] != ord("l")
                or text[at + 3] != ord("l")
            ):
                return False
            at += 4
        else:
            at, digits, decimals = _number(text, at, end)
            if field < _TEXTS or at < 0:
                return False
            if field == _QUANTITY_FIELD:
                quantity_digits, quantity_decimals = digits, decimals
            elif field == _COST_FIELD:
                cost_digits, cost_decimals = digits, decimals
            else:
                level_digits, level_decimals = digits, decimals
        at = _after_blanks(text, at, end)
        if at == end:
            return False
        if text[at] == _COMMA:
            continue
        if text[at] != _END or _after_blanks(text, at + 1, end) != end:
            return False
        break
    if seen & _REQUIRED != _REQUIRED:
        return False

    kind = -1
    if spans[TRANSACTION_TYPE + 1] >= 0:
        kind = _kind_of(text, spans[TRANSACTION_TYPE], spans[TRANSACTION_TYPE + 1])
        if kind < 0:
            return False

    quantity, quantity_units = 0, 0.0
    if quantity_digits != NO_NUMBER:
        quantity = _millionths(quantity_digits, quantity_decimals)
        quantity_units = quantity_digits / _POWERS[quantity_decimals]
        if quantity == NO_NUMBER or not -max_quantity <= quantity_units <= max_quantity:
            return False
    elif kind != _COUNT:
        return False
    if kind < 0:
        kind = _SALE if quantity < 0 else _RECEIPT
    elif quantity * _SIGNS[kind] < 0:
        return False

    level = NO_NUMBER
    if level_digits != NO_NUMBER:
        level = _millionths(level_digits, level_decimals)
        if level == NO_NUMBER:
            return False
    elif kind == _COUNT:
        return False

    cost, cost_units = NO_NUMBER, 0.0
    if cost_digits != NO_NUMBER:
        cost_units = cost_digits / _POWERS[cost_decimals]
        if not 0.0 <= cost_units <= MAX_COST:
            return False
        cost = int(np.rint(cost_units * 1e6))

    start = spans[OCCURRED_AT]
    occurred_us, day_of_week, month, year = _moment(text, start, start + spans[OCCURRED_AT + 1])
    if (
        year == 0
        or occurred_us < YEAR_2000_US
        or (
            timestamp_ms >= 0 and (timestamp_ms > _LARGEST_TIMESTAMP_MS or occurred_us - ahead_us > timestamp_ms * 1000)
        )
    ):
        return False

    numbers[QUANTITY], numbers[LEVEL], numbers[COST], numbers[KIND] = quantity, level, cost, kind
    numbers[OCCURRED_US], numbers[DAY_OF_WEEK], numbers[MONTH], numbers[YEAR] = occurred_us, day_of_week, month, year
    doubles[QUANTITY_UNITS], doubles[COST_UNITS] = quantity_units, cost_units
    return True


@compiled_now(
    "void(uint8[::1], int64[::1], int64[::1], float64, int64, int64[:, ::1], int64[:, ::1], float64[:, ::1])",
    allocates=False,
)
def parse_events(  # noqa: PLR0913, PLR0917 -- what is called, crosses over into machine code, once
    text: Any,  # noqa: ANN401 -- arrays
    ends: Any,  # noqa: ANN401
    timestamps_ms: Any,  # noqa: ANN401
    max_quantity: float,
    ahead_us: int,
    spans: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    doubles: Any,  # noqa: ANN401
) -> None:
    """Read many events into columns, see `consumer.learning.columns`.

    Args:
        text: all values joined; of a `bytearray`, since Numba tells arrays apart that must not be written to.
        ends: (n), where each ends; ascending, none beyond `text`.
        timestamps_ms: (n), their Kafka timestamps; below 0 where there is none.
        max_quantity: largest size of a quantity, in units.
        ahead_us: how far an event may lie ahead of its Kafka timestamp; not below 0.
        spans: (n, SPANS), filled; the start of a text that is null is left as it was.
        numbers: (n, NUMBERS), filled.
        doubles: (n, DOUBLES), filled.
    """
    begin = 0
    for row in range(len(ends)):
        end = ends[row]
        is_plain = _parse(
            text, begin, end, timestamps_ms[row], max_quantity, ahead_us, spans[row], numbers[row], doubles[row]
        )
        numbers[row, IS_PLAIN] = is_plain
        begin = end
