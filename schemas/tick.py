"""The tick: a record of the input that says only what time it is, so that a quiet partition's days close too.

Its value is JSON of one field, `{"tick":"2026-01-01T00:00:00Z"}`, written so, without spaces; its key is of no meaning.
It teaches nothing and publishes nothing of its own.
"""

from __future__ import annotations

from typing import Final

from schemas.transaction import parse_moment

_BEGIN: Final = b'{"tick":"'
_END: Final = b'"}'
_MOST_BYTES: Final = 64


def encode_tick(moment: str) -> bytes:
    """Return the value of a tick at an RFC 3339 date-time with an offset.

    Raises:
        ValueError: the text is none.
    """
    parse_moment(moment)
    return _BEGIN + moment.encode() + _END


def decode_tick(value: bytes | None) -> int | None:
    """Return the time that a tick tells, in microseconds since 1970 UTC; None where the value is no tick."""
    if value is None or not value.startswith(_BEGIN) or len(value) > _MOST_BYTES or not value.endswith(_END):
        return None
    try:
        return parse_moment(value[len(_BEGIN) : -len(_END)].decode()).us
    except ValueError:
        return None
