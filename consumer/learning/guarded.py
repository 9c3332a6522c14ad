"""The `guarded` model: the ledger's arithmetic, and a learned correction where that has earned its place."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from consumer.learning.gate import Gate
from consumer.learning.share import Share, bounded
from schemas.transaction import KNOWN_TYPES, MILLION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.learning.arrays import Doubles
    from consumer.learning.batch import Run
    from consumer.learning.column_batch import ColumnRun, Numbers
    from consumer.learning.guarded_arrays import GuardedArrays
    from consumer.learning.ledger import Posting
    from schemas.transaction import Event

OTHER_TYPE: Final = "other"
"""What all types unknown to the contract count as; no known one has this name."""

MAGNITUDES: Final = tuple(10**digits * MILLION for digits in range(1, 7))
"""A quantity's orders of magnitude, in millionths: below 10 units, below 100, ... A carton vouches for no tanker."""

GateKey = tuple[str, str, int]
"""Store, effective type, order of magnitude of the quantity."""


def effective_type(event: Event) -> str:
    """Return the type that an event counts as: none means a sale below 0, else a receipt."""
    kind = event.transaction_type
    if kind is None:
        return "sale" if event.quantity_millionths < 0 else "receipt"
    return kind if kind in KNOWN_TYPES else OTHER_TYPE


class _Own(dict[str, str]):
    """One text object for each text, of no one else: a pickle writes an object once, and must not tell whose it was."""

    def __missing__(self, text: str) -> str:
        self[text] = own = text.encode().decode()
        return own


class GuardedModel:
    """Level before + quantity + correction, for the events of one scope.

    The correction is what the books miss (unrecorded sales, short receipts, shrink): a share of the quantity, learned
    from the discrepancies of observed levels, at most a quarter. It is used only where it has earned it, for events of
    the same store, effective type and order of magnitude; elsewhere the prediction is the ledger's, bit for bit.

    Attributes:
        events_learned: how many events it has learned from: those with an observed level, a known level before and a
            quantity, that are not late.
    """

    __slots__ = ("_arrays", "_gates", "_module", "_share", "events_learned")

    takes_batches = True

    def __init__(self, pipeline: Any = None, *, state: dict[str, Any] | None = None) -> None:  # noqa: ANN401 -- of River
        """Begin anew, with a copy of the pipeline of a `guarded` model, or where `state` was.

        Raises:
            ValueError: the pipeline is none of a `guarded` model.
        """
        self.events_learned: int
        self._module: Any = None  # of compiled steps, once it has taken to them
        self._arrays: GuardedArrays | None = None  # while compiled steps own gates and share
        self._gates: dict[GateKey, Gate]
        if state is None:
            self.events_learned, self._gates = 0, {}
            self._share = Share(pipeline)
        else:
            self.events_learned = state["events_learned"]
            self._gates = {key: Gate(*numbers) for key, numbers in state["gates"].items()}
            self._share = Share(state=state["share"])

    @property
    def pipeline(self) -> Any:  # noqa: ANN401 -- a River pipeline
        """The River pipeline that estimates the share, up to date."""
        return self.state()["share"][0]

    def steps(self, run: Run) -> tuple[Sequence[float | None], Sequence[int]]:
        """Step through the events of a run; the observed level is in the event itself."""
        events, befores, lates = run.events, run.befores, run.lates
        found = self._compiled_steps(events, befores, lates)
        return self.python_steps(events, befores, lates) if found is None else found

    def python_steps(
        self, events: Sequence[Event], befores: Sequence[int | None], lates: Sequence[bool]
    ) -> tuple[list[float | None], list[int]]:
        """Step through many events one by one, in Python."""
        predictions: list[float | None] = []
        counts: list[int] = []
        step = self._step
        for event, before, is_late in zip(events, befores, lates, strict=True):
            counts.append(self.events_learned)
            predictions.append(step(event, before, is_late))
        return predictions, counts

    def step(self, event: Event, posting: Posting) -> float | None:
        """Return the level in units to be expected right after `event`, then learn from it.

        None where the level before is unknown. A late event changes nothing on the shelf (the later observation
        contains it already), so the ledger's present level is what is expected after it, too.
        """
        found = self._compiled_steps([event], [posting.before], [posting.is_late])
        return self._step(event, posting.before, posting.is_late) if found is None else found[0][0]

    def accelerate(self, module: Any) -> None:  # noqa: ANN401
        """Take to machine code, `consumer.learning.compiled`."""
        self._module = module
        self._own_arrays()

    def column_steps(self, run: ColumnRun) -> tuple[Doubles, Numbers]:
        """Step through the events of a run by machine code."""
        arrays = self._own_arrays()
        found = arrays.column_steps(run)
        self.events_learned = arrays.events_learned
        return found

    def _own_arrays(self) -> GuardedArrays:
        """Return the arrays that own gates and share: anew where an absurd level has left them to Python."""
        from consumer.learning.guarded_arrays import GuardedArrays  # noqa: PLC0415 -- which imports this module

        if self._arrays is None:
            self._arrays = GuardedArrays(self._module, self._share.snapshot(), self._gates, self.events_learned)
        return self._arrays

    def _compiled_steps(
        self, events: Sequence[Event], befores: Sequence[int | None], lates: Sequence[bool]
    ) -> tuple[Sequence[float | None], Sequence[int]] | None:
        """Step through events by machine code; None, and nothing is done, where there is none or it is not exact."""
        if self._arrays is None:
            return None
        found = self._arrays.steps(events, befores, lates)
        if found is None:
            self._gates, self._share = self._arrays.gates(), Share(state=self._arrays.share())
            self._arrays = None
        else:
            self.events_learned = self._arrays.events_learned
        return found

    def _step(self, event: Event, before: int | None, is_late: bool) -> float | None:
        if before is None:
            return None
        if is_late:
            return before / MILLION
        quantity = event.quantity_millionths
        expected = before + quantity
        predicted = expected / MILLION
        if not quantity:  # of which there is no share
            return predicted

        kind = effective_type(event)
        size = abs(quantity)
        key = event.store_id, kind, bisect_right(MAGNITUDES, size)
        gate = self._gates.get(key)
        is_open = gate is not None and gate.is_open

        observed = event.level_millionths
        if observed is None:
            return predicted + self._share.expect(event) * (size / MILLION) if is_open else predicted
        missing = bounded((observed - expected) / size)
        share = self._share.expect_and_learn(event, kind, missing)
        if is_open:
            predicted += share * (size / MILLION)
        if gate is None:
            gate = self._gates[key] = Gate()
        gate.vote(missing, share)
        self.events_learned += 1
        return predicted

    def state(self) -> dict[str, Any]:
        """Return the state: the live River pipeline, and plain types. Pickle it at once."""
        arrays = self._arrays
        gates = self._gates if arrays is None else arrays.gates()
        *rest, spreads = self._share.snapshot() if arrays is None else arrays.share()
        own = _Own()
        return {
            "events_learned": self.events_learned,
            "share": (*rest, {own[kind]: spread for kind, spread in spreads.items()}),
            "gates": {
                (own[store_id], own[kind], magnitude): gate.snapshot()
                for (store_id, kind, magnitude), gate in gates.items()
            },
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> GuardedModel:
        """Return the model that `state` saw; the pipeline in it becomes its own."""
        return cls(state=state)
