"""The online model: the reference's pipeline, how it learns, and one instance for each scope."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from river import compose, linear_model, preprocessing

from consumer.learning.features import get_features
from consumer.learning.step import prequential_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.regressor import Regressor
    from schemas.transaction import StockTransaction


class ModelScope(StrEnum):
    """How far one model instance reaches."""

    PARTITION = "partition"
    STORE = "store"
    ITEM = "item"


def get_ml_pipeline() -> Regressor:
    """Return a new, untrained pipeline of `MODEL=linear`: standardised features into a linear regression by SGD."""
    pipeline: Regressor = compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )
    return pipeline


def train_model(model: Regressor, transaction: StockTransaction, new_stock_level: float) -> None:
    """Let `model` learn from one transaction and the stock level after it, in units."""
    model.learn_one(get_features(transaction), new_stock_level)


class ScopedModel:
    """One model instance and how many events it has learned from.

    Attributes:
        pipeline: the River model itself, which is what a checkpoint keeps.
        events_learned: how many events it has learned from.
        run: predict, then learn where a level is given (see `consumer.learning.step`).
        flush: bring `pipeline` up to date, before it is read or pickled.
    """

    __slots__ = ("events_learned", "flush", "pipeline", "run")

    def __init__(self, pipeline: Regressor, events_learned: int = 0) -> None:
        self.pipeline = pipeline
        self.events_learned = events_learned
        self.run, self.flush = prequential_step(pipeline)


class Models:
    """The models of one partition, created when their scope is first seen."""

    def __init__(self, scope: ModelScope, factory: Callable[[], Regressor]) -> None:
        self._scope = scope
        self._factory = factory
        self._by_scope: dict[str, ScopedModel] = {}

    def __len__(self) -> int:
        return len(self._by_scope)

    def of(self, store_id: str, item: str) -> ScopedModel:
        """Return the model in charge of an item; `item` is the ledger's key of (store, sku)."""
        if self._scope is ModelScope.PARTITION:
            key = ""
        elif self._scope is ModelScope.STORE:
            key = store_id
        else:
            key = item
        model = self._by_scope.get(key)
        if model is None:
            model = self._by_scope[key] = ScopedModel(self._factory())
        return model

    def snapshot(self) -> dict[str, tuple[Any, int]]:
        """Return the state: scope key to (pipeline, events learned). The pipelines are live: pickle it at once."""
        for model in self._by_scope.values():
            model.flush()
        return {key: (model.pipeline, model.events_learned) for key, model in self._by_scope.items()}

    def restore(self, state: dict[str, tuple[Any, int]]) -> None:
        """Take over a state that `snapshot` returned."""
        self._by_scope = {key: ScopedModel(pipeline, learned) for key, (pipeline, learned) in state.items()}
