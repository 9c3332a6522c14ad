"""A pipeline's numbers and a batch's columns as arrays, for the compiled steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning.features import FEATURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schemas.transaction import Event

    Doubles = NDArray[np.float64]

_FEATURES: Final = len(FEATURE_NAMES)
_MOMENTS: Final = 3  # what comes before them: count, iterations, intercept


class PipelineArrays:
    """The numbers of a recognised `linear` pipeline (see `consumer.learning.step`).

    Args:
        pipeline: of River; it is brought up to date by `flush`.

    Attributes:
        numbers: (21): count, iterations, intercept, means, variances, weights.
        parameters: (4): learning rate, that of the intercept, largest gradient, and the exponent ½.
        deviations: (6): the roots of the variances.
    """

    def __init__(self, pipeline: Any) -> None:  # noqa: ANN401 -- a River pipeline
        self._pipeline = pipeline
        scaler, regression = pipeline["scale"], pipeline["lin_reg"]
        known = regression.weights
        numbers = [
            scaler.counts.get(FEATURE_NAMES[0], 0),
            regression.optimizer.n_iterations,
            regression.intercept,
            *(scaler.means.get(name, 0.0) for name in FEATURE_NAMES),
            *(scaler.vars.get(name, 0.0) for name in FEATURE_NAMES),
            *(known.get(name, 0.0) for name in FEATURE_NAMES),
        ]
        self.numbers: Doubles = np.array(numbers, np.float64)
        self.parameters: Doubles = np.array(
            [
                regression.optimizer.lr.learning_rate,
                regression.intercept_lr.learning_rate,
                regression.clip_gradient,
                0.5,
            ],
            np.float64,
        )
        variances = numbers[_MOMENTS + _FEATURES : _MOMENTS + 2 * _FEATURES]
        self.deviations: Doubles = np.array([variance**0.5 for variance in variances], np.float64)

    def flush(self) -> Any:  # noqa: ANN401 -- a River pipeline
        """Write the numbers back; return the pipeline."""
        scaler, regression = self._pipeline["scale"], self._pipeline["lin_reg"]
        count, iterations, intercept, *moments = self.numbers.tolist()
        if count == 0:
            return self._pipeline
        for place, name in enumerate(FEATURE_NAMES):
            scaler.counts[name] = int(count)
            scaler.means[name] = moments[place]
            scaler.vars[name] = moments[_FEATURES + place]
            regression._weights[name] = moments[2 * _FEATURES + place]  # noqa: SLF001 -- River has no public way
        regression.optimizer.n_iterations, regression.intercept = int(iterations), intercept
        return self._pipeline


def feature_rows(events: Sequence[Event]) -> Doubles:
    """Return the base features of events, (n, 6), in the order of `FEATURE_NAMES` (`consumer.learning.features`)."""
    rows = np.empty((len(events), _FEATURES))
    quantities = np.array([event.quantity or 0.0 for event in events], np.float64)
    np.abs(quantities, out=rows[:, 0])
    moments: list[Any] = [event.moment for event in events]
    rows[:, 1] = [moment.day_of_week for moment in moments]
    rows[:, 2] = [moment.month for moment in moments]
    rows[:, 3] = [moment.year for moment in moments]
    rows[:, 4] = quantities < 0.0
    rows[:, 5] = [event.unit_cost or 0.0 for event in events]
    return rows
