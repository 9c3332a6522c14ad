"""What the outlook would be without one of its experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumer.outlook.columns import EXPERTS
from consumer.outlook.horizons import HORIZONS
from consumer.outlook.mixing import Mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumer.outlook.outlook import Outlook


class Without(Mixture):
    """The mixture of all experts but one, whose weight is always 0; for one evaluation, nothing of it is kept.

    Args:
        expert: the one that is left out.
    """

    def __init__(self, expert: str) -> None:
        super().__init__(len(EXPERTS))
        self._others = [number for number, name in enumerate(EXPERTS) if name != expert]
        self._mixture = Mixture(len(self._others))
        self._spread()

    def add(self, horizon: int, errors: NDArray[np.float64]) -> None:
        """Take how far the others were off."""
        self._mixture.add(horizon, errors[self._others])

    def fold(self, days: int) -> None:
        """Weigh the others anew."""
        self._mixture.fold(days)
        self._spread()

    def _spread(self) -> None:
        self.weights = np.zeros((len(HORIZONS), len(EXPERTS)))
        self.weights[:, self._others] = self._mixture.weights


def without_river(outlook: Outlook) -> None:
    """Take the River expert away from an outlook that has seen nothing yet."""
    outlook.mixture = Without("river")
