"""Dead letters: the original headers stay, the refusal is told in fixed words that hold nothing of the event."""

from __future__ import annotations

import json
from string import Formatter
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.dead_letter import EXPECTED, MESSAGES, Headers, InvalidEvent, Reason, dead_letter_headers
from schemas.transaction import InventoryTransaction, Limits, decode

TABLE: Final = (
    *("transaction_id", "store_id", "sku", "line_id", "quantity", "transaction_type", "unit_cost", "occurred_at"),
    *("new_stock_level", "corrects"),
)
"""The contract's fields in the order of its table."""

ADDED: Final = (
    *("error.reason", "error.message", "error.topic", "error.partition", "error.offset", "error.timestamp"),
    "error.attempts",
)
NOT_JSON: Final = InvalidEvent(Reason.NOT_JSON)
EVERY_MESSAGE: Final = frozenset(
    InvalidEvent(reason, field).message for reason in Reason for field in (TABLE if "{" in MESSAGES[reason] else [None])
)


def headers_of(original: Headers | None, invalid: InvalidEvent = NOT_JSON) -> Headers:
    """The dead letter's headers for the record at partition 3, offset 17."""
    return dead_letter_headers(original, invalid=invalid, topic="sales", partition=3, offset=17, timestamp_ms=-1)


def attempts(*values: bytes | None) -> bytes | None:
    """What `error.attempts` becomes after these."""
    return dict(headers_of([("error.attempts", value) for value in values]))["error.attempts"]


def test_the_added_headers() -> None:
    """Reason, message and origin are strings in a fixed order, after the original headers."""
    assert headers_of([("trace", b"\xff"), ("trace", None)], InvalidEvent(Reason.MISSING_FIELD, "sku")) == [
        ("trace", b"\xff"),
        ("trace", None),
        ("error.reason", b"missing_field"),
        ("error.message", b"Field sku is missing; it is required."),
        ("error.topic", b"sales"),
        ("error.partition", b"3"),
        ("error.offset", b"17"),
        ("error.timestamp", b"-1"),
        ("error.attempts", b"1"),
    ]


@pytest.mark.parametrize("original", [None, []])
def test_a_record_may_have_no_headers(original: Headers | None) -> None:
    """Kafka gives None where a record has no headers."""
    assert tuple(name for name, _ in headers_of(original)) == ADDED


header_names = st.one_of(
    st.sampled_from([*ADDED, "error.", "error.trace", "Error.reason", "errors", "trace"]), st.text()
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(header_names, st.one_of(st.none(), st.binary()))))
def test_error_headers_are_replaced_and_all_others_kept(original: Headers) -> None:
    """Whatever headers a record has: those of `error.` go, the others stay byte for byte, in order, repeats too."""
    before = list(original)
    headers = headers_of(original)
    assert headers[: -len(ADDED)] == [(name, value) for name, value in original if not name.startswith("error.")]
    assert tuple(name for name, _ in headers[-len(ADDED) :]) == ADDED
    assert original == before


def test_attempts_count_up_over_redrives() -> None:
    """Each refusal of the redriven event adds one, so that an operator sees what keeps coming back."""
    headers: Headers | None = None
    for refusals in range(1, 13):
        headers = headers_of(headers)
        assert dict(headers)["error.attempts"] == str(refusals).encode()
        assert len(headers) == len(ADDED)


@pytest.mark.parametrize(
    "hostile",
    [
        *(
            None,
            b"",
            b"-1",
            b"+1",
            b" 1",
            b"1 ",
            b"1.0",
            b"1e3",
            b"0x1",
            b"many",
            b"\xff",
            b"\0",
            b"1_0",
            b"9" * 7,
            b"9" * 9999,
        ),
        *("٣".encode(), "²".encode()),
    ],
)
def test_hostile_attempts_count_as_none(hostile: bytes | None) -> None:
    """Anyone may write the header: what is no small number must neither raise nor grow without bound."""
    assert attempts(hostile) == b"1"


def test_the_last_attempts_header_counts() -> None:
    """Of several the last one counts, as with JSON keys; leading zeros and 6 digits are still a number."""
    assert attempts(b"5", b"7") == b"8"
    assert attempts(b"5", b"nonsense") == b"1"
    assert attempts(b"007") == b"8"
    assert attempts(b"999999") == b"1000000"


def test_every_reason_has_a_message() -> None:
    """A reason without text would raise on the first event that has it."""
    assert set(MESSAGES) == set(Reason)
    placeholders = {
        reason: {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        for reason, text in MESSAGES.items()
    }
    assert {reason: names for reason, names in placeholders.items() if names} == {
        Reason.MISSING_FIELD: {"field"},
        Reason.INVALID_FIELD: {"field", "expected"},
    }
    assert all("{" not in message and message.endswith(".") for message in EVERY_MESSAGE)


def test_the_contract_s_fields_and_their_order() -> None:
    """One order everywhere: the table's, which decides the first refusal."""
    assert tuple(EXPECTED) == tuple(InventoryTransaction.model_fields) == TABLE


def test_the_vocabulary() -> None:
    """Dashboards and redrives filter by these words; a new one is a change of the contract."""
    assert [reason.value for reason in Reason] == [
        *("empty_value", "not_json", "missing_field", "invalid_field", "count_without_level", "sign_contradicts_type"),
        *("occurred_at_out_of_range", "too_large", "conflicting_repeat", "broke_model"),
    ]


CARD: Final = "4929-1234-5678"
scalars = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.just(CARD), st.text())


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*TABLE, CARD]), st.one_of(scalars, st.lists(scalars, max_size=2))))
@example(dict.fromkeys(TABLE, CARD))
@example({"transaction_id": "t", "store_id": "s", "sku": "k", "quantity": CARD, "occurred_at": CARD})
@example({"transaction_id": "t", "store_id": "s", "sku": "k", "quantity": 1, "occurred_at": CARD})
def test_messages_never_hold_a_value_of_the_event(document: dict[str, object]) -> None:
    """Whatever an event holds, its message is one of a closed set of texts: a till's data never reaches the logs."""
    invalid = refusal(document)
    if invalid is not None:
        assert invalid.message in EVERY_MESSAGE
        assert CARD not in invalid.message
        assert CARD not in str(invalid)


def refusal(document: dict[str, object]) -> InvalidEvent | None:
    """Why an event is refused, None where it is valid."""
    try:
        decode(json.dumps(document).encode(), -1, Limits())
    except InvalidEvent as invalid:
        return invalid
    return None
