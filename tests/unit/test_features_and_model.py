"""The reference's features and pipeline, under the reference's names, and one model for each scope."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, preprocessing

from consumer.learning import get_features, get_ml_pipeline, train_model
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.ledger import Posting
from consumer.learning.model import ModelScope
from consumer.learning.model_sections import joined
from consumer.learning.models import Models
from schemas import InventoryTransaction
from schemas.transaction import Event, Limits, decode
from tests.core import LINEAR_KIND, models_of

if TYPE_CHECKING:
    from consumer.learning.features import Features
    from schemas.transaction import StockTransaction

BASE: Final = {"transaction_id": "t1", "store_id": "s1", "sku": "milk", "quantity": -2.5}
FRIDAY: Final = "2017-03-31T12:00:00Z"


def both(**changes: object) -> list[StockTransaction]:
    """The same transaction as the worker's struct and as the model that services import."""
    value = json.dumps(BASE | {"occurred_at": FRIDAY} | changes).encode()
    return [decode(value, -1, Limits()), InventoryTransaction.model_validate_json(value)]


def decoded() -> Event:
    """The transaction as the worker's struct."""
    return decode(json.dumps(BASE | {"occurred_at": FRIDAY}).encode(), -1, Limits())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (2.5, 4, 3, 2017, 1, 0.0)),
        ({"unit_cost": 1.25}, (2.5, 4, 3, 2017, 1, 1.25)),
        ({"quantity": 7}, (7.0, 4, 3, 2017, 0, 0.0)),
        ({"quantity": 0}, (0.0, 4, 3, 2017, 0, 0.0)),
        ({"quantity": -0.0}, (0.0, 4, 3, 2017, 0, 0.0)),
        ({"quantity": None, "transaction_type": "count", "new_stock_level": 5}, (0.0, 4, 3, 2017, 0, 0.0)),
        ({"quantity": -1, "transaction_type": "adjustment"}, (1.0, 4, 3, 2017, 1, 0.0)),
        ({"occurred_at": "2017-01-01T00:30:00+01:00"}, (2.5, 6, 1, 2017, 1, 0.0)),  # 2016 in UTC
        ({"occurred_at": "2016-12-31T23:30:00-01:00"}, (2.5, 5, 12, 2016, 1, 0.0)),  # 2017 in UTC
        ({"occurred_at": "2016-12-31T23:59:60Z"}, (2.5, 6, 1, 2017, 1, 0.0)),
    ],
)
def test_the_base_features(changes: dict[str, Any], expected: tuple[float, ...]) -> None:
    """Exactly the reference's six, in its order, on which a sum's last bit depends; the day is the store's own."""
    for transaction in both(**changes):
        features = get_features(transaction)
        assert tuple(features) == FEATURE_NAMES
        assert tuple(features) == ("quantity", "day_of_week", "month", "year", "is_sale", "unit_cost")
        assert repr(tuple(features.values())) == repr(expected)  # 2 is not 2.0, and 0.0 is not -0.0


def test_train_model_is_features_then_learn_one() -> None:
    """`train_model` gives the model the event's features and the new level, once, and nothing else."""
    calls: list[tuple[Features, float]] = []

    class Recorder:
        """A model that notes what it is taught."""

        def predict_one(self, x: Features) -> float:
            """Refuse: teaching is not predicting."""
            raise AssertionError(x)

        def learn_one(self, x: Features, y: float) -> None:
            """Note it."""
            calls.append((x, y))

    transaction = both(unit_cost=1.5)[0]
    train_model(Recorder(), transaction, 41.5)
    assert calls == [(get_features(transaction), 41.5)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 28), st.integers(-50, 50)), min_size=1, max_size=20))
def test_train_model_equals_the_reference(events: list[tuple[int, int, int]]) -> None:
    """Trained event by event, the pipeline is to the bit the reference's own, taught by hand."""
    model, reference = get_ml_pipeline(), reference_pipeline()
    for quantity, day, level in events:
        transaction = both(quantity=quantity, occurred_at=f"2017-02-{day:02d}T10:00:00Z")[0]
        train_model(model, transaction, level)
        reference.learn_one(get_features(transaction), level)
    probe = get_features(both()[0])
    assert model.predict_one(probe).hex() == float(reference.predict_one(probe)).hex()


def reference_pipeline() -> Any:
    """The reference, as the contract writes it."""
    return compose.Pipeline(("scale", preprocessing.StandardScaler()), ("lin_reg", linear_model.LinearRegression()))


def test_the_pipeline_is_the_reference() -> None:
    """Classes, step names and every parameter are the reference's; each call gives a new, untrained one."""
    pipeline: Any = get_ml_pipeline()
    assert type(pipeline) is compose.Pipeline
    assert [(name, type(step)) for name, step in pipeline.steps.items()] == [
        ("scale", preprocessing.StandardScaler),
        ("lin_reg", linear_model.LinearRegression),
    ]
    assert repr(pipeline) == repr(reference_pipeline())
    for step in ("scale", "lin_reg"):
        assert repr(pipeline[step]._get_params()) == repr(reference_pipeline()[step]._get_params())
    other: Any = get_ml_pipeline()
    assert other is not pipeline
    other.learn_one(get_features(both()[0]), 5.0)
    assert pipeline["lin_reg"].weights == {}
    assert not pipeline["scale"].counts


MILK: Final = "s1\x1fmilk"
ITEMS: Final = (("s1", "s1\x1fmilk"), ("s1", "s1\x1fbread"), ("s2", "s2\x1fmilk"), ("s1", "s1\x1fmilk"))


@pytest.mark.parametrize(
    ("scope", "shared"), [("partition", [0, 0, 0, 0]), ("store", [0, 0, 1, 0]), ("item", [0, 1, 2, 0])]
)
def test_who_shares_a_model(scope: str, shared: list[int]) -> None:
    """One model for each partition, store or item, made when its scope is first seen, and kept."""
    models = Models(ModelScope(scope), LINEAR_KIND)
    assert len(models) == 0
    got = []
    for store, item in ITEMS:
        model = models.about_to_step(store, item)
        if model is None:
            model = models.new()
            models.keep(store, item, model)
        got.append(model)
    distinct = list(dict.fromkeys(map(id, got)))
    assert [distinct.index(id(model)) for model in got] == shared
    assert len(models) == len(distinct)


def states(models: Models) -> dict[str, Any]:
    """What a snapshot of models holds."""
    snapshot = models.begin_snapshot()
    while not snapshot.advance(1):
        pass
    return models_of({name: joined(section) for name, section in snapshot.sections().items()})


def test_a_model_that_is_not_kept_leaves_no_trace() -> None:
    """One that its first event breaks was never there."""
    models = Models(ModelScope.STORE, LINEAR_KIND)
    models.new().step(decoded(), Posting(None, 5_000_000, is_late=False))
    assert models.about_to_step("s1", MILK) is None
    assert len(models) == 0
    assert states(models) == {}


def test_models_come_back_with_what_they_learned() -> None:
    """A restored set of models has the same scopes, counts and predictions, and makes new ones for new scopes."""
    models = Models(ModelScope.STORE, LINEAR_KIND)
    event = decoded()
    model = models.new()
    models.keep("s1", MILK, model)
    for level in (5_000_000, 7_000_000):
        model.step(event, Posting(None, level, is_late=False))
    unlearned = Posting(None, None, is_late=False)
    restored = Models(ModelScope.STORE, LINEAR_KIND)
    restored.restore(states(models))
    assert len(restored) == 1
    again = restored.about_to_step("s1", MILK)
    assert again is not None
    assert again.events_learned == 2
    wanted = model.step(event, unlearned)
    assert again.step(event, unlearned) == wanted
    assert wanted != 0
    assert restored.about_to_step("s2", MILK) is None


def pipeline(**changes: object) -> Any:
    """The linear pipeline, with other attributes in its regression."""
    made: Any = get_ml_pipeline()
    vars(made["lin_reg"]).update(changes)
    return made


def without_rate() -> Any:
    """The linear pipeline, its optimizer lacking what it steps by."""
    made: Any = get_ml_pipeline()
    del made["lin_reg"].optimizer.lr
    return made


@pytest.mark.parametrize(
    "state",
    [
        *(None, (), ("no regressor", 3), (1, 2, 3)),
        *((pipeline(), "3"), (pipeline(), -1), (pipeline(), 1.0), (pipeline(), True)),
        *((pipeline(_weights=None), 3), (without_rate(), 3)),
    ],
)
def test_what_is_no_state_of_a_model_is_refused(state: object) -> None:
    """A section of another software's does not become a model, nor does one that lacks a part of it."""
    with pytest.raises(ValueError, match=r"expected (a regressor|whole models)"):
        Models(ModelScope.STORE, LINEAR_KIND).restore({"s1": state})


@pytest.mark.parametrize("models", [None, [], [("s1", None)], "s1", {1: (pipeline(), 3)}])
def test_models_come_by_their_scopes(models: Any) -> None:
    """Whatever else a pickle may hold is refused as a state, and raises nothing that would stop the worker."""
    with pytest.raises(ValueError, match="expected the states of models by their scopes"):
        Models(ModelScope.STORE, LINEAR_KIND).restore(models)


@pytest.mark.parametrize("level", [None, 5_000_000])
def test_a_late_or_unknown_level_teaches_nothing(level: int | None) -> None:
    """The later observation contains a late event already."""
    model = LINEAR_KIND.new()
    model.step(decoded(), Posting(level, level, is_late=level is not None))
    assert model.events_learned == 0
