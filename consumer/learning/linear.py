"""`MODEL=linear`: exactly the reference pipeline. On real data it diverges; `guarded` is the one for use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from river import compose, linear_model, preprocessing

if TYPE_CHECKING:
    from consumer.learning.regressor import Regressor


def get_ml_pipeline() -> Regressor:
    """Return a new, untrained pipeline: standardised features into a linear regression by SGD."""
    pipeline: Regressor = compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        ("lin_reg", linear_model.LinearRegression()),
    )
    return pipeline
