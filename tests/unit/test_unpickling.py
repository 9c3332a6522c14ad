"""What a pickle may name, and that nothing but the one error comes out of a hostile one."""

from __future__ import annotations

import contextlib
import copyreg
import functools
import io
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import preprocessing

from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, decode_sections, safe_loads
from consumer.learning import get_ml_pipeline
from tests.core import model_sections
from tests.pickles import (
    ADMITTED,
    SCALER,
    Exploit,
    call,
    made,
    named,
    program,
    refused,
    state_of,
    text,
)
from tests.unit.test_admitted_models import events

if TYPE_CHECKING:
    from pathlib import Path

# What a pickle may not name


@pytest.mark.parametrize(
    "function",
    [
        *(os.system, eval, exec, __import__, compile, open, os.popen, breakpoint, print, getattr, setattr, vars, type),
        *(globals, input, io.open, sys.exit, functools.reduce, copyreg.constructor, pickle.loads, bytearray),
        *(object, range, memoryview, map, filter, BaseException, SystemExit, KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("depth", [0, 3])
def test_nothing_is_called(tmp_path: Path, function: Any, protocol: int, depth: int) -> None:
    """A call hidden anywhere in a pickle, alone or deep inside honest state, is refused by name and never made."""
    exploit: Any = Exploit(function, f"touch {tmp_path / 'proof'}")
    for _ in range(depth):
        exploit = {"": (get_ml_pipeline(), [exploit])}
    refused(pickle.dumps(exploit, protocol=protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "object"),
        ("subprocess", "Popen"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        # The ways round an allow-list of modules
        ("collections", "_sys.modules"),
        ("collections", "_itemgetter"),
        ("random", "_os"),
        ("random", "_os.system"),
        ("random", "SystemRandom"),
        ("statistics", "sys"),
        ("functools", "reduce"),
        ("math", "__loader__"),
        ("copy", "copyreg"),
        ("copy", "_reconstruct"),
        # River's, but not to be named: functions, modules, what a module only imported, metaclasses, files and sockets
        ("river", "stream"),
        ("river.stream", "Cache"),
        ("river.stream.cache", "Cache"),
        ("river.stream.cache", "pickle.loads"),
        ("river.stream.twitch_chat_stream", "TwitchChatStream"),
        ("river.datasets.base", "RemoteDataset"),
        ("river.datasets", "Phishing"),
        ("river.drift.datasets.base", "ChangePointFileDataset"),
        ("river.drift.datasets.apple", "Apple"),
        ("river.evaluate", "progressive_val_score"),
        ("river.checks", "check_estimator"),
        ("river.compat", "River2SKLRegressor"),
        ("river.utils.context_managers", "log_method_calls"),
        ("river.utils.pretty", "print_table"),
        ("river.utils.math", "sign"),
        ("river.base.estimator", "EstimatorMeta"),
        ("river.compose.pipeline", "functools"),
        ("river.compose.pipeline", "functools.partial"),
        ("river.compose.pipeline", "collections"),
        ("river.compose.pipeline", "types.FunctionType"),
        ("river.compose.pipeline", "Pipeline.__init__"),
        ("river.compose.pipeline", "Pipeline.__init__.__globals__"),
        ("river.compose", "Pipeline"),
        ("river.linear_model", "LinearRegression"),
        ("river.preprocessing.scale", "base.Transformer"),
        ("river.preprocessing.scale", "functools"),
        ("river.tree.splitter.ebst_splitter", "EBSTNode.insert_value"),
        ("river._river_rust.stats", "RsRollingROCAUC"),
        ("river._river_rust.stats", "expected_mutual_info"),
        ("river._river_rust.vectordict", "lazy_search_euclidean"),
        # Odd names
        ("", ""),
        ("river", ""),
        ("river.", "x"),
        ("river..preprocessing", "StandardScaler"),
        ("river.preprocessing.scale.", "StandardScaler"),
        ("river.preprocessing.scale", ""),
        ("river.preprocessing.scale", "standardscaler"),
        ("river.preprocessing.scale\x00", "StandardScaler"),
        ("riverx.preprocessing", "StandardScaler"),
        ("xriver.preprocessing", "StandardScaler"),
        ("\ud800", "\udfff"),
        ("a\nb" * 1000, "x" * 10_000),
    ],
)
def test_names_that_are_refused(module: str, name: str) -> None:
    """Neither as a value, nor to be called, nor to be made; the sentence is one line of bounded length."""
    for hostile in (
        program(named(module, name)),
        program(call(module, name)),
        program(made(module, name)),
        program(named(module, name), b"0N"),
    ):
        with pytest.raises(UnsafePickleError, match="is not admitted") as caught:
            safe_loads(hostile, ADMITTED)
        assert len(str(caught.value)) < 600
        assert "\n" not in str(caught.value)


def test_the_sentence_names_the_class_and_the_way_on() -> None:
    """An operator learns which class it was, and what to do with a model of their own."""
    refused(
        pickle.dumps(Exploit(os.system, "true"), protocol=5),
        r"^the pickle names posix\.system, which is not admitted; expected River's classes.*let the model's factory",
    )


def test_a_file_does_not_choose_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing runs code: a module that a file names is looked up among those that are loaded."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    for module in ("this", "river.tree.no_such_module", "river.this"):
        refused(program(named(module, "x")), "is not admitted")
    assert "this" not in sys.modules


# What a factory declares


class Own:
    """A class of a user's own."""

    class Inner:
        """One inside it."""

    def __init__(self) -> None:
        self.value = 1


def own_function(value: float) -> float:
    """A function that a user's model keeps."""
    return value


@pytest.mark.parametrize("value", [Own(), Own.Inner(), Own, own_function])
def test_what_is_declared_is_admitted(value: Any) -> None:
    """A class or a function of the user's own passes once it is declared, by exactly its name."""
    data = pickle.dumps({"": value}, protocol=5)
    refused(data, r"\.(Own|own_function)")
    declared = value if isinstance(value, type) or callable(value) else type(value)
    loaded = safe_loads(data, Admitted([declared]))[""]
    assert loaded is value or type(loaded) is type(value)
    refused(pickle.dumps(os.system, protocol=5), admitted=Admitted([Own, own_function]))
    refused(program(named(__name__, "Own.Inner.__init__")), admitted=Admitted([Own, Own.Inner]))


@pytest.mark.parametrize("declared", ["os.system", 5, None, Own(), [Own]])
def test_a_declaration_of_something_else(declared: Any) -> None:
    """What is neither class nor function is no declaration."""
    with pytest.raises(TypeError, match="expected classes and functions"):
        Admitted([declared])


@pytest.mark.parametrize("declared", [getattr, eval, exec, __import__])
def test_builtin_functions_cannot_be_declared(declared: Any) -> None:
    """With getattr or eval a pickle can do anything, whatever the factory's author meant."""
    with pytest.raises(ValueError, match=rf"builtins\.{declared.__name__} may not be admitted"):
        Admitted([declared])


# Attributes


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (made(*SCALER), "learn_one"),
        (made(*SCALER), "__class__"),
        (made(*SCALER), "__init__"),
        (made("river.preprocessing.scale_target", "TargetStandardScaler"), "__init__"),
        (made("river.preprocessing.scale_target", "TargetStandardScaler"), "learn_one"),
        (made("river.preprocessing.scale_target", "TargetStandardScaler"), "_scale.__globals__"),
        (made("river.preprocessing.scale_target", "TargetStandardScaler"), "__reduce_ex__"),
        (named("river.preprocessing.scale_target", "TargetStandardScaler"), "_scale"),
        (named("builtins", "str"), "format"),
        (text("{0.__class__}"), "format"),
        (b"}", "get"),
        (b"N", "__class__"),
        (call("functools", "partial", named("builtins", "int")), "func"),
    ],
)
def test_getattr_takes_nothing_but_listed_methods(owner: bytes, name: str) -> None:
    """`getattr` is how pickles reach everything: only methods of arithmetic that River's objects keep pass."""
    refused(program(call("builtins", "getattr", owner, text(name))), "getattr|would call")


def test_a_listed_method_is_the_class_own() -> None:
    """An attribute of the object cannot take the method's place, and no default comes in."""
    owner = state_of(
        made("river.preprocessing.scale_target", "TargetStandardScaler"), "_scale", named("builtins", "int")
    )
    method = safe_loads(program(call("builtins", "getattr", owner, text("_scale"))), ADMITTED)
    assert method.__func__ is vars(preprocessing.TargetStandardScaler)["_scale"]
    refused(program(call("builtins", "getattr", owner, text("_scale"), b"N")), "would call")
    refused(program(call("builtins", "getattr", owner, text("_scale")), b")R"), "would call")


# Sections


def test_sections() -> None:
    """Models come with River's classes, everything else of its declared plain type."""
    pipeline = get_ml_pipeline()
    for features, level in events(1, 5):
        pipeline.learn_one(features, level)
    sections = {
        **model_sections({"": (pipeline, 5)}),
        "invalid": msgspec.msgpack.encode([5, 6]),
    }
    decoded = decode_sections(sections, ADMITTED)
    assert decoded["invalid"] == [5, 6]
    assert decoded["models"][""][0].predict_one(features) == pipeline.predict_one(features)


@pytest.mark.parametrize("name", ["progress", "ledger", "invalid"])
@given(data=st.binary(max_size=60))
def test_a_plain_section_is_never_unpickled(name: str, data: bytes) -> None:
    """A pickle in another section is refused, honest or not, and so is anything of another type."""
    for attempt in (
        pickle.dumps({}, protocol=5),
        pickle.dumps(Exploit(os.system, "true")),
        pickle.dumps(get_ml_pipeline(), protocol=5),
    ):
        with pytest.raises(UnsafePickleError, match=f"section '{name}' is not of its type"):
            decode_sections({name: attempt}, ADMITTED)
    with contextlib.suppress(UnsafePickleError):
        decode_sections({name: data}, ADMITTED)


def test_the_section_is_named() -> None:
    """The sentence says where in the checkpoint it is."""
    with pytest.raises(UnsafePickleError, match=r"^section 'models': the pickle names posix\.system"):
        decode_sections(model_sections({"": Exploit(os.system, "true")}), ADMITTED)
    with pytest.raises(UnsafePickleError, match=r"^section 'models': the pickle names posix\.system"):  # of format 3
        decode_sections({"models": pickle.dumps(Exploit(os.system, "true"), protocol=5)}, ADMITTED)
