"""The benchmark's checks turn red when a contender did less than the work that it was timed for."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.bench.verification import (
    Agreement,
    VerificationError,
    check_copies,
    check_events,
    check_predictions,
)

ENDS = {0: 3, 1: 0, 2: 2}


def prediction(partition: int, offset: int, level: float | None = 1.0) -> bytes:
    """What a contender publishes, more fields than the check needs."""
    source = {"source_partition": partition, "source_offset": offset}
    return json.dumps({"transaction_id": "1", **source, "predicted_stock_level": level}).encode()


def predictions(level: float | None = 1.0) -> list[bytes | None]:
    """One for each event."""
    return [prediction(partition, offset, level) for partition, end in ENDS.items() for offset in range(end)]


def test_one_prediction_for_each_event_passes_in_any_order() -> None:
    """Output partitions may interleave: only what was predicted for which event counts."""
    assert check_predictions("x", predictions(), ENDS) == check_predictions("x", reversed(predictions()), ENDS)


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_event_is_named(lost: int) -> None:
    """A contender that loses any one event fails, and the message says how many there were and which is missing."""
    values = predictions()
    del values[lost]
    partition, offset = [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)][lost]
    expected = (
        "swift: expected 5 predictions on its output topic, one for each valid event, found 4; the first that is "
        f"missing is for offset {offset} of partition {partition}"
    )
    with pytest.raises(VerificationError, match=f"^{re.escape(expected)}$"):
        check_predictions("swift", values, ENDS)


def test_a_doubled_prediction_does_not_stand_in_for_a_lost_one() -> None:
    """The count alone would be right."""
    values = predictions()
    values[1] = values[0]
    with pytest.raises(VerificationError, match="two predictions for offset 0 of partition 0"):
        check_predictions("x", values, ENDS)


@pytest.mark.parametrize(("partition", "offset"), [(0, 3), (1, 0), (3, 0), (0, -1)])
def test_a_prediction_of_no_event_is_found(partition: int, offset: int) -> None:
    """What is not in the input cannot be predicted for."""
    with pytest.raises(VerificationError, match=f"offset {offset} of partition {partition}, which is no event"):
        check_predictions("x", [*predictions(), prediction(partition, offset)], ENDS)


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"source_partition": 0, "source_offset": 0}'])
def test_what_is_no_prediction_is_found(value: bytes | None) -> None:
    """A copy of the input, say, is no prediction, however many there are."""
    with pytest.raises(VerificationError, match="expected predictions on its output topic, found"):
        check_predictions("x", [value, *predictions()], ENDS)


def test_contenders_of_one_model_predict_the_same_bits() -> None:
    """The last bit of one level is enough; other models are no one's concern."""
    agreement = Agreement()
    same = check_predictions("a", predictions(0.3), ENDS)
    agreement.check("a", "linear", same)
    agreement.check("b", "linear", same)
    other = check_predictions("c", [prediction(0, 0, 0.1 + 0.2), *predictions(0.3)[1:]], ENDS)
    agreement.check("c", "guarded", other)
    with pytest.raises(VerificationError, match="c: its predictions differ from those of a; the model is linear"):
        agreement.check("c", "linear", other)


def test_an_unknown_level_differs_from_each_number() -> None:
    """A null where another predicts is no agreement."""
    assert check_predictions("x", predictions(None), ENDS) == check_predictions("x", predictions(None), ENDS)
    assert check_predictions("x", predictions(None), ENDS) != check_predictions("x", predictions(0.0), ENDS)


INPUTS: dict[int, list[bytes | None]] = {0: [b"a", b"b", b"c"], 1: []}


def test_copies_are_the_input() -> None:
    """The pass-through passes everything on, in order."""
    check_copies("x", {0: [b"a", b"b", b"c"], 1: []}, INPUTS)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([b"a", b"c"], "expected 3 records in partition 0 of its output topic, one for each event, found 2"),
        ([b"a", b"b", b"c", b"c"], "expected 3 records in partition 0"),
        ([], "found 0"),
        ([b"b", b"a", b"c"], "partition 0 of its output topic differs from the input"),
        ([b"a", b"b", b"x"], "differs from the input"),
    ],
)
def test_what_differs_from_the_input_is_no_copy(found: list[bytes | None], message: str) -> None:
    """Lost, doubled, reordered or changed."""
    with pytest.raises(VerificationError, match=message):
        check_copies("x", {0: found}, INPUTS)


@pytest.mark.parametrize("processed", [0, 4, 6])
def test_a_contender_that_reports_another_number_fails(processed: int) -> None:
    """The bare loop publishes nothing: its own count is held against the input."""
    check_events("x", 5, 5)
    with pytest.raises(VerificationError, match=f"expected 5 events processed, it reports {processed}"):
        check_events("x", processed, 5)
