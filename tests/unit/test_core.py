"""The pure core: features, step, ledger, identities, chain, and the task that ties them together."""

from __future__ import annotations

import pickle
import struct
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, optim, preprocessing

from consumer.learning import get_features, get_ml_pipeline, train_model
from consumer.learning.chain import OutcomeChain
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.identities import Identities, digests
from consumer.learning.ledger import Ledger, Posting
from consumer.learning.model import ModelScope
from consumer.learning.output import Outcome
from consumer.learning.step import _is_linear, prequential_step
from consumer.record import Record
from consumer.simulate.faults import with_faults
from consumer.simulate.synthetic import synthetic_events
from schemas import InvalidEvent, InventoryTransaction, Reason, StockPrediction
from schemas.dead_letter import EXPECTED, MESSAGES, dead_letter_headers
from schemas.prediction import Prediction, encode_prediction
from schemas.transaction import Event, Limits
from tests import core
from tests.core import is_repeat, linear_meaning, post
from tests.oracle import PartitionOracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.learning import PartitionTask

ROOT = Path(__file__).parents[2]
SMALL = LearningSettings("linear", ModelScope.PARTITION, 500, 1_000, Limits())


def new_task(learning: LearningSettings = SMALL) -> PartitionTask:
    """Make an empty task of partition 3."""
    return core.new_task(learning, topic="in", partition=3, model_id=linear_meaning(learning).model_id)


def shop(number: int, seed: int = 1) -> list[Record]:
    """Return so many records of a synthetic shop, faults among them."""
    events = with_faults(synthetic_events(seed=seed), invalid_share=0.05, repeat_share=0.05, seed=seed)
    return [
        Record(3, offset, each.timestamp_ms, each.key, each.value, [("trace", b"\x00\xff"), ("error.attempts", b"2")])
        for offset, each in enumerate(islice(events, number))
    ]


RECORDS = shop(1_500)

# Contract models


def test_prediction_struct_is_the_model() -> None:
    """The struct that is encoded has the pydantic model's fields in their order, and its JSON fits the model."""
    assert Prediction.__struct_fields__ == tuple(StockPrediction.model_fields)
    values: list[Any] = ["t", "s", "k", None, "2024-05-01T10:00:00Z", 1.5, None, 2.0, -0.5, False, "a" * 12, 7, 3, 99]
    encoded = encode_prediction(Prediction(*values))
    assert list(StockPrediction.model_validate_json(encoded).model_dump().values()) == values
    assert list(msgspec.json.decode(encoded)) == list(StockPrediction.model_fields)


def test_vocabulary_is_whole() -> None:
    """Every reason has a message, and every field of the contract an expectation, in the contract's order."""
    assert set(MESSAGES) == set(Reason)
    assert list(EXPECTED) == list(InventoryTransaction.model_fields)


@pytest.mark.parametrize(
    ("attempts", "then"),
    [(None, b"1"), (b"1", b"2"), (b"999999", b"1000000"), (b"-1", b"1"), (b"9999999", b"1"), ("²".encode(), b"1")],
)
def test_dead_letter_headers(attempts: bytes | None, then: bytes) -> None:
    """Original headers stay, `error.*` ones are replaced, and attempts are counted whatever anyone wrote there."""
    invalid = InvalidEvent(Reason.INVALID_FIELD, "quantity")
    original = [("a", b"\x00"), ("error.reason", b"old"), ("error.attempts", attempts), ("a", None)]
    headers = dead_letter_headers(original, invalid=invalid, topic="in", partition=3, offset=9, timestamp_ms=5)
    assert headers[:2] == [("a", b"\x00"), ("a", None)]
    assert dict(headers[2:]) == {
        "error.reason": b"invalid_field",
        "error.message": invalid.message.encode(),
        "error.topic": b"in",
        "error.partition": b"3",
        "error.offset": b"9",
        "error.timestamp": b"5",
        "error.attempts": then,
    }


# Features and model


def test_features_are_the_reference() -> None:
    """Exactly the base features, in their order, of the time in its own offset."""
    transaction = InventoryTransaction(
        transaction_id="1", store_id="s", sku="k", quantity=-2.5, occurred_at="2023-12-31T23:30:00-05:00"
    )
    features = get_features(transaction)
    assert tuple(features) == FEATURE_NAMES
    assert list(features.values()) == [2.5, 6, 12, 2023, 1, 0.0]


def test_train_model_is_learn_one_on_the_features() -> None:
    """The reference's function learns what River learns from the same features."""
    transaction = InventoryTransaction(
        transaction_id="1", store_id="s", sku="k", quantity=3, occurred_at="2024-05-01T10:00:00Z", unit_cost=1.5
    )
    model, river = get_ml_pipeline(), get_ml_pipeline()
    for level in (3.0, 4.0):
        train_model(model, transaction, level)
        river.learn_one(get_features(transaction), level)
    assert pickle.dumps(model) == pickle.dumps(river)


# The step


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def plain(model: Any, samples: Sequence[tuple[dict[str, float], float | None]]) -> list[bytes]:
    """What River's own two verbs predict."""
    predicted = []
    for features, level in samples:
        predicted.append(bits(model.predict_one(features)))
        if level is not None:
            model.learn_one(features, level)
    return predicted


sizes = st.one_of(st.floats(0, 1e6), st.integers(0, 9).map(float), st.sampled_from([0.0, 1.0, 89_638.0, 1e6]))
samples_of = st.lists(
    st.tuples(
        st.tuples(
            sizes, st.integers(0, 6), st.integers(1, 12), st.integers(2000, 2030), st.integers(0, 1), st.floats(0, 1e6)
        ).map(lambda values: dict(zip(FEATURE_NAMES, values, strict=True))),
        st.one_of(st.none(), st.floats(-1e9, 1e9)),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(samples_of, samples_of)
def test_step_is_river_to_the_bit(
    samples: list[tuple[dict[str, float], float | None]], more: list[tuple[dict[str, float], float | None]]
) -> None:
    """Straight-line code predicts River's bits; flushed and pickled, plain River and a new step continue alike."""
    river, model = get_ml_pipeline(), get_ml_pipeline()
    step = prequential_step(model)
    assert [bits(step.run(*sample)) for sample in samples] == plain(river, samples)
    step.flush()
    again = prequential_step(pickle.loads(pickle.dumps(model)))
    expected = plain(river, more)
    assert [bits(again.run(*sample)) for sample in more] == expected
    assert plain(model, more) == expected


def linear(**changed: Any) -> Any:
    return compose.Pipeline(
        ("scale", changed.pop("scaler", preprocessing.StandardScaler())),
        ("lin_reg", linear_model.LinearRegression(**changed)),
    )


@pytest.mark.parametrize(
    "model",
    [
        linear(l2=0.1),
        linear(optimizer=optim.Adam(0.1)),
        linear(optimizer=optim.SGD(optim.schedulers.InverseScaling(0.01))),
        linear(loss=optim.losses.Huber()),
        linear(scaler=preprocessing.StandardScaler(with_std=False)),
        linear(scaler=preprocessing.MinMaxScaler()),
        compose.Pipeline(preprocessing.StandardScaler(), linear_model.LinearRegression()),
        linear_model.LinearRegression(),
    ],
    ids=str,
)
def test_other_models_take_the_plain_step(model: Any) -> None:
    """Only exactly the reference pipeline is recognised; all else goes through River."""
    assert not _is_linear(model)
    assert _is_linear(linear())
    assert _is_linear(linear(optimizer=optim.SGD(0.5), intercept_lr=0.1, clip_gradient=3.0))


def test_other_parameters_are_kept() -> None:
    """A reference pipeline with other numbers steps with those numbers."""
    river = linear(optimizer=optim.SGD(0.005), intercept_lr=0.1, clip_gradient=3.0)
    model = linear(optimizer=optim.SGD(0.005), intercept_lr=0.1, clip_gradient=3.0)
    samples = [(dict(zip(FEATURE_NAMES, (n % 7, n % 5, 1, 2024, n % 2, 0.5), strict=True)), n * 1.5) for n in range(50)]
    step = prequential_step(model)
    assert [bits(step.run(*sample)) for sample in samples] == plain(river, samples)


# Ledger

M = 1_000_000


@pytest.mark.parametrize(
    ("before", "event", "posting", "after"),
    [
        # An entry is level and time observed, an event is quantity, observed level and time.
        (None, (-1, None, 10), Posting(None, None, False), (None, 0)),
        ((None, 0), (-1, 9, 10), Posting(None, 9, False), (9, 10)),
        (None, (-1, 9, 10), Posting(None, 9, False), (9, 10)),
        ((9, 10), (-1, None, 20), Posting(9, 8, False), (8, 10)),
        ((9, 10), (-1, None, 10), Posting(9, 8, False), (8, 10)),
        ((9, 10), (-1, None, 9), Posting(9, 9, True), (9, 10)),
        ((9, 10), (-1, 5, 20), Posting(9, 5, False), (5, 20)),
        ((9, 10), (-1, 5, 10), Posting(9, 5, False), (5, 10)),
        ((9, 10), (-1, 5, 9), Posting(9, 9, True), (9, 10)),
        ((9, 10), (0, 0, 20), Posting(9, 0, False), (0, 20)),
        ((2, 10), (-5, None, 20), Posting(2, -3, False), (-3, 10)),
    ],
)
def test_ledger_cases(
    before: tuple[int | None, int] | None,
    event: tuple[int, int | None, int],
    posting: Posting,
    after: tuple[int | None, int],
) -> None:
    """Each case of known, unknown, observed, standing in, late and equally old."""
    ledger = Ledger()
    ledger.entries = {} if before is None else {"item": (*before, 0)}
    assert post(ledger, "item", *event) == posting
    assert ledger.entries == {"item": (*after, 0)}


@given(st.lists(st.integers(-(10**12), 10**12), max_size=50))
def test_ledger_gathers_no_dust(quantities: list[int]) -> None:
    """Levels that stand in add up exactly."""
    ledger = Ledger()
    post(ledger, "item", 0, 5 * M, 0)
    for quantity in quantities:
        post(ledger, "item", quantity, None, 1)
    assert ledger.entries["item"][0] == 5 * M + sum(quantities)


# Identities

FIELDS: dict[str, list[Any]] = {
    "transaction_id": ["1", "2"],
    "store_id": ["s", "t"],
    "sku": ["k", "l"],
    "line_id": [None, "1", "None"],
    "quantity_millionths": [0, -M],
    "transaction_type": [None, "void", "\x1e", "\x1fvoid", "receiptx"],
    "unit_cost": [None, 0.0, 0.5],
    "occurred_us": [0, 1],
    "level_millionths": [None, 0, M],
    "corrects": [None, "1", "None"],
}


def of(**changed: Any) -> Event:
    values = {name: choices[0] for name, choices in FIELDS.items()} | changed
    return Event(quantity=0.0, occurred_at="", **values)


def test_digests_tell_every_field_apart() -> None:
    """Any other value in any field gives another content, and in the identity's four fields another identity."""
    seen = {digests(of(**{name: value})) for name, choices in FIELDS.items() for value in choices[1:]} | {digests(of())}
    assert len(seen) == 1 + sum(len(choices) - 1 for choices in FIELDS.values())
    identity = digests(of())[0]
    for name, choices in FIELDS.items():
        is_same = digests(of(**{name: choices[1]}))[0] == identity
        assert is_same == (name not in {"transaction_id", "store_id", "sku", "line_id"})


def test_content_is_unambiguous_between_type_and_corrects() -> None:
    """A type may hold anything, separators too; it never reads as another field."""
    assert digests(of(transaction_type="a\x1fb")) != digests(of(transaction_type="b", corrects="a"))


def test_default_type_is_filled_in() -> None:
    """A null type is the same content as the type that it stands for."""
    assert digests(of()) == digests(of(transaction_type="receipt"))
    assert digests(of(quantity_millionths=-1)) == digests(of(quantity_millionths=-1, transaction_type="sale"))


def test_window_is_bounded_in_log_order() -> None:
    """The oldest identity leaves first; a repeat does not refresh its own."""
    window = Identities(2)
    first, second, third = (of(transaction_id=name) for name in "abc")
    assert [is_repeat(window, each) for each in (first, second, first, third)] == [False, False, True, False]
    assert len(window) == 2
    restored = Identities(2)
    restored.restore(window.snapshot())
    assert is_repeat(restored, second)
    assert not is_repeat(restored, first)  # it had left, though it was repeated


def test_conflicting_repeat() -> None:
    """The same identity with other content is refused and does not replace the first."""
    window = Identities(9)
    is_repeat(window, of())
    with pytest.raises(InvalidEvent) as raised:
        is_repeat(window, of(unit_cost=0.5))
    assert raised.value.reason is Reason.CONFLICTING_REPEAT
    assert is_repeat(window, of())


# Chain


@pytest.mark.parametrize("cut", [0, 1, 1_023, 1_024, 1_025, 2_048, 2_100])
def test_chain_goes_on_after_a_restore(cut: int) -> None:
    """Wherever it is cut, the digest depends on nothing but the links."""
    links = [struct.pack("<q", number) for number in range(2_100)]
    whole, first, second = OutcomeChain(), OutcomeChain(), OutcomeChain()
    for link in links:
        whole.add(link)
    for link in links[:cut]:
        first.add(link)
        first.digest()
    second.restore(first.snapshot())
    for link in links[cut:]:
        second.add(link)
    assert second.digest() == whole.digest()
    other = OutcomeChain()
    for link in [b"another", *links[1:]]:
        other.add(link)
    assert other.digest() != whole.digest()


# The task


@pytest.mark.parametrize("scope", list(ModelScope))
def test_task_publishes_what_the_oracle_says(scope: ModelScope) -> None:
    """Predictions, dead letters and repeats of a shop equal the independent loop's, byte for byte."""
    learning = SMALL._replace(scope=scope)
    oracle = PartitionOracle(
        topic="in",
        partition=3,
        model_id=linear_meaning(learning).model_id,
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        seen_ids=learning.seen_ids,
        scope=scope.value,
    )
    task = new_task(learning)
    for record in RECORDS:
        output = task.process(record)
        expected = oracle.feed((record.offset, record.timestamp_ms, record.key, record.value, record.headers or []))
        if expected is None:
            assert output is None
            continue
        assert output is not None
        kind = "prediction" if output.outcome is Outcome.PREDICTION else "dead_letter"
        assert (kind, output.key, output.value) == (expected.kind, expected.key, expected.value)
        assert tuple(output.headers or ()) == expected.headers
    assert oracle.repeats > 0
    assert oracle.dead_letters


@settings(max_examples=25)
@given(st.integers(0, len(RECORDS)))
def test_a_restored_task_continues_to_the_byte(boundary: int) -> None:
    """At any record boundary, snapshot and restore change nothing that comes after."""
    whole, first, second = new_task(), new_task(), new_task()
    expected = [whole.process(record) for record in RECORDS]
    for record in RECORDS[:boundary]:
        first.process(record)
    second.restore(core.unpickled(first.snapshot()))
    assert [second.process(record) for record in RECORDS[boundary:]] == expected[boundary:]
    assert (second.next_offset, second.records_applied, second.chain.digest()) == (
        whole.next_offset,
        whole.records_applied,
        whole.chain.digest(),
    )


def test_snapshot_leaves_the_task_alone() -> None:
    """A snapshot in mid-stream changes nothing for the task that gave it."""
    undisturbed, disturbed = new_task(), new_task()
    for record in RECORDS:
        expected = undisturbed.process(record)
        assert disturbed.process(record) == expected
        if record.offset % 100 == 0:
            disturbed.snapshot()


def test_skip_to_never_goes_back() -> None:
    """An end of partition below the next offset is old news."""
    task = new_task()
    task.skip_to(7)
    task.skip_to(3)
    assert task.next_offset == 7
