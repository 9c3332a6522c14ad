"""The numbers of a `linear` pipeline, out of the River objects that hold them and back into these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from consumer.learning.features import FEATURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Numbers(NamedTuple):
    """What such a pipeline has learned; the sequences are in the order of `FEATURE_NAMES`.

    Attributes:
        seen: events that the scaler has taken.
        iterations: steps that the optimizer has taken.
        intercept: of the regression.
        means: of the features.
        variances: likewise.
        weights: of the scaled features.
    """

    seen: int
    iterations: int
    intercept: float
    means: Sequence[float]
    variances: Sequence[float]
    weights: Sequence[float]


def numbers_of(pipeline: Any) -> Numbers:  # noqa: ANN401 -- a River pipeline
    """Return the numbers of a recognised pipeline (see `consumer.learning.step`)."""
    scaler, regression = pipeline["scale"], pipeline["lin_reg"]
    means, variances, weights = (
        [part.get(name, 0.0) for name in FEATURE_NAMES] for part in (scaler.means, scaler.vars, regression.weights)
    )
    seen = scaler.counts.get(FEATURE_NAMES[0], 0)
    return Numbers(seen, regression.optimizer.n_iterations, regression.intercept, means, variances, weights)


def parameters_of(pipeline: Any) -> tuple[float, float, float]:  # noqa: ANN401 -- a River pipeline
    """Return its learning rate, that of its intercept, and its largest gradient."""
    regression = pipeline["lin_reg"]
    return regression.optimizer.lr.learning_rate, regression.intercept_lr.learning_rate, regression.clip_gradient


def put_back(pipeline: Any, numbers: Numbers) -> None:  # noqa: ANN401 -- a River pipeline
    """Write the numbers into the pipeline that they are of; one that has seen nothing stays as it is."""
    if not numbers.seen:
        return
    scaler, regression = pipeline["scale"], pipeline["lin_reg"]
    for name, mean, variance, weight in zip(
        FEATURE_NAMES, numbers.means, numbers.variances, numbers.weights, strict=True
    ):
        scaler.counts[name], scaler.means[name], scaler.vars[name] = numbers.seen, mean, variance
        regression._weights[name] = weight  # noqa: SLF001 -- River has no public way to set a weight
    regression.optimizer.n_iterations, regression.intercept = numbers.iterations, numbers.intercept
