"""Events to try a model with, a small shop's and the ends of what the contract allows; and what it predicts."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.learning.features import FEATURE_NAMES, Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumer.learning.regressor import Regressor

EVENTS: Final = 600
"""How many events the small shop has: a HoeffdingTree first thinks of splitting a leaf after 200."""

_ITEMS: Final = 7
_SALES: Final = (1, 1, 1, 2, 3, 12)


class Sample(NamedTuple):
    """The base features of an event, and the level after it."""

    features: Features
    level: float


def _sample(*values: float) -> Sample:
    *features, level = values
    return Sample(dict(zip(FEATURE_NAMES, features, strict=True)), level)


EXTREMES: Final = (
    _sample(0.0, 0, 1, 2000, 0, 0.0, 0.0),
    _sample(1e6, 6, 12, 9999, 1, 1e6, 1e9),
    _sample(1e6, 6, 12, 9999, 0, 1e6, -1e9),
    _sample(1e-6, 0, 1, 2000, 1, 1e-6, 1e9),
    _sample(0.0, 3, 6, 9999, 0, 1e6, -1e9),
    _sample(1e6, 3, 6, 2000, 1, 0.0, 0.0),
)
"""The ends of what the contract allows: quantity, day of week, month, year, sale or not, unit cost; and the level."""


def typical_samples() -> Iterator[Sample]:
    """Return the small shop's events, the same each time: mostly single sales, now and then a restock, a New Year."""
    levels = [40.0] * _ITEMS
    state = 1

    def below(bound: int) -> int:
        nonlocal state  # Knuth's linear congruential generator: the core has no other chance
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (state >> 33) % bound

    for number in range(EVENTS):
        item, day = below(_ITEMS), number // 2
        is_sale = levels[item] > 0 and below(10) > 0
        quantity = float(_SALES[below(len(_SALES))] if is_sale else 20 + below(80))
        levels[item] += -quantity if is_sale else quantity
        month, year = 1 + day // 21 % 12, 2017 + day // 252
        yield _sample(quantity, day % 7, month, year, int(is_sale), 0.5 + item * 1.25, levels[item])


def predictions(
    model: Regressor,
    samples: Sequence[Sample],
    between: Callable[[int, Regressor], Regressor] = lambda _, model: model,
) -> list[bytes]:
    """Predict and learn; return the bits of the predictions.

    Args:
        model: learns.
        samples: what it learns from.
        between: of (events so far less one, model), after each event; the returned model goes on.
    """
    predicted = []
    for number, (features, level) in enumerate(samples):
        given = features.copy()  # one dictionary for both verbs, as in the worker
        predicted.append(struct.pack("<d", model.predict_one(given)))
        model.learn_one(given, level)
        model = between(number, model)
    return predicted


def predictions_digest(factory: Callable[[], Regressor]) -> str:
    """Return a digest of the bits of all predictions for typical events, to compare processes by."""
    return sha256(b"".join(predictions(factory(), list(typical_samples())))).hexdigest()
