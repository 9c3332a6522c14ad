"""The examples of the contracts, held to the code that keeps them."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from jsonschema import Draft202012Validator

from consumer.import_stock import Document, read_events, read_header
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.model_choice import model_kind
from consumer.outlook.policies import Policies
from consumer.record import Record
from consumer.simulate.events import ShopEvent
from schemas.json_schema import files
from schemas.tick import decode_tick
from schemas.transaction import KNOWN_TYPES, Limits, parse_moment
from tests.core import new_task
from tests.documents.blocks import ROOT, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTRACT: Final = {block.name: block for block in blocks_of(ROOT / "docs/contract.md")}
DAY: Final = {name: json.loads(block.text) for name, block in CONTRACT.items() if block.language == "json"}
HOME: Final = 2
_LIMITS: Final = Limits()
_NOW_MS: Final = 1_741_035_600_000  # 2025-03-03T21:00:00Z


def test_every_kind_of_event_has_an_example() -> None:
    """A till's programmer finds the kind that is needed, under its name."""
    assert set(DAY) == KNOWN_TYPES
    assert all(event["transaction_type"] == name for name, event in DAY.items())


@pytest.mark.parametrize("kind", sorted(DAY))
def test_the_schema_takes_each_example(kind: str) -> None:
    """A till that checks against the schema may send what the page shows."""
    Draft202012Validator(json.loads(files()["inventory-transaction.json"])).validate(DAY[kind])


def test_the_day_goes_as_told() -> None:
    """The worker's own core predicts for each event of the day what its text says of the shelf."""
    levels = {each["transaction_id"]: each["predicted_stock_level"] for each in _predictions()}
    assert [*levels.values()][-len(DAY) :] == [38, 39, 63, 69, 57, 54, 53, 55, 55]
    text = (ROOT / "docs/contract.md").read_text()
    assert "begins with 40 on the shelf" in text
    assert "The books say 55; 52 are" in text


def test_the_prediction_is_the_one_that_the_worker_publishes() -> None:
    """Field by field, in order; only the model's id is another on another Python."""
    (block,) = (block for block in blocks_of(ROOT / "docs/readers.md") if block.name == "prediction")
    shown, published = json.loads(block.text), _predictions()[-1]
    assert len(shown.pop("model_id")) == len(published.pop("model_id")) == 12
    assert [*shown.items()] == [*published.items()]


def test_the_models_page_s_declarations_are_those_that_are_read() -> None:
    """A model's function declares by attributes; a name that nobody reads would be declared in vain."""
    (block,) = (block for block in blocks_of(ROOT / "docs/models.md") if block.name == "smoothed.py")
    namespace: dict[str, Any] = {}
    exec(block.text, namespace)  # noqa: S102 -- our own page
    source = (ROOT / "consumer/model_choice.py").read_text()
    declared = vars(namespace["smoothed"])
    assert declared
    assert all(f'"{name}"' in source for name in declared)


def test_the_policies_page_s_file_means_what_its_text_says() -> None:
    """Field by field an item wins over its store, and that over the default."""
    (block,) = (block for block in blocks_of(ROOT / "docs/outlook.md") if block.name == "policies.json")
    policies = Policies(block.text.encode())
    columns = policies.columns.of(policies.rows_of([("296", "MILK"), ("296", "EGGS"), ("31", "CHEESE"), ("1", "A")]))
    assert columns.lead_time_days.tolist() == [2, 2, 3, 3]
    assert columns.service_level.tolist() == [0.98, 0.95, 0.95, 0.95]
    assert columns.pack_millionths.tolist() == [12_000_000, 1_000_000, 250_000, 1_000_000]
    assert set(json.loads(block.text)["default"].items()) == {
        ("lead_time_days", 3),
        ("review_period_days", 1),
        ("service_level", 0.95),
        ("pack_size", 1),
    }
    assert Policies(json.dumps({"default": json.loads(block.text)["default"]}).encode()).digest == Policies().digest


def test_the_testing_page_s_test_passes() -> None:
    """Copied into a test suite, it is green."""
    (block,) = blocks_of(ROOT / "docs/testing.md")
    namespace: dict[str, Any] = {}
    exec(block.text, namespace)  # noqa: S102 -- our own page
    (test,) = (value for name, value in namespace.items() if name.startswith("test_"))
    test()


def _predictions() -> list[dict[str, Any]]:
    """Return what the default worker publishes for the page's opening levels and its day."""
    learning = LearningSettings("guarded", ModelScope.PARTITION, 100_000, 1_000, _LIMITS)
    task = new_task(learning, topic="t", partition=HOME, model_id="0" * 12, kind=model_kind("guarded"))
    values = [*_opening(), *(json.dumps(event).encode() for event in DAY.values())]
    outputs = [task.process(_record(offset, value)) for offset, value in enumerate(values)]
    assert all(output is not None and output.headers is None for output in outputs)
    return [json.loads(output.value or b"") for output in outputs if output is not None]


def _opening() -> Iterable[bytes]:
    file = io.BytesIO(CONTRACT["levels.csv"].text.encode())
    document = Document(None, "2025-03-03T07:00:00+01:00", _NOW_MS, "store", _LIMITS)
    for event in read_events(file, read_header(file), document):
        assert isinstance(event, ShopEvent), event
        assert event.value is not None
        yield event.value


def _record(offset: int, value: bytes) -> Record:
    return Record(partition=HOME, offset=offset, timestamp_ms=_NOW_MS, key=b"12", value=value, headers=None)


def test_the_tick_of_the_contract_is_one() -> None:
    """Written as it stands there."""
    (text,) = re.findall(r'^\{"tick".*$', (ROOT / "docs/contract.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert decode_tick(text.encode()) == parse_moment(text.split('"')[3]).us
