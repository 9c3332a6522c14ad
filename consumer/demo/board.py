"""The view model: what is to be shown, made of answers, counts and readings. Pure: no clock, no Kafka, no terminal."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.demo.readings import Readings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.prediction import Prediction

RATE_SECONDS: Final = 3.0
"""The window of events a second: long enough to be read, short enough to follow."""

CHOICE_SECONDS: Final = 3.0
"""How long the items shown stay the same, so that a row can be read."""

_EXACT: Final = 0.5


@dataclass(slots=True, eq=False)
class ItemLine:
    """One item, as its last prediction that was not late has it; levels in units.

    Attributes:
        store_id: the store.
        sku: the stock-keeping unit.
        events: predictions made for it.
        level_before: what the ledger knew before the last event.
        predicted: the level predicted for right after it.
        observed: the level that the event told.
        discrepancy: observed minus what the books say; None where one of them is unknown.
        drift: sum of its discrepancies.
        gaps: how many of its events told a level that the books did not explain.
        occurred_at: of the last event, as written.
    """

    store_id: str
    sku: str
    events: int = 0
    level_before: float | None = None
    predicted: float | None = None
    observed: float | None = None
    discrepancy: float | None = None
    drift: float = 0.0
    gaps: int = 0
    occurred_at: str = ""


class Accuracy(NamedTuple):
    """How predictions compare with the levels that were told; late events and unknown levels left out.

    Attributes:
        compared: how many could be compared.
        exact: how many of these were right to the unit.
        median_error: of the others, in units, whatever the sign; 0 where there are none. No mean: one late sale of
            fuel, 15,428 units of it, would say more than everything else.
    """

    compared: int
    exact: int
    median_error: float


@dataclass(slots=True)
class Board:
    """What has been seen so far.

    Attributes:
        items: by (store_id, sku).
        predictions: answers that are predictions.
        late: those of them for late events.
        out_of_order: predictions that repeat, or precede, one of their partition that was read before.
        dead_letters: refused events by reason.
        sent: events sent, by kind.
        readings: what the worker said last.
        shop_time: when the last event occurred, as written.
    """

    items: dict[tuple[str, str], ItemLine] = field(default_factory=dict)
    predictions: int = 0
    late: int = 0
    out_of_order: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    sent: Mapping[str, int] = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)
    shop_time: str = ""
    _compared: int = 0
    _errors: list[float] = field(default_factory=list)  # of predictions that were not exact
    _last_offsets: dict[int, int] = field(default_factory=dict)
    _answered_at: deque[tuple[float, int]] = field(default_factory=deque)
    _shown: list[ItemLine] = field(default_factory=list)
    _chosen_at: float | None = None

    @property
    def answered(self) -> int:
        """Predictions, dead letters and skipped repeats: one for each event, once all is done."""
        return self.predictions + self.dead_letters.total() + self.readings.repeats

    @property
    def sent_total(self) -> int:
        """Events of all kinds."""
        return sum(self.sent.values())

    def refused(self, reason: str) -> None:
        """Take in a dead letter."""
        self.dead_letters[reason] += 1

    def predicted(self, prediction: Prediction) -> None:
        """Take in a prediction."""
        self.predictions += 1
        if prediction.source_offset <= self._last_offsets.get(prediction.source_partition, -1):
            self.out_of_order += 1
        else:
            self._last_offsets[prediction.source_partition] = prediction.source_offset
        key = (prediction.store_id, prediction.sku)
        line = self.items.get(key)
        if line is None:
            line = self.items[key] = ItemLine(*key)
        line.events += 1
        if prediction.is_late:  # its level is the ledger's present one, and nothing is to be compared
            self.late += 1
            return
        self._compare(prediction.predicted_stock_level, prediction.observed_stock_level)
        self.shop_time = line.occurred_at = prediction.occurred_at
        line.level_before = prediction.level_before
        line.predicted = prediction.predicted_stock_level
        line.observed = prediction.observed_stock_level
        line.discrepancy = prediction.discrepancy
        if prediction.discrepancy:
            line.drift += prediction.discrepancy
            line.gaps += 1

    def rate(self, now: float) -> float:
        """Return the events answered a second, of the last `RATE_SECONDS`.

        Args:
            now: seconds, monotonic; the same clock at each call.
        """
        self._answered_at.append((now, self.answered))
        while len(self._answered_at) > 1 and self._answered_at[0][0] < now - RATE_SECONDS:
            self._answered_at.popleft()
        then, answered = self._answered_at[0]
        return (self.answered - answered) / (now - then) if now > then else 0.0

    def shown(self, rows: int, now: float) -> Sequence[ItemLine]:
        """Return the items to show: those whose books drift most, then the busiest.

        An item keeps its row for as long as it is among them, and they are chosen anew every `CHOICE_SECONDS` only.
        """
        is_due = self._chosen_at is None or now - self._chosen_at >= CHOICE_SECONDS
        if is_due or len(self._shown) != min(rows, len(self.items)):
            self._chosen_at = now
            wanted = self.drifting(rows)
            kept = [line for line in self._shown[:rows] if line in wanted]
            newcomers = [line for line in wanted if line not in kept]
            places = [line if line in kept else newcomers.pop(0) for line in self._shown[:rows]]
            self._shown = places + newcomers
        return self._shown

    def drifting(self, number: int) -> list[ItemLine]:
        """Return the items with the largest drift first, the busiest first among equals."""
        return sorted(self.items.values(), key=lambda line: (-abs(line.drift), -line.events, line.sku))[:number]

    def accuracy(self) -> Accuracy:
        """Return how the predictions compare with what was told."""
        median = statistics.median(self._errors) if self._errors else 0.0
        return Accuracy(self._compared, self._compared - len(self._errors), median)

    def _compare(self, predicted: float | None, observed: float | None) -> None:
        if predicted is None or observed is None:
            return
        self._compared += 1
        error = abs(predicted - observed)
        if error >= _EXACT:
            self._errors.append(error)
