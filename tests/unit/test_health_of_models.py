"""Health: an event that leaves a number that is not finite anywhere in a model's state has never happened to it."""

from __future__ import annotations

import array
import json
import math
import pickle
import struct
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import _river_rust, drift, forest, linear_model, optim, preprocessing, stats, tree, utils

from consumer.learning.features import FEATURE_NAMES
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.health import _LAYOUTS, _of_rust, _read, examine, hidden_in, infinite_on_purpose
from consumer.learning.model import BrokenModelError, ModelScope
from consumer.learning.model_sections import MODEL_SECTIONS
from consumer.learning.output import Outcome
from consumer.learning.pickled import pickled
from consumer.learning.regressor import RegressorKind
from consumer.learning.step import prequential_step
from consumer.learning.typical import EXTREMES, predictions, typical_samples
from consumer.record import Record
from schemas.transaction import Limits
from tests import core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.learning import PartitionTask
    from consumer.learning.features import Features
    from consumer.learning.output import Output

NOT_FINITE: Final = (math.inf, -math.inf, math.nan)
TYPICAL: Final = list(typical_samples())


class Holder:
    """A regressor that knows one thing."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def predict_one(self, x: Features) -> float:
        raise AssertionError(x)

    def learn_one(self, x: Features, y: float) -> None:
        raise AssertionError(x, y)


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("number",)

    def __init__(self, number: float) -> None:
        self.number = number


class OwnArray(np.ndarray[Any, Any]):
    """An array of a class of the user's own."""


def ewm(number: float) -> stats.EWMean:
    """A mean in compiled Rust."""
    mean = stats.EWMean()
    mean.update(1.0)
    mean.update(number)
    return mean


HELD: Final[dict[str, Callable[[float], Any]]] = {
    "attribute": lambda number: number,
    "dictionary": lambda number: {"a": {"b": number}},
    "dictionary's key": lambda number: {number: 1.0},
    "list": lambda number: [1.0, [2.0, number]],
    "tuple": lambda number: (1.0, (number, "x")),
    "set": lambda number: {1.0, number},
    "deque": lambda number: deque([1.0, number], maxlen=3),
    "slots": lambda number: [Slotted(number)],
    "object": lambda number: [Holder({"x": Holder(number)})],
    "complex": lambda number: complex(1.0, number),
    "decimal": Decimal,
    "array": lambda number: array.array("d", [1.0, number]),
    "array of floats": lambda number: array.array("f", [1.0, number]),
    "numpy float64": np.float64,
    "numpy float32": np.float32,
    "numpy array": lambda number: np.array([[1.0, 2.0], [3.0, number]]),
    "numpy array of float32": lambda number: np.array([1.0, number], dtype="float32"),
    "numpy array in Fortran's order": lambda number: np.asfortranarray([[1.0, 2.0], [3.0, number]])[:, 1:],
    "numpy array of complex": lambda number: np.array([1.0, complex(0.0, number)]),
    "numpy array of objects": lambda number: np.array([None, number], dtype=object),
    "numpy records": lambda number: np.array([(1, number)], dtype=[("n", "i4"), ("x", "f8")]),
    "numpy record": lambda number: np.array([(1, number)], dtype=[("n", "i4"), ("x", "f8")])[0],
    "own array": lambda number: np.array([1.0, number]).view(OwnArray),
    "vector of River's": lambda number: utils.VectorDict({"a": number}),
    "mean in Rust": ewm,
}


@pytest.mark.parametrize("where", HELD)
def test_a_number_is_found_wherever_it_is(where: str) -> None:
    """In any container, any kind of number, Python's, NumPy's or in compiled Rust: what is not finite is found."""
    for finite in (0.0, -1.5, 7e30):
        assert examine(Holder(HELD[where](finite))).infinite == frozenset()
    for number in NOT_FINITE:
        assert examine(Holder(HELD[where](number))).infinite, number


@pytest.mark.parametrize(
    "value",
    [
        math.nextafter(math.inf, 0.0),
        -math.nextafter(math.inf, 0.0),
        5e-324,
        10**400,
        Decimal("1e5000"),
        "inf",
        "nan",
        b"G\x7f\xf0\0\0\0\0\0\0G\xff\xf8\0\0\0\0\0\0",  # what the floats would look like in the pickle
        np.array([], dtype="float64"),
        np.array(["NaT"], dtype="datetime64[s]"),
        None,
        len,
        Holder,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_absurd_is_not_broken(value: Any) -> None:
    """The largest finite numbers are numbers, and what only looks like infinity is none."""
    assert examine(Holder(value)).infinite == frozenset()


def test_an_examination_is_the_pickle() -> None:
    """The bytes to return to are the model: they unpickle to an equal one."""
    model = tree.HoeffdingTreeRegressor()
    predictions(model, TYPICAL)
    data, infinite = examine(model)
    assert infinite == frozenset()
    assert pickled(pickle.loads(data)).digest() == pickled(model).digest()
    assert predictions(pickle.loads(data), TYPICAL) == predictions(model, TYPICAL)


# --- numbers in compiled Rust ---------------------------------------------------------------------------------------

NATIVE: Final[dict[str, tuple[Any, ...]]] = {
    "AdaptiveWindowing": (0.002, 32, 5, 5, 10),
    "RsEWMean": (0.3,),
    "RsEWVar": (0.3,),
    "RsIQR": (0.1, 0.9),
    "RsKurtosis": (False,),
    "RsPeakToPeak": (),
    "RsQuantile": (0.3,),
    "RsRollingIQR": (0.1, 0.9, 7),
    "RsRollingQuantile": (0.3, 7),
    "RsSkew": (True,),
}
NO_REGRESSOR_S: Final = {"RsRollingPRAUC", "RsRollingROCAUC"}  # metrics of classifiers


def native_class(name: str) -> Any:
    """A class of River's compiled module."""
    return getattr(_river_rust.drift if name == "AdaptiveWindowing" else _river_rust.stats, name)


def test_every_compiled_class_is_known() -> None:
    """A class that pickles as bytes, new in another version of River, does not go by unseen."""
    found = {
        name
        for module in (_river_rust.drift, _river_rust.stats, _river_rust.tree, _river_rust.vectordict)
        for name, each in vars(module).items()
        if isinstance(each, type) and "__getstate__" in vars(each)
    }
    assert found == set(_LAYOUTS) | NO_REGRESSOR_S
    assert set(NATIVE) == set(_LAYOUTS)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("events", [0, 1, 4, 300])
def test_each_double_in_rust_is_seen(name: str, events: int) -> None:
    """Whatever its age, a compiled statistic's bytes are read to their end, and each double in them is judged."""
    native = native_class(name)(*NATIVE[name])
    for number in range(events):
        native.update(number % 7 * 1.25)
    state = native.__getstate__()
    doubles, end = _read(state, _LAYOUTS[name], 0)
    assert end == len(state)
    assert all(map(math.isfinite, doubles))
    assert examine(Holder(native)).infinite == frozenset()
    # Each place in turn: eight bytes that can be changed into another double and read back as it.
    seen = 0
    for at in range(len(state) - 7):
        for broken in NOT_FINITE:
            changed = state[:at] + struct.pack("<d", broken) + state[at + 8 :]
            try:
                found, end = _read(changed, _LAYOUTS[name], 0)
            except (struct.error, MemoryError):
                continue  # a length was hit
            if end == len(state) and sum(map(math.isfinite, found)) == len(doubles) - 1:
                seen += 1
    assert seen >= 3 * len(doubles)


@pytest.mark.parametrize("name", sorted(set(NATIVE) - {"RsRollingIQR", "RsRollingQuantile"}))
def test_infinity_goes_into_rust_and_is_seen(name: str) -> None:
    """Fed with infinity, a compiled statistic is broken; the name under which it is held is told."""
    native = native_class(name)(*NATIVE[name])
    for number in (1.0, 2.0, math.inf):
        native.update(number)
    assert {place for place, _ in examine(Holder(native)).infinite} == {"value"}


def test_a_layout_that_has_changed_is_no_guess() -> None:
    """Bytes that the known layout does not cover stop the worker rather than be misread."""
    longer = ewm(math.inf)._ewmean.__getstate__() + b"\0"
    with pytest.raises(ValueError, match="River has changed its layout"):
        _of_rust(longer, _LAYOUTS["RsEWMean"])


def test_classes_that_hide_numbers_are_named() -> None:
    """What neither pickling nor a known layout shows is named, so that the check of a model can say so."""
    class_name = f"{Hiding.__module__}.Hiding"
    assert hidden_in(Holder([Hiding(), ewm(1.0), np.array([1.0]), Decimal(1), b"bytes"])) == {class_name}


class Hiding:
    """A number in bytes of its own."""

    def __getstate__(self) -> bytes:
        return struct.pack("<d", math.inf)

    def __setstate__(self, state: bytes) -> None:
        raise AssertionError(state)


# --- infinite on purpose --------------------------------------------------------------------------------------------


def clipped() -> Any:
    """A regressor whose bounds are infinite by default."""
    return preprocessing.PredClipper(linear_model.LinearRegression(), y_min=-math.inf, y_max=math.inf)


def watched() -> Any:
    """A forest whose drift detectors begin at infinity, and return to it."""
    return preprocessing.StandardScaler() | forest.ARFRegressor(
        n_models=2, seed=1, drift_detector=drift.PageHinkley(min_instances=5), warning_detector=drift.PageHinkley()
    )


@pytest.mark.parametrize("factory", [clipped, watched])
def test_infinity_that_a_new_model_holds_breaks_nothing(factory: Callable[[], Any]) -> None:
    """No limit, nothing seen yet: such numbers are told by their names, and the model learns as with plain River."""
    assert infinite_on_purpose(factory())
    run, flush, _ = prequential_step(factory(), infinite_on_purpose(factory()))
    assert [struct.pack("<d", run(*sample)) for sample in TYPICAL] == predictions(factory(), TYPICAL)
    assert examine(flush()).infinite <= infinite_on_purpose(factory())


def test_the_excuse_is_for_that_number_under_that_name() -> None:
    """Another sign, NaN or another name is broken; and infinity without a name is never on purpose."""
    assert infinite_on_purpose(Holder({"limit": math.inf})) == {("limit", "inf")}
    assert examine(Holder({"limit": -math.inf})).infinite == {("limit", "-inf")}
    assert examine(Holder({"limit": math.nan})).infinite == {("limit", "nan")}
    assert infinite_on_purpose(Holder([math.inf])) == frozenset()


# --- breaking in the middle of a log --------------------------------------------------------------------------------

POISON: Final = 666.0
LEARNING: Final = {scope: LearningSettings("own:fragile", scope, 50, 10, Limits()) for scope in ModelScope}


class Fragile:
    """A mean of levels that counts how often it is asked; taught POISON it spoils one place of its state."""

    def __init__(self, place: str, number: float) -> None:
        self.asked = self.learned = 0
        self.mean = 0.0
        self.recent: deque[float] = deque(maxlen=4)
        self.slotted = Slotted(0.0)
        self.by_name = {"a": {"b": [0.0, 0.0]}}
        self.scalar: Any = np.float64(1.0)
        self.array = np.zeros(3)
        self.in_rust = stats.EWMean(0.3)
        self.variance = stats.Var()
        self.place, self.number = place, str(number)  # as text it breaks nothing yet

    def predict_one(self, x: Features) -> float:
        self.asked += 1
        self.by_name["a"]["b"][0] += 0.25
        return float(self.mean + self.asked + x["quantity"] + self.array[0] + self.in_rust.get() * self.variance.get())

    def learn_one(self, x: Features, y: float) -> None:
        self.learned += 1
        self.mean += (y - self.mean) / self.learned
        self.recent.append(y)
        self.slotted.number += 1.0
        self.by_name["a"]["b"][1] = y
        self.scalar += np.float64(0.5)
        self.array[self.learned % 3] += x["quantity"]
        self.in_rust.update(y)
        self.variance.update(y)
        if y == POISON:
            SPOIL[self.place](self, float(self.number))

    def known(self) -> str:
        """All that it knows, to the last bit."""
        moments = self.in_rust._ewmean.__getstate__().hex(), vars(self.variance.mean), self.variance._S
        return repr(vars(self) | {"slotted": self.slotted.number, "in_rust": moments[0], "variance": moments[1:]})


def spoil_attribute(model: Fragile, number: float) -> None:
    model.mean = number


def spoil_list(model: Fragile, number: float) -> None:
    model.by_name["a"]["b"][1] = number


def spoil_dictionary(model: Fragile, number: float) -> None:
    model.by_name["new"] = {"key": [number]}


def spoil_slots(model: Fragile, number: float) -> None:
    model.slotted.number = number


def spoil_deque(model: Fragile, number: float) -> None:
    model.recent.append(number)


def spoil_scalar(model: Fragile, number: float) -> None:
    model.scalar = np.float32(number)


def spoil_array(model: Fragile, number: float) -> None:
    model.array[2] = number


def spoil_rust(model: Fragile, number: float) -> None:
    model.in_rust.update(number)


def spoil_arithmetic(model: Fragile, _: float) -> None:
    """Without any infinity written down: the square of a large deviation."""
    model.variance.update(1e200)


def spoil_new_attribute(model: Fragile, number: float) -> None:
    model.unforeseen = (Holder(number),)  # type: ignore[attr-defined]


SPOIL: Final[dict[str, Callable[[Fragile, float], None]]] = {
    name.removeprefix("spoil_"): function for name, function in list(globals().items()) if name.startswith("spoil_")
}


def fragile_task(scope: ModelScope, place: str, number: float) -> PartitionTask:
    """A task whose models are fragile."""
    kind = RegressorKind(lambda: Fragile(place, number), {"parameters": "fragile"})
    return core.new_task(LEARNING[scope], topic="sales", partition=0, model_id="0123456789ab", kind=kind)


def taken_out(sections: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """What the models of a task know, by scope; their sections are taken out of a snapshot's."""
    models = core.models_of({name: sections.pop(name) for name in MODEL_SECTIONS})
    return {key: (model.known(), learned) for key, (model, learned) in models.items()}


def reason(output: Output | None) -> str | None:
    """Why a record was refused; None where it was not."""
    headers = dict(output.headers or []) if output is not None else {}
    found = headers.get("error.reason")
    return None if found is None else found.decode()


def records(events: Sequence[tuple[int, int, float | None]]) -> list[Record]:
    """A log of events: (item, quantity, level or None)."""
    return [
        Record(
            0,
            offset,
            1_700_000_000_000,
            b"s1",
            json.dumps(
                {
                    "transaction_id": f"t{offset}",
                    "store_id": f"s{item % 2}",
                    "sku": f"k{item}",
                    "quantity": quantity,
                    "new_stock_level": level,
                    "occurred_at": f"2023-01-01T00:{offset // 60:02d}:{offset % 60:02d}Z",
                }
            ).encode(),
            [("trace", b"\xff")],
        )
        for offset, (item, quantity, level) in enumerate(events)
    ]


LEVELS: Final = st.one_of(st.none(), st.integers(-50, 50).map(float), st.just(POISON))
EVENTS: Final = st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9), LEVELS), min_size=1, max_size=25)
PROBES: Final = [(item, -1, 10.0 + item) for item in range(4)] * 2


@settings(max_examples=150)
@given(
    scope=st.sampled_from(ModelScope),
    place=st.sampled_from(sorted(SPOIL)),
    number=st.sampled_from(NOT_FINITE),
    events=EVENTS,
    restarts=st.sets(st.integers(0, 30)),
)
def test_a_breaking_event_is_as_an_invalid_one(
    scope: ModelScope, place: str, number: float, events: list[tuple[int, int, float | None]], restarts: set[int]
) -> None:
    """One dead letter, the record untouched; ledger, identities, models and later predictions as if it had not been.

    Wherever checkpoints and restarts fall, and whatever place of the model broke.
    """
    log = records([*events, *PROBES])
    task = fragile_task(scope, place, number)
    outputs = []
    for record in log:
        if record.offset in restarts:
            sections = core.unpickled(task.snapshot())
            task = fragile_task(scope, place, number)
            task.restore(sections)
        outputs.append(task.process(record))

    poisoned = {offset for offset, (_, _, level) in enumerate(events) if level == POISON}
    assert {offset for offset, output in enumerate(outputs) if reason(output) == "broke_model"} == poisoned
    other = fragile_task(scope, place, number)
    for record, output in zip(log, outputs, strict=True):
        if record.offset not in poisoned:
            assert output == other.process(record)
            continue
        other.process(Record(0, record.offset, record.timestamp_ms, record.key, b"{", record.headers))
        assert output is not None
        assert output.outcome is Outcome.DEAD_LETTER
        assert (output.key, output.value) == (record.key, record.value)
        assert output.headers is not None
        assert output.headers[:1] == [("trace", b"\xff")]
    got, expected = task.snapshot(), other.snapshot()
    assert taken_out(got) == taken_out(expected)
    del got["progress"], expected["progress"]  # the chained digest holds the reason
    assert got == expected
    assert task.records_applied == other.records_applied


def test_a_repeated_poison_is_refused_each_time() -> None:
    """A refused event is not remembered: sent again it is judged again, and a model's first event may break it."""
    task = fragile_task(ModelScope.ITEM, "deque", math.nan)
    (record,) = records([(0, 1, POISON)])
    assert reason(task.process(record)) == "broke_model"
    assert task.model_count == 0
    again = Record(0, 1, record.timestamp_ms, record.key, record.value)
    assert reason(task.process(again)) == "broke_model"
    assert task.tally.dead_letters == {"broke_model": 2}


def test_an_exception_of_the_model_stops() -> None:
    """Only broken numbers are undone: what a model raises comes out, and the worker stops."""
    task = core.new_task(
        LEARNING[ModelScope.PARTITION],
        topic="sales",
        partition=0,
        model_id="0123456789ab",
        kind=RegressorKind(lambda: Holder(1.0), {}),
    )
    with pytest.raises(AssertionError, match="quantity"):
        task.process(records([(0, 1, 1.0)])[0])


# --- River's own ----------------------------------------------------------------------------------------------------


def reckless() -> Any:
    """A regression with so large a rate that any surprise sends its weights to infinity."""
    return preprocessing.StandardScaler() | linear_model.LinearRegression(optimizer=optim.SGD(1e200), l2=1e-9)


def robust() -> Any:
    """Quantiles in Rust before a regression."""
    scaler: Any = preprocessing.RobustScaler()  # type: ignore[no-untyped-call]
    return scaler | linear_model.LinearRegression()


def growing() -> Any:
    """A tree that splits early."""
    return preprocessing.StandardScaler() | tree.HoeffdingTreeRegressor(grace_period=30, delta=0.1)


def woods() -> Any:
    """A forest with drift detectors in Rust and random numbers of its own."""
    return preprocessing.StandardScaler() | forest.ARFRegressor(n_models=2, seed=3)


@pytest.mark.parametrize("factory", [robust, growing, woods])
def test_a_healthy_model_learns_as_with_plain_river(factory: Callable[[], Any]) -> None:
    """The examination changes nothing: the same bits as River's two verbs, extremes included."""
    run, _, _ = prequential_step(factory())
    samples = [*TYPICAL, *EXTREMES, *TYPICAL[:50]]
    assert [struct.pack("<d", run(*sample)) for sample in samples] == predictions(factory(), samples)


@pytest.mark.parametrize("factory", [robust, growing, woods])
def test_an_undone_event_leaves_no_trace_in_river(factory: Callable[[], Any]) -> None:
    """Features far outside the contract break any of them; what follows is as if they had never come."""
    run, flush, _ = prequential_step(factory())
    predicted = []
    broken = 0
    for number, (features, level) in enumerate(TYPICAL):
        predicted.append(struct.pack("<d", run(features, level)))
        if number % 50 == 7:
            absurd = dict(zip(FEATURE_NAMES, (1e308, 0, 1, 2017, 1, -1e308), strict=True))
            with pytest.raises(BrokenModelError):
                run(absurd, math.inf)
            broken += 1
    undisturbed = factory()
    assert broken == 12
    assert predicted == predictions(undisturbed, TYPICAL)
    assert predictions(flush(), TYPICAL) == predictions(undisturbed, TYPICAL)


def test_arithmetic_breaks_and_is_undone() -> None:
    """No infinity anywhere in the input: a weight overflows, and only then is the event undone."""
    run, flush, _ = prequential_step(reckless())
    outcomes = []
    for features, level in TYPICAL[:100]:
        try:
            run(features, level)
        except BrokenModelError:
            outcomes.append(False)
        else:
            outcomes.append(True)
        assert examine(flush()).infinite == frozenset()
    assert {True, False} == set(outcomes)
