"""The exported JSON Schemas: current, and in agreement with the decoder wherever JSON Schema can express the rule."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from consumer.learning.identities import Identities
from consumer.simulate.faults import with_faults
from consumer.simulate.synthetic import synthetic_events
from schemas import json_rules, json_schema
from schemas.dead_letter import EXPECTED, MESSAGES, InvalidEvent, Reason, dead_letter_headers
from schemas.json.__main__ import main
from schemas.prediction import Prediction, encode_prediction
from schemas.transaction import Limits, decode
from tests import oracle
from tests.core import is_repeat
from tests.stage import ROOT
from tests.unit.test_prediction import ORDINARY, predictions
from tests.unit.test_transaction import values

FOLDER: Final = Path(__file__).parent.parent / "samples"
SAMPLES: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text("ascii")) for path in sorted(FOLDER.glob("*.json"))
}
VERDICTS: Final = frozenset({"valid", "invalid", "cannot tell"})
EXPORTED: Final = ROOT / "schemas" / "json"
SCHEMAS: Final = {name: json.loads((EXPORTED / f"{name}.json").read_bytes()) for name in json_schema.MODELS}
TRANSACTION, PREDICTION, HEADERS = (Draft202012Validator(SCHEMAS[name]) for name in json_schema.MODELS)


def value_of(sample: dict[str, Any]) -> bytes | None:
    """A sample's record value: an object written as JSON, text in UTF-8, or bytes in hexadecimal, null for none."""
    if "event" in sample:
        return json.dumps(sample["event"]).encode()
    if "text" in sample:
        return str(sample["text"]).encode()
    return None if sample["hex"] is None else bytes.fromhex(sample["hex"])


def document_of(value: bytes | None) -> Any:
    """What the schema is asked about: strict JSON in UTF-8, the frame of a Schema Registry taken off.

    Raises:
        ValueError: there is none.
    """
    if not value:
        raise ValueError("no value")
    text = (value[5:] if value[0] == 0 else value).decode()
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def decoder_verdict(sample: dict[str, Any]) -> tuple[str, str | None]:
    """The decoder's verdict on a sample, after the events before it: valid, repeat, or the reason and its field."""
    identities = Identities(10)
    for earlier in sample.get("before", []):
        assert not is_repeat(identities, decode(json.dumps(earlier).encode(), sample["timestamp_ms"], Limits()))
    try:
        event = decode(value_of(sample), sample["timestamp_ms"], Limits())
        verdict = "repeat" if is_repeat(identities, event) else "valid"
    except InvalidEvent as invalid:
        return invalid.reason.value, invalid.field
    for name, expected in sample.get("decoded", {}).items():
        assert (name, getattr(event, name)) == (name, expected)
    return verdict, None


# The files


def test_the_committed_files_are_current() -> None:
    """A till checks against what the decoder does now; mend with `python -m schemas.json`."""
    committed = {path.name: path.read_text("ascii") for path in EXPORTED.glob("*.json")}
    assert committed == json_schema.files()


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes every file and names it."""
    main(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == json_schema.files()
    assert set(capsys.readouterr().out.split()) == {str(tmp_path / name) for name in written}


@pytest.mark.parametrize("name", json_schema.MODELS)
def test_the_schemas_are_schemas(name: str) -> None:
    """Each is valid by draft 2020-12's own schema, says so, and has a name of its own and a description."""
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:smart-inventory:{name}:1"
    assert schema["description"]
    assert all(field.get("description") for field in schema["properties"].values() if "description" in field)


def test_patterns_keep_to_what_all_engines_share() -> None:
    """Look-around, back references and class escapes mean nothing, or something else, in other languages."""
    patterns = [pattern for schema in SCHEMAS.values() for pattern in _patterns(schema)]
    assert len(patterns) > 10
    for pattern in patterns:
        assert not any(part in pattern for part in ("(?", r"\s", r"\d", r"\w", r"\p", r"\u", r"\b", r"\1", r"\Z")), (
            pattern
        )


def _patterns(node: Any) -> list[str]:
    if isinstance(node, list):
        return [pattern for each in node for pattern in _patterns(each)]
    if not isinstance(node, dict):
        return []
    own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    return own + [pattern for each in node.values() for pattern in _patterns(each)]


# The samples


@pytest.mark.parametrize("name", SAMPLES)
def test_a_golden_sample(name: str) -> None:
    """Decoder, schema and the independent oracle say of each sample what the file says of it."""
    sample = SAMPLES[name]
    assert sample["about"]
    assert sample["schema"] in VERDICTS
    assert ("why" in sample) is (sample["schema"] == "cannot tell")
    assert decoder_verdict(sample) == (sample["decoder"], sample.get("field"))
    if "before" not in sample:
        assert oracle_verdict(sample) == (sample["decoder"], sample.get("field"))
    is_taken = sample["decoder"] in {"valid", "repeat"}
    # "Cannot tell" is a rule that the schema has no words for: it takes what the decoder refuses, never the reverse.
    assert is_taken is (sample["schema"] == "valid")
    try:
        document = document_of(value_of(sample))
    except ValueError:
        assert sample["schema"] == "cannot tell"
        return
    assert TRANSACTION.is_valid(document) is (sample["schema"] != "invalid")


def oracle_verdict(sample: dict[str, Any]) -> tuple[str, str | None]:
    """The independent oracle's verdict on a sample."""
    try:
        oracle.decode(value_of(sample), sample["timestamp_ms"], 1e6, 86_400)
    except oracle.InvalidEventError as invalid:
        has_field = "{field}" in MESSAGES[Reason(invalid.reason)]
        return invalid.reason, invalid.field if has_field else None
    return "valid", None


def test_there_is_a_sample_of_each_kind() -> None:
    """Every transaction type, every field and every reason that the decoder or the identities give has samples."""
    kinds = {sample["event"].get("transaction_type") for sample in SAMPLES.values() if "event" in sample}
    assert kinds >= {"sale", "return", "receipt", "transfer_in", "transfer_out", "waste", "adjustment", "count", "void"}
    assert None in kinds
    # What is too large, or breaks a model, depends on a topic or a model, and not on the event alone.
    assert {sample["decoder"] for sample in SAMPLES.values()} - {"valid", "repeat"} == {
        reason.value for reason in Reason if reason.value not in {"too_large", "broke_model"}
    }
    fields = {sample["field"] for sample in SAMPLES.values() if "field" in sample}
    assert fields == set(EXPECTED)


# Agreement beyond the samples


@settings(max_examples=600, deadline=None)
@given(values())
def test_the_schema_never_refuses_what_the_decoder_takes(value: bytes) -> None:
    """A till that checks before it sends is never kept from sending a valid event, however strangely it is written."""
    try:
        decode(value, -1, Limits())
        document = document_of(value)
    except (
        InvalidEvent,
        ValueError,
    ):  # NaN in an unknown field: ignored, and no JSON for a schema
        return
    errors = [error.message for error in TRANSACTION.iter_errors(document)]
    assert errors == []


@settings(max_examples=600, deadline=None)
@given(values())
def test_the_schema_refuses_what_it_has_words_for(value: bytes) -> None:
    """A missing field, a wrong type and a count without level are found by the schema as by the decoder."""
    try:
        decode(value, -1, Limits())
    except InvalidEvent as invalid:
        words_for = {Reason.MISSING_FIELD, Reason.COUNT_WITHOUT_LEVEL, Reason.SIGN_CONTRADICTS_TYPE}
        if invalid.reason in words_for or (invalid.reason is Reason.INVALID_FIELD and _is_type_wrong(value, invalid)):
            assert not TRANSACTION.is_valid(document_of(value))


def _is_type_wrong(value: bytes, invalid: InvalidEvent) -> bool:
    document = json.loads(value[5:] if value[0] == 0 else value)
    return isinstance(document.get(invalid.field), (bool, list, dict))


white_space = st.text(" \t\n\u0085\u00a0\u3000", max_size=3)


@settings(max_examples=300, deadline=None)
@given(
    white_space, st.text(st.one_of(st.sampled_from("ab \t\u3000\x00\u200b"), st.characters()), max_size=66), white_space
)
def test_the_schema_bounds_a_stripped_id_exactly(before: str, text: str, after: str) -> None:
    """Stripping, length and control characters are expressed whole: schema and decoder agree in both directions."""
    document = {**ORDINARY_EVENT, "store_id": before + text + after}
    value = json.dumps(document).encode()
    try:
        decode(value, -1, Limits())
        is_taken = True
    except InvalidEvent as invalid:
        is_taken = invalid.reason is Reason.NOT_JSON  # a lone surrogate, which no schema sees
    assert TRANSACTION.is_valid(document) is is_taken


ORDINARY_EVENT: Final = {
    "transaction_id": "t1",
    "store_id": "s1",
    "sku": "milk",
    "quantity": -2,
    "occurred_at": "2017-03-31T12:00:00Z",
}


@pytest.mark.parametrize(
    ("kind", "digits"),
    [("sale", "0." + "0" * 400 + "1"), ("receipt", "-0." + "0" * 400 + "1"), ("sale", "00"), ("sale", "0.0")],
)
def test_a_number_that_rounds_to_0_has_no_sign(kind: str, digits: str) -> None:
    """The decoder reads the nearest double; the schema's look at the digits goes no further than a double's reach."""
    document = {**ORDINARY_EVENT, "transaction_type": kind, "quantity": digits}
    assert decode(json.dumps(document).encode(), -1, Limits()).quantity_millionths == 0
    assert TRANSACTION.is_valid(document)


@pytest.mark.parametrize(("kind", "sign"), [("sale", ""), ("receipt", "-")])
@pytest.mark.parametrize("digits", ["0.000001", "000.5", "1", "010", "1000000", "0.10"])
def test_a_sign_in_a_string_is_seen(kind: str, sign: str, digits: str) -> None:
    """Down to the last decimal that counts, schema and decoder agree on the sign of a number in a string."""
    document = {**ORDINARY_EVENT, "transaction_type": kind, "quantity": sign + digits}
    with pytest.raises(InvalidEvent, match="sign_contradicts_type"):
        decode(json.dumps(document).encode(), -1, Limits())
    assert not TRANSACTION.is_valid(document)
    other = {"sale": "receipt", "receipt": "sale"}[kind]
    assert TRANSACTION.is_valid({**document, "transaction_type": other})


def test_the_schema_s_white_space_is_unicode_s() -> None:
    """The pattern names exactly the characters that the independent oracle strips."""
    validator = Draft202012Validator(json_rules.identifier(64))
    stripped = {chr(code) for code in range(0x3100) if validator.is_valid(f"a{chr(code)}") and _is_end(chr(code))}
    assert stripped == set(oracle.WHITE_SPACE)


def _is_end(character: str) -> bool:
    return not Draft202012Validator(json_rules.identifier(64)).is_valid(character)


def test_every_reason_is_documented_with_example_and_remedy() -> None:
    """A POS team gets a clear answer to every dead letter: the word in its header is a row of the table."""
    text = (ROOT / "docs" / "contract.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    start = next(number for number, row in enumerate(rows) if row[:2] == ["`error.reason`", "example"])
    table = rows[start + 2 :]
    assert all(len(row) == 3 and all(row) for row in table)
    assert [row[0].strip("`") for row in table] == [reason.value for reason in Reason]


# What is published


@settings(max_examples=200, deadline=None)
@given(predictions)
def test_every_prediction_validates(fields: dict[str, Any]) -> None:
    """Whatever the encoder writes is what the output's schema says."""
    PREDICTION.validate(json.loads(encode_prediction(Prediction(**fields))))


def test_a_prediction_s_schema_is_closed() -> None:
    """A missing field, an unknown one and a wrong type are found."""
    wire = json.loads(encode_prediction(Prediction(**ORDINARY)))
    for wrong in (
        *({name: each for name, each in wire.items() if name != left_out} for left_out in wire),
        {**wire, "outlook": 1},
        {**wire, "is_late": None},
        {**wire, "level_before": "7"},
        {**wire, "source_offset": 1.5},
    ):
        assert not PREDICTION.is_valid(wrong)


def test_what_a_partition_publishes_validates() -> None:
    """Predictions and dead letters of a shop's day, as any correct worker publishes them, are what the schemas say."""
    truth = oracle.PartitionOracle(
        topic="sales",
        partition=3,
        model_id="0123456789ab",
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
    )
    published: Counter[str] = Counter()
    events = with_faults(synthetic_events(seed=4, limit=2_000), invalid_share=0.1, repeat_share=0.05, seed=4)
    for offset, event in enumerate(events):
        message = truth.feed((offset, event.timestamp_ms, event.key, event.value, [("trace", b"\x01")]))
        if message is None:
            continue
        published[message.kind] += 1
        if message.kind == "prediction":
            PREDICTION.validate(json.loads(message.value or b""))
        else:
            HEADERS.validate({name: (value or b"").decode() for name, value in message.headers})
    assert published["prediction"] == 2_000
    assert published["dead_letter"] > 100


def letter_headers(without: str = "", **changed: str) -> dict[str, str]:
    """A dead letter's headers as text, some of them changed or added, one left out."""
    made = dead_letter_headers(
        [], invalid=InvalidEvent(Reason.NOT_JSON), topic="sales", partition=3, offset=17, timestamp_ms=-1
    )
    headers = {name: (value or b"").decode() for name, value in made}
    headers |= {f"error.{name.replace('_', '.')}": text for name, text in changed.items()}
    return {name: text for name, text in headers.items() if name != f"error.{without}"}


def test_the_headers_schema_refuses_what_no_worker_writes() -> None:
    """A reason outside the vocabulary, a number that is none, a header left out."""
    assert HEADERS.is_valid(letter_headers())
    for changed in ({"reason": "bad_luck"}, {"partition": "-1"}, {"attempts": "0"}, {"timestamp": ""}):
        assert not HEADERS.is_valid(letter_headers(**changed))
    for name in ("reason", "message", "topic", "partition", "offset", "timestamp", "attempts"):
        assert not HEADERS.is_valid(letter_headers(without=name))


def test_a_too_large_letter_says_how_large() -> None:
    """It has no value to look at, so sizes and digest are required of it, and of no other."""
    sizes = {"size_key": "3", "size_value": "1200000", "size_headers": "0", "sha256": "0" * 64}
    assert HEADERS.is_valid(letter_headers(reason="too_large", **sizes))
    assert not HEADERS.is_valid(letter_headers(reason="too_large"))
    assert HEADERS.is_valid(letter_headers(**sizes))
    assert not HEADERS.is_valid(letter_headers(**{**sizes, "sha256": "0" * 63}))
