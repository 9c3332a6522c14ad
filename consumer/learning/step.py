"""The prequential step: predict for an event, then learn from it.

Any model can do it with its own two verbs. For exactly the `linear` pipeline the step walks the scaler's running
moments once instead of three times: the same operations on the same River objects in the same order, hence the same
bits (a test compares them), at about two thirds of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from river import compose, linear_model, preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.features import Features
    from consumer.learning.model import Regressor


def prequential_step(model: Regressor) -> Callable[[Features, float | None], float]:
    """Return a function of (features, level) that predicts and, where `level` is not None, then learns it."""
    if _is_linear(model):
        return _linear_step(model)
    return _plain_step(model)


def _is_linear(model: Any) -> bool:  # noqa: ANN401 -- whatever a checkpoint or a user brings
    """Recognise the reference pipeline: exactly these classes, the scaler neither windowed nor without variance."""
    if type(model) is not compose.Pipeline or list(model.steps) != ["scale", "lin_reg"]:
        return False
    scaler, regression = model["scale"], model["lin_reg"]
    return (
        type(scaler) is preprocessing.StandardScaler
        and scaler.with_std
        and scaler.window_size is None
        and type(regression) is linear_model.LinearRegression
    )


def _plain_step(model: Regressor) -> Callable[[Features, float | None], float]:
    predict_one, learn_one = model.predict_one, model.learn_one

    def step(features: Features, level: float | None) -> float:
        predicted = predict_one(features)
        if level is not None:
            learn_one(features, level)
        return predicted

    return step


def _linear_step(model: Any) -> Callable[[Features, float | None], float]:  # noqa: ANN401 -- a River pipeline, untyped
    scaler, regression = model["scale"], model["lin_reg"]
    counts, means, variances = scaler.counts, scaler.means, scaler.vars
    predict_one, learn_one = regression.predict_one, regression.learn_one

    def step(features: Features, level: float | None) -> float:
        if level is None:
            predicted: float = predict_one(scaler.transform_one(features))
            return predicted
        before, after = {}, {}
        for name, x in features.items():
            mean, variance = means[name], variances[name]
            before[name] = (x - mean) / variance**0.5 if variance else 0.0
            # Welford's update as River's StandardScaler.learn_one writes it, operation by operation.
            counts[name] = count = counts[name] + 1
            deviation = x - mean
            means[name] = mean = mean + deviation / count
            variances[name] = variance = variance + (deviation * (x - mean) - variance) / count
            after[name] = (x - mean) / variance**0.5 if variance else 0.0
        predicted = predict_one(before)
        learn_one(after, level)
        return predicted

    return step
