"""The outlook as a part of a partition's state: whichever way its records are taken, and after any restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jsonschema
import msgspec
import pytest

from consumer.learning import acceleration
from consumer.learning.fingerprint import LearningSettings, OutlookSettings, fingerprint
from consumer.learning.model import ModelScope
from consumer.learning.outlook_sections import OUTLOOK
from consumer.model_choice import model_kind
from consumer.outlook.horizons import HORIZONS
from consumer.outlook.policies import Policies
from consumer.record import Record, batch_of
from schemas import json_schema
from schemas.outlook import StockOutlook
from schemas.tick import decode_tick, encode_tick
from schemas.transaction import Limits
from tests import core
from tests.core import unpickled
from tests.unit.test_task import FIRST_OFFSET, MODEL_ID, PARTITION, SEEN_IDS, TOPIC, shop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumer.learning import PartitionTask

Said = tuple[bytes | None, bytes | None]
POLICIES = Policies()
ZONE = OutlookSettings(ZoneInfo("Europe/Berlin"), "2026.6", POLICIES)


def settings_with(outlook: OutlookSettings | None, model: str = "guarded", days: int = 1) -> LearningSettings:
    return LearningSettings(
        model, ModelScope.PARTITION, SEEN_IDS, 1_000, Limits(), item_retire_days=days, outlook=outlook
    )


def new_task(outlook: OutlookSettings | None = ZONE, model: str = "guarded", days: int = 1) -> PartitionTask:
    return core.new_task(
        settings_with(outlook, model, days),
        topic=TOPIC,
        partition=PARTITION,
        model_id=MODEL_ID,
        first_offset=FIRST_OFFSET,
        kind=model_kind(model),
    )


@pytest.fixture(params=["Python", "machine code"])
def code(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "machine code":
        assert acceleration.load() is None
    yield request.param
    acceleration.unload()


EVENTS_A_DAY = 75
_A_DAY_MS = 86_400_000


def log(count: int = 3_000) -> list[Record]:
    """A faulty shop, its hours stretched to weeks, a tick here and there."""
    found: list[Record] = []
    for number, record in enumerate(shop(count)):
        days, offset = number // EVENTS_A_DAY, record.offset + number // 211
        timestamp_ms = record.timestamp_ms + days * _A_DAY_MS
        if number % 211 == 210:
            moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC) + timedelta(hours=30)
            wrong = "2099-01-01T00:00:00+01:00"
            value = encode_tick(moment.isoformat() if number % 2 else wrong)
            found.append(Record(PARTITION, offset, timestamp_ms + (number % 3) * _A_DAY_MS, None, value))
            offset += 1
        event = later(record.value, days)
        found.append(msgspec.structs.replace(record, offset=offset, timestamp_ms=timestamp_ms, value=event))
    return found


def later(value: bytes | None, days: int) -> bytes | None:
    """Return an event as if it had occurred days later; what is no event stays."""
    try:
        event = msgspec.json.decode(value or b"")
        moment = datetime.fromisoformat(event["occurred_at"])
        event["occurred_at"] = (moment + timedelta(days=days)).isoformat()
    except (msgspec.DecodeError, ValueError, KeyError, TypeError):
        return value
    return msgspec.json.encode(event)


def said_by(task: PartitionTask) -> list[Said]:
    """Key and value of each outlook, in order."""
    return list(zip(*task.take_outlooks(), strict=True))


def one_by_one(task: PartitionTask, records: Sequence[Record]) -> list[Said]:
    for record in records:
        task.process(record)
    return said_by(task)


def at_once(task: PartitionTask, records: Sequence[Record], size: int) -> list[Said]:
    said = []
    for start in range(0, len(records), size):
        task.process_batch(batch_of(records[start : start + size]), lambda _record: None)
        said += said_by(task)
    return said


@pytest.fixture(scope="module")
def truth() -> tuple[list[Said], Any]:
    """What is said of the log, and the state after it: record by record, in Python."""
    task = new_task()
    said = one_by_one(task, log())
    outlooks = [msgspec.json.decode(value, type=StockOutlook) for _, value in said if value is not None]
    assert len({outlook.as_of for outlook in outlooks}) > 10
    assert len({key for key, _ in said}) > 10
    assert None in [value for _, value in said]  # items have left
    return said, task.snapshot()


@pytest.mark.parametrize("size", [1, 7, 300, 4_000])
@pytest.mark.usefixtures("code")
def test_batches_of_any_size_say_the_same(truth: tuple[list[Said], Any], size: int) -> None:
    """In Python and in machine code: to the byte, in the same order, with the same state."""
    task = new_task()
    assert at_once(task, log(), size) == truth[0]
    assert task.snapshot() == truth[1]


@pytest.mark.usefixtures("code")
def test_a_restored_task_says_what_it_would_have_said(truth: tuple[list[Said], Any]) -> None:
    records = log()
    for cut in (1, 700, 1_501, 2_600):
        task, restored = new_task(), new_task()
        said = at_once(task, records[:cut], 97)
        restored.restore(unpickled(task.snapshot()))
        said += at_once(restored, records[cut:], 211)
        assert said == truth[0]
        assert restored.snapshot() == truth[1]


@pytest.mark.usefixtures("code")
def test_predictions_are_as_without_an_outlook() -> None:
    records = log()
    with_one, without = (new_task(outlook).process_batch(batch_of(records), lambda _: None) for outlook in (ZONE, None))
    assert with_one == without


def test_items_leave_with_the_ledger_s() -> None:
    long, short = new_task(days=400), new_task(days=1)
    for task in (long, short):
        one_by_one(task, log())
    assert short.tally.retired > 0
    for task in (long, short):
        state = unpickled(task.snapshot())
        assert len(state["ledger"].levels) == len(task._feed.shelves.outlook.items)  # type: ignore[union-attr]


def test_a_state_from_before_the_outlook_begins_one() -> None:
    """As `--adopt-state` takes it on: the items are known, their days are not."""
    former, task = new_task(None), new_task()
    records = log()
    one_by_one(former, records[:1_500])
    task.restore(unpickled(former.snapshot()))
    said = one_by_one(task, records[1_500:])
    assert said
    assert OUTLOOK in task.snapshot()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("outlook", lambda data: data[:-1]),
        ("outlook.items.means", lambda data: data[:-4]),
        ("outlook.pools.week", lambda _: None),
    ],
)
def test_damaged_sections_are_refused(name: str, damage: Any) -> None:
    task = new_task()
    one_by_one(task, log(400))
    sections = {key: bytes(memoryview(value)) for key, value in task.snapshot().items() if not isinstance(value, list)}
    whole = {**task.snapshot(), **sections}
    damaged = damage(sections[name])
    if damaged is None:
        del whole[name]
    else:
        whole[name] = damaged
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        new_task().restore(unpickled(whole))


def test_a_tick_teaches_nothing_and_is_no_dead_letter() -> None:
    task = new_task(None)
    record = Record(PARTITION, FIRST_OFFSET, 0, None, encode_tick("2026-01-01T00:00:00Z"))
    assert task.process(record) is None
    assert (task.tally.ticks, task.tally.predictions, sum(task.tally.dead_letters.values())) == (1, 0, 0)
    assert task.next_offset == FIRST_OFFSET + 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b'{"tick":"yesterday"}',
        b'{"tick":"2026-01-01T00:00:00Z"',
        b'{"tick":1}',
        b'{"tick":"' + b"2" * 99 + b'"}',
    ],
)
def test_what_is_no_tick(value: bytes | None) -> None:
    assert decode_tick(value) is None
    task = new_task(None)
    output = task.process(Record(PARTITION, FIRST_OFFSET, 0, None, value))
    assert output is not None


def test_a_tick_has_a_time() -> None:
    assert decode_tick(encode_tick("1970-01-01T01:00:00+00:00")) == 3_600_000_000
    with pytest.raises(ValueError, match="RFC 3339"):
        encode_tick("now")


OTHER = ZONE._replace(policies=Policies(b'{"default": {"lead_time_days": 5}}'))


def test_the_outlook_is_part_of_the_meaning() -> None:
    """And where there is none, the fingerprint is what it was before there were any."""
    found = [
        fingerprint(settings_with(outlook), {})
        for outlook in (None, ZONE, ZONE._replace(zone=ZoneInfo("UTC")), ZONE._replace(zone_data="2027.1"), OTHER)
    ]
    assert len({each.digest for each in found}) == 5
    assert "outlook" not in found[0].parts


def test_what_is_published_is_what_the_schema_says(truth: tuple[list[Said], Any]) -> None:
    schema = json_schema.outlook_schema()
    values = [msgspec.json.decode(value) for _, value in truth[0] if value is not None]
    for value in values[:: len(values) // 50]:
        jsonschema.validate(value, schema)
        assert list(value) == list(schema["properties"])
        assert [horizon["days"] for horizon in value["horizons"]] == list(HORIZONS)
