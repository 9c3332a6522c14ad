"""What is kept of each item, in columns: one row an item, arrays that double when they are full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.outlook.horizons import LONGEST, PENDING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FADES: Final = (0.99, 0.997, 0.975)
"""What a day's demand counts a day later in an item's levels: the first is the one that items lend one another."""
EXPERTS: Final = ("level", "slow", "fast", "tsb", "river")

_FIELDS: Final[Mapping[str, tuple[Any, tuple[int, ...]]]] = {
    "store": (np.int64, ()),
    "article": (np.int64, ()),
    "first": (np.int32, ()),  # the first day with demand; NOT_YET before it
    "closed": (np.int32, ()),  # the last day that was closed
    "on_hand": (np.int64, ()),  # the level after the item's last event, in millionths; NO_NUMBER where unknown
    "discrepancy": (np.int64, ()),  # of observed levels from the books' since the last count, added up, in millionths
    "whole": (np.bool_, ()),  # all demand so far was of whole units
    "open": (np.int64, (2,)),  # demand of the two days after `closed`, in millionths
    "empty": (np.uint8, (2,)),  # EMPTY and SOLD of these two days
    "censored": (np.uint32, ()),  # of the last 28 days, today's the lowest bit, those with an empty shelf
    "demand": (np.float64, (len(FADES),)),  # faded sums of demand
    "days": (np.float64, (len(FADES),)),  # faded sums of the days, as multiples of the average day
    "chance": (np.float64, ()),  # TSB: of demand on a day
    "size": (np.float64, ()),  # TSB: of demand on a day with some
    "errors": (np.float64, (2,)),  # faded sums: squared errors of the next day's mean, and these means
    "recent": (np.float64, (LONGEST,)),  # demand of the last days, at the day's number modulo 28
    "means": (np.float32, (PENDING,)),  # forecast means, each horizon's at the origin's number modulo its days
    "ahead": (np.float32, (PENDING,)),  # likewise, the days of the horizon as multiples of the average day
    "levels": (np.float32, (LONGEST, len(EXPERTS) - 1)),  # experts' levels, at the origin's number modulo 28
    "river": (np.float32, (PENDING,)),  # the River expert's means
    "classes": (np.uint8, (PENDING,)),  # of the forecasts
    "level": (np.float64, ()),  # the first expert's
    "next_mean": (np.float64, ()),  # the mean of the next day
}
NOT_YET: Final = 2**31 - 1
NO_NUMBER: Final = -(2**63)
"""As in consumer.learning.columns, which this package may not import: consumer.learning imports it."""
EMPTY: Final = 1
"""The shelf was empty at some moment of the day."""
SOLD: Final = 2
"""Something was sold from an empty shelf: the books are wrong, not the shelf empty."""

BYTES: Final = sum(np.dtype(kind).itemsize * int(np.prod(shape, dtype=np.int64)) for kind, shape in _FIELDS.values())
"""Bytes of an item, pending forecasts included."""


class Items:
    """The items of one partition, numbered in the order in which they came."""

    store: NDArray[np.int64]
    article: NDArray[np.int64]
    first: NDArray[np.int32]
    closed: NDArray[np.int32]
    on_hand: NDArray[np.int64]
    discrepancy: NDArray[np.int64]
    whole: NDArray[np.bool_]
    open: NDArray[np.int64]
    empty: NDArray[np.uint8]
    censored: NDArray[np.uint32]
    demand: NDArray[np.float64]
    days: NDArray[np.float64]
    chance: NDArray[np.float64]
    size: NDArray[np.float64]
    errors: NDArray[np.float64]
    recent: NDArray[np.float64]
    means: NDArray[np.float32]
    ahead: NDArray[np.float32]
    levels: NDArray[np.float32]
    river: NDArray[np.float32]
    classes: NDArray[np.uint8]
    level: NDArray[np.float64]
    next_mean: NDArray[np.float64]

    def __init__(self) -> None:
        self._count = 0
        self._room = 0
        for name, (kind, shape) in _FIELDS.items():
            setattr(self, name, np.zeros((0, *shape), kind))

    def __len__(self) -> int:
        return self._count

    def add(self, stores: NDArray[np.int64], articles: NDArray[np.int64], closed: int) -> NDArray[np.int64]:
        """Let new items in, whose days up to `closed` are over; return their numbers."""
        begin, end = self._count, self._count + len(stores)
        if end > self._room:
            self._room = max(2 * self._room, end, 1024)
            for name, (kind, shape) in _FIELDS.items():
                grown = np.zeros((self._room, *shape), kind)
                grown[:begin] = getattr(self, name)[:begin]
                setattr(self, name, grown)
        self._count = end
        new = np.arange(begin, end)
        self.store[new], self.article[new], self.closed[new] = stores, articles, closed
        self.first[new], self.whole[new], self.on_hand[new] = NOT_YET, True, NO_NUMBER
        return new

    def keep(self, staying: NDArray[np.bool_]) -> None:
        """Let the others leave; those that stay keep their order and are numbered anew."""
        for name in _FIELDS:
            setattr(self, name, getattr(self, name)[: self._count][staying])
        self._count = self._room = len(self.store)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state, by columns."""
        return {name: getattr(self, name)[: self._count].copy() for name in _FIELDS}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `snapshot` returned."""
        self._count = self._room = len(state["store"])
        for name in _FIELDS:
            setattr(self, name, state[name].copy())
