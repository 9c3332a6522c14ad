"""What would not fit into the output topics: decided before learning, by the record alone.

The broker judges a record as the producer compressed it; a dead letter and a prediction are sent anew, with headers
of their own, and whether they fit must not depend on how well they compress here. So sizes are counted uncompressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.dead_letter import InvalidEvent, Reason, headers_size

if TYPE_CHECKING:
    from consumer.record import Record
    from schemas.transaction import Event

INPUT_MESSAGE_BYTES: Final = 1_048_588
"""Apache Kafka's default for a topic's `max.message.bytes`."""

OUTPUT_MARGIN_BYTES: Final = 32 * 1024
"""How much larger than the input's limit a dead letter or a prediction may be: half of the output topics' headroom."""

MAX_OUTPUT_BYTES: Final = INPUT_MESSAGE_BYTES + OUTPUT_MARGIN_BYTES

OWN_BYTES: Final = 2_048
"""More than a prediction's field names and numbers, or a dead letter's `error.*` headers, ever take."""

HEADER_BYTES: Final = 10
"""What Kafka adds to a header's name and value: their lengths, of up to 5 bytes each. Half a million empty headers
compress to nothing on their way in, and are a megabyte on their way out."""


def is_letter_too_large(record: Record, limit: int) -> bool:
    """Tell whether a record would not fit as a dead letter: its key, value and headers, and those that say why."""
    headers = record.headers or ()
    size = len(record.key or b"") + len(record.value or b"") + headers_size(headers) + HEADER_BYTES * len(headers)
    return size + OWN_BYTES > limit


def check_prediction(record: Record, event: Event, limit: int) -> None:
    """Refuse an event whose prediction would not fit: the record's key, and what it repeats of the event.

    Where key, value and `OWN_BYTES` are within the limit it fits: what JSON needs for the echoed texts stood in the
    value already.

    Raises:
        InvalidEvent: so it is.
    """
    key_bytes = len(record.key or b"")
    echoed = (event.transaction_id, event.store_id, event.sku, event.line_id or "", event.occurred_at)
    # A quote or a backslash takes two bytes in JSON; other characters of an id take what they take in UTF-8.
    texts = sum(len(text.encode()) + text.count('"') + text.count("\\") for text in echoed)
    if key_bytes + texts + OWN_BYTES > limit:
        raise InvalidEvent(Reason.TOO_LARGE)
