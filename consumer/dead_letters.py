"""Dead letters as operators read them: what the headers say, which are asked for, and what is sent back of one.

The dead-letter topic is untrusted input: whoever may write to it chooses its headers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from consumer.errors import SettingsError
from schemas.dead_letter import Reason
from schemas.transaction import parse_moment

if TYPE_CHECKING:
    from consumer.record import Record
    from schemas.dead_letter import Headers

REDRIVE_HEADER: Final = "redrive.of"
"""On a redriven record: which refused record it repeats, as `topic:partition:offset`. So the log is the memory of
what was redriven; and where a letter is there twice (at_least_once, or another group's), both name the same."""

_NUMBER: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_TIMESTAMP: Final = re.compile(rb"-1|[0-9]{1,18}").fullmatch
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhdw])").fullmatch
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Origin(msgspec.Struct, frozen=True):
    """What a dead letter's `error.*` headers say of the original record.

    Attributes:
        reason: why it was refused; not necessarily a word of this version's vocabulary.
        timestamp_ms: the original's Kafka timestamp, -1 where it had none.
        attempts: how often the event has been refused.
    """

    reason: str
    message: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    attempts: int


class Letter(msgspec.Struct, frozen=True):
    """One record of the dead-letter topic.

    Attributes:
        record: the record itself; its key, value and other headers are the original's.
        origin: None where the `error.*` headers are missing or damaged: then it is no dead letter of a worker's.
    """

    record: Record
    origin: Origin | None

    @property
    def reason(self) -> str:
        """The reason, a question mark where there is none to be read."""
        return "?" if self.origin is None else self.origin.reason


def read_letter(record: Record) -> Letter:
    """Read a record of the dead-letter topic."""
    return Letter(record, _origin(record.headers))


def _origin(headers: Headers | None) -> Origin | None:
    """Read the `error.*` headers; of several of one name the last counts."""
    found = {name: value for name, value in headers or () if value is not None}
    try:
        partition, offset, attempts = (found[f"error.{name}"] for name in ("partition", "offset", "attempts"))
        timestamp = found["error.timestamp"]
        texts = [found[f"error.{name}"].decode() for name in ("reason", "message", "topic")]
    except (KeyError, UnicodeDecodeError):
        return None
    if not (_NUMBER(partition) and _NUMBER(offset) and _NUMBER(attempts) and _TIMESTAMP(timestamp)):
        return None
    return Origin(texts[0], texts[1], texts[2], int(partition), int(offset), int(timestamp), int(attempts))


def refused_record(origin: Origin) -> bytes:
    """Return the name of the record that a letter was made of, as `redrive.of` has it."""
    return f"{origin.topic}:{origin.partition}:{origin.offset}".encode()


def redriven_headers(headers: Headers | None, origin: Origin) -> Headers:
    """Return the headers with which a letter goes back: the original's, its attempts, and what it repeats."""
    kept = [(name, value) for name, value in headers or () if not name.startswith("error.") and name != REDRIVE_HEADER]
    return [*kept, ("error.attempts", str(origin.attempts).encode()), (REDRIVE_HEADER, refused_record(origin))]


def repeated_record(headers: Headers | None) -> bytes | None:
    """Return the name of the refused record that a redriven one repeats, None where it was not redriven."""
    found = None
    for name, value in headers or ():
        if name == REDRIVE_HEADER:
            found = value
    return found


class Selection(msgspec.Struct, frozen=True):
    """Which letters are asked for.

    Attributes:
        reasons: any of these, None for all.
        since_ms: whose own Kafka timestamp is not before this, None for all.
    """

    reasons: frozenset[str] | None = None
    since_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is asked for."""
        if self.reasons is not None and letter.reason not in self.reasons:
            return False
        return self.since_ms is None or letter.record.timestamp_ms >= self.since_ms


def selection(reasons: list[str], since: str | None, now_ms: int) -> Selection:
    """Read the options `--reason` and `--since`.

    Raises:
        SettingsError: a reason outside the vocabulary, or no time.
    """
    vocabulary = [reason.value for reason in Reason]
    for reason in reasons:
        if reason not in vocabulary:
            raise SettingsError(f"--reason {reason!r}: expected one of {', '.join(vocabulary)}")
    return Selection(frozenset(reasons) or None, None if since is None else _since_ms(since, now_ms))


def _since_ms(text: str, now_ms: int) -> int:
    duration = _DURATION(text)
    if duration:
        return now_ms - int(duration[1]) * _SECONDS[duration[2]] * 1_000
    try:
        return -(-parse_moment(text).us // 1_000)  # upwards: a letter of the millisecond before is not since then
    except (ValueError, OverflowError):
        raise SettingsError(
            f"--since {text!r}: expected a duration such as 30m, 2h or 7d, or an RFC 3339 date-time such as "
            "2026-03-01T06:00:00Z"
        ) from None
