"""A `guarded` model's state as arrays, for its compiled steps."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning import gate, share
from consumer.learning.arrays import PipelineArrays, feature_rows
from consumer.learning.columns import KIND, LEVEL, NO_NUMBER, QUANTITY
from consumer.learning.gate import Gate
from consumer.learning.guarded import MAGNITUDES, OTHER_TYPE
from schemas.transaction import KNOWN_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.learning.arrays import Doubles
    from consumer.learning.column_batch import ColumnRun, Numbers
    from consumer.learning.guarded import GateKey
    from schemas.transaction import Event

# In the order of `consumer.learning.compiled`.
_CONSTANTS: Final = np.array(
    [
        share.DEVIATIONS,
        share.FIRST_SPREAD,
        share.LARGEST_SHARE,
        share.LEAST_SPREAD,
        share.REFRESH,
        share.SPREAD_RATE,
        share.USUAL_TIMES * share.USUAL_TIMES,
        gate.CLEAR_WIN,
        gate.LARGEST_VOTE,
        gate.LEAST_ERROR,
        gate.LEAST_VOTES,
        gate.MEMORY,
        *share.LEAST,
        *share.MOST,
    ],
    np.float64,
)

_KINDS: Final = (*sorted(KNOWN_TYPES), OTHER_TYPE)
_UNNAMED: Final = -1
_KIND_AT: Final[dict[str | None, int]] = {**{kind: at for at, kind in enumerate(_KINDS)}, None: _UNNAMED}
_MAGNITUDES: Final = len(MAGNITUDES) + 1
_OTHER, _SALE, _RECEIPT = (_KIND_AT[kind] for kind in (OTHER_TYPE, "sale", "receipt"))

_LARGEST_BEFORE: Final = 2**53 - 2 * 10**15
"""Up to here every sum and difference of an event is a whole number that a double holds: then machine code divides as
Python does. An observed level is at most 10**15 millionths, a quantity 10**12."""


class GuardedArrays:
    """The state of a `guarded` model while its compiled steps own it.

    Args:
        module: `consumer.learning.compiled`.
        learned_share: the share's snapshot, its pipeline up to date.
        gates: by key.
        events_learned: so far.
    """

    def __init__(
        self,
        module: Any,  # noqa: ANN401
        learned_share: tuple[Any, ...],
        gates: dict[GateKey, Gate],
        events_learned: int,
    ) -> None:
        pipeline, lows, highs, until_refresh, spreads = learned_share
        self._module = module
        self._pipeline = PipelineArrays(pipeline)
        self._lows, self._highs = np.array(lows, np.float64), np.array(highs, np.float64)
        self._kind_names: list[str] = list(spreads)
        self._spreads = np.array([spreads.get(kind, nan) for kind in _KINDS], np.float64)
        self._spread_order = np.zeros(len(_KINDS), np.int64)
        self._counters = np.array([until_refresh, len(gates), len(spreads), events_learned], np.int64)
        self._stores: dict[str, int] = {}
        for store_id, _, _ in gates:
            self._stores.setdefault(store_id, len(self._stores))
        self._ledgers_stores = np.zeros(0, np.int64)
        self._keys: list[GateKey] = list(gates)
        self._gate_at = np.full(0, -1, np.int64)
        self._gates = np.zeros((len(gates), 4))
        self._gate_codes = np.zeros(len(gates), np.int64)
        self._make_room(0)
        for at, ((store_id, kind, magnitude), each) in enumerate(gates.items()):
            code = (self._stores[store_id] * len(_KINDS) + _KIND_AT[kind]) * _MAGNITUDES + magnitude
            self._gate_at[code] = at
            self._gates[at] = (*each.snapshot(), each.is_open)
            self._gate_codes[at] = code

    @property
    def events_learned(self) -> int:
        """How many events it has learned from."""
        return int(self._counters[3])

    def steps(
        self, events: Sequence[Event], befores: Sequence[int | None], lates: Sequence[bool]
    ) -> tuple[Sequence[float | None], Sequence[int]] | None:
        """Step through events as the model would; None, and nothing is done, where numbers are too large for it."""
        columns = self._columns(events, befores, lates)
        if columns is None:
            return None
        predictions, learned = self._step(feature_rows(events), columns)
        predicted: Sequence[float] = predictions.tolist()
        if None in befores:
            pairs = zip(befores, predicted, strict=True)
            return [None if before is None else each for before, each in pairs], learned.tolist()
        return predicted, learned.tolist()

    def column_steps(self, run: ColumnRun) -> tuple[Doubles, Numbers]:
        """Step through the events of a run; the prediction is NaN where the level before is unknown."""
        module, numbers = self._module, run.numbers
        columns = np.empty((len(numbers), 6), np.int64)
        unknown, unobserved = run.befores == NO_NUMBER, numbers[:, LEVEL] == NO_NUMBER
        columns[:, 0] = run.befores
        columns[:, 1] = numbers[:, QUANTITY]
        columns[:, 2] = numbers[:, LEVEL]
        columns[:, 3] = module.OBSERVED
        columns[unobserved, 3] = module.UNOBSERVED
        columns[run.lates, 3] = module.LATE
        columns[unknown, 3] = module.UNKNOWN
        columns[:, 4] = numbers[:, KIND]
        if len(run.store_names) > len(self._ledgers_stores):
            self._ledgers_stores = np.array([self._store_at(name) for name in run.store_names], np.int64)
        columns[:, 5] = self._codes(self._ledgers_stores[run.stores], columns[:, 4], columns[:, 1])
        return self._step(run.features(), columns)

    def _step(self, features: Doubles, columns: Numbers) -> tuple[Doubles, Numbers]:
        self._make_room(len(columns))
        predictions, learned = np.empty(len(columns)), np.empty(len(columns), np.int64)
        self._module.guarded_steps(
            self._pipeline.numbers,
            self._pipeline.parameters,
            _CONSTANTS,
            self._pipeline.deviations,
            self._lows,
            self._highs,
            self._counters,
            self._spreads,
            self._spread_order,
            self._gate_at,
            self._gates,
            self._gate_codes,
            features,
            columns,
            predictions,
            learned,
        )
        self._name_new()
        return predictions, learned

    def share(self) -> tuple[Any, ...]:
        """Return the share's snapshot: the pipeline, brought up to date, and plain types."""
        spreads = self._spreads.tolist()
        return (
            self._pipeline.flush(),
            tuple(self._lows.tolist()),
            tuple(self._highs.tolist()),
            int(self._counters[0]),
            {kind: spreads[_KIND_AT[kind]] for kind in self._kind_names},
        )

    def gates(self) -> dict[GateKey, Gate]:
        """Return the gates by their keys, in the order in which they were made."""
        rows = self._gates[: len(self._keys)].tolist()
        return {
            key: Gate(int(votes), without, corrected)
            for key, (votes, without, corrected, _) in zip(self._keys, rows, strict=True)
        }

    def _columns(self, events: Sequence[Event], befores: Sequence[int | None], lates: Sequence[bool]) -> Any:  # noqa: ANN401 -- an array, or None
        """Return what the steps take of each event (see `consumer.learning.compiled.guarded_steps`)."""
        module = self._module
        columns = np.empty((len(events), 6), np.int64)
        observed: list[Any] = [event.level_millionths for event in events]
        columns[:, 3] = module.OBSERVED
        if None in observed:
            columns[[level is None for level in observed], 3] = module.UNOBSERVED
            observed = [level or 0 for level in observed]
        if True in lates:
            columns[np.array(lates), 3] = module.LATE
        if None in befores:
            columns[[before is None for before in befores], 3] = module.UNKNOWN
        columns[:, 0] = [before or 0 for before in befores]
        columns[:, 2] = observed
        if np.abs(columns[:, 0]).max(initial=0) > _LARGEST_BEFORE:
            return None
        columns[:, 1] = [event.quantity_millionths for event in events]
        quantities = columns[:, 1]
        kinds = np.array([_KIND_AT.get(event.transaction_type, _OTHER) for event in events])
        unnamed = kinds == _UNNAMED
        if unnamed.any():
            kinds[unnamed] = np.where(quantities[unnamed] < 0, _SALE, _RECEIPT)
        columns[:, 4] = kinds
        columns[:, 5] = self._codes(np.array([self._store_at(event.store_id) for event in events]), kinds, quantities)
        return columns

    def _store_at(self, name: str) -> int:
        """Return the number of a store."""
        return self._stores.setdefault(name, len(self._stores))

    @staticmethod
    def _codes(stores: Numbers, kinds: Numbers, quantities: Numbers) -> Any:  # noqa: ANN401 -- an array
        """Return the codes of gates: store, kind, magnitude."""
        sizes = np.abs(quantities)
        magnitudes = sum(sizes >= least for least in MAGNITUDES)  # as `bisect_right` has it
        return (stores * len(_KINDS) + kinds) * _MAGNITUDES + magnitudes

    def _name_new(self) -> None:
        """Give names to the kinds and gates that the last steps made."""
        kinds, gates = int(self._counters[2]), int(self._counters[1])
        self._kind_names.extend(_KINDS[kind] for kind in self._spread_order[len(self._kind_names) : kinds])
        if gates > len(self._keys):
            names = list(self._stores)
            for code in self._gate_codes[len(self._keys) : gates].tolist():
                store, kind = divmod(code // _MAGNITUDES, len(_KINDS))
                self._keys.append((names[store], _KINDS[kind], code % _MAGNITUDES))

    def _make_room(self, events: int) -> None:
        """See that each of so many events finds its store and may make a gate."""
        codes = len(self._stores) * len(_KINDS) * _MAGNITUDES
        if codes > len(self._gate_at):
            self._gate_at = np.concatenate([self._gate_at, np.full(2 * codes - len(self._gate_at), -1, np.int64)])
        rows = len(self._keys) + events
        if rows > len(self._gates):
            more = 2 * rows - len(self._gates)
            self._gates = np.concatenate([self._gates, np.zeros((more, 4))])
            self._gate_codes = np.concatenate([self._gate_codes, np.zeros(more, np.int64)])
