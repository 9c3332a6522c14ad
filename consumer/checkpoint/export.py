"""A model out of a checkpoint: the pipeline itself, and what it has learned as plain numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from river import compose, linear_model, preprocessing

from consumer.errors import SettingsError, StateError
from consumer.learning.regressor import is_regressor

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_SHOWN: Final = 5
_SEPARATOR: Final = "\x1f"


class Learned(NamedTuple):
    """One model of a checkpoint."""

    pipeline: Any
    events_learned: int


def learned(entry: object) -> Learned:
    """Return the model of one entry of a checkpoint's models, whatever `MODEL` wrote it.

    Raises:
        StateError: it is no such entry.
    """
    pipeline, events_learned = None, None
    if isinstance(entry, tuple) and len(entry) == 2:  # noqa: PLR2004 -- a pair
        pipeline, events_learned = entry
    elif isinstance(entry, dict):
        share = entry.get("share")  # of a guarded model: its pipeline, and what bounds it
        pipeline = share[0] if isinstance(share, tuple) and share else None
        events_learned = entry.get("events_learned")
    if not is_regressor(pipeline) or not isinstance(events_learned, int):
        raise StateError("expected a regressor and how many events it learned from in the checkpoint; found neither")
    return Learned(pipeline, events_learned)


def choose(models: object, scope_key: str | None) -> Learned:
    """Return the model of a scope, or the only one there is.

    Args:
        models: the checkpoint's section of models.
        scope_key: a store's id, or STORE:SKU; None where there is but one model.

    Raises:
        SettingsError: there is none of that key, or there are several and none was named.
        StateError: the checkpoint holds no model.
    """
    if not isinstance(models, dict) or not models:
        raise StateError("expected a model in the checkpoint; found none: nothing was learned yet")
    shown = {str(key).replace(_SEPARATOR, ":"): entry for key, entry in models.items()}
    if scope_key is None and len(shown) == 1:
        return learned(*shown.values())
    if scope_key is None or scope_key not in shown:
        some = ", ".join(sorted(shown)[:_MOST_SHOWN])
        raise SettingsError(
            f"--scope-key: expected the key of one of the {len(shown)} models, such as {some}; found {scope_key!r}"
            if any(shown)
            else "--scope-key: expected none, since one model serves the whole partition; leave it out"
        )
    return learned(shown[scope_key])


def weights(model: Learned) -> dict[str, Any]:
    """Return what a linear pipeline has learned, as numbers for JSON.

    The prediction is intercept + the sum over features of weight * (value - mean) / sqrt(variance), where a variance of
    0 counts the feature as 0.

    Raises:
        SettingsError: the pipeline is no standard scaler before a linear regression.
    """
    pipeline: Any = model.pipeline
    steps: Mapping[str, Any] = pipeline.steps if type(pipeline) is compose.Pipeline else {}
    kinds = [type(step) for step in steps.values()]
    if kinds != [preprocessing.StandardScaler, linear_model.LinearRegression]:
        found = " | ".join(kind.__name__ for kind in kinds) or type(pipeline).__name__
        raise SettingsError(
            f"--weights: expected a StandardScaler before a LinearRegression; found {found}: leave --weights out"
        )
    scaler, regression = steps.values()
    names = list(dict.fromkeys([*scaler.means, *regression.weights]))
    return {
        "events_learned": model.events_learned,
        "intercept": regression.intercept,
        "features": {
            name: {
                "count": scaler.counts.get(name, 0),
                "mean": scaler.means.get(name, 0.0),
                "variance": scaler.vars.get(name, 0.0),
                "weight": regression.weights.get(name, 0.0),
            }
            for name in names
        },
    }
