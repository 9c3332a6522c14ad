"""Mutants of pickles, opcode by opcode, and an independent reading of what a pickle names.

The reading runs Python's own unpickler, the one written in Python, with a stand-in for every class: it shares nothing
with the worker's, which walks through the opcodes and then runs the compiled one.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

Name = tuple[str, str]

_STANDARD: Final = {
    *(("builtins", name) for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")),
    *(("collections", name) for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
    *(("math", name) for name in ("exp", "expm1", "log", "log1p", "sqrt")),
    *(("functools", "partial"), ("random", "Random"), ("statistics", "NormalDist")),
}
"""What River's pickles name besides River: no function among them that reads, writes, imports or runs anything."""

_FOREIGN_RIVER: Final = ("river.datasets", "river.stream", "river.api", "river.checks", "river.bandit")
"""Packages of River's that read files and sockets, or have no part in a regressor."""

HOSTILE: Final = (
    *(("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr")),
    *(("subprocess", "Popen"), ("builtins", "open"), ("importlib", "import_module"), ("pickle", "loads")),
    *(
        ("river.stream", "iter_csv"),
        ("river.datasets", "Phishing"),
        ("river.base", "typing.os"),
        ("operator", "attrgetter"),
    ),
    *(("builtins", "type"), ("builtins", "object"), ("builtins", "__import__"), ("copyreg", "_reconstructor")),
    *(("river.compose.pipeline", "functools.reduce"), ("river.linear_model", "LinearRegression.__init__")),
    *(("consumer.learning.task", "PartitionTask"), ("types", "FunctionType"), ("ctypes", "string_at")),
)


def is_permitted(name: Name) -> bool:
    """Tell whether a pickle of a model may name this: River's classes for regressors, and standard types."""
    module, what = name
    if name in _STANDARD:
        return True
    is_river = module.startswith("river.") and not module.startswith(_FOREIGN_RIVER)
    owner, dot, member = what.partition(".")  # with a dot: a function that a class of River's holds
    return is_river and (owner[:1].isupper() or not dot) and "__" not in f"{owner}.{member}"


class _StandIn:
    """Takes the place of any object: takes whatever is done to it."""

    def __new__(cls, *_arguments: object, **_named: object) -> _StandIn:  # noqa: PYI034 -- no Self: subclasses are made
        return super().__new__(cls)

    def __init__(self, *_arguments: object, **_named: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...

    def __setitem__(self, _key: object, _item: object) -> None: ...

    def append(self, _item: object) -> None: ...

    def extend(self, _items: object) -> None: ...

    def add(self, _item: object) -> None: ...

    def update(self, *_items: object) -> None: ...


_GETATTR: Final = ("builtins", "getattr")
_BOUND: Final = {"_scale", "_unscale", "_test_both", "_test_down", "_test_up", "_random_weights", "_rand_gauss"}
"""Methods that objects of River's keep bound to themselves, which is pickled as a call of `getattr`."""


def names(data: bytes) -> set[Name]:
    """Return what a pickle names, as (module, qualified name); nothing of it is imported or called.

    `getattr` counts where it is called, but for a bound method: its name alone does nothing.
    """
    found: set[Name] = set()

    def attribute(_kind: object, *arguments: object) -> _StandIn:
        if len(arguments) != 2 or arguments[1] not in _BOUND:
            found.add(_GETATTR)
        return _StandIn()

    class Reader(pickle._Unpickler):  # noqa: SLF001 -- the one written in Python
        def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- a stand-in
            if (module, name) == _GETATTR:
                return type("Attribute", (_StandIn,), {"__new__": attribute})
            found.add((module, name))
            return type("StandIn", (_StandIn,), {})

        def persistent_load(self, identity: object) -> object:
            found.add(("persistent", repr(identity)))
            return _StandIn()

    Reader(io.BytesIO(data)).load()
    return found


# --- mutants --------------------------------------------------------------------------------------------------------


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _named(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + pickle.STACK_GLOBAL


def opcodes(data: bytes) -> list[bytes]:
    """Return a pickle in pieces of one opcode each, without its frames, which no reader needs."""
    found = list(pickletools.genops(data))
    ends = [place for _, _, place in found[1:] if place is not None] + [len(data)]
    return [
        data[begin:end]
        for (opcode, _, begin), end in zip(found, ends, strict=True)
        if opcode.name != "FRAME" and begin is not None
    ]


def snippet(rng: Random) -> bytes:
    """Return opcodes that do what no honest pickle does."""
    return rng.choice(_SNIPPETS)(rng)


def _argument(rng: Random) -> bytes:
    return rng.choice((_text("touch /nowhere/at/all"), b"K\x01", b"N", b"}", b"]", _text("os")))


def _hostile(rng: Random) -> bytes:
    """Name what may not be named, and call it or make an object of it."""
    argument = _argument(rng)
    return _named(*rng.choice(HOSTILE)) + rng.choice((b"", argument + b"\x85R", argument + b"\x85\x81", b")R"))


def _old_name(rng: Random) -> bytes:
    module, name = rng.choice(HOSTILE)
    return rng.choice((f"c{module}\n{name}\n".encode(), b"(" + _argument(rng) + f"i{module}\n{name}\n".encode()))


_REGRESSION: Final = _named("river.linear_model.lin_reg", "LinearRegression")
_SNIPPETS: Final[tuple[Callable[[Random], bytes], ...]] = (
    *(_hostile, _hostile, _hostile, _old_name),
    lambda _: _REGRESSION + b"}" + _text("learn_one") + b"Nsb",  # BUILD on a class
    lambda _: _REGRESSION + b")\x81}b}b",  # BUILD twice
    lambda rng: b")" + b"\x85" * rng.choice((10, 1_000, 20_000)),  # tuples in tuples
    lambda _: b"r\xff\xff\xff\x7f",  # PUT, with an index that would take all memory
    lambda rng: (
        rng.choice((b"\x8d", b"\x8e", b"\x96", b"\x8b")) + struct.pack("<Q", rng.choice((2**40, 2**63 - 1, 10)))
    ),
    lambda rng: rng.choice(
        (b"\x82\x01", b"\x84\x01\0\0\0", b"P1\n", b"Q", b"\x97", b"\x98", b"2", b"0", b"1", b"\x92")
    ),
    lambda _: b"".join(b"]\x94(" + b"h\0" * 10 + b"e" for _ in range(20)),
    lambda rng: _named("collections", "deque") + b")" + rng.choice((b"J\xff\xff\xff\x7f", b"K\x05")) + b"\x86R",
)


def mutant(rng: Random, data: bytes) -> bytes:
    """Return a pickle with one to three of its opcodes changed."""
    pieces = opcodes(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_CHANGES)(rng, pieces, rng.randrange(1, len(pieces)))
    return b"".join(pieces)


def _insert(rng: Random, pieces: list[bytes], place: int) -> None:
    pieces.insert(place, snippet(rng))


def _replace(rng: Random, pieces: list[bytes], place: int) -> None:
    pieces[place] = snippet(rng)


def _drop(_rng: Random, pieces: list[bytes], place: int) -> None:
    if len(pieces) > 2:
        del pieces[place]


def _repeat(rng: Random, pieces: list[bytes], place: int) -> None:
    pieces.insert(place, rng.choice(pieces))


def _swap(rng: Random, pieces: list[bytes], place: int) -> None:
    other = rng.randrange(1, len(pieces))
    pieces[place], pieces[other] = pieces[other], pieces[place]


def _flip(rng: Random, pieces: list[bytes], place: int) -> None:
    piece = bytearray(pieces[place])
    piece[rng.randrange(len(piece))] ^= 1 << rng.randrange(8)
    pieces[place] = bytes(piece)


def _end(rng: Random, pieces: list[bytes], _place: int) -> None:
    pieces[-1:] = [snippet(rng), pickle.STOP]


def _rename(rng: Random, pieces: list[bytes], place: int) -> None:
    """Put a text, one of the pickle's own or of another's, in some opcode's place."""
    texts = [piece for piece in pieces if piece[:1] == pickle.SHORT_BINUNICODE]
    if texts and rng.random() < 0.5:
        pieces[place] = rng.choice(texts)
    else:
        strange = (*rng.choice(HOSTILE), "__class__", "__dict__", "__setstate__", "river.base", "", "\ud800")
        pieces[place] = _text(rng.choice(strange))


def _name_value(rng: Random, pieces: list[bytes], _place: int) -> None:
    """Put a hostile name, or what comes of calling it, in the place of one value."""
    values = [place for place, piece in enumerate(pieces) if piece[:1] in {b"G", b"K", b"M", b"J", b"N", b"]", b"}"}]
    if values:
        pieces[rng.choice(values)] = _hostile(rng)


def _renumber(rng: Random, pieces: list[bytes], _place: int) -> None:
    """Give one number another value: what an honest pickle might hold, or an absurd one."""
    numbers = [place for place, piece in enumerate(pieces) if piece[:1] in {b"G", b"K", b"M", b"J", b"\x8a"}]
    if numbers:
        pieces[rng.choice(numbers)] = rng.choice(
            (
                b"G" + rng.randbytes(8),
                b"G" + struct.pack(">d", rng.choice((float("nan"), float("inf"), -0.0, 5e-324, 1.7e308))),
                b"J" + struct.pack("<i", rng.choice((-1, 0, 2**31 - 1, -(2**31)))),
                b"\x8a\x09" + rng.randbytes(9),
                b"K" + rng.randbytes(1),
            )
        )


_CHANGES: Final[tuple[Callable[[Random, list[bytes], int], None], ...]] = (
    *(_insert, _replace, _drop, _repeat, _swap, _flip, _end, _rename, _name_value, _renumber),
)
