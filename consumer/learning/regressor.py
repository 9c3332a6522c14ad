"""What a model must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from consumer.learning.features import Features


class Regressor(Protocol):
    """River's two verbs. A model must be picklable, too."""

    def predict_one(self, x: Features) -> float:
        """Return the predicted level, in units, without learning."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn that the features `x` led to the level `y`, in units."""
