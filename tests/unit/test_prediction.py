"""The output contract: the struct that is published is the model that services import."""

from __future__ import annotations

import json
import math
from typing import Any, Final, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import StockPrediction
from schemas.prediction import Prediction, encode_prediction

FIELDS: Final = (
    *("transaction_id", "store_id", "sku", "line_id", "occurred_at", "level_before", "predicted_stock_level"),
    *("observed_stock_level", "discrepancy", "is_late", "model_id", "events_learned", "source_partition"),
    "source_offset",
)
"""The output's fields in the contract's order."""

ORDINARY: Final[dict[str, Any]] = {
    "transaction_id": "t1",
    "store_id": "s1",
    "sku": "milk",
    "line_id": None,
    "occurred_at": "2017-03-31T12:00:00Z",
    "level_before": 7.0,
    "predicted_stock_level": 0.1 + 0.2,
    "observed_stock_level": -0.000001,
    "discrepancy": 0.0,
    "is_late": False,
    "model_id": "0123456789ab",
    "events_learned": 12,
    "source_partition": 3,
    "source_offset": 2**62,
}

texts = st.text()
levels = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
counts = st.integers(0, 2**63 - 1)
predictions = st.fixed_dictionaries(
    dict.fromkeys(("transaction_id", "store_id", "sku", "occurred_at", "model_id"), texts)
    | {"line_id": st.one_of(st.none(), texts), "is_late": st.booleans()}
    | dict.fromkeys(("level_before", "predicted_stock_level", "observed_stock_level", "discrepancy"), levels)
    | dict.fromkeys(("events_learned", "source_partition", "source_offset"), counts)
)


def test_the_same_fields_in_the_same_order() -> None:
    """The struct that is encoded and the model that describes it cannot drift apart."""
    assert Prediction.__struct_fields__ == tuple(StockPrediction.model_fields) == FIELDS
    described = {name: field.annotation for name, field in StockPrediction.model_fields.items()}
    assert get_type_hints(Prediction) == described


@settings(max_examples=300, deadline=None)
@given(predictions)
@example(ORDINARY)
@example(ORDINARY | {"predicted_stock_level": 5e-324, "level_before": 1e22, "observed_stock_level": 1e16})
@example(ORDINARY | {"predicted_stock_level": -1.7976931348623157e308, "sku": "\x00\x7f\u2028😀</script>"})
def test_both_encode_the_same_json(fields: dict[str, Any]) -> None:
    """Keys in order, texts and the doubles' every bit: what the model says is what is on the wire."""
    wire = encode_prediction(Prediction(**fields))
    model = StockPrediction(**fields)
    assert pairs(wire) == pairs(model.model_dump_json()) == list(fields_in_order(fields))
    assert StockPrediction.model_validate_json(wire) == model


def pairs(text: bytes | str) -> list[tuple[str, str]]:
    """A JSON object's keys in order, with the `repr` of each value: it tells 0.0 from -0.0, and 1 from 1.0."""
    decoded: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    return [(key, repr(value)) for key, value in decoded]


def fields_in_order(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """The same of the fields themselves."""
    return [(name, repr(fields[name])) for name in FIELDS]


def test_the_encoding_to_the_byte() -> None:
    """An anchor: no white space, shortest numbers, null spelt out. Consumers and checkpoints compare these bytes."""
    assert encode_prediction(Prediction(**ORDINARY)) == (
        b'{"transaction_id":"t1","store_id":"s1","sku":"milk","line_id":null,"occurred_at":"2017-03-31T12:00:00Z",'
        b'"level_before":7.0,"predicted_stock_level":0.30000000000000004,"observed_stock_level":-1e-6,'
        b'"discrepancy":0.0,"is_late":false,"model_id":"0123456789ab","events_learned":12,"source_partition":3,'
        b'"source_offset":4611686018427387904}'
    )


def test_the_model_is_closed() -> None:
    """A service that reads with the model notices a field it does not know, or one that is gone."""
    with pytest.raises(ValueError, match="extra_forbidden"):
        StockPrediction(**ORDINARY | {"outlook": 1})
    for name in FIELDS:
        with pytest.raises(ValueError, match="missing"):
            StockPrediction(**{key: value for key, value in ORDINARY.items() if key != name})
    with pytest.raises(ValueError, match="frozen"):
        StockPrediction(**ORDINARY).sku = "bread"  # type: ignore[misc]


def test_what_is_not_finite_has_no_place_in_json() -> None:
    """The encoder would write null for NaN, which is why the task decides on null itself, knowingly."""
    assert b'"predicted_stock_level":null' in encode_prediction(
        Prediction(**ORDINARY | {"predicted_stock_level": math.nan})
    )
