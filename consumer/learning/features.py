"""The base features of a stock transaction, exactly those of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.transaction import parse_moment

if TYPE_CHECKING:
    from schemas.transaction import Event, Moment, StockTransaction

Features = dict[str, float]

FEATURE_NAMES: Final = ("quantity", "day_of_week", "month", "year", "is_sale", "unit_cost")


def get_features(transaction: StockTransaction) -> Features:
    """Return the base features, in the order of `FEATURE_NAMES`.

    `quantity` is the size in units (a null quantity counts as 0); `day_of_week` (Monday 0), `month` and `year` are
    those of `occurred_at` in its own offset; `is_sale` is 1 where stock leaves the shelf; `unit_cost` is 0.0 where
    unknown.

    Raises:
        ValueError: `occurred_at` names a day or time that does not exist (the decoder refuses such an event first).
    """
    return features_at(transaction, parse_moment(transaction.occurred_at))


def features_of(event: Event) -> Features:
    """Return the base features of an event, whose moment has mostly been read already."""
    return get_features(event) if event.moment is None else features_at(event, event.moment)


def features_at(transaction: StockTransaction, moment: Moment) -> Features:
    """Return the base features of a transaction whose moment has been read already.

    `consumer.learning.arrays.feature_rows` has them for many at once.
    """
    quantity = transaction.quantity or 0.0
    return {
        "quantity": abs(quantity),
        "day_of_week": moment.day_of_week,
        "month": moment.month,
        "year": moment.year,
        "is_sale": 1 if quantity < 0 else 0,
        "unit_cost": transaction.unit_cost or 0.0,
    }
