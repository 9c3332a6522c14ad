"""Machine code for the models: the same bits as Python's, the same checkpoints, and no harm where it cannot be had."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, optim, preprocessing
from structlog.testing import capture_logs

from consumer import accelerator
from consumer.accelerator import Accelerator
from consumer.learning import acceleration, guarded_arrays
from consumer.learning.batch import Run
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.gate import Gate
from consumer.learning.guarded import GuardedModel
from consumer.learning.ledger import Ledger, Posting
from consumer.learning.step import compiled_step, prequential_step
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import Event, Limits, decode
from tests.core import post
from tests.kafka import wait_until
from tests.stage import ROOT
from tests.unit.test_guarded import absurd_runs, grocery, short, uneven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

TIMES: Final = int(os.environ.get("EXAMPLES_TIMES", "1"))
"""How many times the usual number of examples; `make show NAME=bit-for-bit-fast` takes more."""

EVENTS: Final = [decode(event.value, event.timestamp_ms, Limits()) for event in synthetic_events(seed=6, limit=3_000)]


@pytest.fixture(scope="module", autouse=True)
def machine_code() -> Iterator[None]:
    """It is there: CI must not pass by falling back."""
    assert acceleration.load() is None
    yield
    acceleration.unload()


def steps_module() -> Any:
    """Return the models' compiled steps."""
    machine = acceleration.machine()
    assert machine is not None
    return machine.steps


def bits(number: float | None) -> bytes:
    return b"" if number is None else struct.pack("<d", number)


# The linear pipeline

rates: Final = st.sampled_from([0.0, 1e-3, 0.01, 0.3, 1.0])


@st.composite
def pipelines(draw: st.DrawFn) -> Callable[[], Any]:
    """Reference pipelines of any parameters that straight-line code takes."""
    rate, intercept_rate, clip = draw(rates), draw(rates), draw(st.sampled_from([0.0, 0.5, 1e3, 1e12]))
    return lambda: compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        (
            "lin_reg",
            linear_model.LinearRegression(optimizer=optim.SGD(rate), intercept_lr=intercept_rate, clip_gradient=clip),
        ),
    )


samples: Final = st.lists(
    st.tuples(st.integers(0, len(EVENTS) - 1), st.none() | st.floats(-1e9, 1e9)), min_size=1, max_size=150
)


def features_of(event: Event) -> dict[str, float]:
    quantity, moment = event.quantity or 0.0, event.moment
    assert moment is not None
    values = (
        abs(quantity),
        moment.day_of_week,
        moment.month,
        moment.year,
        int(quantity < 0),
        event.unit_cost or 0.0,
    )
    return dict(zip(FEATURE_NAMES, values, strict=True))


@settings(max_examples=150 * TIMES, deadline=None)
@given(pipelines(), samples, st.integers(1, 60))
def test_linear_is_river_to_the_bit(
    factory: Callable[[], Any], chosen: list[tuple[int, float | None]], size: int
) -> None:
    """Plain River, Python's straight-line code and machine code: one prediction, one model."""
    river, fast = factory(), compiled_step(factory(), steps_module())
    pairs = [(EVENTS[index], level) for index, level in chosen]
    expected = []
    for event, level in pairs:
        expected.append(river.predict_one(features_of(event)))
        if level is not None:
            river.learn_one(features_of(event), level)
    assert fast.run_many is not None
    found: list[float] = []
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        found += fast.run_many([event for event, _ in part], [level for _, level in part])
    assert [bits(each) for each in found] == [bits(each) for each in expected]
    flushed = fast.flush()
    probe = features_of(EVENTS[0])
    for model in (river, flushed):
        model.learn_one(probe, 7.0)
    assert bits(flushed.predict_one(probe)) == bits(river.predict_one(probe))


@settings(max_examples=50 * TIMES, deadline=None)
@given(samples, st.lists(st.sampled_from(["Python", "one", "many"]), min_size=1, max_size=8))
def test_linear_may_change_over_at_any_event(chosen: list[tuple[int, float | None]], ways: list[str]) -> None:
    """From Python to machine code, through a checkpoint and back."""
    plain, model = prequential_step(_linear()), _linear()
    length = -(-len(chosen) // len(ways))
    for place, way in enumerate(ways):
        step = prequential_step(model) if way == "Python" else compiled_step(model, steps_module())
        part = [(EVENTS[index], level) for index, level in chosen[place * length : (place + 1) * length]]
        expected = [plain.run(features_of(event), level) for event, level in part]
        if way == "many" and part:
            assert step.run_many is not None
            found = step.run_many([event for event, _ in part], [level for _, level in part])
        else:
            found = [step.run(features_of(event), level) for event, level in part]
        assert [bits(each) for each in found] == [bits(each) for each in expected]
        model = pickle.loads(pickle.dumps(step.flush()))
    assert pickle.dumps(model) == pickle.dumps(pickle.loads(pickle.dumps(plain.flush())))


def _linear() -> Any:
    return compose.Pipeline(("scale", preprocessing.StandardScaler()), ("lin_reg", linear_model.LinearRegression()))


# The guarded model


def stores(count: int, seed: int) -> list[tuple[Event, Posting]]:
    """Events of three stores whose books miss something, with what is in them that makes a difference."""
    rng = random.Random(seed)
    sources = [
        grocery(count, short(0.2), seed=seed, store_id="s1"),
        grocery(count, uneven, seed=seed + 1, store_id="s2"),
        grocery(count, seed=seed + 2, store_id="s3"),
    ]
    ledger, found = Ledger(), []
    for triple in zip(*sources, strict=True):
        for event in triple:
            change: dict[str, Any] = {}
            if rng.random() < 0.1:
                change = rng.choice(
                    [
                        {"level_millionths": None},
                        {"transaction_type": rng.choice([None, "loan", "void", "other", "count"])},
                        {"occurred_us": event.occurred_us - 10**12},
                        {"quantity_millionths": rng.choice([0, event.quantity_millionths * 1_000])},
                    ]
                )
            event = msgspec.structs.replace(event, **change)  # noqa: PLW2901
            item = f"{event.store_id}{event.sku}"
            posting = post(ledger, item, event.quantity_millionths, event.level_millionths, event.occurred_us)
            found.append((event, posting))
    return found


def applied(model: GuardedModel, part: Sequence[tuple[Event, Posting]]) -> tuple[list[bytes], list[int]]:
    run = Run(
        [event for event, _ in part],
        [posting.before for _, posting in part],
        [posting.after for _, posting in part],
        [posting.is_late for _, posting in part],
        [],
    )
    predictions, counts = model.steps(run)
    return [bits(each) for each in predictions], list(counts)


@settings(max_examples=25 * TIMES, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400))
def test_guarded_is_python_s_to_the_bit(seed: int, size: int) -> None:
    """Predictions, counts and checkpoint, whatever the batches; and gates do open and close in these."""
    events = stores(400, seed)
    plain, fast = GuardedModel(), GuardedModel()
    opened = 0
    for start in range(0, len(events), size):
        part = events[start : start + size]
        expected, counts = [], []
        for event, posting in part:
            counts.append(plain.events_learned)
            expected.append(bits(plain.step(event, posting)))
        assert applied(fast, part) == (expected, counts)
        opened += any(Gate(*numbers).is_open for numbers in plain.state()["gates"].values())
    assert pickle.dumps(fast.state()) == pickle.dumps(plain.state())
    assert fast.events_learned == plain.events_learned
    assert repr(fast.pipeline) == repr(plain.pipeline)
    assert opened


@settings(max_examples=60 * TIMES, deadline=None)
@given(absurd_runs, st.integers(1, 100))
def test_guarded_is_python_s_whatever_comes(runs: list[tuple[Event, int | None, bool, int]], size: int) -> None:
    """Quantities, levels, costs and times at their bounds, and items whose level no double holds."""
    events = [
        (event, Posting(before, event.level_millionths, is_late and before is not None))
        for event, before, is_late, times in runs
        for _ in range(times)
    ]
    plain, fast = GuardedModel(), GuardedModel()
    for start in range(0, len(events), size):
        part = events[start : start + size]
        assert applied(fast, part)[0] == [bits(plain.step(event, posting)) for event, posting in part]
    assert pickle.dumps(fast.state()) == pickle.dumps(plain.state())


def test_guarded_leaves_numbers_that_are_too_large_to_python() -> None:
    """Beyond 2**53 millionths Python divides more exactly; before and after, machine code goes on."""
    events = stores(60, 3)
    large = [(event, msgspec.structs.replace(posting, before=7 * 10**17 + 1)) for event, posting in events[50:60]]
    events[100:100] = large
    plain, fast = GuardedModel(), GuardedModel()
    for start in range(0, len(events), 25):
        part = events[start : start + 25]
        assert applied(fast, part)[0] == [bits(plain.step(event, posting)) for event, posting in part]
    assert pickle.dumps(fast.state()) == pickle.dumps(plain.state())


def test_guarded_steps_singly_too() -> None:
    """A record that is looked at alone takes the same way, and a restored model goes on."""
    events = stores(100, 4)
    plain, fast = GuardedModel(), GuardedModel()
    applied(fast, events[:50])
    for event, posting in events[:50]:
        plain.step(event, posting)
    for event, posting in events[50:150]:
        assert bits(fast.step(event, posting)) == bits(plain.step(event, posting))
    fast = GuardedModel.from_state(pickle.loads(pickle.dumps(fast.state())))
    expected = [bits(plain.step(event, posting)) for event, posting in events[150:]]
    assert applied(fast, events[150:])[0] == expected


# Whether it is to be had


def test_a_compiler_that_takes_roots_differs_in_the_last_bit() -> None:
    """The trap that is tried for: a root that is not the C library's `pow` is found, and refused."""

    def exact(numbers: Any, half: float) -> None:
        numbers[:] = [number**half for number in numbers.tolist()]

    def rounded(numbers: Any, _half: float) -> None:
        numbers[:] = np.sqrt(numbers)

    assert acceleration.takes_exact_roots(SimpleNamespace(roots=exact))
    assert not acceleration.takes_exact_roots(SimpleNamespace(roots=rounded))


def test_without_numba_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else happens: the models go on in Python."""
    monkeypatch.setitem(sys.modules, "consumer.learning.compiled", None)
    monkeypatch.delattr("consumer.learning.compiled", raising=False)
    assert "consumer.learning.compiled" in (acceleration.load() or "")


def test_inexact_code_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Better slow than another number."""
    acceleration.unload()
    monkeypatch.setattr(acceleration, "takes_exact_roots", lambda _module: False)
    assert "last bits" in (acceleration.load() or "")
    assert acceleration.machine() is None
    monkeypatch.undo()
    assert acceleration.load() is None


def test_steps_that_differ_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that an older version left on disk, with other constants: they are tried before they are trusted."""
    module = steps_module()
    assert acceleration.steps_agree(module)
    for place in (module.MEMORY, module.SPREAD_RATE, module.FIRST_SPREAD, module.REFRESH, module.DEVIATIONS):
        others = guarded_arrays._CONSTANTS.copy()
        others[place] *= 1.5
        with monkeypatch.context() as patched:
            patched.setattr(guarded_arrays, "_CONSTANTS", others)
            assert not acceleration.steps_agree(module), place
            patched.setattr(acceleration, "takes_exact_roots", lambda _module: True)
            assert "steps differ" in (acceleration.load() or "")


def test_what_fails_while_it_is_tried_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a thread's traceback."""

    def broken(_module: object) -> bool:
        raise ArithmeticError("no root")

    monkeypatch.setattr(acceleration, "takes_exact_roots", broken)
    assert acceleration.load() == "ArithmeticError: no root"


@pytest.mark.deep
@pytest.mark.deep  # all of it is compiled, for half a minute and more
def test_a_damaged_file_of_an_earlier_process_is_no_obstacle(tmp_path: Path) -> None:
    """As after a power cut: it is compiled again, and kept nowhere if need be."""

    def load() -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from consumer.learning import acceleration; print(acceleration.load())"],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        return done.stdout or done.stderr

    assert load() == "None\n"
    for index in tmp_path.rglob("*.nbi"):
        index.write_bytes(index.read_bytes()[:40])
    for code in tmp_path.rglob("*guarded_steps*.nbc"):
        code.write_bytes(b"")
    assert load() == "None\n"


def test_without_a_thread_the_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process at its limit of threads learns all the same."""

    def none_left(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    with capture_logs() as lines:
        accelerator.load_beside(structlog.get_logger())
    assert [line["event"] for line in lines] == ["not_accelerated"]


def test_it_is_loaded_once_and_only_for_a_worker_with_much_to_do() -> None:
    """A start does not wait for it."""
    loads: list[object] = []
    acceleratable = Accelerator(loads.append, None)  # type: ignore[arg-type]  # no log is written here
    acceleratable.note(9_999)
    assert loads == []
    for _ in range(3):
        acceleratable.note(2_000)
    assert len(loads) == 1


def test_a_backlog_is_met_with_machine_code() -> None:
    """It is loaded from where partitions are restored on, and the first large batch waits for it."""
    loads: list[object] = []
    waited: list[float] = []

    def load(log: object) -> Any:
        loads.append(log)
        return SimpleNamespace(join=waited.append)

    acceleratable = Accelerator(load, None)  # type: ignore[arg-type]  # no log is written here
    for _ in range(3):
        acceleratable.expect(33_000)
    assert loads == []
    acceleratable.expect(1_000)
    assert len(loads) == 1
    acceleratable.note(10)
    assert waited == []
    acceleratable.note(2_000)
    acceleratable.note(20_000)
    assert waited == [1.5]
    assert len(loads) == 1


@pytest.mark.parametrize(("records", "waits"), [(999, []), (1_000, [1.5])])
def test_a_worker_that_is_behind_waits_for_it_a_little(records: int, waits: list[float]) -> None:
    """One that keeps up does not."""
    waited: list[float] = []
    thread = SimpleNamespace(join=waited.append)
    acceleratable = Accelerator(lambda _log: thread, None)  # type: ignore[arg-type, return-value]  # as much as it needs
    for _ in range(30):
        acceleratable.note(records)
    assert waited == waits


def test_the_interpreter_s_switching_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever becomes of the loading; while it lasts, threads change places more often."""
    usual, during = sys.getswitchinterval(), []

    def load() -> str:
        during.append(sys.getswitchinterval())
        raise MemoryError

    monkeypatch.setattr(acceleration, "load", load)
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    loading = accelerator.load_beside(structlog.get_logger())
    assert loading is not None
    loading.join(10)
    assert during == [pytest.approx(0.0002)]
    assert sys.getswitchinterval() == usual


@pytest.mark.parametrize("why", [None, "ModuleNotFoundError: numba"])
def test_the_log_says_whether_it_is_there(why: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the reason where it is not."""
    monkeypatch.setattr(acceleration, "load", lambda: why)
    with capture_logs() as lines:
        accelerator.load_beside(structlog.get_logger())
        wait_until(lambda: lines, 10, "the thread to tell")
    (line,) = lines
    assert line["event"] == ("accelerated" if why is None else "not_accelerated")
    assert why is None or why in line["reason"]


@pytest.mark.deep  # all of it is compiled, for half a minute and more
def test_where_nothing_can_be_kept_it_is_compiled_each_time() -> None:
    """As in a container whose file system is read-only: the same code, only later."""
    done = subprocess.run(
        [sys.executable, "-c", "from consumer.learning import acceleration; print(acceleration.load())"],
        env={
            **os.environ,
            "NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator",
        },  # which is none, outside of a notebook
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.stdout, done.returncode) == ("None\n", 0), done.stderr
