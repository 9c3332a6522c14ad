"""Records that would not fit: decided by the record alone, before anything is learned."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.learning.output import Outcome, Output
from consumer.record import Record
from schemas.dead_letter import EXPECTED, MESSAGES
from schemas.transaction import Limits
from tests.core import new_task
from tests.oracle import PartitionOracle

LIMIT = 6_000
OWN = 2_048


def task(limit: int = LIMIT) -> Any:
    """A task that may not publish more than `limit` bytes."""
    learning = LearningSettings("linear", ModelScope.PARTITION, 100, 10, Limits(), limit)
    return new_task(learning, topic="t", partition=0, model_id="0123456789ab")


def good(line_id: str = "l", **more: object) -> bytes:
    """A valid event."""
    fields = {"transaction_id": "t", "store_id": "s", "sku": "k", "line_id": line_id, "quantity": -1}
    return json.dumps(fields | {"occurred_at": "2020-01-01T00:00:00Z"} | more).encode()


def test_a_letter_that_would_not_fit_has_no_value() -> None:
    """Key, value and headers stay in the input topic; the letter says where, how large and which."""
    value = b"x" * LIMIT
    headers: list[tuple[str, bytes | None]] = [("trace", b"123"), ("error.attempts", b"2")]
    output = task().process(Record(0, 7, 1, b"key", value, headers))
    assert (output.outcome, output.key, output.value) == (Outcome.DEAD_LETTER, None, None)
    found = dict(output.headers)
    assert found["error.reason"] == b"too_large"
    assert found["error.offset"] == b"7"
    assert found["error.attempts"] == b"3"
    assert found["error.size.key"] == b"3"
    assert found["error.size.value"] == b"6000"
    assert found["error.size.headers"] == b"23"
    assert found["error.sha256"] == sha256(value).hexdigest().encode()
    assert "trace" not in found


@pytest.mark.parametrize(("size", "reason"), [(LIMIT - OWN, b"not_json"), (LIMIT - OWN + 1, b"too_large")])
def test_the_limit_is_exact(size: int, reason: bytes) -> None:
    """Key, value and headers with 2 KiB for what is added may take just the limit."""
    record = Record(0, 0, 1, b"kk", b"x" * (size - 15), [("a", b"bc")])
    assert dict(task().process(record).headers)["error.reason"] == reason


@pytest.mark.parametrize(("number", "reason"), [(300, b"not_json"), (301, b"too_large")])
def test_empty_headers_count_too(number: int, reason: bytes) -> None:
    """Kafka writes two lengths for each: 60,000 of them used to make a dead letter that no topic took."""
    record = Record(0, 0, 1, None, b"x" * (LIMIT - OWN - 3_000), [("", None)] * number)
    assert dict(task().process(record).headers)["error.reason"] == reason


def test_a_long_value_of_a_short_event_is_no_matter() -> None:
    """Unknown fields are not repeated in the prediction: however long, they do not make an event invalid."""
    output: Output = task().process(Record(0, 0, -1, b"s", good(note="x" * LIMIT)))
    assert output.outcome is Outcome.PREDICTION


@settings(max_examples=200, deadline=None)
@given(
    st.integers(LIMIT - OWN - 200, LIMIT - OWN + 50),
    st.sampled_from(["x", '"', "\\", "\u00e9", "\U0001f600"]),
    st.integers(0, 60),
)
def test_predictions_fit_and_the_oracle_agrees(size: int, letter: str, key: int) -> None:
    """What is published is within the limit, and what is refused would not surely have been."""
    line = letter * (size // len(json.dumps(letter, ensure_ascii=False).encode()[1:-1]))
    record = Record(0, 0, -1, b"k" * key, good(line))
    made = task()
    output = made.process(record)
    oracle = PartitionOracle(
        topic="t",
        partition=0,
        model_id="0123456789ab",
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        max_output_bytes=LIMIT,
    )
    wanted = oracle.feed((0, -1, record.key, record.value, []))
    assert wanted is not None
    assert (output.value, tuple(output.headers or ())) == (wanted.value, wanted.headers)
    assert len(output.key or b"") + len(output.value or b"") <= LIMIT
    if output.outcome is Outcome.DEAD_LETTER:
        assert made.tally.predictions == 0
        assert made.process(Record(0, 1, -1, b"s", good("l"))).outcome is Outcome.PREDICTION
