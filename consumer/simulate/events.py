"""The shop event: one Kafka record of the input topic, before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

KeyBy = Literal["store", "item"]
"""What keys a record: `store_id`, or `store_id:sku`. One topic holds one form only, else items lose their ledger."""

GOOD: Final = "event"
REPEAT: Final = "repeat"
LATE: Final = "late"
INVALID_PREFIX: Final = "invalid:"


@dataclass(frozen=True, slots=True)
class ShopEvent:
    """One record as a point-of-sale system would produce it.

    Attributes:
        key: the record's key in UTF-8, never empty.
        value: the record's value, contract JSON in a good event; None is a tombstone.
        timestamp_ms: the record's Kafka timestamp, milliseconds since 1970 UTC.
        kind: what the event is for a reader of the report: "event" (good), "late" (good, but sent after a later one
            of its item), "repeat", or "invalid:<name>".
    """

    key: bytes
    value: bytes | None
    timestamp_ms: int
    kind: str


def good_event(  # noqa: PLR0913 -- one parameter for each field of the contract
    *,
    key_by: KeyBy,
    timestamp_ms: int,
    transaction_id: str,
    store_id: str,
    sku: str,
    line_id: str | None,
    quantity: int | None,
    transaction_type: str,
    unit_cost: float | None,
    occurred_at: str,
    new_stock_level: int | None,
) -> ShopEvent:
    """Return a valid event with the contract's fields in the contract's order.

    The caller vouches for the values: nothing is validated here, a million times over. A `unit_cost` that is NaN
    becomes null, because the encoder writes it so.
    """
    value = msgspec.json.encode(
        {
            "transaction_id": transaction_id,
            "store_id": store_id,
            "sku": sku,
            "line_id": line_id,
            "quantity": quantity,
            "transaction_type": transaction_type,
            "unit_cost": unit_cost,
            "occurred_at": occurred_at,
            "new_stock_level": new_stock_level,
        }
    )
    key = store_id if key_by == "store" else f"{store_id}:{sku}"
    return ShopEvent(key.encode(), value, timestamp_ms, GOOD)
