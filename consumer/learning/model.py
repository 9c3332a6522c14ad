"""What a task needs of a model, and one instance of it for each scope."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from schemas.dead_letter import InvalidEvent, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


class Models:
    """The models of one partition, by scope.

    A model is kept only once an event has been applied to it: one that breaks its first model leaves no trace.
    """

    def __init__(self, scope: ModelScope, kind: ModelKind) -> None:
        self._scope = scope
        self._is_one = scope is ModelScope.PARTITION
        self._kind = kind
        self._by_scope: dict[str, StockModel] = {}
        self._takes_batches: bool | None = None

    def __len__(self) -> int:
        return len(self._by_scope)

    @property
    def take_batches(self) -> bool:
        """Tell whether there is one model for the whole partition, and it has `steps`, be it there yet or not."""
        if not self._is_one:
            return False
        if self._takes_batches is None:
            self._takes_batches = (self.only() or self._kind.new()).takes_batches
        return self._takes_batches

    def only(self) -> StockModel | None:
        """Return the one model of the whole partition; None where there is none yet, or one for each store or item."""
        return self._by_scope.get("") if self._is_one else None

    def of(self, store_id: str, item: str) -> StockModel | None:
        """Return the model in charge of an item, None where there is none yet; `item` is the ledger's key."""
        if self._is_one:
            return self._by_scope.get("")
        return self._by_scope.get(self._key(store_id, item))

    def new(self) -> StockModel:
        """Return a new model, not kept yet."""
        return self._kind.new()

    def keep(self, store_id: str, item: str, model: StockModel) -> None:
        """Keep a new model as the one in charge of an item."""
        self._by_scope[self._key(store_id, item)] = model

    def drop(self, items: Iterable[str]) -> None:
        """Forget the models of items that have left; one that reaches further than an item stays."""
        if self._scope is ModelScope.ITEM:
            for item in items:
                self._by_scope.pop(item, None)  # a ledger that was adopted may know items that no model does

    def snapshot(self) -> dict[str, Any]:
        """Return the state: scope key to the model's own. It is live: pickle it at once."""
        return {key: model.state() for key, model in self._by_scope.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `snapshot` returned.

        Raises:
            ValueError: it holds what is no state of such a model.
        """
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise ValueError("expected the states of models by their scopes")
        self._takes_batches = None
        try:
            self._by_scope = {key: self._kind.restored(each) for key, each in state.items()}
        except ValueError:
            raise
        except Exception as error:
            # A kind looks into the parts of a model, and a file may have left some of them out.
            raise ValueError(f"expected whole models; looking into one raised {type(error).__name__}") from error

    def _key(self, store_id: str, item: str) -> str:
        if self._is_one:
            return ""
        return store_id if self._scope is ModelScope.STORE else item
