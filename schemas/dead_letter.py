"""The dead letter: why an event was refused, said in a fixed vocabulary.

A dead letter is the original record, byte for byte (key, value, headers), with string headers that name the reason.
Messages come from the fixed templates below and never hold a value from the event, so that nothing private or hostile
reaches a log or a dashboard through them.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Headers = list[tuple[str, bytes | None]]

UNREADABLE_HEADERS: Final[Headers] = [("unreadable-headers", None)]
"""In place of the headers of a record one of whose names is no UTF-8: the Kafka client reads none of them then."""


class Reason(StrEnum):
    """Why an event was refused. The first rule that it breaks counts, in the order of this list.

    But for `too_large`: a record that would not fit as a dead letter is that, whatever else it breaks.
    """

    EMPTY_VALUE = "empty_value"
    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    COUNT_WITHOUT_LEVEL = "count_without_level"
    SIGN_CONTRADICTS_TYPE = "sign_contradicts_type"
    OCCURRED_AT_OUT_OF_RANGE = "occurred_at_out_of_range"
    TOO_LARGE = "too_large"
    CONFLICTING_REPEAT = "conflicting_repeat"
    BROKE_MODEL = "broke_model"


MESSAGES: Final[dict[Reason, str]] = {
    Reason.EMPTY_VALUE: "The record has no value; a JSON object was expected.",
    Reason.NOT_JSON: "The value is not a JSON object in UTF-8.",
    Reason.MISSING_FIELD: "Field {field} is missing; it is required.",
    Reason.INVALID_FIELD: "Field {field} must be {expected}.",
    Reason.COUNT_WITHOUT_LEVEL: "A count must carry new_stock_level: it sets the level.",
    Reason.SIGN_CONTRADICTS_TYPE: "The sign of quantity contradicts transaction_type: sale, waste and transfer_out "
    "take stock away (at most 0); return, receipt and transfer_in bring it (at least 0).",
    Reason.OCCURRED_AT_OUT_OF_RANGE: "Field occurred_at lies before the year 2000 or too far ahead of the record's "
    "own Kafka timestamp.",
    Reason.CONFLICTING_REPEAT: "An event of the same store_id, transaction_id, sku and line_id came before with other "
    "content.",
    Reason.TOO_LARGE: "The record would not fit into the dead-letter or the prediction topic; its key, value and "
    "headers are left out here and stay in the input topic, at error.partition and error.offset.",
    Reason.BROKE_MODEL: "The event would have left a number in the model's state that is not finite; the model is as "
    "it was before.",
}
"""The text of `error.message` by reason; `{field}` and `{expected}` are filled from the contract, never the event."""

EXPECTED: Final[dict[str, str]] = {
    "transaction_id": "a string of 1 to 128 characters without control characters, or an integer",
    "store_id": "a string of 1 to 64 characters without control characters, or an integer",
    "sku": "a string of 1 to 64 characters without control characters, or an integer",
    "line_id": "a string without control characters, an integer, or null",
    "quantity": "a finite number within the bound on its size and with at most 6 decimals; null only in a count",
    "transaction_type": "a string or null",
    "unit_cost": "a finite number from 0 to 1000000, or null",
    "occurred_at": "an RFC 3339 date-time with an offset, as a string",
    "new_stock_level": "a finite number of at most 1000000000 in size and with at most 6 decimals, or null",
    "corrects": "a string without control characters, an integer, or null",
}
"""What the contract expects of each field, in the table's order."""


class InvalidEvent(Exception):  # noqa: N818 -- it names the event, not an error of ours
    """An event breaks the contract; it belongs in the dead letters."""

    def __init__(self, reason: Reason, field: str | None = None) -> None:
        super().__init__(reason, field)
        self.reason = reason
        self.field = field

    @property
    def message(self) -> str:
        """The text for `error.message`: from the fixed templates, without any value of the event."""
        template = MESSAGES[self.reason]
        return template if self.field is None else template.format(field=self.field, expected=EXPECTED[self.field])


def dead_letter_headers(  # noqa: PLR0913 -- one parameter for each header of the contract
    original: Iterable[tuple[str, bytes | None]] | None,
    *,
    invalid: InvalidEvent,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
) -> Headers:
    """Return the original headers, `error.*` ones replaced, followed by the contract's `error.*` headers.

    `error.timestamp` is the original record's Kafka timestamp in milliseconds, never a clock: dead letters are
    compared byte by byte. `error.attempts` counts how often the event has been refused, redrives included.
    """
    kept: Headers = []
    attempts = 1
    for name, value in original or ():
        if name == "error.attempts":
            attempts = _attempts(value) + 1
        elif not name.startswith("error."):
            kept.append((name, value))
    texts: Sequence[tuple[str, str]] = (
        ("error.reason", invalid.reason.value),
        ("error.message", invalid.message),
        ("error.topic", topic),
        ("error.partition", str(partition)),
        ("error.offset", str(offset)),
        ("error.timestamp", str(timestamp_ms)),
        ("error.attempts", str(attempts)),
    )
    return kept + [(name, text.encode()) for name, text in texts]


def size_headers(
    key: bytes | None, value: bytes | None, original: Iterable[tuple[str, bytes | None]] | None
) -> Headers:
    """Return what a `too_large` dead letter has in place of its key, value and headers: their sizes, and SHA-256.

    Sizes are in bytes, uncompressed; the digest is that of the value, hexadecimal, by which the original can be told.
    """
    texts = (
        ("error.size.key", str(len(key or b""))),
        ("error.size.value", str(len(value or b""))),
        ("error.size.headers", str(headers_size(original))),
        ("error.sha256", sha256(value or b"").hexdigest()),
    )
    return [(name, text.encode()) for name, text in texts]


def headers_size(headers: Iterable[tuple[str, bytes | None]] | None) -> int:
    """Return the bytes of all names and values."""
    return sum(len(name.encode()) + len(value or b"") for name, value in headers or ())


def _attempts(value: bytes | None) -> int:
    """Read an `error.attempts` header that anyone may have written; what is no small number counts as 0."""
    if value is None or not value.isdigit() or len(value) > 6:  # noqa: PLR2004 -- a bound on untrusted digits
        return 0
    return int(value)
