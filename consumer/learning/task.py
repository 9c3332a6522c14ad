"""The partition task: one partition's state and its one verb, `process(record)`.

Pure: the same state and record give the same output and state. No clock, no randomness, no Kafka.
"""

from __future__ import annotations

import pickle
from collections import Counter
from enum import IntEnum
from math import isfinite
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.learning.chain import OutcomeChain
from consumer.learning.features import get_features
from consumer.learning.identities import Identities
from consumer.learning.ledger import Ledger
from consumer.learning.model import Models
from schemas.dead_letter import InvalidEvent, dead_letter_headers
from schemas.prediction import Prediction, encode_prediction
from schemas.transaction import KNOWN_TYPES, MILLION, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.learning.fingerprint import LearningSettings
    from consumer.learning.regressor import Regressor
    from consumer.record import Record
    from schemas.dead_letter import Headers

_DISCREPANCY_FLOOR: Final = 500  # millionths: smaller ones are published as 0

_link_prediction: Final = Struct("<qBd").pack
_link_other: Final = Struct("<qB").pack


class Outcome(IntEnum):
    """What became of a record; part of the chained digest, so the numbers never change."""

    PREDICTION = 1
    DEAD_LETTER = 2
    REPEAT = 3


_PREDICTION: Final = Outcome.PREDICTION  # a global is found faster than an enum's member


class Output(msgspec.Struct, gc=False):
    """What one record publishes: a prediction, or the record itself as a dead letter."""

    outcome: Outcome
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class Tally:
    """What happened since the worker last looked; no part of the state."""

    __slots__ = ("dead_letters", "late", "learned", "predictions", "repeats", "unknown_types")

    def __init__(self) -> None:
        self.predictions = 0
        self.repeats = 0
        self.late = 0
        self.learned = 0
        self.unknown_types = 0
        self.dead_letters: Counter[str] = Counter()


class PartitionTask:
    """The models, ledger and identities of one input partition, and how far it has read.

    Attributes:
        next_offset: the offset that it expects next; every record below it has been applied.
        first_offset: the first offset that it ever learned from.
        records_applied: how many records it has applied, whatever became of them.
        chain: digest over each applied record's offset, outcome and prediction.
        tally: what happened since the worker last took it.
    """

    def __init__(  # noqa: PLR0913 -- a task is what these say it is
        self,
        *,
        topic: str,
        partition: int,
        first_offset: int,
        settings: LearningSettings,
        model_id: str,
        model_factory: Callable[[], Regressor],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.first_offset = first_offset
        self.next_offset = first_offset
        self.records_applied = 0
        self.chain = OutcomeChain()
        self.tally = Tally()
        self._limits = settings.limits
        self._model_id = model_id
        self._models = Models(settings.scope, model_factory)
        self._ledger = Ledger()
        self._identities = Identities(settings.seen_ids)

    @property
    def model_count(self) -> int:
        """How many model instances it holds."""
        return len(self._models)

    def process(self, record: Record) -> Output | None:
        """Apply the next record and return what to publish for it; a repeat publishes nothing."""
        try:
            event = decode(record.value, record.timestamp_ms, self._limits)
            is_repeat = self._identities.is_repeat(event)
        except InvalidEvent as invalid:
            return self._dead_letter(record, invalid)
        offset = record.offset
        if is_repeat:
            self._advance(offset, _link_other(offset, Outcome.REPEAT))
            self.tally.repeats += 1
            return None

        item = f"{event.store_id}\x1f{event.sku}"  # ids hold no control characters
        observed = event.level_millionths
        posting = self._ledger.post(item, event.quantity_millionths, observed, event.occurred_us)
        before, after, is_late = posting.before, posting.after, posting.is_late

        model = self._models.of(event.store_id, item)
        events_learned = model.events_learned
        tally = self.tally
        if after is None or is_late:
            predicted = model.run(get_features(event), None)
        else:
            predicted = model.run(get_features(event), after / MILLION)
            model.events_learned = events_learned + 1
            tally.learned += 1

        discrepancy = None
        if before is not None and observed is not None and not is_late:
            missing = observed - before - event.quantity_millionths
            discrepancy = missing / MILLION if abs(missing) >= _DISCREPANCY_FLOOR else 0.0
        prediction = Prediction(
            event.transaction_id,
            event.store_id,
            event.sku,
            event.line_id,
            event.occurred_at,
            None if before is None else before / MILLION,
            predicted if isfinite(predicted) else None,
            None if observed is None else observed / MILLION,
            discrepancy,
            is_late,
            self._model_id,
            events_learned,
            record.partition,
            offset,
        )
        self._advance(offset, _link_prediction(offset, _PREDICTION, predicted))
        tally.predictions += 1
        tally.late += is_late
        kind = event.transaction_type
        if kind is not None and kind not in KNOWN_TYPES:
            tally.unknown_types += 1
        return Output(_PREDICTION, record.key, encode_prediction(prediction), None)

    def skip_to(self, offset: int) -> None:
        """Move on to `offset` where the log holds no record in between (markers, aborted records)."""
        self.next_offset = max(self.next_offset, offset)

    def snapshot(self) -> dict[str, bytes]:
        """Return the whole state as named sections, each pickled; later sections may join them."""
        sections: dict[str, Any] = {
            "progress": (self.next_offset, self.first_offset, self.records_applied, self.chain.snapshot()),
            "models": self._models.snapshot(),
            "ledger": self._ledger.snapshot(),
            "identities": self._identities.snapshot(),
        }
        return {name: pickle.dumps(state, protocol=5) for name, state in sections.items()}

    def restore(self, sections: Mapping[str, bytes]) -> None:
        """Take over the state that `snapshot` returned.

        The sections are unpickled: pass only what comes from a checkpoint whose digest was verified.

        Raises:
            KeyError: a section is missing.
        """
        state = {name: pickle.loads(sections[name]) for name in ("progress", "models", "ledger", "identities")}  # noqa: S301 -- digest verified by the caller
        self.next_offset, self.first_offset, self.records_applied, chain = state["progress"]
        self.chain.restore(chain)
        self._models.restore(state["models"])
        self._ledger.restore(state["ledger"])
        self._identities.restore(state["identities"])

    def _dead_letter(self, record: Record, invalid: InvalidEvent) -> Output:
        offset = record.offset
        self._advance(offset, _link_other(offset, Outcome.DEAD_LETTER) + invalid.reason.encode())
        self.tally.dead_letters[invalid.reason.value] += 1
        headers = dead_letter_headers(
            record.headers,
            invalid=invalid,
            topic=self.topic,
            partition=record.partition,
            offset=offset,
            timestamp_ms=record.timestamp_ms,
        )
        return Output(Outcome.DEAD_LETTER, record.key, record.value, headers)

    def _advance(self, offset: int, link: bytes) -> None:
        self.next_offset = offset + 1
        self.records_applied += 1
        self.chain.add(link)
