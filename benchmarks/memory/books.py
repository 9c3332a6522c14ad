"""Events of a shop whose books are right, made fast enough that ten million take a minute or two."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STORE_ITEMS: Final = 1_000
_SKU: Final = 4_000_000_000_000
KEY_BYTES: Final = 18
"""Of an item in the ledger: a store of four digits, a separator, and an article number of thirteen."""

_OPENS: Final = datetime(2026, 1, 2, tzinfo=UTC)
_EVENTS_A_SECOND: Final = 20  # of event time: ten million are less than six days, so no item leaves the state
_DELIVERY: Final = 50
_DRAWN: Final = 10_000
_VALUE: Final = (
    b'{"transaction_id":"%d","store_id":"%04d","sku":"%d","line_id":null,"quantity":%d,"transaction_type":"%s",'
    b'"unit_cost":1.25,"occurred_at":"%s","new_stock_level":%d}'
)


class Order(NamedTuple):
    """Events that are wanted.

    Attributes:
        items: there are so many by then.
        events: so many of items drawn at random; 0 for one delivery to each new item instead, in their order.
    """

    items: int
    events: int


class Made(NamedTuple):
    """One record: key, value, and Kafka timestamp in milliseconds."""

    key: bytes
    value: bytes
    timestamp_ms: int


class Books:
    """Makes events; the same orders give the same events again.

    Args:
        seed: of what is sold.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._levels = array("q")
        self._number = 0

    def made(self, order: Order) -> Iterator[Made]:
        """Yield the events of an order: valid, distinct, in time, each with its level.

        Raises:
            ValueError: items are to be drawn that no event has named yet.
        """
        if order.events:
            if not 0 < order.items <= len(self._levels):
                raise ValueError(f"expected items of which there are {len(self._levels)}, got {order.items}")
            return self._events(self._drawn(order))
        new = range(len(self._levels), order.items)
        self._levels.extend([0] * len(new))
        return self._events(new)

    def _drawn(self, order: Order) -> Iterator[int]:
        items = range(order.items)
        for start in range(0, order.events, _DRAWN):
            yield from self._rng.choices(items, k=min(_DRAWN, order.events - start))

    def _events(self, items: Iterable[int]) -> Iterator[Made]:
        levels, occurred_at, timestamp_ms = self._levels, b"", 0
        for item in items:
            number = self._number
            if not occurred_at or not number % _EVENTS_A_SECOND:
                moment = _OPENS + timedelta(seconds=number // _EVENTS_A_SECOND)
                occurred_at = moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
                timestamp_ms = int(moment.timestamp()) * 1000
            self._number = number + 1
            store, article = divmod(item, _STORE_ITEMS)
            quantity, kind = (-(number % 3) - 1, b"sale") if levels[item] >= 3 else (_DELIVERY, b"receipt")
            levels[item] = level = levels[item] + quantity
            sku = _SKU + article
            value = _VALUE % (number, store, sku, quantity, kind, occurred_at, level)
            yield Made(b"%04d:%d" % (store, sku), value, timestamp_ms)
