"""`MODEL=guarded` as a kind: what gives it its meaning, and which states are its own."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

import msgspec

from consumer.learning import gate, guarded, share
from consumer.learning.guarded import MAGNITUDES, OTHER_TYPE, GateKey, GuardedModel
from consumer.learning.health import examine
from consumer.learning.share import REFRESH, get_share_pipeline
from consumer.learning.step import prequential_step
from schemas.transaction import KNOWN_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.learning.regressor import Regressor

_Six = tuple[float, float, float, float, float, float]


class _State(TypedDict):
    """What `GuardedModel.state` returns; the pipeline stands first in the share."""

    events_learned: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    share: tuple[Any, _Six, _Six, Annotated[int, msgspec.Meta(ge=1, le=REFRESH)], dict[str, float]]
    gates: dict[GateKey, tuple[Annotated[int, msgspec.Meta(ge=0, le=gate.MEMORY)], float, float]]


_PIPELINE: Final = repr(get_share_pipeline())
_OTHERS: Final = frozenset({"FEATURE_NAMES", "KNOWN_TYPES", "MILLION", "TYPE_CHECKING"})
"""What the modules of the model take from elsewhere."""


def _constants() -> dict[str, Any]:
    """Return every constant of the modules that make a prediction, by its name."""
    return {
        name: value
        for module in (gate, share, guarded)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and name not in _OTHERS
    }


class GuardedKind:
    """Models of `guarded`.

    Args:
        warm_start: returns a pipeline that such a model trained, to begin with; None to begin untrained.

    Raises:
        ValueError: it returns another pipeline.
    """

    def __init__(self, warm_start: Callable[[], Regressor] | None = None) -> None:
        self._warm_start = warm_start
        self.parameters: Mapping[str, Any] = {
            "pipeline": _PIPELINE,
            "known types": sorted(KNOWN_TYPES),
            **_constants(),
        }
        self.new()

    def new(self) -> GuardedModel:
        """Return a model that has learned nothing yet, or what a warm start brings."""
        return GuardedModel(None if self._warm_start is None else self._warm_start())

    def restored(self, state: Any) -> GuardedModel:  # noqa: ANN401 -- checked here
        """Return the model of a state.

        Raises:
            ValueError: it is no state of such a model.
        """
        try:
            checked = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise ValueError(f"expected the state of a guarded model: {error}") from error
        pipeline, lows, highs, _, spreads = checked["share"]
        gates = checked["gates"].values()
        kinds = {*spreads, *(kind for _, kind, _ in checked["gates"])}
        if not kinds <= KNOWN_TYPES | {OTHER_TYPE}:
            raise ValueError(f"expected the contract's types, got {sorted(kinds - KNOWN_TYPES - {OTHER_TYPE})}")
        if not all(0 <= magnitude <= len(MAGNITUDES) for _, _, magnitude in checked["gates"]):
            raise ValueError(f"expected the gates' magnitudes from 0 to {len(MAGNITUDES)}")
        numbers = (*lows, *highs, *spreads.values(), *(error for each in gates for error in each[1:]))
        if not all(map(isfinite, numbers)):
            raise ValueError("expected finite numbers in the state of a guarded model")
        if repr(pipeline) != _PIPELINE or examine(pipeline).infinite or prequential_step(pipeline).run_many is None:
            # Machine code does the straight-line step's arithmetic: a pipeline without one would learn otherwise there.
            raise ValueError("expected the pipeline of a guarded model, with finite numbers")
        return GuardedModel.from_state(dict(checked))
