"""A regressor of levels: River's two verbs on the base features, its target the level after the transaction."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from consumer.learning.features import features_of, get_features
from consumer.learning.step import compiled_step, prequential_step
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from consumer.learning.arrays import Doubles
    from consumer.learning.batch import Run
    from consumer.learning.column_batch import ColumnRun, Numbers
    from consumer.learning.features import Features
    from consumer.learning.health import Place
    from consumer.learning.ledger import Posting
    from schemas.transaction import Event, StockTransaction


class Regressor(Protocol):
    """River's two verbs. A model must be picklable, too."""

    def predict_one(self, x: Features) -> float:
        """Return the predicted level, in units, without learning."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn that the features `x` led to the level `y`, in units."""


def train_model(model: Regressor, transaction: StockTransaction, new_stock_level: float) -> None:
    """Let `model` learn from one transaction and the stock level after it, in units."""
    model.learn_one(get_features(transaction), new_stock_level)


class RegressorModel:
    """A regressor that learns from observed and standing-in levels of events that are not late.

    Where no level is known it predicts all the same, and learns nothing.

    Args:
        regressor: the River model itself; from now on it is read only through `state`.
        events_learned: how many events it has learned from.
        infinite_on_purpose: where its kind holds infinite numbers that break nothing.

    Attributes:
        events_learned: how many events it has learned from.
    """

    __slots__ = ("_flush", "_run", "_run_many", "_run_rows", "events_learned")

    def __init__(
        self, regressor: Regressor, events_learned: int = 0, infinite_on_purpose: frozenset[Place] = frozenset()
    ) -> None:
        self.events_learned = events_learned
        self._run, self._flush, self._run_many = prequential_step(regressor, infinite_on_purpose)
        self._run_rows: Callable[[Doubles, Doubles], Doubles] | None = None  # once it has taken to machine code

    @property
    def takes_batches(self) -> bool:
        """Tell whether there is a faster way for many events."""
        return self._run_many is not None

    def step(self, event: Event, posting: Posting) -> float:
        """Predict the level from the base features, then learn it where it is known."""
        level, features = posting.after, features_of(event)
        if level is None or posting.is_late:
            return self._run(features, None)
        predicted = self._run(features, level / MILLION)
        self.events_learned += 1
        return predicted

    def steps(self, run: Run) -> tuple[Sequence[float], Sequence[int]]:
        """Step through the events of a run; the levels before them mean nothing to a regressor."""
        if self._run_many is None:
            raise AssertionError("this regressor steps event by event")
        levels = [
            None if after is None or is_late else after / MILLION
            for after, is_late in zip(run.afters, run.lates, strict=True)
        ]
        predictions = self._run_many(run.events, levels)
        learned = self.events_learned
        if None not in levels:
            self.events_learned += len(levels)
            return predictions, range(learned, self.events_learned)
        counts = list(accumulate((level is not None for level in levels), initial=learned))
        self.events_learned = counts.pop()
        return predictions, counts

    def accelerate(self, module: Any) -> None:  # noqa: ANN401
        """Take to machine code, `consumer.learning.compiled`."""
        if self._run_rows is None:
            self._run, self._flush, self._run_many, self._run_rows = compiled_step(self._flush(), module)

    def column_steps(self, run: ColumnRun) -> tuple[Doubles, Numbers]:
        """Step through the events of a run by machine code."""
        if self._run_rows is None:
            raise AssertionError("this regressor has not taken to machine code")
        targets = run.targets()
        predictions = self._run_rows(run.features(), targets)
        counts = np.cumsum(~np.isnan(targets)) + self.events_learned
        learned = np.concatenate([[self.events_learned], counts[:-1]])
        self.events_learned = int(counts[-1])
        return predictions, learned

    def state(self) -> tuple[Regressor, int]:
        """Return (regressor, events learned)."""
        return self._flush(), self.events_learned


class RegressorKind:
    """Models of one regressor.

    Args:
        factory: builds a regressor that has learned nothing yet, or what a warm start brings.
        parameters: what tells one configuration from another, in plain types.
        infinite_on_purpose: where its regressors hold infinite numbers that break nothing.
    """

    def __init__(
        self,
        factory: Callable[[], Regressor],
        parameters: Mapping[str, Any],
        infinite_on_purpose: frozenset[Place] = frozenset(),
    ) -> None:
        self.factory = factory
        self.parameters = parameters
        self.infinite_on_purpose = infinite_on_purpose

    def new(self) -> RegressorModel:
        """Return a model of a new regressor."""
        return RegressorModel(self.factory(), 0, self.infinite_on_purpose)

    def restored(self, state: Any) -> RegressorModel:  # noqa: ANN401 -- checked here
        """Return the model of a state."""
        if not _is_state(state):
            raise ValueError("expected a regressor and how many events it has learned from")
        regressor, events_learned = state
        return RegressorModel(regressor, events_learned, self.infinite_on_purpose)


def _is_state(state: object) -> bool:
    return (
        isinstance(state, tuple)
        and len(state) == 2  # noqa: PLR2004 -- a pair
        and is_regressor(state[0])
        and type(state[1]) is int
        and 0 <= state[1] < 2**53  # machine code counts in 64 bits
    )


def is_regressor(candidate: object) -> bool:
    """Tell whether an object has River's two verbs."""
    return callable(getattr(candidate, "predict_one", None)) and callable(getattr(candidate, "learn_one", None))
