"""Experts mixed online: for each horizon the weights under which their past forecasts would have erred least.

Weights are positive and add to 1, and no expert's falls below a floor, so that one that was wrong for long is heard
again once it is right. They minimise the faded sum of squared scaled errors, w'Gw with G the experts' error products:
unlike exponential weights this sees which experts err together (Bates and Granger 1969, with the simplex for a bound).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.outlook.horizons import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FLOOR: Final = 0.01
FADE: Final = 0.99
"""What an error counts a day later: a hundred days of memory."""
FIRST_DAYS: Final = 0.5
"""Horizons of days after which half of the weight is free: errors of days that overlap are not that many."""
_SWEEPS: Final = 8
_MOST: Final = 8.0
_STEPS: Final = 1024
_BEFORE: Final = 1.0
"""Squared error of each expert, without the others, before there is any."""


class Mixture:
    """The weights of some experts, for each horizon.

    Args:
        experts: how many there are; the first is trusted until there is anything to go by.

    Attributes:
        weights: in force until the next `fold`, shape (horizons, experts).
    """

    def __init__(self, experts: int) -> None:
        self._free = np.full((len(HORIZONS), experts), 1.0 / experts)
        self.weights = np.zeros((len(HORIZONS), experts))
        self.weights[:, 0] = 1.0
        self._products = np.zeros((len(HORIZONS), experts, experts))
        self._fresh = np.zeros((len(HORIZONS), experts, experts), np.int64)
        self._days = np.zeros(len(HORIZONS))

    def add(self, horizon: int, errors: NDArray[np.float64]) -> None:
        """Take how far the experts were off, in units of each item's scale; it counts from the next `fold` on.

        Args:
            horizon: index into HORIZONS.
            errors: shape (experts, items).
        """
        whole = np.rint(np.clip(errors, -_MOST, _MOST) * _STEPS).astype(np.int64)
        self._fresh[horizon] += np.einsum("ki,li->kl", whole, whole)

    def fold(self, days: int) -> None:
        """Let so many days fade, take what was added, and weigh anew."""
        for _ in range(days):
            self._products *= FADE
            self._days *= FADE
        self._products += self._fresh / _STEPS**2
        self._days += self._fresh[:, 0, 0] > 0
        self._fresh[:] = 0
        for number, horizon in enumerate(HORIZONS):
            found = _descend(self._free[number], self._products[number])
            share = self._days[number] / (self._days[number] + FIRST_DAYS * horizon)
            self.weights[number] = share * found
            self.weights[number, 0] += 1.0 - share

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return the state."""
        return {
            "weights": self.weights.copy(),
            "free": self._free.copy(),
            "days": self._days.copy(),
            "products": self._products.copy(),
            "fresh": self._fresh.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `snapshot` returned."""
        self.weights, self._free, self._days = (state[name].copy() for name in ("weights", "free", "days"))
        self._products, self._fresh = state["products"].copy(), state["fresh"].copy()


def _descend(weights: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move weight between each two experts to where the error is least; a convex sum, so this ends at its least."""
    experts = len(weights)
    errors = [[float(value) for value in row] for row in products]
    for number in range(experts):
        errors[number][number] += _BEFORE
    found = [float(value) for value in weights]
    for _ in range(_SWEEPS):
        for one in range(experts):
            for other in range(one + 1, experts):
                curve = errors[one][one] - 2.0 * errors[one][other] + errors[other][other]
                if curve <= 0.0:
                    continue
                slope = 0.0
                for each in range(experts):
                    slope += (errors[other][each] - errors[one][each]) * found[each]
                step = min(max(slope / curve, FLOOR - found[one]), found[other] - FLOOR)
                found[one] += step
                found[other] -= step
    weights[:] = found
    return weights
