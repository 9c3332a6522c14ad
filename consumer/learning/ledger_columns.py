"""The ledger's columns in a checkpoint: written from arrays, and checked as arrays.

No object is made for an item here: a million items are checked in a fraction of a second, mostly without the
interpreter's lock. `consumer.learning.state` has the layout.
"""

from __future__ import annotations

import codecs
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from consumer.learning.columns import NO_NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from typing_extensions import Buffer

LEDGER: Final = "ledger"
LEVELS: Final = "ledger.levels"
OBSERVED: Final = "ledger.observed"
DAYS: Final = "ledger.days"
LENGTHS: Final = "ledger.lengths"
KEYS: Final = "ledger.keys"
COLUMNS: Final = (LEVELS, OBSERVED, DAYS, LENGTHS, KEYS)

ABSURD: Final = 10**18
"""A level of a million million units: from there on it no longer stands in, and is unknown."""
_LAST_DAY: Final = 2_932_897
"""The last of the year 9999, a day later in UTC: no event is of a later one, and its microseconds fit into 64 bits."""

_KINDS: Final = {LEVELS: "<i8", OBSERVED: "<i8", DAYS: "<i4", LENGTHS: "<u2"}

_WORD: Final = 8
_MIXES: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_SHIFT: Final = np.uint64(29)
_DECODED_AT_ONCE: Final = 2**18
_CONTINUES: Final = 0x80
"""The two highest bits of a byte that is not the first of its character."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, int]).decode


class LedgerColumns(NamedTuple):
    """What a ledger holds, item after item in the order in which they entered.

    Attributes:
        newest_day: in days since 1970.
        levels: (n) int64, in millionths; `NO_NUMBER` where unknown.
        observed: (n) int64, when the last observed level occurred, in microseconds since 1970 UTC.
        days: (n) int32, the newest day of the item's events.
        lengths: (n) uint16, bytes of each key.
        keys: (bytes of all keys) uint8, one key after the other in UTF-8.
    """

    newest_day: int
    levels: NDArray[np.int64]
    observed: NDArray[np.int64]
    days: NDArray[np.int32]
    lengths: NDArray[np.uint16]
    keys: NDArray[np.uint8]

    def sections(self) -> dict[str, Buffer]:
        """Return the ledger's sections; the columns are not copied."""
        columns: tuple[NDArray[Any], ...] = self[1:]
        raw = {name: column.view(np.uint8).data for name, column in zip(COLUMNS, columns, strict=True)}
        return {LEDGER: _encode((self.newest_day, len(self.levels))), **raw}

    def items(self) -> list[str]:
        """Return the keys as text."""
        joined, ends = self.keys.tobytes(), np.cumsum(self.lengths, dtype=np.int64).tolist()
        bounds = pairwise([0, *ends])
        if joined.isascii():
            text = joined.decode()
            return [text[start:end] for start, end in bounds]
        return [joined[start:end].decode() for start, end in bounds]


def ledger_columns(sections: Mapping[str, Buffer]) -> LedgerColumns:
    """Return the columns in a ledger's sections, of which nothing is copied, once all of them have been checked.

    Args:
        sections: one of them is `LEDGER`; those of other names are not looked at.

    Raises:
        ValueError: a section is missing or not of its type.
    """
    try:
        newest_day, count = _decode(sections[LEDGER])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refusal(LEDGER, str(error)) from error
    if not -1 <= newest_day <= _LAST_DAY:
        raise _refusal(LEDGER, f"expected the newest day between -1 and {_LAST_DAY}; found {newest_day}")
    missing = [name for name in COLUMNS if name not in sections]
    if missing:
        raise ValueError(f"expected a section {missing[0]!r} beside {LEDGER!r}; found none")
    columns = LedgerColumns(
        newest_day,
        _column(LEVELS, sections[LEVELS], count),
        _column(OBSERVED, sections[OBSERVED], count),
        _column(DAYS, sections[DAYS], count),
        _column(LENGTHS, sections[LENGTHS], count),
        np.frombuffer(memoryview(sections[KEYS]), np.uint8),
    )
    levels = columns.levels
    if not np.all((levels == NO_NUMBER) | ((levels > -ABSURD) & (levels < ABSURD))):
        raise _refusal(LEVELS, f"expected levels between -{ABSURD} and {ABSURD}; found others")
    if count and not 0 <= int(columns.days.min()) <= int(columns.days.max()) <= newest_day:
        raise _refusal(DAYS, f"expected days from 0 to the newest, {newest_day}; found others")
    _check_keys(columns.keys, columns.lengths)
    return columns


def _column(name: str, section: Buffer, count: int) -> NDArray[Any]:
    kind, view = np.dtype(_KINDS[name]), memoryview(section)
    if view.nbytes != count * kind.itemsize:
        raise _refusal(name, f"expected {count} numbers of {kind.itemsize} bytes; found {view.nbytes} bytes")
    return np.frombuffer(view, kind)


def _check_keys(keys: NDArray[np.uint8], lengths: NDArray[np.uint16]) -> None:
    """Refuse keys that are no text, or do not fill the section, or of which one comes twice."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if total != len(keys):
        raise _refusal(KEYS, f"expected keys of {total} bytes together; found {len(keys)} bytes")
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for start in range(0, total, _DECODED_AT_ONCE):
            decoder.decode(keys[start : start + _DECODED_AT_ONCE].data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _refusal(KEYS, str(error)) from error
    starts = ends - lengths
    if np.any((keys[starts[lengths > 0]] & 0xC0) == _CONTINUES):
        raise _refusal(KEYS, "expected whole characters in each key; found one that two share")
    digests = _digests(keys, starts, lengths)
    ordered = np.sort(digests)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return
    suspects = np.flatnonzero(np.isin(digests, twice)).tolist()  # of one digest, which may be chance
    if len({keys[starts[at] : ends[at]].tobytes() for at in suspects}) < len(suspects):
        raise _refusal(KEYS, "expected each key once; found one twice")


def _digests(keys: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Return a digest (uint64) of each key; equal keys have equal ones, others nearly never."""
    padded = np.zeros(len(keys) + _WORD, np.uint8)
    padded[: len(keys)] = keys
    words: NDArray[np.uint64] = np.ndarray((len(keys) + 1,), "<u8", padded, strides=(1,))  # one from each byte on
    digests = lengths.astype(np.uint64)
    for start in range(0, int(lengths.max(initial=0)), _WORD):
        whole = lengths > start
        unused = np.maximum(start + _WORD - lengths[whole].astype(np.int64), 0).astype(np.uint64) * np.uint64(8)
        word = (words[starts[whole] + start] << unused) >> unused
        mixed = (digests[whole] ^ word) * _MIXES[0]
        digests[whole] = (mixed ^ (mixed >> _SHIFT)) * _MIXES[1]
    return digests


def _refusal(name: str, what: str) -> ValueError:
    return ValueError(f"section {name!r} is not of its type: {what}")
