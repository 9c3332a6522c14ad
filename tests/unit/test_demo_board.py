"""The demo's view model and verdict: what is shown, and when it must not say "ok"."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from consumer.demo.board import CHOICE_SECONDS, Accuracy, Board
from consumer.demo.readings import Readings, read
from consumer.demo.verdict import Sent, judge
from consumer.learning.task import Tally
from consumer.metrics import Metrics
from schemas.dead_letter import Reason
from schemas.prediction import Prediction

SENT = {"event": 4, "late": 1, "repeat": 2, "invalid:not_json": 2, "invalid:null_value": 1}


def prediction(offset: int, sku: str = "a", **changed: Any) -> Prediction:
    values: dict[str, Any] = {
        "transaction_id": str(offset),
        "store_id": "s",
        "sku": sku,
        "line_id": None,
        "occurred_at": "2026-10-26T10:00:00+00:00",
        "level_before": 10.0,
        "predicted_stock_level": 9.0,
        "observed_stock_level": 9.0,
        "discrepancy": 0.0,
        "is_late": False,
        "model_id": "m",
        "events_learned": 0,
        "source_partition": 0,
        "source_offset": offset,
    }
    return Prediction(**{**values, **changed})


def answered() -> Board:
    """A board on which every event of SENT was answered as it should be."""
    board = Board(sent=SENT, readings=Readings(repeats=2))
    for offset in range(4):
        board.predicted(prediction(offset))
    board.predicted(prediction(4, is_late=True, discrepancy=None))
    for reason in ("not_json", "not_json", "empty_value"):
        board.refused(reason)
    return board


def failed(board: Board, *, code: int = 0) -> list[str]:
    summary = judge(board, worker_exit_code=code, seconds=1.0, interrupted=False)
    claims = [check.claim for check in summary.checks if not check.holds]
    assert summary.is_good == (not claims)
    return claims


def test_all_answered_is_good() -> None:
    """The verdict over what should be."""
    assert failed(answered()) == []


def test_a_missing_prediction_is_seen() -> None:
    """An event without any answer."""
    board = answered()
    board.predictions -= 1
    assert failed(board) == ["every event was answered", "each good event by one prediction"]


def test_a_prediction_too_many_is_seen() -> None:
    """One event answered twice: the same offset comes again."""
    board = answered()
    board.predicted(prediction(2))
    assert failed(board) == [
        "every event was answered",
        "each good event by one prediction",
        "predictions doubled or out of order",
    ]


def test_one_prediction_in_place_of_another_is_seen() -> None:
    """The sums are right, but one came twice and one never."""
    board = Board(sent={"event": 3})
    for offset in (0, 1, 1):
        board.predicted(prediction(offset))
    assert failed(board) == ["predictions doubled or out of order"]


def test_partitions_are_in_order_each_for_itself() -> None:
    """Between partitions there is none."""
    board = Board(sent={"event": 3})
    for partition, offset in ((0, 5), (1, 0), (0, 6)):
        board.predicted(prediction(offset, source_partition=partition))
    assert failed(board) == []


def test_a_bad_event_predicted_is_seen() -> None:
    """The total is right, and still it is wrong."""
    board = answered()
    board.dead_letters["not_json"] -= 1
    board.predicted(prediction(9))
    assert failed(board) == ["each good event by one prediction", "each bad event by one dead letter"]


def test_a_repeat_predicted_is_seen() -> None:
    """The total is right, and still it is wrong."""
    board = answered()
    board.readings = replace(board.readings, repeats=1)
    board.predicted(prediction(9))
    assert failed(board) == ["each good event by one prediction", "each repeat by nothing at all"]


def test_a_late_event_taken_for_a_timely_one_is_seen() -> None:
    """And the other way round."""
    board = answered()
    board.late = 0
    assert failed(board) == ["each late event marked as late"]


def test_a_worker_that_ends_badly_is_seen() -> None:
    """All answered, but its last checkpoint is in doubt."""
    assert failed(answered(), code=7) == ["the worker's exit code"]


def test_nothing_answered_is_not_good() -> None:
    """A verdict over nothing must not pass."""
    assert "every event was answered" in failed(Board(sent=SENT))


def test_a_good_event_that_broke_the_model_is_answered_by_its_dead_letter() -> None:
    """It is not the event's fault, and not the worker's."""
    board = answered()
    board.predictions -= 1
    board.refused(Reason.BROKE_MODEL)
    assert failed(board) == []


def test_sent_is_summed_by_the_answer_that_is_asked_for() -> None:
    """All invalid kinds are bad."""
    assert Sent.of(SENT) == Sent(good=4, late=1, repeated=2, bad=3)
    assert Sent.of(SENT).total == 10


def test_the_summary_is_json() -> None:
    """With the verdict in it."""
    said = json.loads(json.dumps(judge(answered(), worker_exit_code=0, seconds=1, interrupted=True).as_json()))
    assert said["good"] is True
    assert said["interrupted"] is True
    assert said["sent"] == {"good": 4, "late": 1, "repeated": 2, "bad": 3}
    assert all(check["holds"] for check in said["checks"])


# Items


def test_drift_is_the_sum_of_discrepancies() -> None:
    """Late events and unknown levels have none."""
    board = Board()
    for offset, discrepancy in enumerate((-2.0, 0.0, None, 0.5)):
        board.predicted(prediction(offset, discrepancy=discrepancy))
    board.predicted(prediction(4, is_late=True, discrepancy=None, predicted_stock_level=99.0))
    (line,) = board.items.values()
    assert (line.drift, line.gaps, line.events, line.predicted) == (-1.5, 2, 5, 9.0)


def test_accuracy_compares_what_can_be_compared() -> None:
    """To the unit; neither a late event nor an unknown level."""
    board = Board()
    board.predicted(prediction(0, predicted_stock_level=9.4))
    board.predicted(prediction(1, predicted_stock_level=7.0))
    board.predicted(prediction(2, predicted_stock_level=None))
    board.predicted(prediction(3, observed_stock_level=None))
    board.predicted(prediction(4, predicted_stock_level=1e9, is_late=True))
    board.predicted(prediction(5, predicted_stock_level=5.0))
    assert board.accuracy() == Accuracy(compared=3, exact=1, median_error=3.0)


def test_the_largest_drift_is_shown_first() -> None:
    """In either direction; then the busiest."""
    board = Board()
    for offset, (sku, discrepancy) in enumerate(
        [("quiet", 0.0), ("busy", 0.0), ("busy", 0.0), ("up", 3.0), ("down", -4.0)]
    ):
        board.predicted(prediction(offset, sku, discrepancy=discrepancy))
    assert [line.sku for line in board.shown(3, 0.0)] == ["down", "up", "busy"]


def test_rows_stay_where_they_are() -> None:
    """Nothing moves for a while; then only what dropped out is replaced, in its place."""
    board = Board()
    for offset, (sku, drift) in enumerate([("a", -5.0), ("b", -4.0), ("c", -3.0)]):
        board.predicted(prediction(offset, sku, discrepancy=drift))
    assert [line.sku for line in board.shown(3, 0.0)] == ["a", "b", "c"]
    board.predicted(prediction(3, "d", discrepancy=-9.0))
    board.predicted(prediction(4, "c", discrepancy=-8.0))
    assert [line.sku for line in board.shown(3, CHOICE_SECONDS / 2)] == ["a", "b", "c"]
    assert [line.sku for line in board.shown(3, CHOICE_SECONDS)] == ["a", "d", "c"]


def test_a_terminal_made_smaller_or_larger_gets_its_rows_at_once() -> None:
    """The number of rows follows its height."""
    board = Board()
    for offset in range(5):
        board.predicted(prediction(offset, f"sku-{offset}"))
    assert [len(board.shown(rows, 0.0)) for rows in (2, 5, 3, 9)] == [2, 5, 3, 5]


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """Repeats count: they are answered by being skipped."""
    board = Board()
    assert board.rate(0.0) == 0.0
    for second in range(1, 11):
        for _ in range(10 * second):
            board.refused("not_json")
        board.readings = Readings(repeats=5 * second)
        rate = board.rate(float(second))
    assert rate == pytest.approx((80 + 90 + 100) / 3 + 5)


# Readings


def test_readings_are_what_the_worker_publishes() -> None:
    """Names and labels as in its own table of metrics."""
    metrics = Metrics()
    assert read(generate_latest(metrics.registry).decode()) == Readings()
    tally = Tally()
    tally.predictions, tally.repeats, tally.learned, tally.skipped = 7, 3, 6, 1
    metrics.add_tally(tally)
    metrics.gauge("lag_records", 4, 0)
    metrics.gauge("lag_records", 5, 1)
    metrics.gauge("last_checkpoint_timestamp_seconds", 1234.5)
    found = read(generate_latest(metrics.registry).decode())
    assert found == Readings(lag_records=9, checkpointed_at=1234.5, repeats=3, learned=6)
