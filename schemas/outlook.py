"""The stock outlook: what is published of each item when its day closes, by `store_id:sku` into a compacted topic.

docs/outlook.md has the formulas.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy"]


class Horizon(msgspec.Struct, gc=False):
    """What the next days bring, in units; null where it needs a level that is not known.

    Attributes:
        days: how many, from the day after `as_of`.
    """

    days: int
    demand_mean: float
    demand_median: float
    demand_lower_80: float
    demand_upper_80: float
    demand_lower_95: float
    demand_upper_95: float
    projected_stock: float | None
    projected_lower_80: float | None
    projected_upper_80: float | None
    projected_lower_95: float | None
    projected_upper_95: float | None
    stockout_probability: float | None


class StockOutlook(msgspec.Struct, gc=False):
    """The latest outlook of one item, in the order of its fields as JSON.

    Attributes:
        as_of: the closed day, of the store's own calendar, as an ISO date.
        on_hand: the item's level when the day was closed.
        discrepancy: what observed levels have differed from the books' since the item's last count.
        source_offset: of the record that began the day's close.
    """

    store_id: str
    sku: str
    as_of: str
    on_hand: float | None
    horizons: list[Horizon]
    days_of_supply: int | None
    stockout_date: str | None
    stockout_earliest: str | None
    stockout_latest: str | None
    safety_stock: float
    reorder_point: float
    suggested_order_quantity: float | None
    demand_class: DemandClass
    observations: int
    is_cold_start: bool
    demand_censored: bool
    discrepancy: float
    model_id: str
    source_partition: int
    source_offset: int


encode_outlook: Final = msgspec.json.Encoder().encode
