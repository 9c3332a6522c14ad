"""Records that only other clients can write: each is answered, and none stops the worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from schemas.dead_letter import UNREADABLE_HEADERS
from tests.kafka.raw import NO_TIMESTAMP, RawRecord, produce_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stage import Stage

pytestmark = pytest.mark.broker

WHEN_MS = 1_490_961_600_000  # 2017-03-31T12:00:00Z
NO_UTF8 = (b"\xff\xfe", b"\xed\xa0\x80", b"trace\xc3")


def event(number: int, occurred_at: str = "2017-03-31T12:00:00Z") -> bytes:
    """A valid event with an identity of its own."""
    fields = {"transaction_id": f"t{number}", "store_id": "s", "sku": "k", "quantity": -1, "occurred_at": occurred_at}
    return json.dumps(fields).encode()


def test_names_of_headers_that_are_no_utf8(new_stage: Callable[..., Stage]) -> None:
    """The client reads no header of such a record: a valid event is predicted for, an invalid one is a dead letter.

    One such record used to end each worker that met it.
    """
    stage = new_stage(partitions=1)
    headers = [[(name, b"1"), (b"kept", None)] for name in NO_UTF8]
    valid = [RawRecord(b"s", event(number), each) for number, each in enumerate(headers)]
    invalid = [RawRecord(b"s", b"till offline", each) for each in headers]
    produce_raw(stage.bootstrap_servers, stage.input, 0, [*valid, *invalid, RawRecord(b"s", event(9))], WHEN_MS)
    stage.run_to_end()
    published = stage.published()[0]
    assert [message.source_offset for message in published if message.kind == "prediction"] == [0, 1, 2, 6]
    letters = [message for message in published if message.kind == "dead_letter"]
    assert [letter.source_offset for letter in letters] == [3, 4, 5]
    for letter in letters:
        assert (letter.key, letter.value) == (b"s", b"till offline")
        assert letter.headers[:2] == (*UNREADABLE_HEADERS, ("error.reason", b"not_json"))


def test_records_without_a_timestamp(new_stage: Callable[..., Stage]) -> None:
    """Without a Kafka timestamp no event is too far ahead, and a dead letter says -1."""
    stage = new_stage(partitions=1)
    records = [RawRecord(b"s", event(0, "2099-01-01T00:00:00Z")), RawRecord(b"s", event(1, "1999-01-01T00:00:00Z"))]
    produce_raw(stage.bootstrap_servers, stage.input, 0, records, NO_TIMESTAMP)
    stage.run_to_end()
    prediction, letter = stage.published()[0]
    assert (prediction.kind, prediction.source_offset) == ("prediction", 0)
    assert dict(letter.headers)["error.reason"] == b"occurred_at_out_of_range"
    assert dict(letter.headers)["error.timestamp"] == b"-1"
