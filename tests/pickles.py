"""Hostile pickles, put together opcode by opcode; for tests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, safe_loads

if TYPE_CHECKING:
    from collections.abc import Callable

ADMITTED: Final = Admitted()
SCALER: Final = ("river.preprocessing.scale", "StandardScaler")


def text(value: str) -> bytes:
    """Push a text."""
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def named(module: str, name: str) -> bytes:
    """Push what a module and a name stand for."""
    return text(module) + text(name) + b"\x93"


def program(*parts: bytes) -> bytes:
    """A whole pickle of protocol 5."""
    return b"\x80\x05" + b"".join(parts) + b"."


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Push the result of a call."""
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def made(module: str, name: str, *arguments: bytes) -> bytes:
    """Push an object made without its constructor."""
    return named(module, name) + b"(" + b"".join(arguments) + b"t\x81"


def refused(data: bytes, match: str = ".", admitted: Admitted = ADMITTED) -> None:
    """Check that a pickle is refused."""
    with pytest.raises(UnsafePickleError, match=match):
        safe_loads(data, admitted)


class Exploit:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def state_of(target: bytes, name: str, value: bytes) -> bytes:
    """Set an attribute of an object by its slots, as BUILD does: `setattr`, whatever the object."""
    return target + b"(N}" + text(name) + value + b"stb"


DEFAULTDICT: Final = call("collections", "defaultdict", named("builtins", "int"))
DEQUE: Final = call("collections", "deque")
