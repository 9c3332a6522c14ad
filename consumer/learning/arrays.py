"""A pipeline's numbers and a batch's columns as arrays, for the compiled steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning.features import FEATURE_NAMES
from consumer.learning.numbers import Numbers, numbers_of, parameters_of, put_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schemas.transaction import Event

    Doubles = NDArray[np.float64]

_FEATURES: Final = len(FEATURE_NAMES)


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
        count, iterations, intercept, means, variances, weights = numbers_of(pipeline)
        self.numbers: Doubles = np.array([count, iterations, intercept, *means, *variances, *weights], np.float64)
        self.parameters: Doubles = np.array([*parameters_of(pipeline), 0.5], np.float64)
        self.deviations: Doubles = np.array([variance**0.5 for variance in variances], np.float64)

    def flush(self) -> Any:  # noqa: ANN401 -- a River pipeline
        """Write the numbers back; return the pipeline."""
        count, iterations, intercept, *moments = self.numbers.tolist()
        means, variances, weights = (moments[start : start + _FEATURES] for start in range(0, len(moments), _FEATURES))
        put_back(self._pipeline, Numbers(int(count), int(iterations), intercept, means, variances, weights))
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
