"""Whether a contender did the work that it was timed for: what it left on its output topic is read back."""

from __future__ import annotations

from array import array
from math import nan
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


Levels = dict[int, bytes]
"""Predicted levels by partition, in offset order from 0 on: 8 bytes each, NaN where there is none."""


class VerificationError(Exception):
    """A contender lost, doubled or changed something: its rate is the rate of other work."""


class _Prediction(msgspec.Struct):
    """What every contender's prediction says."""

    source_partition: int
    source_offset: int
    predicted_stock_level: float | None


_decode: Final = msgspec.json.Decoder(_Prediction).decode


def check_events(label: str, processed: int, events: int) -> None:
    """Hold what a contender says of itself against the number of valid events.

    Raises:
        VerificationError: it did not process each once.
    """
    if processed != events:
        raise VerificationError(f"{label}: expected {events:,} events processed, it reports {processed:,}")


def check_copies(
    label: str, copies: Mapping[int, Sequence[bytes | None]], inputs: Mapping[int, Sequence[bytes | None]]
) -> None:
    """Hold an output topic against the input: the same values in the same order, partition by partition.

    Raises:
        VerificationError: it differs.
    """
    for partition, values in inputs.items():
        found = copies.get(partition, ())
        if len(found) != len(values):
            raise VerificationError(
                f"{label}: expected {len(values):,} records in partition {partition} of its output topic, one for "
                f"each event, found {len(found):,}"
            )
        if list(found) != list(values):
            raise VerificationError(f"{label}: partition {partition} of its output topic differs from the input")


def check_predictions(label: str, values: Iterable[bytes | None], ends: Mapping[int, int]) -> Levels:
    """Hold the values of an output topic against the input: one prediction for each event, none twice.

    Args:
        label: the contender.
        values: in any order.
        ends: how many events each partition of the input holds; their offsets count from 0.

    Returns:
        All predicted levels.

    Raises:
        VerificationError: a value is no prediction, or of no event, or one of an event that had one; or one is missing.
    """
    predicted = {partition: array("d", [nan]) * end for partition, end in ends.items()}
    seen = {partition: bytearray(end) for partition, end in ends.items()}
    for value in values:
        try:
            prediction = _decode(value or b"")
        except msgspec.DecodeError as error:
            raise VerificationError(f"{label}: expected predictions on its output topic, found {error}") from error
        partition, offset = prediction.source_partition, prediction.source_offset
        if not 0 <= offset < ends.get(partition, 0):
            raise VerificationError(
                f"{label}: a prediction for offset {offset} of partition {partition}, which is no event of the input"
            )
        if seen[partition][offset]:
            raise VerificationError(f"{label}: two predictions for offset {offset} of partition {partition}")
        seen[partition][offset] = 1
        level = prediction.predicted_stock_level
        predicted[partition][offset] = nan if level is None else level
    found, expected = sum(map(sum, seen.values())), sum(ends.values())
    if found != expected:
        first = next(f"offset {marks.index(0)} of partition {number}" for number, marks in seen.items() if 0 in marks)
        raise VerificationError(
            f"{label}: expected {expected:,} predictions on its output topic, one for each valid event, found "
            f"{found:,}; the first that is missing is for {first}"
        )
    return {partition: levels.tobytes() for partition, levels in predicted.items()}


class Agreement:
    """Contenders of one model predict the same, bit for bit, for every event that both were given.

    One that was given the first events only is held to the others as far as it goes.
    """

    def __init__(self) -> None:
        self._most: dict[str, tuple[str, Levels]] = {}

    def check(self, label: str, model: str, predicted: Levels) -> None:
        """Hold a contender's predictions against those of the one of its model that was given most, the first such.

        Raises:
            VerificationError: they differ.
        """
        other, expected = self._most.setdefault(model, (label, predicted))
        for partition in predicted.keys() | expected.keys():
            mine, theirs = predicted.get(partition, b""), expected.get(partition, b"")
            both = min(len(mine), len(theirs))
            if mine[:both] != theirs[:both]:
                raise VerificationError(f"{label}: its predictions differ from those of {other}; the model is {model}")
        if sum(map(len, predicted.values())) > sum(map(len, expected.values())):
            self._most[model] = label, predicted
