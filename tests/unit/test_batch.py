"""Many records at once: to the byte and the bit what one record after the other gives."""

from __future__ import annotations

import json
import pickle
import random
import struct
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model

from benchmarks.fuzzing.events import Mutator
from consumer.learning import acceleration
from consumer.learning.batch import Run, take_run
from consumer.learning.chain import OutcomeChain
from consumer.learning.features import get_features
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.identities import Identities
from consumer.learning.ledger import DAY_US, Ledger
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.model import ModelScope
from consumer.learning.output import Outcome
from consumer.learning.regressor import RegressorModel
from consumer.learning.step import prequential_step
from consumer.model_choice import model_kind
from consumer.record import Record, batch_of
from consumer.simulate.synthetic import synthetic_events
from schemas.dead_letter import InvalidEvent
from schemas.transaction import Limits, decode, decode_plain
from tests import core
from tests.unit.test_task import FIRST_OFFSET, MODEL_ID, PARTITION, SEEN_IDS, TOPIC, quiet_logs, shop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from consumer.learning import PartitionTask
    from schemas.transaction import Event

MODELS: Final = ("linear", "guarded")
LIMITS: Final = Limits()
EVENTS: Final = [decode(event.value, event.timestamp_ms, LIMITS) for event in synthetic_events(seed=4, limit=500)]


def new_task(model: str, scope: ModelScope = ModelScope.PARTITION, item_retire_days: int = 1) -> PartitionTask:
    return core.new_task(
        LearningSettings(model, scope, SEEN_IDS, 1_000, LIMITS, item_retire_days=item_retire_days),
        topic=TOPIC,
        partition=PARTITION,
        model_id=MODEL_ID,
        first_offset=FIRST_OFFSET,
        kind=model_kind(model),
    )


@pytest.fixture(params=["Python", "machine code"], autouse=True)
def acceleration_of(request: pytest.FixtureRequest) -> Iterator[str]:
    """Everything here holds with and without machine code."""
    if request.param == "machine code":
        assert acceleration.load() is None
    yield request.param
    acceleration.unload()


class Books:
    """What was published, by topic, and which records were judged."""

    def __init__(self) -> None:
        self.predictions: list[tuple[bytes | None, bytes | None]] = []
        self.letters: list[Any] = []
        self.judged: list[int] = []

    def one_by_one(self, task: PartitionTask, records: Iterable[Record]) -> None:
        for record in records:
            output = task.process(record)
            if output is None:
                continue
            if output.outcome is Outcome.PREDICTION:
                self.predictions.append((output.key, output.value))
            else:
                self.letters.append(output)
                self.judged.append(record.offset)

    def at_once(self, task: PartitionTask, records: Sequence[Record]) -> None:
        published = task.process_batch(batch_of(records), lambda record: self.judged.append(record.offset))
        self.predictions += zip(published.keys, published.values, strict=True)
        self.letters += published.letters


def state_of(task: PartitionTask) -> tuple[object, ...]:
    """Everything that a checkpoint holds, and what was counted."""
    tally = task.tally
    counts = {name: getattr(tally, name) for name in type(tally).__slots__}
    return task.snapshot(), task.next_offset, task.chain.digest(), counts


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [1, 2, 7, 300, 4_000])
def test_batches_of_any_size_are_the_records_one_by_one(model: str, size: int) -> None:
    """A faulty log gives the same predictions, dead letters, counts and checkpoint, however it is cut."""
    records = shop(4_000)
    alone, together, ones, manys = new_task(model), new_task(model), Books(), Books()
    ones.one_by_one(alone, records)
    for start in range(0, len(records), size):
        manys.at_once(together, records[start : start + size])
    assert vars(manys) == vars(ones)
    assert state_of(together) == state_of(alone)
    assert together.takes_batches


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [1, 7, 4_000])
def test_a_replay_leads_to_the_same_state(model: str, size: int) -> None:
    """It publishes nothing, and judges nothing."""
    records = shop(2_000)
    alone, replayed = new_task(model), new_task(model)
    Books().one_by_one(alone, records)
    whole = batch_of(records)
    for start in range(0, len(records), size):
        replayed.replay_batch(whole.part(start, start + size))
    assert state_of(replayed) == state_of(alone)


def test_a_part_of_a_batch_has_its_own_records() -> None:
    """With their headers."""
    records = shop(30)
    assert list(batch_of(records).part(7, 12).part(1, 4).records()) == records[8:11]


@pytest.mark.parametrize("scope", [ModelScope.STORE, ModelScope.ITEM])
def test_a_model_for_each_store_or_item_takes_no_batches(scope: ModelScope) -> None:
    """Then each record is processed alone, whoever asks."""
    records = shop(600)
    alone, together, ones, manys = new_task("linear", scope), new_task("linear", scope), Books(), Books()
    ones.one_by_one(alone, records)
    manys.at_once(together, records)
    assert not together.takes_batches
    assert (vars(manys), state_of(together)) == (vars(ones), state_of(alone))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=60), st.sampled_from(MODELS), st.randoms(use_true_random=False)
)
def test_batches_and_single_records_mix(sizes: list[int], model: str, rng: random.Random) -> None:
    """One task may go either way at any record, and another one take over its checkpoint in between."""
    records = shop(2_000)
    alone, mixed, ones, manys = new_task(model), new_task(model), Books(), Books()
    start = 0
    for size in sizes:
        part = records[start : start + size]
        start += len(part)
        ones.one_by_one(alone, part)
        if rng.random() < 0.5:
            manys.at_once(mixed, part)
        else:
            manys.one_by_one(mixed, part)
        if rng.random() < 0.1:
            sections = mixed.snapshot()
            tally, mixed = mixed.tally, new_task(model)
            mixed.restore(core.unpickled(sections))
            mixed.tally = tally
    assert vars(manys) == vars(ones)
    assert state_of(mixed) == state_of(alone)


@settings(max_examples=100, deadline=None)
@given(quiet_logs(), st.integers(1, 40), st.sampled_from(MODELS), st.integers(1, 4))
def test_items_leave_at_once_as_they_leave_one_by_one(records: list[Record], size: int, model: str, days: int) -> None:
    """At the same record, however many days a batch spans."""
    alone, together = (new_task(model, item_retire_days=days) for _ in range(2))
    ones, manys = Books(), Books()
    ones.one_by_one(alone, records)
    for start in range(0, len(records), size):
        manys.at_once(together, records[start : start + size])
    assert (vars(manys), state_of(together)) == (vars(ones), state_of(alone))


def test_a_run_ends_with_the_event_that_opens_a_day() -> None:
    """So that the sweep comes right after it; the rest of the day is one run."""
    identities, ledger = Identities(1_000), Ledger()
    ends: list[int] = []
    while sum(ends) < len(EVENTS):
        run = take_run(EVENTS, sum(ends), identities, ledger)
        ends.append(len(run.events))
        if run.events[-1].occurred_us >= ledger.next_day_us:
            ledger.sweep(run.events[-1].occurred_us, 1)
    days = [event.occurred_us // DAY_US for event in EVENTS]
    opening = [index for index, day in enumerate(days) if day > max(days[:index], default=-1)]
    assert [sum(ends[: number + 1]) for number in range(len(ends) - 1)] == [index + 1 for index in opening]


def test_what_a_judge_raises_comes_out() -> None:
    """It is told of the first dead letter, before anything after it is applied."""
    task = new_task("linear")
    event = next(iter(synthetic_events(seed=4, limit=1)))
    good = Record(PARTITION, FIRST_OFFSET, event.timestamp_ms, event.key, event.value)
    records = [good, *(Record(PARTITION, offset, 0, b"k", b"{") for offset in (900, 901))]

    def judge(record: Record) -> None:
        raise ArithmeticError(str(record.offset))

    with pytest.raises(ArithmeticError, match="900"):
        task.process_batch(batch_of(records), judge)
    assert task.next_offset == 901


def test_a_key_that_leaves_no_room_is_looked_at_alone() -> None:
    """Whether a prediction fits is decided as for a single record."""
    record = shop(1)[0]
    large = Record(PARTITION, record.offset + 1, record.timestamp_ms, b"k" * 2_000_000, record.value)
    alone, together, ones, manys = new_task("guarded"), new_task("guarded"), Books(), Books()
    ones.one_by_one(alone, [record, large])
    manys.at_once(together, [record, large])
    assert (vars(manys), state_of(together)) == (vars(ones), state_of(alone))
    assert len(manys.letters) == 1


def mutants(seed: int, count: int, limits: Limits = LIMITS) -> list[Record]:
    """What the fuzzer makes of a shop's events: valid, odd, invalid, repeated."""
    mutator = Mutator(
        random.Random(seed),
        partition=PARTITION,
        limit=16_384,
        clock_ahead_seconds=limits.max_clock_ahead_seconds,
        first_offset=FIRST_OFFSET,
    )
    return [mutator.mutant().record for _ in range(count)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(MODELS), st.sampled_from([1, 2, 20, 1_000]))
def test_mutants_at_once_are_mutants_one_by_one(seed: int, size: int, model: str, seen_ids: int) -> None:
    """Whatever a record is, and however little is remembered."""
    records = mutants(seed, 80)
    tasks = [
        core.new_task(
            LearningSettings(model, ModelScope.PARTITION, seen_ids, 1_000, LIMITS, max_output_bytes=16_384),
            topic=TOPIC,
            partition=PARTITION,
            model_id=MODEL_ID,
            first_offset=FIRST_OFFSET,
            kind=model_kind(model),
        )
        for _ in range(2)
    ]
    ones, manys = Books(), Books()
    ones.one_by_one(tasks[0], records)
    for start in range(0, len(records), size):
        manys.at_once(tasks[1], records[start : start + size])
    assert vars(manys) == vars(ones)
    assert state_of(tasks[1]) == state_of(tasks[0])


# Decoding


def as_decoded(value: bytes | None, timestamp_ms: int, limits: Limits) -> Event | None:
    try:
        return decode(value, timestamp_ms, limits)
    except InvalidEvent:
        return None


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([LIMITS, Limits(5.0, 60)]))
def test_what_is_decoded_at_once_is_what_is_decoded_alone(seed: int, limits: Limits) -> None:
    """Of events plain, odd and invalid: the very event, or nothing said."""
    records = mutants(seed, 6, limits)
    values, timestamps_ms = [record.value for record in records], [record.timestamp_ms for record in records]
    for found, value, timestamp_ms in zip(
        decode_plain(values, timestamps_ms, limits), values, timestamps_ms, strict=True
    ):
        assert found is None or found == as_decoded(value, timestamp_ms, limits)


def test_ordinary_events_are_plain() -> None:
    """Else nothing would be gained: each event of a shop is decoded at once, compact or with blanks in its JSON."""
    events = list(synthetic_events(seed=4, limit=500))
    values = [event.value for event in events]
    spaced = [json.dumps(json.loads(value)).encode() for value in values if value is not None]
    for each in (values, spaced):
        decoded = decode_plain(each, [event.timestamp_ms for event in events], LIMITS)
        assert decoded == [decode(event.value, event.timestamp_ms, LIMITS) for event in events]


# The parts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=12))
def test_a_chain_extended_is_a_chain_added_to(sizes: list[int]) -> None:
    """Blocks end where they would."""
    one, other = OutcomeChain(), OutcomeChain()
    number = 0
    for size in sizes:
        links = [struct.pack("<q", number + place) for place in range(size)]
        number += size
        for link in links:
            one.add(link)
        other.extend(b"".join(links), 8)
        assert other.snapshot() == one.snapshot()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 499), st.booleans()), max_size=120), st.integers(1, 50))
def test_many_steps_are_single_steps(choices: list[tuple[int, bool]], size: int) -> None:
    """Levels may be missing: the same predictions and the same model, bit for bit."""
    samples = [(EVENTS[index], None if is_missing else float(index)) for index, is_missing in choices]
    single, many = prequential_step(get_ml_pipeline()), prequential_step(get_ml_pipeline())
    assert many.run_many is not None
    by_one = [single.run(get_features(event), level) for event, level in samples]
    by_many: list[float] = []
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        by_many += many.run_many([event for event, _ in part], [level for _, level in part])
    assert [struct.pack("<d", each) for each in by_many] == [struct.pack("<d", each) for each in by_one]
    assert pickle.dumps(many.flush()) == pickle.dumps(single.flush())


def test_a_pipeline_of_another_kind_has_no_steps() -> None:
    """What straight-line code does not recognise goes event by event through River."""
    model = RegressorModel(linear_model.LinearRegression())
    assert not model.takes_batches
    with pytest.raises(AssertionError, match="event by event"):
        model.steps(Run(EVENTS[:1], [None], [None], [False], []))


def record_at(number: int, **fields: object) -> Record:
    """A record of a plain event of one item."""
    event = {
        "transaction_id": str(number),
        "store_id": "s",
        "sku": "k",
        "quantity": 1_000_000,
        "transaction_type": "receipt",
        "occurred_at": "2025-01-08T12:00:00Z",
        **fields,
    }
    return Record(PARTITION, FIRST_OFFSET + number, -1, b"s", json.dumps(event).encode())


@pytest.mark.parametrize("model", MODELS)
def test_levels_too_large_for_a_double_change_nothing(model: str) -> None:
    """Receipts pile up beyond 2**53 millionths, and a count brings the level back."""
    records = [record_at(0, new_stock_level=1e9), *(record_at(number) for number in range(1, 8_600))]
    records += [
        record_at(8_600, new_stock_level=50),
        *(record_at(number, quantity=2) for number in range(8_601, 8_700)),
    ]
    alone, together, ones, manys = new_task(model), new_task(model), Books(), Books()
    ones.one_by_one(alone, records)
    for start in range(0, len(records), 500):
        manys.at_once(together, records[start : start + 500])
    assert (vars(manys), state_of(together)) == (vars(ones), state_of(alone))
    levels = [json.loads(value or b"")["level_before"] for _, value in ones.predictions]
    assert max(level for level in levels if level is not None) > 2**53 / 1e6


def test_usual_events_are_taken_by_machine_code(acceleration_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all of a shop's: else everything here would hold, and nothing be faster."""
    events = list(synthetic_events(seed=4, limit=3_000))
    records = [Record(PARTITION, at, each.timestamp_ms, each.key, each.value) for at, each in enumerate(events)]
    task, alone = new_task("guarded"), 0
    process = task.process

    def counted(record: Record) -> object:
        nonlocal alone
        alone += 1
        return process(record)

    monkeypatch.setattr(task, "process", counted)
    for start in range(0, len(records), 500):
        Books().at_once(task, records[start : start + 500])
    assert alone <= 0.02 * len(records)
    assert (task._machine is not None) == (acceleration_of == "machine code")
