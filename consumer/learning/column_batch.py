"""A batch of records by columns, and a run of its events: what machine code works on.

Beside `consumer.learning.batch`, which does the same for event objects; a property test holds the two together.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.learning import columns as at
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from consumer.learning.acceleration import Machine
    from consumer.learning.encoded import RowEncoder
    from consumer.learning.ledger_arrays import LedgerArrays
    from consumer.learning.window_arrays import WindowArrays
    from consumer.record import RecordBatch
    from schemas.transaction import Limits

    Numbers = NDArray[np.int64]
    Doubles = NDArray[np.float64]


LARGEST_KEY: Final = 64 + 1 + 64
"""Bytes of the key of a plain row's item at most: store, separator, SKU."""


class ColumnRun(NamedTuple):
    """Successive rows of a batch that are new events, and what each finds in the ledger.

    Attributes:
        numbers: (n, ...), see `consumer.learning.columns`.
        doubles: (n, ...), likewise.
        befores: (n): the level before each, in millionths of a unit; NO_NUMBER where unknown.
        afters: (n): the observed or standing-in level after it, likewise.
        lates: (n): whether it is older than the item's last observed level.
        stores: (n): the number of its store.
        store_names: by number.
    """

    numbers: Numbers
    doubles: Doubles
    befores: Numbers
    afters: Numbers
    lates: NDArray[np.bool_]
    stores: NDArray[np.int32]
    store_names: Sequence[str]

    @property
    def last_us(self) -> int:
        """When the last of them occurred, in microseconds since 1970 UTC."""
        return int(self.numbers[-1, at.OCCURRED_US])

    def features(self) -> Doubles:
        """Return the base features, (n, 6), in the order of `FEATURE_NAMES` (`consumer.learning.features`)."""
        features = np.empty((len(self.numbers), 6))
        quantities = self.doubles[:, at.QUANTITY_UNITS]
        np.abs(quantities, out=features[:, 0])
        features[:, 1:4] = self.numbers[:, at.DAY_OF_WEEK : at.YEAR + 1]
        features[:, 4] = quantities < 0.0
        features[:, 5] = self.doubles[:, at.COST_UNITS]
        return features

    def targets(self) -> Doubles:
        """Return what a regressor learns, (n): the level after each event in units; NaN where it learns nothing."""
        targets = self.afters / MILLION
        targets[self.lates | (self.afters == at.NO_NUMBER)] = nan
        return targets


class ColumnBatch:
    """A batch of records as columns.

    Args:
        machine: the compiled code.
        batch: the records.
        limits: the contract's bounds.
        left_out: indices of records that are left to Python.

    Attributes:
        text: all values joined.
        spans: see `consumer.learning.columns`.
        numbers: likewise.
        offsets: (n).
    """

    def __init__(self, machine: Machine, batch: RecordBatch, limits: Limits, left_out: Sequence[int]) -> None:
        rows = len(batch)
        values = batch.values
        if None in values:
            values = [value or b"" for value in values]
        self._machine = machine
        self.text = np.frombuffer(bytearray().join(values), np.uint8)  # type: ignore[arg-type]  # no None left
        ends = np.cumsum(np.fromiter(map(len, values), np.int64, rows))  # type: ignore[arg-type]
        self.offsets = np.array(batch.offsets, np.int64)
        self.spans = np.empty((rows, at.SPANS), np.int64)
        self.numbers = np.empty((rows, at.NUMBERS), np.int64)
        self._doubles = np.empty((rows, at.DOUBLES))
        self._digests = np.empty((rows, 3), np.uint64)
        self._befores, self._afters, self._slots = (np.empty(rows, np.int64) for _ in range(3))
        self._lates, self._firsts = np.empty(rows, np.uint8), np.empty(rows, np.uint8)
        machine.parsing.parse_events(
            self.text,
            ends,
            np.array(batch.timestamps_ms, np.int64),
            limits.max_quantity,
            limits.max_clock_ahead_seconds * MILLION,
            self.spans,
            self.numbers,
            self._doubles,
        )
        self.numbers[left_out, at.IS_PLAIN] = 0
        machine.hashing.digest_events(
            self.text, self.spans, self.numbers, *machine.parsing.KIND_TABLE, self._digests.view(np.uint8)
        )

    def take_run(self, start: int, identities: WindowArrays, ledger: LedgerArrays) -> int:
        """Let the rows from `start` on enter window and ledger, as `batch.take_run` does; return where that ends.

        Args:
            start: where the run begins.
            identities: the window of identities.
            ledger: the levels.
        """
        if not self.numbers[start, at.IS_PLAIN]:
            return start
        rows = len(self.numbers) - start
        identities.make_room(rows)
        ledger.make_room(rows, rows * LARGEST_KEY)
        stop: int = self._machine.taking.take_events(
            self.text,
            self.spans,
            self.numbers,
            self._digests,
            start,
            ledger.counters,
            ledger.levels,
            ledger.observed,
            ledger.days,
            ledger.starts,
            ledger.lengths,
            ledger.heap,
            ledger.index,
            identities.counters,
            identities.ring,
            identities.index,
            self._befores,
            self._afters,
            self._lates,
            self._firsts,
            self._slots,
        )
        ledger.number_stores(self._slots[start:stop][self._firsts[start:stop] != 0])
        return stop

    def run(self, start: int, stop: int, ledger: LedgerArrays) -> ColumnRun:
        """Return the rows that `take_run` has taken."""
        return ColumnRun(
            self.numbers[start:stop],
            self._doubles[start:stop],
            self._befores[start:stop],
            self._afters[start:stop],
            self._lates[start:stop].view(np.bool_),
            ledger.stores[self._slots[start:stop]],
            ledger.store_names,
        )

    def encoded(
        self, encoder: RowEncoder, start: int, run: ColumnRun, predictions: Doubles, learned: Numbers
    ) -> list[bytes]:
        """Return the predictions of a run as they are published.

        Args:
            encoder: of the model and the partition.
            start: where the run begins.
            run: its columns.
            predictions: of each, in units; one that is not finite is published as null.
            learned: of each, how many events the model had learned from before it.
        """
        values = encoder.encode_rows(
            self.text,
            self.spans,
            self.numbers,
            start,
            before=run.befores,
            is_late=run.lates,
            learned=learned,
            offsets=self.offsets[start : start + len(predictions)],
            predictions=predictions.tolist(),
        )
        if len(values) < len(predictions):
            raise AssertionError("a run has no level that is too large to be written")
        return values

    def slots(self, start: int, stop: int) -> Numbers:
        """Return the slots of the items of the rows from `start` below `stop`."""
        return self._slots[start:stop].copy()

    def firsts(self, start: int, stop: int, ledger: LedgerArrays) -> Iterable[tuple[int, int]]:
        """Return the rows from `start` below `stop` that are the first of their item, each with its store's number."""
        rows = np.flatnonzero(self._firsts[start:stop]) + start
        return zip(rows.tolist(), ledger.stores[self._slots[rows]].tolist(), strict=True)

    def sku_of(self, row: int) -> str:
        """Return the SKU of a row."""
        start, length = self.spans[row, at.SKU : at.SKU + 2].tolist()
        sku: bytes = self.text[start : start + length].tobytes()
        return sku.decode()


def links_of(offsets: Numbers, outcome: int, predictions: Doubles) -> bytes:
    """Return the chain's links of predictions: each one's offset, outcome and predicted level."""
    links = np.empty(len(offsets), _LINK)
    links["offset"], links["outcome"], links["predicted"] = offsets, outcome, predictions
    return links.tobytes()


_LINK = np.dtype([("offset", "<i8"), ("outcome", "u1"), ("predicted", "<f8")])
