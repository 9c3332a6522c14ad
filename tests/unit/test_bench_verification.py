"""The benchmark's checks turn red when a contender did less than the work that it was timed for."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.bench.inputs import Input, first_of
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


FIRST = {0: 1, 1: 0, 2: 1}
"""What a slow contender takes of the input."""


def first_predictions(level: float) -> list[bytes | None]:
    """One for each of the first events."""
    return [prediction(partition, offset, level) for partition, end in FIRST.items() for offset in range(end)]


def test_a_contender_of_the_first_events_is_held_to_exactly_those() -> None:
    """One more is a prediction of no event, one less is missing."""
    assert check_predictions("x", first_predictions(0.3), FIRST)
    with pytest.raises(VerificationError, match="offset 1 of partition 0, which is no event of the input"):
        check_predictions("x", [*first_predictions(0.3), prediction(0, 1)], FIRST)
    with pytest.raises(VerificationError, match="expected 2 predictions on its output topic"):
        check_predictions("x", first_predictions(0.3)[1:], FIRST)


@pytest.mark.parametrize("slow_first", [True, False])
def test_a_contender_of_the_first_events_agrees_as_far_as_it_goes(slow_first: bool) -> None:
    """In whichever order they run; and those that took everything are still held to each other to the last event."""
    agreement = Agreement()
    slow = check_predictions("slow", first_predictions(0.3), FIRST)
    swift = check_predictions("swift", predictions(0.3), ENDS)
    turns = [("slow", slow), ("swift", swift)]
    for label, levels in turns if slow_first else reversed(turns):
        agreement.check(label, "linear", levels)
    other_last = check_predictions("other", [*predictions(0.3)[:-1], prediction(2, 1, 0.1 + 0.2)], ENDS)
    with pytest.raises(VerificationError, match="other: its predictions differ from those of swift"):
        agreement.check("other", "linear", other_last)
    other = check_predictions("other", first_predictions(0.1 + 0.2), FIRST)
    with pytest.raises(VerificationError, match="other: its predictions differ from those of swift"):
        agreement.check("other", "linear", other)


def test_one_that_took_everything_is_held_to_a_slow_one_before_it() -> None:
    """The slow one's turn came first: what it was given is compared all the same."""
    agreement = Agreement()
    agreement.check("slow", "linear", check_predictions("slow", first_predictions(0.3), FIRST))
    with pytest.raises(VerificationError, match="swift: its predictions differ from those of slow"):
        agreement.check("swift", "linear", check_predictions("swift", predictions(0.1 + 0.2), ENDS))


def test_the_first_events_are_equally_many_of_each_partition() -> None:
    """All of a partition that holds fewer."""
    assert first_of({0: "abcd", 1: "", 2: "ab"}, 9) == {0: "abc", 1: "", 2: "ab"}
    given = Input("topic", first_of({0: [b"a", b"b"], 1: [b"c"]}, 3))
    assert given.ends == {0: 1, 1: 1}
    assert given.events == 2


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
