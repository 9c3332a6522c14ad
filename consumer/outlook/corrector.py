"""What the profiles miss: River's linear models on scale-free, bounded features, one for each horizon.

They learn from a sample of the items, the same number each day however many items there are, since a step of River's
takes microseconds; what they have learned serves all items, by the same sums in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from river import linear_model, optim

from consumer.outlook.horizons import HORIZONS, LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Outcomes = Callable[[NDArray[np.int64]], Sequence[float | None]]

FEATURES: Final = ("fast", "slow", "tsb", "others", "last_week", "last_day", "article", "store")
SAMPLE: Final = 96
"""Items a day."""
_RATE: Final = 0.001
"""Of a day's horizon; of longer ones less, since the outcomes of h days overlap and tell little more than one of them.

River's step multiplies an error by |1 - 2 x rate x (squared norm + 1)|: with features within 3, at most 73 x 0.002."""
_MOST: Final = 3.0
_MOST_TARGET: Final = 8.0
_KNUTH: Final = 2_654_435_761


def _models() -> list[linear_model.LinearRegression]:
    return [
        linear_model.LinearRegression(optimizer=optim.SGD(_RATE / days), intercept_lr=_RATE / days) for days in HORIZONS
    ]


class Corrector:
    """One model a horizon, and the samples whose days are not over.

    Attributes:
        rows: the numbers of the day's sampled items, each with its row; decided when the day began to close.
    """

    def __init__(self) -> None:
        self.models = _models()
        self._weights = np.zeros((len(HORIZONS), len(FEATURES)))
        self._intercepts = np.zeros(len(HORIZONS))
        self._items = np.full((LONGEST, SAMPLE), -1, np.int64)
        self._features = np.zeros((LONGEST, SAMPLE, len(FEATURES)))
        self._means = np.zeros((LONGEST, SAMPLE, len(HORIZONS)))
        self._scales = np.ones((LONGEST, SAMPLE, len(HORIZONS)))
        self.rows: dict[int, int] = {}

    def begin(self, day: int, items: int) -> None:
        """Choose the items whose forecasts of this day are learned from, of so many."""
        at = day % LONGEST
        self._items[at] = -1
        self.rows = {}
        if items:
            for row in range(SAMPLE):
                self.rows[((day * SAMPLE + row) * _KNUTH & 0xFFFFFFFF) * items >> 32] = row

    def corrections(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what to add to each mean, in units of its scale: shape (horizons, items).

        Args:
            features: shape (features, items), within 3.
        """
        found = np.repeat(self._intercepts[:, None], features.shape[1], axis=1)
        for number, column in enumerate(features):
            found = found + self._weights[:, number, None] * column
        return np.clip(found, -_MOST, _MOST)

    def keep(  # noqa: PLR0913, PLR0917 -- a sample, in columns
        self,
        day: int,
        items: NDArray[np.int64],
        features: NDArray[np.float64],
        means: NDArray[np.float64],
        scales: NDArray[np.float64],
        is_grown: NDArray[np.bool_],
    ) -> None:
        """Keep the forecasts of the sampled ones among some items until their days are over.

        Args:
            day: the day that was closed.
            items: their numbers.
            features: shape (features, items).
            means: shape (horizons, items).
            scales: shape (horizons, items).
            is_grown: of the items, those that are old enough to be learned from.
        """
        at = day % LONGEST
        chosen = np.flatnonzero(np.isin(items, np.fromiter(self.rows, np.int64, len(self.rows))) & is_grown)
        for place in chosen.tolist():
            number = int(items[place])
            row = self.rows[number]
            self._items[at, row] = number
            self._features[at, row] = features[:, place]
            self._means[at, row] = means[:, place]
            self._scales[at, row] = scales[:, place]

    def learn(self, horizon: int, origin: int, outcome_of: Outcomes) -> None:
        """Learn from the forecasts of one horizon that were made at `origin` and are over now.

        Args:
            horizon: index into HORIZONS.
            origin: the day after whose close they were made.
            outcome_of: the demand of items by their numbers, None where it is not known.
        """
        at = origin % LONGEST
        rows = np.flatnonzero(self._items[at] >= 0).tolist()
        model = self.models[horizon]
        outcomes = outcome_of(self._items[at, rows])
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome is None:
                continue
            target = (outcome - float(self._means[at, row, horizon])) / float(self._scales[at, row, horizon])
            features = dict(zip(FEATURES, self._features[at, row].tolist(), strict=True))
            model.learn_one(features, min(max(target, -_MOST_TARGET), _MOST_TARGET))
        self._publish(horizon)

    def _publish(self, horizon: int) -> None:
        model = self.models[horizon]
        self._weights[horizon] = [model.weights.get(name, 0.0) for name in FEATURES]
        self._intercepts[horizon] = model.intercept

    def forget(self, which: NDArray[np.int64]) -> None:
        """Let items leave, given in their order: their samples are dropped, the others' numbers close up."""
        gone = np.isin(self._items, which)
        self._items -= np.searchsorted(which, self._items)
        self._items[gone] = -1
        dropped = set(which.tolist())
        self.rows = {
            number - int(np.searchsorted(which, number)): row
            for number, row in self.rows.items()
            if number not in dropped
        }

    def snapshot(self) -> dict[str, Any]:
        """Return the state; the models' in plain numbers, since what pickles of theirs hold is River's to change."""
        return {
            "models": [(dict(model.weights), model.intercept, model.optimizer.n_iterations) for model in self.models],
            "items": self._items.copy(),
            "features": self._features.copy(),
            "means": self._means.copy(),
            "scales": self._scales.copy(),
            "rows": dict(self.rows),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `snapshot` returned."""
        self.models = _models()
        for model, (weights, intercept, steps) in zip(self.models, state["models"], strict=True):
            for name, weight in weights.items():
                model._weights[name] = weight  # noqa: SLF001 -- River has no public way to set a weight
            model.intercept, model.optimizer.n_iterations = intercept, steps
        self._items, self._features = state["items"].copy(), state["features"].copy()
        self._means, self._scales = state["means"].copy(), state["scales"].copy()
        self.rows = dict(state["rows"])
        for number in range(len(HORIZONS)):
            self._publish(number)
