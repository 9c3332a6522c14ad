"""The partition task: what the oracle says, to the byte, from the first record or from any checkpoint."""

from __future__ import annotations

import ast
import json
import random
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.ledger_columns import COLUMNS, LEDGER
from consumer.learning.model import ModelScope
from consumer.learning.model_sections import MODEL_SECTIONS
from consumer.learning.output import Outcome, Output
from consumer.record import Record
from consumer.simulate.faults import with_faults
from consumer.simulate.synthetic import synthetic_events
from schemas.dead_letter import EXPECTED, MESSAGES, Reason
from schemas.transaction import Limits
from tests import core
from tests.core import unpickled
from tests.oracle import PartitionOracle, Published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from consumer.learning import PartitionTask

TOPIC: Final = "sales"
PARTITION: Final = 3
MODEL_ID: Final = "0123456789ab"
FIRST_OFFSET: Final = 40
SEEN_IDS: Final = 300  # small, so that some repeats come back as new, and late
ROOT: Final = Path(__file__).parents[2]


def new_task(scope: ModelScope, seen_ids: int = SEEN_IDS, item_retire_days: int = 400) -> PartitionTask:
    """A task without any state."""
    return core.new_task(
        LearningSettings("linear", scope, seen_ids, 1_000, Limits(), item_retire_days=item_retire_days),
        topic=TOPIC,
        partition=PARTITION,
        model_id=MODEL_ID,
        first_offset=FIRST_OFFSET,
    )


def new_oracle(scope: ModelScope, seen_ids: int = SEEN_IDS, item_retire_days: int = 400) -> PartitionOracle:
    """The independent truth for the same partition."""
    return PartitionOracle(
        topic=TOPIC,
        partition=PARTITION,
        model_id=MODEL_ID,
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        seen_ids=seen_ids,
        item_retire_days=item_retire_days,
        scope=scope.value,
    )


def published(record: Record, output: Output | None) -> Published | None:
    """A task's output in the oracle's terms."""
    if output is None:
        return None
    kind = {Outcome.PREDICTION: "prediction", Outcome.DEAD_LETTER: "dead_letter"}[output.outcome]
    return Published(kind, record.offset, output.key, output.value, tuple(output.headers or ()))  # type: ignore[arg-type]


def applied(task: PartitionTask, records: Iterable[Record]) -> list[Published | None]:
    """What a task publishes for these records."""
    return [published(record, task.process(record)) for record in records]


def truth(oracle: PartitionOracle, records: Iterable[Record]) -> list[Published | None]:
    """What must be published for them."""
    return [
        oracle.feed((record.offset, record.timestamp_ms, record.key, record.value, record.headers or []))
        for record in records
    ]


def position(task: PartitionTask) -> tuple[object, ...]:
    """How far a task is, and the digest over all that it did."""
    return task.next_offset, task.first_offset, task.records_applied, task.chain.digest(), task.model_count


# --- a shop's log, with everything in it that goes wrong -------------------------------------------------------------


def twisted(value: bytes, number: int) -> Iterator[bytes | None]:
    """What comes after a good event at times: a conflict, a late event, an unknown type, a miscount, a tombstone."""
    fields = json.loads(value)
    changes: dict[int, dict[str, Any]] = {
        0: {"new_stock_level": 10**6},
        1: {"transaction_id": f"late-{number}", "occurred_at": "2024-12-31T22:00:00-02:00"},
        2: {"transaction_id": f"loan-{number}", "transaction_type": "loan", "new_stock_level": None},
        3: {
            "transaction_id": f"gone-{number}",
            "transaction_type": "void",
            "quantity": -0.1,
            "new_stock_level": 7.0004,
        },
        4: {"transaction_id": f"new-{number}", "sku": f"new-{number}", "new_stock_level": None},
    }
    kind = number % 40
    if kind in changes:
        yield json.dumps(fields | changes[kind]).encode()
    elif kind == 5:
        yield None
    elif kind == 6:
        yield b"\0\0\0\0\x01" + json.dumps(fields | {"transaction_id": f" {number} "}).encode()


@cache
def shop(count: int) -> list[Record]:
    """The log of a synthetic shop with faults: gaps between the offsets, and headers that a redrive left."""
    events = with_faults(synthetic_events(seed=3, skus=12), invalid_share=0.1, repeat_share=0.08, seed=5)
    values: list[tuple[bytes, bytes | None, int]] = []
    for number, event in enumerate(islice(events, count)):
        values.append((event.key, event.value, event.timestamp_ms))
        if event.kind == "event" and event.value is not None:
            values += [(event.key, value, event.timestamp_ms) for value in twisted(event.value, number)]
    headers = [None, [], [("trace", b"\xff"), ("error.attempts", b"2"), ("error.reason", b"x"), ("empty", None)]]
    return [
        Record(PARTITION, FIRST_OFFSET + number + number // 50, timestamp_ms, key, value, headers[number % 3])
        for number, (key, value, timestamp_ms) in enumerate(values[:count])
    ]


@pytest.mark.parametrize("scope", ModelScope)
def test_outputs_are_the_oracle_s_to_the_byte(scope: ModelScope) -> None:
    """Every prediction and dead letter of a faulty log is the independent loop's, and so is every count."""
    records = shop(4_000)
    task, oracle = new_task(scope), new_oracle(scope)
    for record, wanted in zip(records, truth(oracle, records), strict=True):
        assert published(record, task.process(record)) == wanted
    tally = task.tally
    assert (tally.predictions, tally.repeats) == (oracle.predictions, oracle.repeats)
    assert tally.dead_letters == oracle.dead_letters
    assert task.records_applied == oracle.records == len(records)
    assert task.next_offset == records[-1].offset + 1
    # The log had all of it; else the comparison would mean little.
    assert set(tally.dead_letters) == {reason.value for reason in Reason} - {"too_large", "broke_model"}
    assert min(tally.predictions, tally.repeats, tally.late, tally.learned, tally.unknown_types) > 50
    assert tally.learned < tally.predictions - tally.late


def test_the_tally_of_each_kind() -> None:
    """Late and learned are what the predictions themselves say."""
    task = new_task(ModelScope.PARTITION)
    outputs = [task.process(record) for record in shop(2_000)]
    values = [json.loads(output.value or b"") for output in outputs if output and output.outcome is Outcome.PREDICTION]
    assert task.tally.late == sum(value["is_late"] for value in values)
    assert values[-1]["events_learned"] + 1 >= task.tally.learned >= values[-1]["events_learned"]


# --- a small world, in which everything meets ------------------------------------------------------------------------

SIZES: Final = st.sampled_from([-1e6, -2.5, -1, -0.000001, 0, 0.1, 3, 1e6])
LEVELS: Final = st.sampled_from([None, None, 0, 5, 5.000499, 5.0005, 4.9995, 4.999501, -3, 1e9, -1e9])
TYPES: Final = st.sampled_from([None, "sale", "return", "adjustment", "count", "void", "loan"])
small_events = st.fixed_dictionaries(
    {
        "transaction_id": st.sampled_from(["1", "2", "3", "4"]),
        "store_id": st.sampled_from(["A", "B"]),
        "sku": st.sampled_from(["x", "y"]),
        "quantity": SIZES,
        "transaction_type": TYPES,
        "new_stock_level": LEVELS,
        "occurred_at": st.integers(0, 5).map(lambda minute: f"2025-01-06T10:0{minute}:00+01:00"),
    },
    optional={
        "line_id": st.sampled_from(["a", None]),
        "corrects": st.just("1"),
        "unit_cost": st.sampled_from([0, 2.5]),
    },
)
small_values = st.one_of(
    small_events.map(lambda fields: json.dumps(fields).encode()), st.sampled_from([None, b"", b"{}", b"[]"])
)
scopes = st.sampled_from(ModelScope)


def small_log(values: list[bytes | None]) -> list[Record]:
    """Records of these values."""
    return [Record(PARTITION, FIRST_OFFSET + place, -1, b"k", value) for place, value in enumerate(values)]


@settings(max_examples=150, deadline=None)
@given(st.lists(small_values, max_size=40), scopes, st.integers(1, 6))
def test_any_small_log_is_the_oracle_s(values: list[bytes | None], scope: ModelScope, seen_ids: int) -> None:
    """Few items, few ids, few times: conflicts, late events, stand-ins and discrepancies meet in every combination."""
    records = small_log(values)
    assert applied(new_task(scope, seen_ids), records) == truth(new_oracle(scope, seen_ids), records)


# --- snapshots -------------------------------------------------------------------------------------------------------

LOG: Final = 1_400  # more than a block of the chained digest


@cache
def uninterrupted(scope: ModelScope) -> tuple[list[Published | None], tuple[object, ...]]:
    """What a task that is never interrupted publishes, and where it ends."""
    task = new_task(scope)
    return applied(task, shop(LOG)), position(task)


@settings(max_examples=40, deadline=None)
@given(scopes, st.one_of(st.integers(0, LOG), st.sampled_from([0, 1, 1023, 1024, 1025, LOG])))
def test_a_task_restored_at_any_record_continues_as_the_original(scope: ModelScope, boundary: int) -> None:
    """A snapshot between any two records, restored elsewhere, leads to the same outputs, counters and digest."""
    outputs, end = uninterrupted(scope)
    records = shop(LOG)
    original, restored = new_task(scope), new_task(scope)
    assert applied(original, records[:boundary]) == outputs[:boundary]
    sections = original.snapshot()
    restored.restore(unpickled(sections))
    assert position(restored) == position(original)
    assert restored.tally.predictions == 0  # the tally is the worker's, no part of the state
    assert applied(restored, records[boundary:]) == outputs[boundary:]
    assert position(restored) == end
    # The original goes on, too, and the snapshot does not change underneath.
    assert applied(original, records[boundary:]) == outputs[boundary:]
    assert position(original) == end
    again = new_task(scope)
    again.restore(unpickled(sections))
    assert applied(again, records[boundary : boundary + 50]) == outputs[boundary : boundary + 50]


@settings(max_examples=40, deadline=None)
@given(st.lists(small_values, max_size=30), scopes, st.integers(1, 4), st.data())
def test_a_restore_after_a_restore(
    values: list[bytes | None], scope: ModelScope, seen_ids: int, data: st.DataObject
) -> None:
    """However often a task is put down and taken up, nothing shows."""
    records = small_log(values)
    straight = new_task(scope, seen_ids)
    wanted = applied(straight, records)
    stops = data.draw(st.sets(st.integers(0, len(records)), max_size=5))
    task = new_task(scope, seen_ids)
    outputs: list[Published | None] = []
    for number, record in enumerate(records):
        if number in stops:
            sections = task.snapshot()
            task = new_task(scope, seen_ids)
            task.restore(unpickled(sections))
        outputs.append(published(record, task.process(record)))
    assert outputs == wanted
    assert position(task) == position(straight)


def test_snapshots_of_equal_states_behave_alike() -> None:
    """One task that learned straight through, one that was restored on the way: their snapshots are worth the same."""
    records = shop(LOG)
    straight, restored = new_task(ModelScope.STORE), new_task(ModelScope.STORE)
    applied(straight, records[:700])
    restored.restore(unpickled(straight.snapshot()))
    for task in (straight, restored):
        applied(task, records[700:900])
    first, second = new_task(ModelScope.STORE), new_task(ModelScope.STORE)
    first.restore(unpickled(straight.snapshot()))
    second.restore(unpickled(restored.snapshot()))
    assert position(first) == position(second)
    assert applied(first, records[900:]) == applied(second, records[900:]) == uninterrupted(ModelScope.STORE)[0][900:]
    assert position(first) == position(second) == uninterrupted(ModelScope.STORE)[1]


@pytest.mark.parametrize("section", ["progress", "models", "ledger", "identities", "invalid"])
def test_a_missing_section_leaves_the_task_as_it_was(section: str) -> None:
    """A snapshot is taken over whole or not at all: half a state would be a wrong model."""
    other = new_task(ModelScope.ITEM)
    applied(other, shop(LOG)[:200])
    sections = other.snapshot()
    del sections[section]
    task = new_task(ModelScope.ITEM)
    with pytest.raises(KeyError, match=section):
        task.restore(unpickled(sections))
    assert position(task) == position(new_task(ModelScope.ITEM))
    assert applied(task, shop(LOG)[:50]) == uninterrupted(ModelScope.ITEM)[0][:50]


def test_later_sections_are_none_of_its_business() -> None:
    """A checkpoint may hold more sections than this task knows."""
    sections = new_task(ModelScope.ITEM).snapshot()
    new_task(ModelScope.ITEM).restore(unpickled(sections) | {"outlook": object()})
    assert set(sections) == {"progress", *MODEL_SECTIONS, "identities", "invalid", LEDGER, *COLUMNS}


# --- items leave -----------------------------------------------------------------------------------------------------


@st.composite
def quiet_logs(draw: st.DrawFn) -> list[Record]:
    """The log of a few items, few days apart and not always in order: levels run out, are forgotten, come back."""
    events = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.integers(0, 3),  # days on from the one before
                st.integers(-2, 0) | st.just(0),  # days late
                st.integers(-2, 2),
                st.none() | st.integers(-1, 2),
            ),
            max_size=40,
        )
    )
    records, day = [], 30
    for number, (sku, on, late, quantity, level) in enumerate(events):
        day += on
        at = datetime(2025, 1, 1, 12, tzinfo=UTC) + timedelta(days=day + late)
        fields = {"transaction_id": str(number), "store_id": "s", "sku": sku, "quantity": quantity}
        value = json.dumps({**fields, "occurred_at": at.isoformat(), "new_stock_level": level}).encode()
        records.append(Record(PARTITION, FIRST_OFFSET + number, -1, b"s", value))
    return records


@settings(max_examples=200, deadline=None)
@given(quiet_logs(), st.sampled_from(list(ModelScope)), st.integers(1, 4))
def test_items_leave_as_the_oracle_has_it(records: list[Record], scope: ModelScope, days: int) -> None:
    """What is published, how many items have left, and, in scope `item`, that their models went with them."""
    task, oracle = new_task(scope, item_retire_days=days), new_oracle(scope, item_retire_days=days)
    assert applied(task, records) == truth(oracle, records)
    assert task.tally.retired == oracle.retired
    assert task.tally.unknown_levels == oracle.unknown_levels
    restored = new_task(scope, item_retire_days=days)
    restored.restore(unpickled(task.snapshot()))
    assert restored.snapshot() == task.snapshot()


def of_day(sku: str, day: int, quantity: int, level: int | None) -> Record:
    """A record of a day of January 2025; its offset is its own."""
    at = datetime(2025, 1, day, 12, tzinfo=UTC).isoformat()
    fields = {"transaction_id": f"{sku}-{day}", "store_id": "s", "sku": sku, "quantity": quantity}
    value = json.dumps({**fields, "occurred_at": at, "new_stock_level": level}).encode()
    return Record(PARTITION, FIRST_OFFSET + day, -1, b"s", value)


@pytest.mark.parametrize("scope", [ModelScope.PARTITION, ModelScope.ITEM])
def test_an_item_that_comes_back_is_new(scope: ModelScope) -> None:
    """Its level before is unknown again, and its own model begins anew; what reaches further has learned on."""
    task = new_task(scope, item_retire_days=7)
    days = [of_day("milk", 1, -1, 0), of_day("salt", 2, 1, 3), of_day("salt", 7, -1, 2), of_day("salt", 8, -1, 1)]
    applied(task, days[:3])
    assert (task.tally.retired, task.model_count) == (0, 2 if scope is ModelScope.ITEM else 1)
    applied(task, days[3:])
    assert (task.tally.retired, task.model_count) == (1, 1)
    back = task.process(of_day("milk", 9, -1, None))
    assert back is not None
    prediction = json.loads(back.value or b"")
    assert prediction["level_before"] is None
    assert prediction["events_learned"] == (0 if scope is ModelScope.ITEM else 4)
    assert task.tally.unknown_levels == 3


# --- progress and purity ---------------------------------------------------------------------------------------------


def test_skip_to_never_goes_back() -> None:
    """Markers and aborted records move the next offset on; nothing else changes, and never backwards."""
    task = new_task(ModelScope.PARTITION)
    digest = task.chain.digest()
    offsets = []
    for target in (FIRST_OFFSET - 1, FIRST_OFFSET, 55, 41, 0, 56):
        task.skip_to(target)
        offsets.append(task.next_offset)
    assert offsets == [40, 40, 55, 55, 55, 56]
    assert (task.records_applied, task.first_offset, task.chain.digest()) == (0, FIRST_OFFSET, digest)
    task.process(Record(PARTITION, 60, -1, None, b""))
    task.skip_to(60)
    assert (task.next_offset, task.records_applied) == (61, 1)


@pytest.mark.parametrize("value", [None, b""])
@pytest.mark.parametrize("key", [None, b"", b"k"])
def test_an_empty_value_becomes_a_dead_letter(key: bytes | None, value: bytes | None) -> None:
    """A tombstone stays one and an empty value stays empty: neither is lost, neither becomes the other."""
    task = new_task(ModelScope.PARTITION)
    output = task.process(Record(PARTITION, 41, 7, key, value, [("trace", b"1")]))
    assert output is not None
    assert (output.outcome, output.key, output.value) == (Outcome.DEAD_LETTER, key, value)
    headers = dict(output.headers or [])
    assert (headers["trace"], headers["error.reason"], headers["error.timestamp"]) == (b"1", b"empty_value", b"7")
    assert (task.next_offset, task.records_applied, task.tally.dead_letters) == (42, 1, {"empty_value": 1})


def test_the_digest_tells_every_outcome_apart() -> None:
    """Offset, outcome, prediction and reason are all in the chained digest, else a replay could differ unseen."""
    good = b'{"transaction_id":"1","store_id":"s","sku":"k","quantity":-1,"occurred_at":"2025-01-06T10:00:00Z"}'
    level = good[:-1] + b',"new_stock_level":5}'
    logs: list[list[Record]] = [
        [],
        [Record(PARTITION, 40, -1, None, good)],
        [Record(PARTITION, 41, -1, None, good)],
        [Record(PARTITION, 40, -1, None, b"")],
        [Record(PARTITION, 40, -1, None, b"{")],
        [Record(PARTITION, 40, -1, None, good), Record(PARTITION, 41, -1, None, good)],
        [Record(PARTITION, 40, -1, None, level), Record(PARTITION, 41, -1, None, level)],
        [Record(PARTITION, 40, -1, None, level), Record(PARTITION, 41, -1, None, level.replace(b'"1"', b'"2"'))],
        [Record(PARTITION, 40, -1, None, good), Record(PARTITION, 41, -1, None, good.replace(b'"1"', b'"2"'))],
        [Record(PARTITION, 40, -1, None, good), Record(PARTITION, 41, -1, None, b"")],
    ]
    digests = []
    for log in logs:
        task = new_task(ModelScope.PARTITION)
        applied(task, log)
        digests.append(task.chain.digest())
    # A first event's prediction is 0.0 with and without a level, so logs 5 and 6 do and publish the same.
    assert digests[5] == digests[6]
    assert len(set(digests)) == len(logs) - 1


def test_neither_clock_nor_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same records give the same outputs and state twice, under another random seed and without any clock."""
    records = shop(1_000)
    outputs = []
    ends = []
    for seed in (1, 2):
        random.seed(seed)
        task = new_task(ModelScope.ITEM)
        if seed == 2:
            for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"):
                monkeypatch.setattr(time, name, forbidden)
            for name in ("random", "randrange", "gauss", "getrandbits"):
                monkeypatch.setattr(random, name, forbidden)
        got = applied(task, records)
        sections = task.snapshot()
        monkeypatch.undo()
        outputs.append(got)
        ends.append((position(task), sections))
    assert outputs[0] == outputs[1]
    assert ends[0] == ends[1]


def forbidden(*_: object) -> NoReturn:
    """Stand in for a clock or a die."""
    raise AssertionError("the pure core asked for the time or for a random number")


IMPURE: Final = frozenset(
    [
        *("confluent_kafka", "kafka", "time", "random", "secrets", "uuid", "os", "pathlib", "io", "shutil", "tempfile"),
        *("socket", "http", "urllib", "subprocess", "threading", "asyncio", "multiprocessing", "logging", "structlog"),
        *("numpy", "scipy", "pandas"),  # their last bits change with the processor
    ]
)
# As do those of most of NumPy; these store, choose, sort and compare, or add one after the other.
EXACT_NUMPY: Final = frozenset(
    {
        *("abs", "array", "concatenate", "empty", "float64", "full", "int64", "where", "zeros"),
        *("all", "any", "cumsum", "dtype", "flatnonzero", "frombuffer", "fromiter", "isin", "maximum", "ndarray"),
        *("int32", "sort", "uint16", "uint64", "uint8"),
        *("arange", "bool_", "count_nonzero", "generic", "isnan", "repeat", "rint", "unique"),
        *(
            "add",
            "ascontiguousarray",
            "bitwise_or",
            "broadcast_to",
            "ceil",
            "clip",
            "diff",
            "finfo",
            "float32",
            "frexp",
        ),
        *("integer", "lexsort", "minimum", "ones", "pad", "prod", "roll", "searchsorted", "sqrt", "stack", "uint32"),
        *("take_along_axis", "zeros_like", "floor", "nan"),
        "einsum",  # of whole numbers: those of doubles would depend on the order of adding
    }
)
IMPURE_CALLS: Final = frozenset({"now", "utcnow", "today", "open", "print", "input", "__import__", "import_module"})
CORE: Final = sorted(
    path for layer in ("consumer/learning", "consumer/outlook", "schemas") for path in (ROOT / layer).glob("*.py")
)


def impurities(source: str, layer: str) -> list[str]:
    """What a module of the pure core must not do: import the outside world or an outer layer, or ask for the time."""
    found = []
    learning = ("schemas", "consumer.learning", "consumer.outlook", "consumer.record")
    inner = {"schemas": ("schemas",), "learning": learning, "outlook": learning}[layer]
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            # Of `np` each use is looked at, below.
            names = [alias.name for alias in node.names if (alias.name, alias.asname) != ("numpy", "np")]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        for name in names:
            is_ours = name.startswith((".", "consumer", "schemas", "tests", "benchmarks"))
            if (name.split(".")[0] in IMPURE and name != "numpy.typing") or (is_ours and not name.startswith(inner)):
                found.append(name)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            found += [f"np.{node.attr}"] if node.attr not in EXACT_NUMPY else []
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in IMPURE_CALLS:
                found.append(f"{called}()")
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_core_is_pure(path: Path) -> None:
    """Neither the contract nor the learning core imports a Kafka client, a clock, a die or the file system."""
    assert impurities(path.read_text(encoding="utf-8"), path.parent.name) == []


def test_the_core_is_all_there() -> None:
    """The check above looks at the modules that matter, not at an empty folder."""
    assert {"task.py", "step.py", "model.py", "transaction.py", "dead_letter.py"} <= {path.name for path in CORE}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", ["time"]),
        ("def f():\n    from os.path import join", ["os.path"]),
        ("from consumer.kafka.broker import KafkaBroker", ["consumer.kafka.broker"]),
        ("import numpy", ["numpy"]),
        ("from numpy import exp", ["numpy"]),
        ("import numpy as np\nx = np.array([1.0])\ny = np.sum(x)", ["np.sum"]),
        ("import datetime\nx = datetime.datetime.now()", ["now()"]),
        ("open('x')", ["open()"]),
        ("from .. import broker", [".."]),
        ("from schemas.transaction import decode\nfrom hashlib import blake2b", []),
    ],
)
def test_the_check_of_purity_can_fail(source: str, found: list[str]) -> None:
    """It sees imports at any depth, outer layers, and calls for the time."""
    assert impurities(source, "learning") == found
