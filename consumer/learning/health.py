"""Health: after each event every number in a model's state is finite.

Judged is what a checkpoint would hold, after each event and not now and then: an event's outcome may not depend on
where commits and checkpoints fall. See docs/decisions/0009-model-health.md.
"""

from __future__ import annotations

import array
import pickle
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import cache
from math import isfinite, nan
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consumer.learning.pickled import pickled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.learning.regressor import Regressor

Place = tuple[str, str]
"""The attribute or key that holds a number (empty where it has none, as in a list), and the number as text."""

_Reader = Callable[[Any], Iterable[float]]
_NO_PLACES: Final[frozenset[Place]] = frozenset()

# A float in a pickle: G, then the double, its exponent first. The same bytes may occur elsewhere; then the floats
# themselves are looked at.
_may_hold_infinite_float: Final = re.compile(rb"G[\x7f\xff][\xf0-\xff]").search
_may_hold_infinite_double: Final = re.compile(rb"[\xf0-\xff][\x7f\xff]").search


class Examination(NamedTuple):
    """A model's state as it is now.

    Attributes:
        data: its pickle.
        infinite: where it holds numbers that are not finite, NaN among them.
    """

    data: bytes
    infinite: frozenset[Place]


def examine(model: Regressor) -> Examination:
    """Pickle a model, and find the numbers in it that are not finite."""
    state = pickled(model)
    data, objects = state
    kinds = list(map(type, objects))
    readers = {kind: read for kind in set(kinds) if (read := _reader(kind)) is not None}
    if _may_hold_infinite_float(data) is not None:
        readers[float] = _itself
    if not readers:
        return Examination(data, _NO_PLACES)
    infinite = {
        (state.name(index), repr(float(number)))
        for kind, read in readers.items()
        for index in _places(kinds, kind)
        for number in read(objects[index])
        if not isfinite(number)
    }
    return Examination(data, frozenset(infinite))


def infinite_on_purpose(model: Regressor) -> frozenset[Place]:
    """Return the infinite numbers by which a new model means something, as "no limit" or "nothing seen yet".

    They are told by the name under which they are held; one without a name could not be told from a broken number.
    """
    return frozenset(place for place in examine(model).infinite if place[0])


def hidden_in(model: Regressor) -> set[str]:
    """Return the classes whose pickles are bytes of their own, in which numbers cannot be seen."""
    objects = pickled(model).objects
    found = dict(zip(map(type, objects), objects, strict=True))
    return {
        f"{kind.__module__}.{kind.__qualname__}"
        for kind, each in found.items()
        if kind.__module__ not in {"builtins", "datetime", "pickle"} and _reader(kind) is None and _is_bytes(each)
    }


def _places(kinds: list[type], kind: type) -> Iterator[int]:
    at = -1
    with suppress(ValueError):
        while True:
            at = kinds.index(kind, at + 1)
            yield at


@cache
def _reader(kind: type) -> _Reader | None:
    """Return how to read the numbers of a class; None where pickling comes by each of them as a float."""
    if kind is float:
        return None
    for base, read in _READERS.items():
        if issubclass(kind, base):
            return read
    if any((base.__module__, base.__name__) in _NUMPY for base in kind.__mro__):
        return _of_numpy
    layout = _LAYOUTS.get(kind.__qualname__) if kind.__module__.startswith("river._river_rust.") else None
    return None if layout is None else lambda native: _of_rust(native.__getstate__(), layout)


def _itself(number: float) -> Iterable[float]:
    return (number,)


def _of_decimal(number: Decimal) -> Iterable[float]:
    if number.is_finite():
        return ()  # and perhaps too large for a float
    return (nan if number.is_nan() else float(number),)


def _of_array(numbers: array.array[Any]) -> Iterable[float]:
    return numbers if numbers.typecode in "fd" else ()


# A complex number is pickled as two floats; these hide theirs in bytes or text.
_READERS: Final[Mapping[type, _Reader]] = {
    float: _itself,
    Decimal: _of_decimal,
    array.array: _of_array,
}
_NUMPY: Final = frozenset({("numpy", "ndarray"), ("numpy", "generic")})


def _of_numpy(numbers: Any) -> Iterable[float]:  # noqa: ANN401 -- an array or a scalar; the core imports no NumPy
    if numbers.dtype.names:
        return [number for name in numbers.dtype.names for number in _of_numpy(numbers[name])]
    plain = numbers.ravel().tolist()
    if numbers.dtype.kind == "c":
        return [part for number in plain for part in (number.real, number.imag)]
    return plain if numbers.dtype.kind == "f" else ()


class _Vector(NamedTuple):
    """A vector in bincode: its length, then each element."""

    of: tuple[str | _Vector, ...]


_Layout = tuple[str | _Vector, ...]

_DOUBLES: Final = _Vector(("<d",))

# River's compiled classes pickle as bincode: little-endian, unpadded. A test builds each and finds each double in it.
_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "AdaptiveWindowing": ("<diQ6d4i", _Vector(("<QQ", _DOUBLES, _DOUBLES)), "<diQ2i"),
    "RsEWMean": ("<3dBd",),
    "RsEWVar": ("<3dB3dB2d",),
    "RsIQR": ("<21d2B21d2B2d",),
    "RsKurtosis": ("<B7dB",),
    "RsPeakToPeak": ("<2d",),
    "RsQuantile": ("<21d2B",),
    "RsRollingIQR": (_DOUBLES, _DOUBLES, "<Q2d3Qd2Q3dQ"),
    "RsRollingQuantile": (_DOUBLES, _DOUBLES, "<QdQ2Q2dQ"),
    "RsSkew": ("<7d2B",),
}


def _of_rust(state: bytes, layout: _Layout) -> Iterable[float]:
    if _may_hold_infinite_double(state) is None:
        return ()
    numbers, end = _read(state, layout, 0)
    if end != len(state):
        raise ValueError(f"expected {end} bytes of compiled state, found {len(state)}: River has changed its layout")
    return numbers


def _read(state: bytes, layout: _Layout, at: int) -> tuple[list[float], int]:
    """Return the doubles from `at` on, and where they end."""
    numbers: list[float] = []
    for part in layout:
        if isinstance(part, str):
            numbers += [each for each in struct.unpack_from(part, state, at) if isinstance(each, float)]
            at += struct.calcsize(part)
            continue
        (length,) = struct.unpack_from("<Q", state, at)
        at += 8
        if part is _DOUBLES:
            numbers += struct.unpack_from(f"<{length}d", state, at)
            at += 8 * length
            continue
        for _ in range(length):
            more, at = _read(state, part.of, at)
            numbers += more
    return numbers, at


def _is_bytes(each: object) -> bool:
    """Tell whether a pickle holds the object as bytes. It was pickled before, so it can be."""
    reduced = each.__reduce_ex__(5) if not isinstance(each, type) else ""
    if isinstance(reduced, str):  # by its name
        return False
    return any(isinstance(part, bytes | bytearray | pickle.PickleBuffer) for part in (*reduced[1], *reduced[2:3]))
