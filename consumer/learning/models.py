"""The models of one partition, by scope, and snapshots of them that are taken little by little.

To pickle a model takes some 50 µs, so a hundred thousand take seconds. A snapshot therefore begins at a record
boundary, and then advances while the models learn on: one that is about to step is pickled first, where the snapshot
has not come to it. What comes out is what would have been pickled at the beginning. A model that has not stepped since
its last pickle is not pickled again. See docs/decisions/0022-models-pickled-in-passing.md.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from consumer.learning.model import ModelScope
from consumer.learning.model_sections import GROUP, ModelSections

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from consumer.learning.model import ModelKind, StockModel
    from consumer.learning.model_sections import Section


class _Kept:
    """A model in its place.

    Attributes:
        key: of its scope.
        model: the model.
        data: its pickle as it is now; None where it may have changed since it was pickled.
        taken: the number of the newest snapshot that has got its pickle, or is older than the model.
        frozen: the pickle for that snapshot, where the model stepped before the snapshot came to it.
    """

    __slots__ = ("data", "frozen", "key", "model", "taken")

    def __init__(self, key: str, model: StockModel, taken: int, data: bytes | None = None) -> None:
        self.key = key
        self.model = model
        self.taken = taken
        self.data = data
        self.frozen: bytes | None = None

    def pickled(self) -> bytes:
        """Return the pickle of the model as it is."""
        data = self.data
        if data is None:
            data = self.data = pickle.dumps(self.model.state(), protocol=5)
        return data

    def before_step(self, snapshot: int) -> None:
        """Keep what a snapshot still needs of the model; then it may change."""
        if self.taken < snapshot:
            self.frozen, self.taken = self.pickled(), snapshot
        self.data = None

    def take(self, snapshot: int) -> bytes:
        """Return the pickle as it was when a snapshot began."""
        frozen, self.frozen = self.frozen, None
        if self.taken == snapshot and frozen is not None:
            return frozen
        self.taken = snapshot
        return self.pickled()


class ModelsSnapshot:
    """The models of one partition as they were when it began."""

    def __init__(self, models: Models, kept: Sequence[_Kept], number: int) -> None:
        self._models = models
        self._kept = kept
        self._number = number
        self._at = 0
        self._pickles: list[bytes] = []  # of the group that is not full yet
        self._taken = ModelSections()
        self._sections: dict[str, Section] | None = None

    def advance(self, count: int) -> bool:
        """Take the pickles of so many models more; tell whether it is complete, which takes one call more.

        Raises:
            AssertionError: another one has begun since, or the state was restored.
        """
        if self._sections is not None:
            return True
        if self._number != self._models.snapshots_begun:
            raise AssertionError("a snapshot that another one has superseded cannot go on")
        if self._at == len(self._kept):
            self._close_group()
            self._sections = self._taken.sections()
            return True
        for kept in self._kept[self._at : self._at + count]:
            self._pickles.append(kept.take(self._number))
            self._at += 1
            if len(self._pickles) == GROUP:
                self._close_group()
        return False

    def sections(self) -> dict[str, Section]:
        """Return the sections of a complete one; nothing changes them any more.

        Raises:
            AssertionError: it is not complete.
        """
        if self._sections is None:
            raise AssertionError("a snapshot has sections once it is complete")
        return self._sections

    def _close_group(self) -> None:
        if self._pickles:
            keys = [kept.key for kept in self._kept[self._at - len(self._pickles) : self._at]]
            self._taken.add(keys, self._pickles)
            self._pickles = []


class Models:
    """The models of one partition, by scope.

    A model is kept only once an event has been applied to it: one that breaks its first model leaves no trace.

    Attributes:
        snapshots_begun: how many snapshots have begun; the last of them may still be under way.
    """

    def __init__(self, scope: ModelScope, kind: ModelKind) -> None:
        self._scope = scope
        self._is_one = scope is ModelScope.PARTITION
        self._kind = kind
        self._by_scope: dict[str, _Kept] = {}
        self._takes_batches: bool | None = None
        self.snapshots_begun = 0

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
        kept = self._by_scope.get("") if self._is_one else None
        return None if kept is None else kept.model

    def about_to_step(self, store_id: str, item: str) -> StockModel | None:
        """Return the model in charge of an item, which may step; None where there is none yet.

        Args:
            store_id: the item's store.
            item: the ledger's key.
        """
        kept = self._by_scope.get(self._key(store_id, item))
        if kept is None:
            return None
        if kept.data is not None or kept.taken < self.snapshots_begun:
            kept.before_step(self.snapshots_begun)
        return kept.model

    def new(self) -> StockModel:
        """Return a new model, not kept yet."""
        return self._kind.new()

    def keep(self, store_id: str, item: str, model: StockModel) -> None:
        """Keep a new model as the one in charge of an item."""
        key = self._key(store_id, item)
        self._by_scope[key] = _Kept(key, model, self.snapshots_begun)

    def drop(self, items: Iterable[str]) -> None:
        """Forget the models of items that have left; one that reaches further than an item stays."""
        if self._scope is ModelScope.ITEM:
            for item in items:
                self._by_scope.pop(item, None)  # a ledger that was adopted may know items that no model does

    def begin_snapshot(self) -> ModelsSnapshot:
        """Begin a snapshot of the models as they are now; one that is under way is of no use any more.

        The one model of a whole partition is pickled at once: it steps without being asked for each event.
        """
        self.snapshots_begun += 1
        kept = list(self._by_scope.values())
        snapshot = ModelsSnapshot(self, kept, self.snapshots_begun)
        if self._is_one:
            for each in kept:
                each.data = None
            while not snapshot.advance(1):
                pass
        return snapshot

    def restore(self, state: Mapping[str, Any], pickles: Mapping[str, bytes] | None = None) -> None:
        """Take over the states of models.

        Args:
            state: by scope key, what `StockModel.state` returned.
            pickles: what these were unpickled from, where each was by itself: kept, since it is what a model that was
                never restored would be held to.

        Raises:
            ValueError: it holds what is no state of such a model.
        """
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise ValueError("expected the states of models by their scopes")
        known = {} if pickles is None or self._is_one else pickles
        number = self.snapshots_begun + 1  # whatever is under way is of no use any more
        try:
            self._by_scope = {
                key: _Kept(key, self._kind.restored(each), number, known.get(key)) for key, each in state.items()
            }
        except ValueError:
            raise
        except Exception as error:
            # A kind looks into the parts of a model, and a file may have left some of them out.
            raise ValueError(f"expected whole models; looking into one raised {type(error).__name__}") from error
        self.snapshots_begun = number

    def _key(self, store_id: str, item: str) -> str:
        if self._is_one:
            return ""
        return store_id if self._scope is ModelScope.STORE else item
