"""Predictions as JSON, written by machine code: byte for byte what `encode_prediction` makes of `prediction_of`.

Positions are unsigned, and so is what is added to them: Numba reads a signed index as one that may count from the end,
and asks each time, which takes twice as long as the writing.

Importing this module compiles, or loads what an earlier process has compiled: some seconds, or a tenth of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning.columns import LEVEL, LINE_ID, NO_NUMBER, OCCURRED_AT, QUANTITY, SKU, STORE_ID, TRANSACTION_ID
from consumer.learning.compiling import compiled_now

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST: Final = 10**15
"""Millionths up to which a level's shortest text is its decimals without zeros at the end: 15 digits, which a double
always tells apart."""

ALL_WRITTEN: Final = -1


def _piece(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


# What stands between the values, in the order of `schemas.prediction.Prediction`.
_TO_TRANSACTION_ID: Final = _piece(b'{"transaction_id":"')
_TO_STORE_ID: Final = _piece(b'","store_id":"')
_TO_SKU: Final = _piece(b'","sku":"')
_TO_LINE_ID: Final = _piece(b'","line_id":"')
_AFTER_LINE_ID: Final = _piece(b'","occurred_at":"')
_AFTER_SKU: Final = _piece(b'","line_id":null,"occurred_at":"')
_TO_BEFORE: Final = _piece(b'","level_before":')
_TO_PREDICTED: Final = _piece(b',"predicted_stock_level":')
_TO_OBSERVED: Final = _piece(b',"observed_stock_level":')
_TO_DISCREPANCY: Final = _piece(b',"discrepancy":')
_IN_TIME: Final = _piece(b',"is_late":false')
_LATE: Final = _piece(b',"is_late":true')
_END: Final = _piece(b"}")

_NULL: Final = _piece(b"null")
_PAIRS: Final = _piece(b"".join(b"%02d" % number for number in range(100)))
_COMMA, _MINUS, _POINT, _ZERO, _BRACKET, _E = (np.uint8(each) for each in b",-.0]e")
_SIX_AS_TEXT: Final = np.uint8(ord("6"))
_MILLIONTHS_WITH_EXPONENT: Final = 10  # 9e-6, but 0.00001

_ONE, _TWO, _FOUR, _TEN = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(10)
_THREE: Final = np.uint64(3)
_HUNDRED, _TEN_THOUSAND, _MILLION = np.uint64(100), np.uint64(10_000), np.uint64(1_000_000)
_MOST_DIGITS: Final = np.uint64(19)

_TEXTS: Final = (TRANSACTION_ID, STORE_ID, SKU, LINE_ID, OCCURRED_AT)
_NUMBERS_BYTES: Final = 3 * len("-1000000000.000001") + 2 * len(str(2**63 - 1))
_PIECES_BYTES: Final = sum(
    len(each)
    for each in (
        *(_TO_TRANSACTION_ID, _TO_STORE_ID, _TO_SKU, _TO_LINE_ID, _AFTER_LINE_ID, _AFTER_SKU, _TO_BEFORE),
        *(_TO_PREDICTED, _TO_OBSERVED, _TO_DISCREPANCY, _IN_TIME, _LATE, _END),
    )
)


@compiled_now("int64(int64[:, ::1], int64, int64)", allocates=False)
def room_for(spans: Any, start: int, stop: int) -> int:  # noqa: ANN401 -- an array
    """Return a bound of the bytes that the rows take, but for predicted levels, model id and partition."""
    total = (stop - start) * (_PIECES_BYTES + _NUMBERS_BYTES)
    for row in range(start, stop):
        for text in _TEXTS:
            total += max(0, spans[row, text + 1])
    return total


@compiled_now("uint64(uint8[::1], uint64, Array(uint8, 1, 'C', readonly=True), uint64, uint64)", allocates=False)
def _copy(out: Any, at: Any, source: Any, start: Any, length: Any) -> Any:  # noqa: ANN401 -- arrays, unsigned numbers
    """Write bytes of a source; like all of these, return the place behind what is written."""
    for index in range(length):
        out[at + index] = source[start + index]
    return at + length


@compiled_now("uint64(uint8[::1], uint64, Array(uint8, 1, 'C', readonly=True))", allocates=False)
def _write(out: Any, at: Any, piece: Any) -> Any:  # noqa: ANN401 -- arrays, an unsigned number
    length = np.uint64(len(piece))
    for index in range(length):
        out[at + index] = piece[index]
    return at + length


@compiled_now("void(uint8[::1], uint64, uint64)", allocates=False)
def _write_pair(out: Any, at: Any, number: Any) -> None:  # noqa: ANN401 -- an array, unsigned numbers
    """Write two digits."""
    pair = number * _TWO
    out[at] = _PAIRS[pair]
    out[at + _ONE] = _PAIRS[pair + _ONE]


@compiled_now("uint64(uint8[::1], uint64, uint64)", allocates=False)
def _write_whole(out: Any, at: Any, number: Any) -> Any:  # noqa: ANN401 -- an array, unsigned numbers
    """Write a number below 2**63."""
    digits, reach = _ONE, _TEN
    while digits < _MOST_DIGITS and number >= reach:
        digits += _ONE
        reach *= _TEN
    end = place = at + digits
    while number >= _HUNDRED:
        rest = number // _HUNDRED
        place -= _TWO
        _write_pair(out, place, number - rest * _HUNDRED)
        number = rest
    if number >= _TEN:
        _write_pair(out, at, number)
    else:
        out[at] = _ZERO + np.uint8(number)
    return end


@compiled_now("uint64(uint8[::1], uint64, int64)", allocates=False)
def _write_level(out: Any, at: Any, millionths: int) -> Any:  # noqa: ANN401 -- an array, an unsigned number
    """Write a level of at most LARGEST millionths, or NO_NUMBER, as msgspec writes the double nearest to it."""
    if millionths == NO_NUMBER:
        return _write(out, at, _NULL)
    if millionths < 0:
        out[at] = _MINUS
        at += _ONE
        millionths = -millionths
    if 0 < millionths < _MILLIONTHS_WITH_EXPONENT:
        out[at], out[at + _ONE] = _ZERO + np.uint8(millionths), _E
        out[at + _TWO], out[at + _THREE] = _MINUS, _SIX_AS_TEXT
        return at + _FOUR
    size = np.uint64(millionths)
    units = size // _MILLION
    decimals = size - units * _MILLION
    at = _write_whole(out, at, units)
    out[at] = _POINT
    at += _ONE
    if decimals == 0:
        out[at] = _ZERO
        return at + _ONE
    first, last_four = decimals // _TEN_THOUSAND, decimals % _TEN_THOUSAND
    _write_pair(out, at, first)
    _write_pair(out, at + _TWO, last_four // _HUNDRED)
    _write_pair(out, at + _FOUR, last_four % _HUNDRED)
    at += _FOUR + _TWO
    while out[at - _ONE] == _ZERO:
        at -= _ONE
    return at


@compiled_now("boolean(int64)", allocates=False)
def _is_writable(millionths: int) -> bool:
    return millionths == NO_NUMBER or -LARGEST <= millionths <= LARGEST


@compiled_now(
    "int64(Array(uint8, 1, 'C', readonly=True), int64[:, ::1], int64[:, ::1], int64, int64, int64[::1], uint8[::1], "
    "int64[::1], int64[::1], Array(uint8, 1, 'C', readonly=True), Array(uint8, 1, 'C', readonly=True), "
    "Array(uint8, 1, 'C', readonly=True), int64, uint8[::1], int64[::1])",
    allocates=False,
)
def encode_predictions(  # noqa: PLR0913, PLR0917 -- it crosses over into machine code once for all rows
    text: Any,  # noqa: ANN401 -- arrays, nearly all of them
    spans: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    start: int,
    stop: int,
    before: Any,  # noqa: ANN401
    is_late: Any,  # noqa: ANN401
    learned: Any,  # noqa: ANN401
    offsets: Any,  # noqa: ANN401
    predicted_text: Any,  # noqa: ANN401
    to_learned: Any,  # noqa: ANN401
    to_offset: Any,  # noqa: ANN401
    floor: int,
    out: Any,  # noqa: ANN401
    out_ends: Any,  # noqa: ANN401
) -> int:
    """Write the predictions for the rows from `start` to `stop`, without anything between them.

    Args:
        text: of the records (see `consumer.learning.columns`).
        spans: (n, 14), of plain rows: texts without quotes, backslashes and control characters, copied as they are.
        numbers: (n, 9).
        start: the first row.
        stop: the row behind the last one; the arrays that follow are of these rows alone.
        before: the level before each, in millionths, or NO_NUMBER.
        is_late: 1 where it is older than the item's last observed level.
        learned: how many events the model had learned from before it; not below 0.
        offsets: its offset; not below 0.
        predicted_text: all predicted levels as one JSON array without white space.
        to_learned: what stands between `is_late` and `events_learned`.
        to_offset: what stands between `events_learned` and `source_offset`.
        floor: in millionths; smaller discrepancies are 0.
        out: filled; has room for `room_for`, `predicted_text`, and the two before for each row.
        out_ends: filled: where each ends.

    Returns:
        ALL_WRITTEN, or the first row, counted from `start`, that has a level beyond LARGEST: it and those behind it are
        not written.
    """
    at, taken = np.uint64(0), _ONE
    for index in range(stop - start):
        row = start + index
        observed = numbers[row, LEVEL]
        discrepancy = NO_NUMBER
        if not (_is_writable(before[index]) and _is_writable(observed)):
            return index
        if before[index] != NO_NUMBER and observed != NO_NUMBER and is_late[index] == 0:
            discrepancy = observed - before[index] - numbers[row, QUANTITY]
            if -floor < discrepancy < floor:
                discrepancy = 0
            if not _is_writable(discrepancy):
                return index
        at = _write(out, at, _TO_TRANSACTION_ID)
        at = _copy(out, at, text, spans[row, TRANSACTION_ID], spans[row, TRANSACTION_ID + 1])
        at = _write(out, at, _TO_STORE_ID)
        at = _copy(out, at, text, spans[row, STORE_ID], spans[row, STORE_ID + 1])
        at = _write(out, at, _TO_SKU)
        at = _copy(out, at, text, spans[row, SKU], spans[row, SKU + 1])
        if spans[row, LINE_ID + 1] < 0:
            at = _write(out, at, _AFTER_SKU)
        else:
            at = _write(out, at, _TO_LINE_ID)
            at = _copy(out, at, text, spans[row, LINE_ID], spans[row, LINE_ID + 1])
            at = _write(out, at, _AFTER_LINE_ID)
        at = _copy(out, at, text, spans[row, OCCURRED_AT], spans[row, OCCURRED_AT + 1])
        at = _write(out, at, _TO_BEFORE)
        at = _write_level(out, at, before[index])
        at = _write(out, at, _TO_PREDICTED)
        byte = predicted_text[taken]
        while byte not in (_COMMA, _BRACKET):
            out[at] = byte
            at += _ONE
            taken += _ONE
            byte = predicted_text[taken]
        taken += _ONE
        at = _write(out, at, _TO_OBSERVED)
        at = _write_level(out, at, observed)
        at = _write(out, at, _TO_DISCREPANCY)
        at = _write_level(out, at, discrepancy)
        at = _write(out, at, _LATE if is_late[index] else _IN_TIME)
        at = _write(out, at, to_learned)
        at = _write_whole(out, at, learned[index])
        at = _write(out, at, to_offset)
        at = _write_whole(out, at, offsets[index])
        at = _write(out, at, _END)
        out_ends[index] = at
    return ALL_WRITTEN
