"""`MODEL=guarded`: what tells one configuration of it from another, and how its models are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from consumer.learning import gate, guarded, share
from consumer.learning.guarded import GuardedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.regressor import Regressor

_PARAMETERS: Final[dict[str, Any]] = {
    "parameters": repr(share.get_share_pipeline()),
    "largest share": share.LARGEST_SHARE,
    "least features": share.LEAST,
    "most features": share.MOST,
    "deviations": share.DEVIATIONS,
    "refresh": share.REFRESH,
    "usual times": share.USUAL_TIMES,
    "least spread": share.LEAST_SPREAD,
    "first spread": share.FIRST_SPREAD,
    "spread rate": share.SPREAD_RATE,
    "least votes": gate.LEAST_VOTES,
    "memory": gate.MEMORY,
    "clear win": gate.CLEAR_WIN,
    "largest vote": gate.LARGEST_VOTE,
    "magnitudes": guarded.MAGNITUDES,
}


class GuardedKind:
    """Makes `GuardedModel`s.

    Args:
        warm_start: builds the pipeline that a new model begins with a copy of, None for an untrained one.

    Raises:
        ValueError: that pipeline is none of a `guarded` model.
    """

    def __init__(self, warm_start: Callable[[], Regressor] | None = None) -> None:
        self._warm_start = warm_start
        self.parameters = _PARAMETERS
        self.new()

    def new(self) -> GuardedModel:
        """Return a new model."""
        return GuardedModel(None if self._warm_start is None else self._warm_start())

    def restored(self, state: Any) -> GuardedModel:  # noqa: ANN401 -- checked here
        """Return the model of a state."""
        try:
            return GuardedModel.from_state(state)
        except Exception as error:
            raise ValueError(
                f"expected the state of a guarded model; reading it raised {type(error).__name__}"
            ) from error
