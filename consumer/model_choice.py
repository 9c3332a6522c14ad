"""`MODEL`: which model a worker runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.checkpoint.unpickling import Admitted
from consumer.errors import SettingsError
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.regressor import RegressorKind

if TYPE_CHECKING:
    from consumer.learning.model import ModelKind


def model_kind(model: str) -> ModelKind:
    """Return the kind of model that `MODEL` names.

    Raises:
        SettingsError: there is none of that name.
    """
    if model != "linear":
        raise SettingsError(f"MODEL={model!r} is not supported by this version; expected linear")
    return RegressorKind(get_ml_pipeline, {"parameters": repr(get_ml_pipeline())})


def admitted_classes(model: str) -> Admitted:  # noqa: ARG001 -- every kind is River's so far
    """Return what the checkpoints of a `MODEL` may name."""
    return Admitted()
