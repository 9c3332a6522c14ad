"""The prequential step: straight-line code and plain River agree to the last bit, whoever carries a model on."""

from __future__ import annotations

import math
import pickle
import random
import struct
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, optim, preprocessing

from consumer.learning.features import FEATURE_NAMES, get_features
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.step import _is_linear, prequential_step
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from consumer.learning.features import Features

Sample = tuple["Features", float | None]
"""Features, and the level to learn; None where there is none."""

PROBE: Final[Features] = dict(zip(FEATURE_NAMES, (3.0, 2, 7, 2018, 1, 4.25), strict=True))


def bits(number: float) -> bytes:
    """A double's eight bytes: equal only where every bit is."""
    return struct.pack("<d", number)


def shop(count: int) -> list[Sample]:
    """What a synthetic shop's events teach; about a tenth carry no level."""
    events = (decode(event.value, event.timestamp_ms, Limits()) for event in synthetic_events(seed=4, limit=count))
    return [(get_features(event), event.new_stock_level) for event in events]


SHOP: Final = shop(6_000)


def by_river(model: Any, samples: Iterable[Sample]) -> list[bytes]:
    """Predict and learn with River's own two verbs."""
    predicted = []
    for features, level in samples:
        predicted.append(bits(model.predict_one(features)))
        if level is not None:
            model.learn_one(features, level)
    return predicted


def by_step(model: Any, samples: Iterable[Sample]) -> list[bytes]:
    """Predict and learn with the step, and bring the model up to date."""
    run, flush, _ = prequential_step(model)
    predicted = [bits(run(features, level)) for features, level in samples]
    flush()
    return predicted


def state(model: Any) -> tuple[object, ...]:
    """Every number in a reference pipeline, bit for bit, keys in their order."""
    scaler, regression = model["scale"], model["lin_reg"]
    moments = [(name, bits(value)) for part in (scaler.means, scaler.vars) for name, value in part.items()]
    weights = [(name, bits(value)) for name, value in regression.weights.items()]
    return dict(scaler.counts), moments, weights, bits(regression.intercept), regression.optimizer.n_iterations


def assert_same(factory: Callable[[], Any], samples: list[Sample], more: list[Sample]) -> None:
    """Step and River give the same bits, and the flushed model continues with plain River as if it always had."""
    stepped, plain = factory(), factory()
    assert by_step(stepped, samples) == by_river(plain, samples)
    assert by_river(stepped, more) == by_river(plain, more)


def test_6000_realistic_events() -> None:
    """On a shop's events every prediction and every number of the flushed model is River's own, bit for bit."""
    stepped: Any = get_ml_pipeline()
    plain: Any = get_ml_pipeline()
    assert _is_linear(stepped)
    predicted = by_step(stepped, SHOP[:5_000])
    assert predicted == by_river(plain, SHOP[:5_000])
    assert len(set(predicted)) > 4_000
    assert state(stepped) == state(plain)
    assert by_river(stepped, SHOP[5_000:]) == by_river(plain, SHOP[5_000:])


def test_the_step_itself_does_not_touch_the_model() -> None:
    """Until the flush the straight-line step keeps its numbers to itself: this test file does test it."""
    model: Any = get_ml_pipeline()
    run, flush, _ = prequential_step(model)
    for features, level in SHOP[:50]:
        run(features, level)
    assert model.predict_one(PROBE) == 0.0
    flush()
    assert bits(model.predict_one(PROBE)) == bits(run(PROBE, None))


def test_a_diverging_model() -> None:
    """`linear` runs away on heavy tails, up to the clipped gradient: it does so bit for bit."""
    rng = random.Random(11)
    samples: list[Sample] = []
    for number in range(4_000):
        quantity = float(min(round(rng.paretovariate(0.4)), 10**6))
        sale, year, cost = (1, 2017, 0.0) if number < 3_000 else (0, 9999, 1e6)  # constant features that jump
        numbers = (quantity, rng.randrange(7), rng.randrange(1, 13), year, sale, cost)
        samples.append((dict(zip(FEATURE_NAMES, numbers, strict=True)), rng.choice((None, -1e9, 1e9, 0.0, quantity))))
    stepped: Any = get_ml_pipeline()
    plain: Any = get_ml_pipeline()
    predicted = by_step(stepped, samples)
    assert predicted == by_river(plain, samples)
    assert state(stepped) == state(plain)
    assert max(abs(struct.unpack("<d", each)[0]) for each in predicted) > 1e12  # beyond the clip, so it was in force


# --- any features ----------------------------------------------------------------------------------------------------

heavy = st.one_of(
    st.sampled_from([0.0, 1.0, 1e-6, 89_638.0, 999_999.999999, 1e6]),
    st.floats(0, 1e6),
    st.integers(0, 20).map(float),
)
levels = st.one_of(
    st.none(), st.sampled_from([0.0, 1e9, -1e9, 1e-6]), st.floats(-1e9, 1e9), st.integers(-50, 500).map(float)
)
features_of = st.builds(
    lambda *numbers: dict(zip(FEATURE_NAMES, numbers, strict=True)),
    *(heavy, st.integers(0, 6), st.integers(1, 12), st.sampled_from([2000, 2017, 2018, 9999]), st.integers(0, 1)),
    st.one_of(st.just(0.0), heavy),
)
# Runs of one and the same sample make constant features, which then jump.
samples_of = st.lists(st.tuples(features_of, levels, st.sampled_from([1, 1, 1, 2, 60])), max_size=25).map(
    lambda runs: [(features, level) for features, level, times in runs for _ in range(times)]
)


@settings(max_examples=150, deadline=None)
@given(samples=samples_of, more=samples_of)
def test_any_features(samples: list[Sample], more: list[Sample]) -> None:
    """Heavy tails, zeros, constants that jump, unknown levels and the contract's bounds: always River's own bits."""
    assert_same(get_ml_pipeline, samples, more)


@settings(max_examples=100, deadline=None)
@given(samples_of, st.data())
def test_whoever_carries_the_model_on(samples: list[Sample], data: st.DataObject) -> None:
    """Flushed, pickled, handed to River and back at any event, a model goes on as if nothing had happened."""
    subject: Any = get_ml_pipeline()
    plain: Any = get_ml_pipeline()
    stops = sorted(data.draw(st.sets(st.integers(0, len(samples)), max_size=6)))
    for start, stop in zip([0, *stops], [*stops, len(samples)], strict=True):
        part = samples[start:stop]
        carrier = data.draw(st.sampled_from([by_step, by_river]))
        assert carrier(subject, part) == by_river(plain, part)
        if data.draw(st.booleans()):
            subject = pickle.loads(pickle.dumps(subject))
        assert _is_linear(subject)
    assert bits(subject.predict_one(PROBE)) == bits(plain.predict_one(PROBE))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 400), st.integers(1, 400))
def test_a_flush_in_mid_stream_changes_nothing(before: int, after: int) -> None:
    """The same step goes on after a flush, as after each checkpoint; its pickled copy goes on with it."""
    samples = SHOP[: before + after]
    model: Any = get_ml_pipeline()
    run, flush, _ = prequential_step(model)
    predicted = [bits(run(features, level)) for features, level in samples[:before]]
    flush()
    copy = pickle.loads(pickle.dumps(model))
    predicted += [bits(run(features, level)) for features, level in samples[before:]]
    flush()
    assert predicted == by_river(get_ml_pipeline(), samples)
    assert by_step(copy, samples[before:]) == predicted[before:]
    assert state(copy) == state(model)


def test_a_model_that_never_learned() -> None:
    """Predictions alone leave an untrained model untrained, flushed or not."""
    model: Any = get_ml_pipeline()
    assert set(by_step(model, [(features, None) for features, _ in SHOP[:20]])) == {bits(0.0)}
    assert (dict(model["scale"].counts), model["lin_reg"].weights) == ({}, {})
    assert_same(get_ml_pipeline, [(features, None) for features, _ in SHOP[:20]], SHOP[:200])


# --- which pipelines it recognises -----------------------------------------------------------------------------------


class OtherPipeline(compose.Pipeline):
    """A pipeline that predicts something else."""

    def predict_one(self, x: Features, **params: Any) -> float:
        """Return one more."""
        return float(super().predict_one(x, **params)) + 1.0


class OtherScaler(preprocessing.StandardScaler):
    """A scaler that scales otherwise."""

    def transform_one(self, x: Any) -> Any:
        """Return twice as much."""
        scaled = super().transform_one(x)  # type: ignore[no-untyped-call]
        return {name: 2.0 * value for name, value in scaled.items()}


class OtherRegression(linear_model.LinearRegression):
    """A regression that predicts something else."""

    def predict_one(self, x: Any) -> Any:
        """Return one more."""
        return super().predict_one(x) + 1.0  # type: ignore[no-untyped-call]


class OtherSGD(optim.SGD):
    """An optimizer that steps half as far."""

    @property
    def learning_rate(self) -> float:
        """Return half the rate."""
        return float(super().learning_rate) / 2


class OtherLoss(optim.losses.Squared):
    """A loss with another gradient."""

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        """Return half of it."""
        return y_pred - y_true


def pipeline(scaler: Any = None, regression: Any = None, *, kind: type[Any] = compose.Pipeline) -> Any:
    """The reference pipeline with another part in it."""
    return kind(
        ("scale", preprocessing.StandardScaler() if scaler is None else scaler),
        ("lin_reg", linear_model.LinearRegression() if regression is None else regression),
    )


def regression(**parameters: Any) -> Any:
    """The pipeline with other parameters of the regression."""
    return pipeline(regression=linear_model.LinearRegression(**parameters))


def trained(change: Callable[[Features], Features]) -> Any:
    """The reference pipeline, trained with other features than ours."""
    model = pipeline()
    for features, _ in SHOP[:5]:
        model.learn_one(change(features), 3.0)
    return model


def partly_trained(part: str, *arguments: Any) -> Any:
    """The reference pipeline, of which one part alone has seen other features than ours."""
    model = pipeline()
    model[part].learn_one(*arguments)
    return model


def half_trained() -> Any:
    """A reference pipeline whose scaler has seen one feature more often than the others."""
    model = pipeline()
    model.learn_one(PROBE, 3.0)
    model["scale"].learn_one({"quantity": 5.0})
    return model


def named(scale: str, regression_name: str) -> Any:
    """The reference's parts under other names."""
    return compose.Pipeline((scale, preprocessing.StandardScaler()), (regression_name, linear_model.LinearRegression()))


def longer() -> Any:
    """The reference with one more step in front."""
    parts = ("scale", preprocessing.StandardScaler()), ("lin_reg", linear_model.LinearRegression())
    return compose.Pipeline(("first", preprocessing.MinMaxScaler()), *parts)


OTHERS: Final[dict[str, Callable[[], Any]]] = {
    "optimizer Adam": lambda: regression(optimizer=optim.Adam()),
    "optimizer Momentum": lambda: regression(optimizer=optim.Momentum()),
    "optimizer of a subclass": lambda: regression(optimizer=OtherSGD(0.01)),
    "rate on a schedule": lambda: regression(optimizer=optim.SGD(optim.schedulers.InverseScaling(0.1))),
    "intercept's rate on a schedule": lambda: regression(intercept_lr=optim.schedulers.InverseScaling(0.1)),
    "l2": lambda: regression(l2=0.1),
    "l1": lambda: regression(l1=0.1),
    "loss Huber": lambda: regression(loss=optim.losses.Huber()),
    "loss of a subclass": lambda: regression(loss=OtherLoss()),
    "initializer": lambda: regression(initializer=optim.initializers.Constant(0.5)),
    "windowed scaler": lambda: pipeline(preprocessing.StandardScaler(window_size=20)),
    "scaler without std": lambda: pipeline(preprocessing.StandardScaler(with_std=False)),
    "another scaler": lambda: pipeline(preprocessing.MinMaxScaler()),
    "another regression": lambda: pipeline(regression=linear_model.PARegressor()),  # type: ignore[no-untyped-call]
    "subclass of the scaler": lambda: pipeline(OtherScaler()),
    "subclass of the regression": lambda: pipeline(regression=OtherRegression()),
    "subclass of the pipeline": lambda: pipeline(kind=OtherPipeline),
    "other name of the scaler": lambda: named("StandardScaler", "lin_reg"),
    "other name of the regression": lambda: named("scale", "LinearRegression"),
    "another step": longer,
    "a bare regression": linear_model.LinearRegression,
    "trained with fewer features": lambda: trained(lambda features: {"quantity": features["quantity"]}),
    "trained with more features": lambda: trained(lambda features: features | {"promotion": 1.0}),
    "trained in another order": lambda: trained(lambda features: dict(reversed(features.items()))),
    "scaler trained with more features": lambda: partly_trained("scale", PROBE | {"promotion": 1.0}),
    "scaler trained with fewer features": lambda: partly_trained("scale", {"quantity": 1.0}),
    "regression trained with more features": lambda: partly_trained("lin_reg", PROBE | {"promotion": 1.0}, 3.0),
    "regression trained with fewer features": lambda: partly_trained("lin_reg", {"quantity": 1.0}, 3.0),
    "one feature seen more often": half_trained,
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_pipeline_takes_the_plain_step(name: str) -> None:
    """What is not exactly the reference learns by its own verbs: the straight-line code would be wrong for it."""
    assert not _is_linear(OTHERS[name]())
    assert_same(OTHERS[name], SHOP[:200], SHOP[200:250])


SAME: Final[dict[str, Callable[[], Any]]] = {
    "new": get_ml_pipeline,
    "trained": lambda: trained(lambda features: features),
    "unpickled": lambda: pickle.loads(pickle.dumps(trained(lambda features: features))),
    "another rate": lambda: regression(optimizer=optim.SGD(0.001)),
    "another rate of the intercept": lambda: regression(intercept_lr=0.5),
    "another clip": lambda: regression(clip_gradient=0.75),
    "another intercept to begin with": lambda: regression(intercept_init=12.5),
}


@pytest.mark.parametrize("name", SAME)
def test_the_reference_takes_the_straight_line(name: str) -> None:
    """New or trained, with whatever constant rates, intercept and clip: recognised, and equal to River."""
    assert _is_linear(SAME[name]())
    assert_same(SAME[name], SHOP[:1_000], SHOP[1_000:1_100])


def test_the_others_would_differ() -> None:
    """The comparison above can fail: the changed parts do predict otherwise than the reference."""
    reference = by_river(get_ml_pipeline(), SHOP[:200])
    for name, factory in OTHERS.items():
        if not name.startswith("other name"):
            assert by_river(factory(), SHOP[:200]) != reference, name


class Own:
    """A model that notes its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def predict_one(self, x: Features) -> float:
        """Note it."""
        self.calls.append(f"predict {x['quantity']}")
        return math.pi

    def learn_one(self, x: Features, y: float) -> None:
        """Note it."""
        self.calls.append(f"learn {x['quantity']} {y}")


def test_a_model_that_is_not_river_s() -> None:
    """A model of the user's own learns by its two verbs: predict first, and learn only where there is a level."""
    own = Own()
    run, flush, _ = prequential_step(own)
    assert [run(PROBE, None), run(PROBE, 0.0)] == [math.pi, math.pi]
    assert flush() is own
    assert own.calls == ["predict 3.0", "predict 3.0", "learn 3.0 0.0"]
