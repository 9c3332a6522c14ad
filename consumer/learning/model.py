"""What a task needs of a model; `consumer.learning.models` keeps one for each scope."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from schemas.dead_letter import InvalidEvent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumer.learning.arrays import Doubles
    from consumer.learning.batch import Run
    from consumer.learning.column_batch import ColumnRun, Numbers
    from consumer.learning.ledger import Posting
    from schemas.transaction import Event


class BrokenModelError(InvalidEvent):
    """An event would have left a number in the model's state that is not finite; the model is as before it."""

    def __init__(self) -> None:
        super().__init__(Reason.BROKE_MODEL)


class StockModel(Protocol):
    """Predicts an item's level and learns from it, event by event.

    Attributes:
        events_learned: how many events it has learned from.
    """

    events_learned: int

    @property
    def takes_batches(self) -> bool:
        """Tell whether it has `steps`, and no event ever breaks it."""

    def step(self, event: Event, posting: Posting) -> float | None:
        """Return the level in units expected right after `event`, then learn from it where the model's rule allows.

        Args:
            event: a valid stock transaction.
            posting: what it finds in the ledger; its `after` is the observed or standing-in level.

        Returns:
            The level, not finite where the model's arithmetic ends there, None where no level can be told.

        Raises:
            BrokenModelError: the event would break the model, which is then exactly as before it.
        """

    def steps(self, run: Run) -> tuple[Sequence[float | None], Sequence[int]]:
        """Step through the events of a run, each as `step` would.

        Returns:
            Of each event, the prediction, and how many events the model had learned from before it.
        """

    def accelerate(self, module: Any) -> None:  # noqa: ANN401
        """Take to machine code, `consumer.learning.compiled`: from then on it has `column_steps`, too."""

    def column_steps(self, run: ColumnRun) -> tuple[Doubles, Numbers]:
        """Step through the events of a run as `steps` would; a level that cannot be told is NaN."""

    def state(self) -> Any:  # noqa: ANN401 -- a model's own; plain types and River objects
        """Return the state, picklable. It is live: pickle it at once."""


class ModelKind(Protocol):
    """Makes the models of one `MODEL`.

    Attributes:
        parameters: what tells one configuration of it from another, in plain types; part of the fingerprint.
    """

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return what tells one configuration from another."""

    def new(self) -> StockModel:
        """Return a model that has learned nothing yet, or what a warm start brings."""

    def restored(self, state: Any) -> StockModel:  # noqa: ANN401 -- what `StockModel.state` returned
        """Return the model of a state.

        Raises:
            ValueError: it is no state of such a model.
        """


class ModelScope(StrEnum):
    """How far one model instance reaches."""

    PARTITION = "partition"
    STORE = "store"
    ITEM = "item"
