"""Checkpoints as a worker would have written them, of several models: what the mutants are made of."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from river import compose, ensemble, linear_model, neighbors, optim, preprocessing, rules, tree

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.learning.model_sections import joined
from consumer.learning.regressor import RegressorKind, train_model
from consumer.learning.state import encode_state
from consumer.learning.task import PartitionTask
from consumer.model_choice import model_kind
from consumer.record import Record
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.model import ModelKind

_EVENTS: Final = 60


def _scaled(regressor: Any) -> Any:  # noqa: ANN401 -- River's have no common type here
    return compose.Pipeline(("scale", preprocessing.StandardScaler()), ("model", regressor))


_MODELS: Final[dict[str, Callable[[], Any]]] = {
    "adam": lambda: _scaled(linear_model.LinearRegression(optimizer=optim.Adam(0.01))),
    "bagging": lambda: _scaled(ensemble.BaggingRegressor(linear_model.LinearRegression(), n_models=2, seed=1)),
    "tree": lambda: tree.HoeffdingTreeRegressor(grace_period=20),
    "rules": lambda: rules.AMRules(n_min=20),
    "adaptive": lambda: tree.HoeffdingAdaptiveTreeRegressor(grace_period=20, seed=1),
    "neighbours": lambda: neighbors.KNNRegressor(n_neighbors=2),
}


class Honest(NamedTuple):
    """A checkpoint as a worker would have written it.

    Attributes:
        name: of its model.
        sections: the task's snapshot.
        kind: makes the models, to restore it.
    """

    name: str
    sections: dict[str, bytes]
    kind: ModelKind


@cache
def honest() -> tuple[Honest, ...]:
    """Return checkpoints of several models and scopes, each after some dozens of events."""
    events = list(synthetic_events(seed=1, skus=5, limit=_EVENTS))
    made = []
    for model, scope in itertools.product(("linear", "guarded"), (ModelScope.PARTITION, ModelScope.STORE)):
        kind = model_kind(model)
        task = new_task(kind, scope)
        for offset, event in enumerate(events):
            task.process(Record(0, offset, event.timestamp_ms, event.key, event.value))
        sections = {name: bytes(body) for name, body in task.snapshot().items()}
        made.append(Honest(f"{model}, one for each {scope.value}", sections, kind))
    for name, factory in _MODELS.items():
        model = factory()
        for event in events:
            transaction = decode(event.value, -1, Limits())
            train_model(model, transaction, transaction.new_stock_level or 0.0)
        models = encode_state({"models": {"": (model, len(events))}})
        sections = {name: bytes(joined(body)) for name, body in models.items()}
        made.append(Honest(name, {**made[0].sections, **sections}, RegressorKind(factory, {})))
    return tuple(made)


def new_task(kind: ModelKind, scope: ModelScope = ModelScope.PARTITION) -> PartitionTask:
    """Return a task without any state."""
    return PartitionTask(
        topic="sales",
        partition=0,
        first_offset=0,
        settings=LearningSettings("linear", scope, 50, 100, Limits()),
        model_id="0123456789ab",
        model_kind=kind,
        partitions=1,
    )
