"""The stock prediction: the output contract, version 1, and its encoder."""

from __future__ import annotations

from typing import Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field


class StockPrediction(BaseModel):
    """What the worker publishes for one stock transaction: deterministic to the byte, no clock in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transaction_id: str
    store_id: str
    sku: str
    line_id: str | None
    occurred_at: str = Field(description="As the event wrote it.")
    level_before: float | None = Field(description="The ledger's level before this transaction, in units.")
    predicted_stock_level: float | None = Field(
        description="The level expected right after this transaction; null if not finite or unknown."
    )
    observed_stock_level: float | None = Field(description="The event's new_stock_level.")
    discrepancy: float | None = Field(
        description="observed - (level_before + quantity); 0 below 0.0005; null where either is unknown, or late."
    )
    is_late: bool = Field(description="The event is older than the item's last observed level.")
    model_id: str = Field(description="The first 12 hexadecimal digits of the model's fingerprint.")
    events_learned: int = Field(description="Events that the predicting model had learned from before this one.")
    source_partition: int
    source_offset: int


class Prediction(msgspec.Struct, gc=False):
    """The same fields in the same order (tested) as a plain struct: built and encoded in 0.5 µs for every record."""

    transaction_id: str
    store_id: str
    sku: str
    line_id: str | None
    occurred_at: str
    level_before: float | None
    predicted_stock_level: float | None
    observed_stock_level: float | None
    discrepancy: float | None
    is_late: bool
    model_id: str
    events_learned: int
    source_partition: int
    source_offset: int


encode_prediction: Final = msgspec.json.Encoder().encode
"""Encode a `Prediction` as JSON, in the order of its fields, numbers in their shortest form."""
