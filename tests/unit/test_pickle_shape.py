"""Pickles of one shape: they differ in numbers that the walk never looks at, and in nothing else."""

from __future__ import annotations

import pickle
import pickletools
import random
import struct
from typing import Any, Final

import pytest
from river import compose, linear_model, optim, preprocessing, stats

from consumer.checkpoint import pickle_shape, unpickling
from consumer.checkpoint.pickle_program import check
from consumer.checkpoint.pickle_shape import Shapes
from consumer.checkpoint.unpickling import Admitted, Pickles, UnsafePickleError, safe_loads
from consumer.learning.guarded import GuardedModel
from consumer.learning.linear import get_ml_pipeline
from tests.pickles import Exploit

ADMITTED: Final = Admitted()


def trained(seed: int, events: int) -> Any:
    """The state of a linear model."""
    rng, pipeline = random.Random(seed), get_ml_pipeline()
    for _ in range(events):
        pipeline.learn_one({"quantity": rng.random(), "month": rng.randint(1, 12)}, rng.uniform(-9, 9))
    return pipeline, events


OBJECTS: Final[dict[str, Any]] = {
    "linear": trained(1, 200),
    "linear, many events": trained(1, 300),
    "guarded": GuardedModel().state(),
    "adam": compose.Pipeline(preprocessing.MinMaxScaler(), linear_model.LinearRegression(optimizer=optim.Adam())),
    "compiled": stats.RollingQuantile(0.5, 300),
    "everything": (
        2**40,
        -5,
        0x474B4D,
        0x4D4D4D4D,
        b"G" * 9,
        "K" * 300,
        {1.5: [2, 3.0]},
        {4, 5},
        frozenset({6.0}),
        bytearray(b"M"),
    ),
}


def operands(data: bytes) -> set[int]:
    """Where the bytes of floats and of integers of one and two bytes stand, as Python's own reader has it."""
    found = list(pickletools.genops(data))
    ends = [place for _, _, place in found[1:]] + [len(data)]
    return {
        place
        for (opcode, _, begin), end in zip(found, ends, strict=True)
        if opcode.name in {"BINFLOAT", "BININT1", "BININT2"}
        for place in range((begin or 0) + 1, end or 0)
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_a_shape_is_all_bytes_but_the_numbers(name: str) -> None:
    """Any other byte makes another shape; a number's makes none, and no other verdict of the walk."""
    data = pickle.dumps(OBJECTS[name], protocol=5)
    shapes = Shapes()
    assert data not in shapes
    shapes.add(data)
    assert data in shapes
    assert data + b"." not in shapes
    numbers = operands(data)
    for place in range(len(data)):
        for bit in (1, 128):
            changed = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            assert (changed in shapes) == (place in numbers)
            if place in numbers:
                check(changed, ADMITTED)


def test_models_of_one_kind_are_walked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand models cost one walk, and still each is loaded; to check them, one load as well."""
    walked: list[bytes] = []

    def walk(data: bytes, admitted: Admitted) -> None:
        walked.append(data)
        check(data, admitted)

    monkeypatch.setattr(unpickling, "check", walk)
    data = [pickle.dumps(trained(seed, 100 + seed), protocol=5) for seed in range(9)]
    pickles = Pickles(ADMITTED)
    loaded = [pickles.loads(each) for each in data]
    assert len(walked) == 1
    assert [pickle.dumps(each, protocol=5) for each in loaded] == data

    loads: list[bytes] = []
    pickles = Pickles(ADMITTED)
    monkeypatch.setattr(pickles, "_load", loads.append)
    for each in data:
        pickles.check(each)
    assert loads == data[:1]


def test_what_was_refused_is_refused_again() -> None:
    """Nothing is remembered of what was not good; a good shape lets no other name in."""
    pickles = Pickles(ADMITTED)
    pickles.check(pickle.dumps(trained(1, 9), protocol=5))
    hostile = pickle.dumps(Exploit(print, 1.5), protocol=5)
    for attempt in (hostile, hostile, hostile.replace(struct.pack(">d", 1.5), struct.pack(">d", 2.5))):
        with pytest.raises(UnsafePickleError, match=r"builtins\.print"):
            pickles.check(attempt)
        with pytest.raises(UnsafePickleError, match=r"builtins\.print"):
            pickles.loads(attempt)


def test_sizes_of_compiled_classes_are_looked_at_each_time() -> None:
    """An integer of four bytes may be the size of a window: it belongs to the shape."""
    window = stats.RollingQuantile(0.5, 70_000)
    data = pickle.dumps(window, protocol=5)
    pickles = Pickles(ADMITTED)
    pickles.check(data)
    size = struct.pack("<i", 70_000)
    assert data.count(b"J" + size) >= 1
    absurd = data.replace(b"J" + size, b"J" + struct.pack("<i", 2**31 - 1))
    with pytest.raises(UnsafePickleError, match="absurd size"):
        pickles.check(absurd)


def test_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that differ in more than numbers do not fill the memory, and are still told apart from good ones."""
    monkeypatch.setattr(pickle_shape, "_MOST_BYTES", 1_000)
    shapes, pickles = Shapes(), Pickles(ADMITTED)
    data = [pickle.dumps(f"{number:04}", protocol=5) for number in range(500)]
    for each in data:
        shapes.add(each)
        assert pickles.loads(each) == safe_loads(each, ADMITTED)
    assert 0 < sum(each in shapes for each in data) <= 8
    for length in range(500):
        shapes.add(pickle.dumps("x" * length, protocol=5))
    assert sum(len(found) for found in shapes._by_size.values()) * 10 < 1_000
