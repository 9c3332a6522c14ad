"""A pickle is read before it is run: what Python's pickler writes passes, what would do harm does not."""

from __future__ import annotations

import collections
import contextlib
import copyreg
import functools
import io
import pickle
import random
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, stats, utils

from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, safe_loads
from consumer.learning import get_ml_pipeline
from tests.pickles import (
    ADMITTED,
    DEFAULTDICT,
    DEQUE,
    SCALER,
    call,
    made,
    named,
    program,
    refused,
    state_of,
    text,
)
from tests.unit.test_admitted_models import hoeffding, learn_levels

if TYPE_CHECKING:
    from collections.abc import Callable

# What Python's pickler never writes


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_old_protocols_are_refused(protocol: int) -> None:
    """Their opcodes are other ones; the sentence says how to write the file."""
    refused(pickle.dumps(get_ml_pipeline(), protocol=protocol), r"protocol 4 or 5; found .*pickle\.dump")


@pytest.mark.parametrize(
    "opcodes",
    {
        "persistent id, text": b"Pid\n",
        "persistent id": b"NQ",
        "extension 1": b"\x82\x01",
        "extension 2": b"\x83\x01\x00",
        "extension 4": b"\x84\x01\x00\x00\x00",
        "global": b"cos\nsystem\n",
        "global of River": b"criver.preprocessing.scale\nStandardScaler\n",
        "instance": b"(S'true'\nios\nsystem\n",
        "object": b"(" + named(*SCALER) + b"o",
        "object with keywords": named(*SCALER) + b")}\x92",
        "put": b"Np0\n",
        "short put": b"Nq\x00",
        "put far away": b"Nr\xff\xff\xff\x7f",
        "get": b"N\x940g0\n",
        "duplicate": b"N20",
        "text integer": b"I1\n",
        "text long": b"L1L\n",
        "text float": b"F1\n",
        "text string": b"S'x'\n",
        "text unicode": b"Vx\n",
        "old string": b"U\x01x",
        "old long string": b"T\x01\x00\x00\x00x",
        "text list": b"(l",
        "text dict": b"(d",
        "out-of-band buffer": b"\x97",
        "read-only buffer": b"N\x98",
        "unknown": b"\xff",
        "protocol again": b"\x80\x05N",
    }.items(),
    ids=lambda each: each[0],
)
def test_opcodes_that_are_refused(opcodes: tuple[str, bytes]) -> None:
    """What today's pickler does not write is not run, whatever it would do."""
    copyreg.add_extension("os", "system", 1)
    try:
        refused(program(opcodes[1]), "pickle")
    finally:
        copyreg.remove_extension("os", "system", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x05",
        b"\x80\x05.",
        b"\x80\x06N.",
        b"\x80\x05N",
        b"\x80\x05NN.",
        b"\x80\x05N.N",
        b"\x80\x05N..",
        b"\x80\x05(N.",
        b"\x80\x05h\x00.",
        b"\x80\x05\x94.",
        b"\x80\x05j\xff\xff\xff\xff.",
        b"\x80\x05t.",
        b"\x80\x05\x87.",
        b"\x80\x05N\x86.",
        b"\x80\x05Nb.",
        b"\x80\x05)R.",
        b"\x80\x05s.",
        b"\x80\x05u.",
        b"\x80\x05(u.",
        b"\x80\x05(e.",
        b"\x80\x05NN\x93.",
        b"\x80\x05K\x01K\x02\x93.",
        b"\x80\x05\x8c\x05ab.",
        b"\x80\x05\x8c\x02\xff\xff.",
        b"\x80\x05\x8e" + b"\xff" * 8 + b".",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x05B\xff\xff\xff\xff.",
        b"\x80\x05\x8b\xff\xff\xff\xff.",
        b"\x80\x05\x95" + b"\xff" * 8 + b"N.",
        b"\x80\x05}]Ns.",
        b"\x80\x05(1.",
        b"\x80\x05((10.",
        b"\x80\x050.",
        b"PK\x03\x04",
        bytes(100),
    ],
)
def test_broken_pickles(data: bytes) -> None:
    """Cut, empty, or without sense: the one error, and no allocation of the length that is claimed."""
    tracemalloc.start()
    refused(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "target",
    [
        named("river.linear_model.lin_reg", "LinearRegression"),
        named(*SCALER),
        named("river.tree.splitter.ebst_splitter", "EBSTNode._update_estimator_univariate"),
        named("functools", "partial"),
        named("collections", "OrderedDict"),
    ],
)
def test_no_class_is_changed(target: bytes) -> None:
    """BUILD on a class would replace its methods for every model of the process, even if the file is refused later."""
    before = dict(vars(linear_model.LinearRegression))
    refused(program(state_of(target, "learn_one", named("builtins", "float"))), "would set the state of")
    refused(program(state_of(b"N" + target, "learn_one", named("builtins", "float"))), "would set the state of")
    assert dict(vars(linear_model.LinearRegression)) == before


def test_a_state_cannot_plant_its_own_setter() -> None:
    """A first BUILD that plants `__setstate__`, for a second one to call it with what it likes, is refused."""
    loss = made("river.optim.losses", "Squared")
    planted = state_of(loss, "__setstate__", named("builtins", "list"))
    assert safe_loads(program(planted), ADMITTED).__setstate__ is list
    refused(program(planted, b"Nb"), "would set the state of an object that is complete")
    for name, then in (("extend", b"(K\x01e"), ("append", b"Na"), ("update", b"(K\x01\x90"), ("__setitem__", b"NNs")):
        refused(program(state_of(loss, name, named("builtins", "list")), then))


@pytest.mark.parametrize(
    "data",
    [
        call(*SCALER),
        call("river.compose.pipeline", "Pipeline", b"K\x01"),
        call("builtins", "list", b"]"),
        call("builtins", "float", text("1")),
        call("builtins", "int", text("9" * 5000)),
        call("math", "exp", b"K\x01"),
        call("copy", "deepcopy", b"]"),
        call("river._river_rust.stats", "RsQuantile", b"G" + struct.pack(">d", 0.5)),
        call("statistics", "NormalDist", b"K\x00", b"K\x01"),
        call("river.utils.math", "minkowski_distance", b"}}"),
        made("collections", "OrderedDict"),
        made("builtins", "list", b"]"),
        made("functools", "partial", named("builtins", "int")),
        made(*SCALER) + b")R",
        call("functools", "partial", named("builtins", "int")) + b")R",
        call("collections", "deque", b"]"),
        call("collections", "deque", b"(K\x01t", b"K\x05"),
        call("collections", "defaultdict", named("builtins", "int"), b"}"),
        call("collections", "OrderedDict", b"]"),
        call("collections", "Counter", text("abc")),
        call("random", "Random", b"K\x01"),
        call("river._river_rust.vectordict", "VectorDict", b"}"),
        call("river.time_series.holt_winters", "AdditiveLevel", b"}"),
        named(*SCALER) + b"Na",
        named(*SCALER) + b"NNs",
        named("collections", "deque") + b"(Ne",
    ],
)
def test_admitted_names_serve_one_use_only(data: bytes) -> None:
    """What is admitted as a value is not called, what is made is not called, and calls have the pickler's arguments."""
    refused(program(data), "would (call|make|put)")


# What would bring the process down


def memoized(index: int) -> bytes:
    """Push what was memoized."""
    return b"j" + struct.pack("<I", index)


def nested_triplets(levels: int) -> bytes:
    """Named tuples of River's, each in the next, as a key."""
    kind = named("river.imblearn.hard_sampling", "Triplet")
    inside = (memoized(0) + memoized(level) + b"NN\x87\x81\x940" for level in range(1, levels))
    return program(kind, b"\x940N\x940", *inside, b"}", memoized(levels), b"Ns")


def nested(container: bytes, levels: int) -> bytes:
    """Containers in each other, as an honest pickler writes them."""
    key = b"K\x00" if container == DEFAULTDICT else b""
    return program((container + key) * levels, b"N", (b"s" if key else b"a") * levels)


def chained_afterwards(container: bytes, levels: int) -> bytes:
    """Containers that are made flat, and put into each other from the outermost to the innermost."""
    flat = b"".join(container + b"\x940" for _ in range(levels))
    links = b"".join(memoized(at) + memoized(at + 1) + b"a0" for at in range(levels - 1))
    return program(flat, links, memoized(0))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(program(b"})", b"\x85" * 1_000_000, b"Ns"), id="tuple of one"),
        pytest.param(program(b"})", b"N\x86" * 500_000, b"Ns"), id="tuple of two"),
        pytest.param(program(b"}", b"(" * 300_000, b"t" * 300_000, b"Ns"), id="tuple of any"),
        pytest.param(program(b"\x8f()", b"\x85" * 500_000, b"\x90"), id="member of a set"),
        pytest.param(program(b"()", b"\x85" * 500_000, b"\x91"), id="member of a frozen set"),
        pytest.param(nested_triplets(50_000), id="named tuple"),
        pytest.param(nested(DEFAULTDICT, 50_000), id="default dictionary"),
        pytest.param(nested(DEQUE, 50_000), id="deque"),
        pytest.param(chained_afterwards(DEQUE, 50_000), id="deque, filled afterwards"),
    ],
)
def test_what_would_overrun_the_stack_is_refused(data: bytes) -> None:
    """Hashing a deep tuple, and freeing a deep deque, recurse in C: the process would end without a word."""
    refused(data, "nests|change an object that is complete")


@pytest.mark.parametrize(
    "build", [nested_triplets, functools.partial(nested, DEFAULTDICT), functools.partial(nested, DEQUE)]
)
def test_nesting_that_is_admitted_is_harmless(build: Callable[[int], bytes]) -> None:
    """At the limit nothing overruns: the bound is far below the stack's."""
    assert safe_loads(build(1_900), ADMITTED) is not None


def test_deep_lists_are_harmless() -> None:
    """A list's destructor does not recurse, and it is no key."""
    loaded = safe_loads(program(b"]" * 100_000, b"a" * 99_999), ADMITTED)
    assert isinstance(loaded, list)


def quantile(size: bytes) -> bytes:
    """A compiled rolling quantile whose window is so long."""
    return program(made("river._river_rust.stats", "RsRollingQuantile", b"G" + struct.pack(">d", 0.5), size))


@pytest.mark.parametrize(
    "size",
    [b"\x8a\x06" + (2**40).to_bytes(6, "little"), b"J\xff\xff\xff\x7f", b"J\xff\xff\xff\xff", text("x"), b"K\x05\x85"],
    ids=["2**40", "2**31-1", "-1", "text", "tuple"],
)
def test_absurd_sizes_of_compiled_classes_are_refused(size: bytes) -> None:
    """Rust ends the process where it cannot allocate; an honest window is admitted."""
    refused(quantile(size), "absurd size")
    assert isinstance(safe_loads(quantile(b"M\x00\x02"), ADMITTED), object)


def test_a_state_that_rust_refuses_is_the_same_error(capfd: pytest.CaptureFixture[str]) -> None:
    """A panic of River's compiled code is no `Exception`; it does not get past the one error."""
    model = stats.Quantile(0.5)
    data = pickle.dumps(model, protocol=5)
    (state,) = [each for each in pickle_bytes(data) if len(each) > 50]
    refused(data.replace(state, b"\xff" * len(state)), "compiled code refuses")
    assert "panicked" in capfd.readouterr().err  # Rust says so by itself; nothing of the file is in it


def pickle_bytes(data: bytes) -> list[bytes]:
    """The byte strings in a pickle."""
    import pickletools  # noqa: PLC0415 -- only here

    return [value for _, value, _ in pickletools.genops(data) if isinstance(value, bytes)]


def test_random_generators_are_not_multiplied() -> None:
    """Each takes 2.5 kB for 3 bytes of the file; an honest pickle holds the state of each."""
    one = call("random", "Random")
    refused(program(b"(", named("random", "Random"), b"\x94)R", b"h\x00)R" * 10_000, b"t"), "more random generators")
    refused(program(one), "more random generators")
    honest = [random.Random(seed) for seed in range(20)]  # the state of each is its own
    loaded = safe_loads(pickle.dumps(honest, protocol=5), ADMITTED)
    assert [each.random() for each in loaded] == [each.random() for each in honest]


def test_mappings_are_not_copied_again_and_again() -> None:
    """A mapping copied for each five bytes of the file would take the square of its size."""
    mapping = b"}\x94(" + b"".join(b"M" + struct.pack("<H", number) + b"N" for number in range(5000)) + b"u0"
    kind = named("collections", "Counter") + b"\x940"
    copies = b"h\x01h\x00\x85R" * 1000
    refused(program(mapping, kind, b"(", copies, b"t"), "would call collections.Counter")
    vectors = named("river._river_rust.vectordict", "VectorDict") + b"\x940"
    refused(program(mapping, vectors, b"(", b"h\x01(h\x00NN\x89tR" * 1000, b"t"), "would call")


def test_integers_of_many_digits_are_read_in_linear_time() -> None:
    """A long binary integer is one; there is no text form of integers."""
    assert safe_loads(program(b"\x8b" + struct.pack("<I", 1_000_000) + b"\x01" * 1_000_000), ADMITTED) > 0


# What an honest pickler writes


class Odd:
    """Shapes that the pickler writes for odd objects: of themselves, shared, with slots."""

    __slots__ = ("__dict__", "other", "own")

    def __init__(self) -> None:
        self.own = self
        self.other = collections.OrderedDict(a=self)


def odd_states() -> list[Any]:
    """Objects that lead the pickler through all that it can write."""
    recursive_list: list[Any] = []
    recursive_list.append((recursive_list, {"x": recursive_list}))
    shared: dict[str, Any] = {"a": 1}
    nested_defaults: Any = collections.defaultdict(functools.partial(collections.defaultdict, int))
    nested_defaults["x"]["y"] += 1
    return [
        *(None, True, False, 0, 1, 255, 256, 65_535, 65_536, -1, 2**31 - 1, 2**31, -(2**31), 2**63, 2**3000, 1.5),
        *("", "x", "x" * 300, "ü", "\ud800", b"", b"x" * 300, bytes(70_000), bytearray(b"xy"), "y" * 70_000),
        *((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(3000)), {}, {"a": 1}, set(), {1, 2}),
        *(frozenset(), frozenset({1}), dict.fromkeys(map(str, range(3000))), set(range(3000))),
        *([shared, shared, [shared]], recursive_list, [()] * 300, [[str(number), number] for number in range(400)]),
        *(collections.OrderedDict(b=1, a=2), collections.Counter("hello"), collections.deque([1, 2], 5)),
        *(collections.deque(), collections.deque(range(3000)), nested_defaults, utils.VectorDict({"a": 1.0})),
        *(collections.defaultdict(list, {"a": [1]}), functools.partial(int, base=2), random.Random(1)),
        Odd(),
    ]


@pytest.mark.parametrize("state", odd_states(), ids=lambda each: f"{type(each).__name__}-{str(each)[:20]!a}")
@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("pickler", [pickle.Pickler, pickle._Pickler], ids=["C", "Python"])
def test_whatever_the_pickler_writes_is_read(state: Any, protocol: int, pickler: Any) -> None:
    """The opcodes are checked as the pickler writes them, of protocol 4 and 5, in C and in Python."""
    if protocol == 4 and isinstance(state, bytearray):  # a call of `bytearray` there, which is not admitted
        return
    file = io.BytesIO()
    pickler(file, protocol).dump(state)
    loaded = safe_loads(file.getvalue(), Admitted([Odd]))
    assert pickle.dumps(loaded, protocol=5) == pickle.dumps(pickle.loads(file.getvalue()), protocol=5)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=5)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=5)
    ),
    max_leaves=30,
)


@given(plain)
def test_plain_values_are_read(value: Any) -> None:
    """Any value of plain types comes back."""
    data = pickle.dumps(value, protocol=5)
    assert pickle.dumps(safe_loads(data, ADMITTED), protocol=5) == pickle.dumps(pickle.loads(data), protocol=5)


def honest_models() -> list[bytes]:
    """Pickles to be damaged: the reference, and a tree with its compiled statistics."""
    tree = hoeffding()
    learn_levels(tree, 1)
    pipeline = get_ml_pipeline()
    learn_levels(pipeline, 1)
    return [pickle.dumps({"": (model, 250)}, protocol=5) for model in (pipeline, tree, stats.Quantile(0.3))]


HONEST: Final = honest_models()
SPLICED: Final = [
    *(bytes([opcode]) for opcode in range(256)),
    *(named("os", "system"), call("os", "system", text("true")), named(*SCALER), made(*SCALER), DEQUE, DEFAULTDICT),
    *(b"N}b", b")R", b")\x81", b"h\x00", b"h\x01b", b"(t", b"j\xff\xff\xff\xff", b"\x85" * 50, b"0", b"1", b"("),
]


@given(st.sampled_from(HONEST), st.data())
def test_damaged_pickles(data: bytes, drawn: st.DataObject) -> None:
    """A pickle changed anywhere gives some object or the one error: no other exception, and nothing runs."""
    changed = bytearray(data)
    for _ in range(drawn.draw(st.integers(1, 3))):
        position = drawn.draw(st.integers(0, len(changed)))
        width = drawn.draw(st.sampled_from([0, 0, 1, 1, 1, 4, 50]))
        changed[position : position + width] = drawn.draw(st.sampled_from(SPLICED) | st.binary(max_size=3))
    with contextlib.suppress(UnsafePickleError):
        safe_loads(bytes(changed), ADMITTED)


@given(st.binary(max_size=100) | st.lists(st.sampled_from(SPLICED), max_size=30).map(lambda parts: program(*parts)))
def test_any_bytes(data: bytes) -> None:
    """Any bytes whatever, and any row of opcodes, give some object or the one error."""
    with contextlib.suppress(UnsafePickleError):
        safe_loads(data, ADMITTED)


# Frames


def framed(content: bytes, length: int | None = None) -> bytes:
    """Return a frame that says it has so many bytes."""
    return b"\x95" + struct.pack("<Q", len(content) if length is None else length) + content


def test_a_frame_s_end_hides_nothing() -> None:
    """Python's reader throws away what is left of a frame when an opcode crosses its end, and reads another program."""
    hidden = (
        b"00" + named("river.stats.mean", "Mean") + b"N}" + text("update") + named("copy", "deepcopy") + b"s\x86b0N."
    )
    before = stats.Mean.update
    # To whoever ignores frames: an integer of two bytes, then bytes of which nothing is run.
    refused(b"\x80\x05" + framed(b"N0M\x00") + b"\x00C\x88" + hidden.ljust(0x88, b"\0") + b"0.", "mid-opcode")
    assert stats.Mean.update is before


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (framed(b"N.", 3), "none of its own"),
        (framed(b"N", 2**63) + b".", "none of its own"),
        (framed(framed(b"N")) + b".", "none of its own"),
        (framed(b"K") + b"\x05.", "mid-opcode"),
        (framed(b"\x8c\x05ab") + b"cde.", "mid-opcode"),
    ],
)
def test_odd_frames_are_refused(data: bytes, why: str) -> None:
    """None within another, none beyond the end, no opcode across an end: Python's pickler writes no such thing."""
    refused(b"\x80\x05" + data, why)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("size", [0, 3, 65_530, 65_536, 200_000])
def test_frames_of_python_s_pickler_pass(protocol: int, size: int) -> None:
    """Small ones, and those around 64 KiB, where it begins a new one."""
    written = ["x" * size, *range(size // 2), "end"]
    assert safe_loads(pickle.dumps(written, protocol=protocol), ADMITTED) == written
