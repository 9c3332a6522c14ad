"""What the outlook has said, as it is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.outlook.calendar import date_of
from consumer.outlook.horizons import HORIZONS, LOWER80, LOWER95, MEDIAN, UPPER80, UPPER95
from consumer.outlook.stock import DEMAND_CLASSES, NEVER
from schemas.outlook import Horizon, StockOutlook, encode_outlook
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from consumer.learning.shelf_feed import Said

_PLACES: Final = 10_000.0
"""Forecasts are published to a ten-thousandth of a unit: what lies below is no knowledge."""
_BOUNDS: Final = (MEDIAN, LOWER80, UPPER80, LOWER95, UPPER95)


def outlooks_of(said: Iterable[Said], model_id: str, partition: int) -> tuple[list[bytes | None], list[bytes | None]]:
    """Return keys and values of what was said, in its order; an item that has left has a null value.

    Args:
        said: of a partition.
        model_id: the model's.
        partition: the input partition.
    """
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    for each in said:
        keys += [item.replace("\x1f", ":").encode() for item in each.keys]
        if each.stock is None:
            values += [None] * len(each.keys)
        else:
            values += _values(each, model_id, partition)
    return keys, values


def _values(said: Said, model_id: str, partition: int) -> list[bytes]:
    stock, closed = said.stock, said.closed
    if stock is None or closed is None:
        raise AssertionError("what is said of items that stay has a close")
    as_of = date_of(stock.day).isoformat()
    means, quantiles = _rounded(closed.means), _rounded(closed.quantiles)
    projected, bounds = _rounded(stock.projected), _rounded(stock.projected_quantiles)
    chances = _rounded(stock.stockout_probability)
    single = zip(
        said.keys,
        _rounded(stock.on_hand).tolist(),
        stock.days_of_supply.tolist(),
        stock.stockout_day.tolist(),
        stock.stockout_earliest.tolist(),
        stock.stockout_latest.tolist(),
        _rounded(stock.safety_stock).tolist(),
        _rounded(stock.reorder_point).tolist(),
        stock.order_quantity.tolist(),
        stock.demand_class.tolist(),
        stock.observations.tolist(),
        stock.is_cold_start.tolist(),
        stock.demand_censored.tolist(),
        said.discrepancies.tolist(),
        strict=True,
    )
    horizons = [
        np.stack([means[at], *quantiles[list(_BOUNDS), at], projected[at], *bounds[list(_BOUNDS[1:]), at], chances[at]])
        .T.tolist()
        for at in range(len(HORIZONS))
    ]  # fmt: skip
    found = []
    for place, (
        key,
        on_hand,
        supply,
        day,
        earliest,
        latest,
        safety,
        point,
        order,
        kind,
        seen,
        cold,
        hidden,
        off,
    ) in enumerate(single):
        store_id, _, sku = key.partition("\x1f")
        found.append(
            encode_outlook(
                StockOutlook(
                    store_id,
                    sku,
                    as_of,
                    _known(on_hand),
                    [
                        Horizon(days, *rows[place][:6], *map(_known, rows[place][6:]))
                        for days, rows in zip(HORIZONS, horizons, strict=True)
                    ],
                    None if supply == NEVER else supply,
                    _date(day),
                    _date(earliest),
                    _date(latest),
                    safety,
                    point,
                    _known(order),
                    DEMAND_CLASSES[kind],
                    seen,
                    cold,
                    hidden,
                    off / MILLION,
                    model_id,
                    partition,
                    said.begun_at,
                )
            )
        )
    return found


def _rounded(values: NDArray[np.float64]) -> NDArray[Any]:
    return np.rint(values * _PLACES) / _PLACES


def _known(value: float) -> float | None:
    """Return null for what is not known, which stands as not a number."""
    return None if value != value else value  # noqa: PLR0124


def _date(day: int) -> str | None:
    return None if day == NEVER else date_of(day).isoformat()
