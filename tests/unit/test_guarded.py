"""The guarded model: the ledger's arithmetic to the bit, a correction only where it has earned it, and no ruin."""

from __future__ import annotations

import json
import math
import pickle
import random
import struct
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, preprocessing, tree

from benchmarks.absurd import PLACES, WINDOW, outcomes
from consumer.learning import get_ml_pipeline
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.gate import LARGEST_VOTE, LEAST_VOTES, MEMORY, Gate
from consumer.learning.guarded import GuardedModel
from consumer.learning.ledger import Ledger, Posting
from consumer.learning.share import LARGEST_SHARE, REFRESH, Share, get_share_pipeline
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import KNOWN_TYPES, MILLION, Event, Limits, decode, parse_moment
from tests.core import post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

YEAR_9999_MS: Final = 253_402_300_799_000
BASE: Final = {"transaction_id": "t", "store_id": "s1", "sku": "milk", "occurred_at": "2017-03-31T12:00:00Z"}


def event(**fields: Any) -> Event:
    """A valid event, by way of the decoder."""
    return decode(json.dumps(BASE | {"quantity": -1} | fields).encode(), YEAR_9999_MS, Limits())


def posting(before: float | None, after: float | None = None, *, is_late: bool = False) -> Posting:
    """What the ledger found and left, in units."""
    found, left = (None if level is None else round(level * MILLION) for level in (before, after))
    return Posting(found, left, is_late)


def bits(number: float | None) -> bytes:
    """A double's eight bytes; none where there is no number."""
    return b"" if number is None else struct.pack("<d", number)


class Worker:
    """A ledger and a model over it, as a partition task has them."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.model = GuardedModel()

    def step(self, event: Event) -> tuple[float | None, float | None]:
        """Return the prediction and the bare ledger's."""
        found = post(
            self.ledger,
            f"{event.store_id}\x1f{event.sku}",
            event.quantity_millionths,
            event.level_millionths,
            event.occurred_us,
        )
        if found.before is None:
            return self.model.step(event, found), None
        bare = found.before if found.is_late else found.before + event.quantity_millionths
        return self.model.step(event, found), bare / MILLION


def grocery(
    number: int,
    missing: Callable[[Event, random.Random], float] = lambda _event, _rng: 0.0,
    *,
    seed: int = 1,
    store_id: str = "s1",
) -> Iterator[Event]:
    """Events of a store of 40 items, one in ten a receipt that fills the shelf; all observed.

    Args:
        number: how many.
        missing: the share of an event's quantity that is not there, though it is booked.
        seed: of what is sold, and of `missing`.
        store_id: whose.
    """
    rng = random.Random(seed)
    levels = dict.fromkeys((str(sku) for sku in range(40)), 100.0)
    for index in range(number):
        sku = rng.choice(list(levels))
        is_receipt = rng.random() < 0.1
        day, minute = divmod(index, 600)
        one = event(
            transaction_id=str(index),
            store_id=store_id,
            sku=sku,
            quantity=rng.randint(10, 60) if is_receipt else -rng.choice((1, 1, 1, 2, 3)),
            transaction_type="receipt" if is_receipt else "sale",
            unit_cost=1 + int(sku) / 4,
            occurred_at=f"2017-{1 + day // 28:02d}-{1 + day % 28:02d}T{8 + minute // 60:02d}:{minute % 60:02d}:00Z",
            new_stock_level=0,
        )
        quantity = one.quantity_millionths / MILLION
        levels[sku] = round(levels[sku] + quantity - missing(one, rng) * abs(quantity), 6)
        one.new_stock_level = levels[sku]
        one.level_millionths = round(levels[sku] * MILLION)
        yield one


def short(share: float) -> Callable[[Event, random.Random], float]:
    """Receipts of which a share has not arrived."""
    return lambda event, _rng: share if event.transaction_type == "receipt" else 0.0


def uneven(event: Event, rng: random.Random) -> float:
    """Receipts short by 3 to 7%."""
    return rng.uniform(0.03, 0.07) if event.transaction_type == "receipt" else 0.0


def worked(events: Iterable[Event]) -> Worker:
    """A worker that has gone through the events."""
    worker = Worker()
    for each in events:
        worker.step(each)
    return worker


def errors(worker: Worker, events: Iterable[Event]) -> tuple[float, float]:
    """Squared errors of the model and of the bare ledger, summed."""
    model = ledger = 0.0
    for each in events:
        predicted, bare = worker.step(each)
        if predicted is not None and bare is not None:
            true = (each.level_millionths or 0) / MILLION
            model += (predicted - true) ** 2
            ledger += (bare - true) ** 2
    return model, ledger


# --- where it is the ledger, to the bit ------------------------------------------------------------------------------


def test_unknown_level_before_means_no_prediction() -> None:
    """Without a level before there is nothing to add to, even where the event itself tells its level."""
    model = GuardedModel()
    assert model.step(event(), posting(None)) is None
    assert model.step(event(new_stock_level=7), posting(None, 7)) is None
    assert model.events_learned == 0


def test_late_event_is_predicted_at_the_present_level() -> None:
    """A late event changes nothing on the shelf: the later observation contains it. It teaches nothing either."""
    worker = worked(grocery(3_000, short(0.05)))
    before = pickle.dumps(worker.model.state())
    late = event(quantity=50, transaction_type="receipt", new_stock_level=99)
    assert worker.model.step(late, posting(12.5, 12.5, is_late=True)) == 12.5
    assert pickle.dumps(worker.model.state()) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": None, "transaction_type": "count", "new_stock_level": 5},
        {"quantity": 0, "new_stock_level": 5},
        {"quantity": -0.0, "transaction_type": "waste", "new_stock_level": -1e9},
    ],
)
def test_of_no_quantity_there_is_no_share(fields: dict[str, Any]) -> None:
    """A count, or a line of 0, is predicted at the level before, exactly, and teaches no share."""
    worker = worked(grocery(3_000, short(0.05)))
    before = pickle.dumps(worker.model.state())
    assert bits(worker.model.step(event(**fields), posting(3.3, 5))) == bits(3.3)
    assert pickle.dumps(worker.model.state()) == before


def test_right_books_are_never_corrected() -> None:
    """A shop of all types of events whose books are right: every prediction is the ledger's, bit for bit."""
    worker = Worker()
    learned = 0
    for sent in synthetic_events(seed=4, limit=12_000):
        one = decode(sent.value, sent.timestamp_ms, Limits())
        predicted, bare = worker.step(one)
        assert bits(predicted) == bits(bare)
        learned += bare is not None and one.level_millionths is not None and one.quantity_millionths != 0
    assert worker.model.events_learned == learned > 5_000
    kinds = {kind for _, kind, _ in worker.model.state()["gates"]}
    assert {"sale", "receipt", "return", "waste"} <= kinds


def test_an_unobserved_event_teaches_nothing() -> None:
    """A level that stands in is the ledger's own arithmetic: learned from, it would say that the books are right."""
    worker = worked(grocery(3_000, short(0.05)))
    before = pickle.dumps(worker.model.state())
    predicted = worker.model.step(event(quantity=20, transaction_type="receipt"), posting(10, 30))
    assert predicted == pytest.approx(29.0, abs=0.05)  # corrected, though: it is predicted like any other
    assert pickle.dumps(worker.model.state()) == before
    assert bits(worker.model.step(event(store_id="elsewhere"), posting(10, 9))) == bits(9.0)
    assert pickle.dumps(worker.model.state()) == before


# --- where it corrects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_short_receipts_are_corrected(share: float) -> None:
    """Where a share of each receipt is missing, the error comes down to a tenth and less; sales stay the ledger's."""
    events = list(grocery(9_000, short(share)))
    worker = worked(events[:5_000])
    corrected = 0
    for each in events[5_000:6_000]:
        predicted, bare = worker.step(each)
        if each.transaction_type == "sale":
            assert bits(predicted) == bits(bare)
        else:
            corrected += predicted != bare
    assert corrected > 80
    model, ledger = errors(worker, events[6_000:])
    assert model <= 0.1**2 * ledger


def test_the_correction_is_bounded() -> None:
    """Where nine tenths are missing, a quarter is what it corrects: more is not for a model to assume."""
    events = list(grocery(4_000, short(0.9)))
    worker = worked(events[:3_000])
    largest = 0.0
    for each in events[3_000:]:
        predicted, bare = worker.step(each)
        if predicted is not None and bare is not None:
            assert abs(predicted - bare) <= LARGEST_SHARE * abs(each.quantity_millionths) / MILLION + 1e-9
            largest = max(largest, abs(predicted - bare) / (abs(each.quantity_millionths) / MILLION))
    assert largest > 0.2


def test_mostly_right_books_are_left_alone() -> None:
    """One receipt in twenty half missing moves the mean, but says nothing about the next one."""
    events = list(
        grocery(8_000, lambda event, rng: 0.5 * (event.transaction_type == "receipt" and rng.random() < 0.05))
    )
    worker = Worker()
    assert all(bits(predicted) == bits(bare) for predicted, bare in map(worker.step, events))


def test_news_gets_through() -> None:
    """After 20,000 events of right books the model still learns what begins to go missing, within 1,000 events."""
    worker = worked(grocery(20_000))
    changed = list(grocery(2_000, short(0.05), seed=2, store_id="s1"))
    worker.ledger = Ledger()  # the other 40 items; the model is the same
    errors(worker, changed[:1_000])
    model, ledger = errors(worker, changed[1_000:])
    assert model <= 0.25 * ledger
    better = list(grocery(14_000, seed=3))
    worker.ledger = Ledger()
    errors(worker, better[:1_000])
    assert errors(worker, better[1_000:2_000])[0] <= 0.01 * ledger  # and that it ends
    errors(worker, better[2_000:12_000])
    assert errors(worker, better[12_000:])[0] == 0.0


def test_a_new_model_believes_what_it_sees_first() -> None:
    """It has nothing yet to call unusual: 30 receipts of which a fifth is missing teach it at full rate."""
    share = Share()
    receipt = event(quantity=20, transaction_type="receipt")
    for _ in range(30):
        share.expect_and_learn(receipt, "receipt", -0.2)
    assert share.expect(receipt) < -0.02


def test_a_carton_vouches_for_no_tanker() -> None:
    """A correction that has earned its place for small receipts is not used for one a thousand times as large."""
    worker = worked(grocery(5_000, short(0.05)))
    carton = event(quantity=20, transaction_type="receipt")
    tanker = event(quantity=20_000, transaction_type="receipt")
    assert worker.model.step(carton, posting(0, 20)) != 20.0
    assert worker.model.step(tanker, posting(0, 20_000)) == 20_000.0


def test_each_store_earns_its_own() -> None:
    """With short receipts in one store and right books in another, only the one is corrected, by one shared model."""
    one = grocery(6_000, short(0.05), store_id="bad")
    other = grocery(6_000, store_id="good", seed=2)
    worker = Worker()
    corrected = {"bad": 0, "good": 0}
    for pair in zip(one, other, strict=True):
        for each in pair:
            predicted, bare = worker.step(each)
            corrected[each.store_id] += bits(predicted) != bits(bare)
    assert corrected["good"] == 0
    assert corrected["bad"] > 400


@pytest.mark.parametrize(
    ("kind", "quantity", "effective"),
    [
        (None, -1, "sale"),
        (None, 1, "receipt"),
        *((kind, {"sale": -1, "waste": -1, "transfer_out": -1}.get(kind, 1), kind) for kind in sorted(KNOWN_TYPES)),
        ("theft", -1, "other"),
        ("SALE", 1, "other"),
        ("other", 1, "other"),
        ("", 1, "other"),
        ("x" * 10_000, 1, "other"),
    ],
)
def test_effective_types(kind: str | None, quantity: int, effective: str) -> None:
    """No type is a sale below 0, else a receipt; all types that the contract does not know are one."""
    model = GuardedModel()
    model.step(event(transaction_type=kind, quantity=quantity, new_stock_level=5), posting(5, 5))
    assert list(model.state()["gates"]) == [("s1", effective, 0)]


@pytest.mark.parametrize(
    ("quantity", "magnitude"),
    [(1e-6, 0), (9.999999, 0), (10, 1), (99, 1), (100, 2), (1e3, 3), (1e4, 4), (1e5, 5), (999_999, 5), (1e6, 6)],
)
def test_magnitudes(quantity: float, magnitude: int) -> None:
    """There are seven orders of magnitude, so a store and type have seven gates at most."""
    model = GuardedModel()
    for sign in (1, -1):
        model.step(event(transaction_type="void", quantity=sign * quantity, new_stock_level=5), posting(5, 5))
    assert model.state()["gates"].keys() == {("s1", "void", magnitude)}


# --- the gate --------------------------------------------------------------------------------------------------------


def test_a_gate_opens_with_the_fifth_clear_vote() -> None:
    """Four are too few; the fifth opens it, if the correction is the clear winner."""
    gate = Gate()
    seen = []
    for _ in range(LEAST_VOTES + 1):
        gate.vote(-0.05, -0.04)
        seen.append(gate.is_open)
    assert seen == [False] * (LEAST_VOTES - 1) + [True, True]


@pytest.mark.parametrize(("left", "is_open"), [(0.80, True), (0.86, True), (0.87, False), (1.0, False), (1.5, False)])
def test_only_a_clear_win_opens(left: float, is_open: bool) -> None:
    """The correction's squared error must be below three quarters of no correction's: below 0.866 of its error."""
    gate = Gate()
    for _ in range(20):
        gate.vote(-0.1, -0.1 * (1 - left))
    assert gate.is_open is is_open


@pytest.mark.parametrize("votes", [LEAST_VOTES, 20, MEMORY])
def test_one_absurd_vote_does_not_close_it(votes: int) -> None:
    """An absurd event counts four usual ones at most; many of its kind do close it."""
    gate = Gate()
    for _ in range(votes):
        gate.vote(-0.02, -0.02)
    usual = gate.without
    gate.vote(LARGEST_SHARE, -0.02)
    assert gate.is_open
    assert gate.without <= usual + (LARGEST_VOTE - 1) * usual / min(votes + 1, MEMORY) * 1.001
    for _ in range(MEMORY):
        gate.vote(0.0, -0.02)
    assert not gate.is_open


def test_a_gate_without_errors_is_closed() -> None:
    """Right books give no errors of either kind, and 0 is not below 0."""
    gate = Gate()
    for _ in range(200):
        gate.vote(0.0, 0.0)
    assert not gate.is_open
    assert gate.snapshot() == (MEMORY, 0.0, 0.0)


# --- no single event, and no number of them, ruins it ----------------------------------------------------------------

quantities = st.one_of(
    st.sampled_from([0, 1e-6, -1e-6, 1, -1, 89_638, -89_638, 1e6, -1e6]),
    st.integers(-(10**12), 10**12).map(lambda millionths: millionths / MILLION),
    st.integers(-20, 20),
)
levels = st.one_of(
    st.none(),
    st.sampled_from([0, 1e9, -1e9, 1e-6, -1e-6]),
    st.integers(-(10**15), 10**15).map(lambda millionths: millionths / MILLION),
    st.integers(-50, 500),
)
moments = st.one_of(
    st.sampled_from(
        ["2000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2017-12-31T23:59:59-05:00", "2018-01-01T00:00:00+14:00"]
    ),
    st.datetimes().filter(lambda moment: moment.year >= 2001).map(lambda moment: moment.isoformat() + "Z"),
)
absurd_events = st.builds(
    lambda quantity, level, kind, cost, moment, store: event(
        quantity=quantity,
        new_stock_level=5 if kind == "count" and level is None else level,
        transaction_type=kind,
        unit_cost=cost,
        occurred_at=moment,
        store_id=store,
    ),
    quantities,
    levels,
    st.sampled_from([None, "adjustment", "void", "count", "?"]),
    st.one_of(st.none(), st.sampled_from([0, 1e6, 5e-324]), st.floats(0, 1e6)),
    moments,
    st.sampled_from(["s1", "s2"]),
)
befores = st.one_of(st.none(), st.integers(-(10**16), 10**16), st.sampled_from([0, 10**15, -(10**15)]))
# Runs of one and the same event make features that are constant, and then jump.
absurd_runs = st.lists(st.tuples(absurd_events, befores, st.booleans(), st.sampled_from([1, 1, 1, 2, 70])), max_size=20)


def numbers(state: Any) -> Iterator[float]:
    """Every number in a model's state, the River pipeline's included."""
    if isinstance(state, compose.Pipeline):
        scaler, regression = state["scale"], state["lin_reg"]
        for part in (scaler.counts, scaler.means, scaler.vars, regression.weights):
            yield from part.values()
        yield regression.intercept
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from numbers(key)
            yield from numbers(value)
    elif isinstance(state, tuple | list):
        for value in state:
            yield from numbers(value)
    elif not isinstance(state, str):
        yield state


@settings(max_examples=150)
@given(absurd_runs)
def test_whatever_comes_all_numbers_stay_finite(runs: list[tuple[Event, int | None, bool, int]]) -> None:
    """Any valid events in any order: finite state and predictions, small weights, and no correction above a quarter."""
    model = GuardedModel()
    for one, before, is_late, times in runs:
        found = Posting(before, before, is_late and before is not None)
        for _ in range(times):
            predicted = model.step(one, found)
            if before is None:
                assert predicted is None
                continue
            assert predicted is not None
            bare = (before if found.is_late else before + one.quantity_millionths) / MILLION
            reach = 0.0 if found.is_late else LARGEST_SHARE * abs(one.quantity_millionths) / MILLION
            assert abs(predicted - bare) <= reach + abs(bare) * 1e-15
        state = model.state()
        assert all(math.isfinite(number) for number in numbers(state))
        assert all(without <= LARGEST_SHARE**2 for _, without, _ in state["gates"].values())
        assert all(corrected <= (2 * LARGEST_SHARE) ** 2 for _, _, corrected in state["gates"].values())
        weights = state["share"][0]["lin_reg"].weights.values()
        assert max(map(abs, weights)) <= 0.02 * max(model.events_learned, 1)


@settings(max_examples=100)
@given(absurd_runs)
def test_scaled_features_stay_small(runs: list[tuple[Event, int | None, bool, int]]) -> None:
    """No feature that is learned from lies more than 8.5 deviations off, so no step of SGD can be unstable."""
    share = Share()
    for one, _, _, times in runs:
        for _ in range(times):
            features = share._features(one)
            share.expect_and_learn(one, "sale", 0.0)
            pipeline = share.snapshot()[0]
            scaled = pipeline["scale"].transform_one(features)
            assert max(map(abs, scaled.values())) <= 8.5


def test_a_constant_that_jumps_teaches_no_nonsense() -> None:
    """New Year, the first return after 20,000 sales: where `linear` explodes, the expected share stays what it was."""
    worker = worked(grocery(20_000, short(0.05)))
    receipt = {"quantity": 20, "transaction_type": "receipt", "unit_cost": 3}
    usual = worker.model.step(event(**receipt), posting(0, 20))
    assert usual is not None
    for day in range(1, 20):
        happy_new_year = f"2018-01-{day:02d}T12:00:00Z"
        predicted = worker.model.step(event(**receipt, occurred_at=happy_new_year, new_stock_level=19), posting(0, 19))
        assert predicted == pytest.approx(usual, abs=0.02)


@pytest.mark.parametrize("missing", [short(0.05), uneven], ids=["5% short", "3 to 7% short"])
def test_one_absurd_event_is_soon_forgotten(missing: Callable[[Event, random.Random], float]) -> None:
    """One event absurd in each field in turn: 1,000 events later the error is within twice what it would have been."""
    found = list(outcomes(list(grocery(9_000, missing))))
    assert len({outcome.what for outcome in found}) == 15
    assert len(found) == 15 * 2 * len(PLACES)
    assert all(outcome.is_corrected for outcome in found)  # else there would be nothing to lose
    assert max(outcome.ratio for outcome in found) <= 2.0
    assert WINDOW == 1_000


# --- state and pipeline ----------------------------------------------------------------------------------------------

STREAM: Final = [
    *grocery(1_500, uneven),
    *(decode(sent.value, sent.timestamp_ms, Limits()) for sent in synthetic_events(seed=9, limit=1_500)),
    *grocery(1_000, uneven, seed=2),
]


@settings(max_examples=25)
@given(st.sets(st.integers(0, len(STREAM)), max_size=8))
def test_a_restored_model_goes_on_to_the_bit(stops: set[int]) -> None:
    """Pickled and restored at any events, it predicts and learns as if nothing had happened."""
    straight, restored = Worker(), Worker()
    wanted = [bits(straight.step(each)[0]) for each in STREAM]
    got: list[bytes] = []
    for start, stop in zip([0, *sorted(stops)], [*sorted(stops), len(STREAM)], strict=True):
        got += [bits(restored.step(each)[0]) for each in STREAM[start:stop]]
        restored.model = GuardedModel.from_state(pickle.loads(pickle.dumps(restored.model.state())))
    assert got == wanted
    assert list(map(bits, numbers(restored.model.state()))) == list(map(bits, numbers(straight.model.state())))
    assert any(gate[2] < gate[1] for gate in straight.model.state()["gates"].values())


def test_a_snapshot_in_mid_stream_changes_nothing() -> None:
    """Taking the state, as each checkpoint does, leaves the model as it was."""
    looked_at, left_alone = Worker(), Worker()
    for number, each in enumerate(STREAM):
        assert bits(looked_at.step(each)[0]) == bits(left_alone.step(each)[0])
        if number % 7 == 0:
            looked_at.model.state()


def test_the_state_is_plain_but_for_a_genuine_pipeline() -> None:
    """What is pickled is River's own pipeline and plain types: nothing of this package is needed to read it."""
    state = worked(STREAM).model.state()
    pipeline = state["share"][0]
    assert type(pipeline) is compose.Pipeline
    assert [type(step) for step in pipeline.steps.values()] == [
        preprocessing.StandardScaler,
        linear_model.LinearRegression,
    ]
    assert b"consumer" not in pickle.dumps(state)


def test_plain_river_goes_on_with_the_pipeline() -> None:
    """Given the same bounded features and shares, River's own verbs give the same expected shares, bit for bit."""
    share = Share()
    for each in grocery(3_000):
        share.expect_and_learn(each, "sale", -0.05)
    pipeline = pickle.loads(pickle.dumps(share.snapshot()[0]))
    for number, each in enumerate(grocery(REFRESH * 3, seed=8)):
        features = share._features(each)
        assert bits(share.expect(each)) == bits(pipeline.predict_one(features))
        missed = share.expect(each) + 0.002 * (number % 2) - 0.001
        share.expect_and_learn(each, "sale", missed)
        pipeline.learn_one(features, missed)


def test_a_warm_start_knows_the_share_and_owns_its_pipeline() -> None:
    """A new model with a trained pipeline expects its share, has learned nothing itself, and leaves the other alone."""
    teacher = worked(grocery(6_000, short(0.05))).model
    pipeline = teacher.pipeline
    before = pickle.dumps(pipeline)
    model = GuardedModel(pipeline)
    assert model.events_learned == 0
    receipt = event(quantity=20, transaction_type="receipt", unit_cost=3, new_stock_level=19)
    for _ in range(LEAST_VOTES):
        assert model.step(receipt, posting(0, 19)) == 20.0  # no gate is handed down
    assert model.step(receipt, posting(0, 19)) == pytest.approx(19.0, abs=0.05)
    model.state()  # which brings its own pipeline up to date
    assert pickle.dumps(pipeline) == before


def spoiled(change: Callable[[Any], object]) -> Any:
    """A trained pipeline with one thing changed."""
    pipeline = pickle.loads(pickle.dumps(worked(grocery(200)).model.pipeline))
    change(pipeline)
    return pipeline


def set_weight(value: float) -> Callable[[Any], object]:
    """Change one weight."""
    return lambda pipeline: pipeline["lin_reg"]._weights.__setitem__("year", value)


@pytest.mark.parametrize(
    "pipeline",
    [
        pytest.param(get_ml_pipeline(), id="of linear"),
        pytest.param(tree.HoeffdingTreeRegressor(), id="a tree"),
        pytest.param(object(), id="no model"),
        pytest.param(spoiled(set_weight(math.nan)), id="NaN weight"),
        pytest.param(spoiled(set_weight(math.inf)), id="infinite weight"),
        pytest.param(spoiled(set_weight(-1e9)), id="huge weight"),
        pytest.param(spoiled(lambda pipeline: setattr(pipeline["lin_reg"], "intercept", math.nan)), id="NaN intercept"),
        pytest.param(spoiled(lambda pipeline: pipeline["scale"].vars.update(year=0.0)), id="no variance"),
        pytest.param(spoiled(lambda pipeline: pipeline["scale"].vars.update(year=math.nan)), id="NaN variance"),
        pytest.param(spoiled(lambda pipeline: pipeline["scale"].means.update(quantity=1e5)), id="raw quantities"),
        pytest.param(spoiled(lambda pipeline: pipeline["scale"].counts.update(promotion=5)), id="another feature"),
        pytest.param(spoiled(lambda pipeline: pipeline["scale"].counts.update(year=5)), id="counts that differ"),
        pytest.param(spoiled(lambda pipeline: setattr(pipeline["lin_reg"], "clip_gradient", 1e12)), id="another clip"),
    ],
)
def test_other_pipelines_are_refused(pipeline: Any) -> None:
    """What `guarded` has not trained, or what holds numbers that would break its bounds, is no warm start for it."""
    with pytest.raises(ValueError, match=r"^expected .*, got .*; export it"):
        GuardedModel(pipeline)


def test_a_new_pipeline_expects_nothing() -> None:
    """It begins with the corners of what features may be, at a share of 0, so no feature is without variance."""
    pipeline = get_share_pipeline()
    assert pipeline["scale"].means == dict(zip(FEATURE_NAMES, (16, 3, 6.5, 2050, 0.5, 16), strict=True))
    assert set(pipeline["lin_reg"].weights.values()) == {0.0}
    assert Share().expect(event()) == 0.0
    assert parse_moment(BASE["occurred_at"]).year == 2017
