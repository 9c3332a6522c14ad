"""A pickle is a program. It is read before it is run: what Python's own pickler never writes is refused.

An allow-list of names alone leaves holes. BUILD on a class replaces its methods for the whole process; a second BUILD
finds a function of choice where it looks for `__setstate__`; PUT with a huge index takes all memory, in ten bytes; a
deeply nested tuple used as a key overruns the C stack; a mapping copied again and again grows quadratically; River's
compiled classes end the process over an absurd size. None of that can be caught once it runs, so the opcodes are walked
through first, with values that stand for the objects:

- None: a number, bytes, a list, a set; nothing more need be known.
- int: a text or an integer of more than two bytes, by the position of its opcode.
- tuple: a tuple: how deeply it is nested, then its items.
- list: a dictionary; it is filled once something has copied it.
- Grant: a class or function, with what may be done with it.
- `_Made`: an object that the pickle made.

Only the opcodes of protocols 4 and 5 that the pickler writes are known; texts, old protocols, persistent ids, the
extension registry and out-of-band buffers are not.
"""

from __future__ import annotations

import collections
import random
from typing import TYPE_CHECKING, Any, Final

from consumer.checkpoint.admitted import Call, Grant, UnsafePickleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.checkpoint.admitted import Admitted

_PROTOCOLS: Final = (4, 5)
_DEEPEST: Final = 2_000
"""Nesting that the C stack bears; the pickler itself ends at Python's recursion limit, 1,000."""
_RANDOM_BYTES: Final = 2_500
"""A random.Random takes this much memory; an honest pickle spends more than that on its state."""
_LARGEST_SIZE: Final = 2**24
"""No honest window of a compiled class is longer."""

_PROTO, _FRAME, _STOP = 0x80, 0x95, 0x2E
_MARK, _POP, _POP_MARK = 0x28, 0x30, 0x31
_MEMOIZE, _BINGET, _LONG_BINGET = 0x94, 0x68, 0x6A
_SHORT_TEXT, _TEXT, _LONG_TEXT = 0x8C, 0x58, 0x8D
_SHORT_BYTES, _BYTES, _LONG_BYTES, _BYTEARRAY = 0x43, 0x42, 0x8E, 0x96
_BININT, _LONG1, _LONG4 = 0x4A, 0x8A, 0x8B
_EMPTY_DICT, _SETITEM, _SETITEMS = 0x7D, 0x73, 0x75
_APPEND, _APPENDS, _ADDITEMS, _FROZENSET = 0x61, 0x65, 0x90, 0x91
_EMPTY_TUPLE, _TUPLE1, _TUPLE2, _TUPLE3, _TUPLE = 0x29, 0x85, 0x86, 0x87, 0x74
_STACK_GLOBAL, _NEWOBJ, _REDUCE, _BUILD = 0x93, 0x81, 0x52, 0x62

# None, True, False, integers of one and two bytes, float, empty list and set: the bytes that follow the opcode.
_SIMPLE: Final = {0x4E: 0, 0x88: 0, 0x89: 0, 0x4B: 1, 0x4D: 2, 0x47: 8, 0x5D: 0, 0x8F: 0}
_TUPLES: Final = {_TUPLE1: 1, _TUPLE3: 3}
# Opcode: width of the length that precedes that many bytes.
_TEXTS: Final = {_TEXT: 4, _LONG_TEXT: 8, _LONG4: 4}
_BLOBS: Final = {_SHORT_BYTES: 1, _BYTES: 4, _LONG_BYTES: 8, _BYTEARRAY: 8}

_FLAT: Final = frozenset({type(None), int})
_CHAINED: Final = (collections.defaultdict, collections.deque)
_EMPTY: Final = (0,)
_NO_ITEMS: Final = ((), (_EMPTY,))


class _Made:
    """An object that NEWOBJ or REDUCE made.

    Attributes:
        nesting: how deeply its arguments nest tuples: it may be a named tuple, which is hashed item by item.
        chain: for a default dictionary or a deque, whose destructors recurse: how many it holds in each other; else 0.
        is_built: it has its state: nothing more may be done to it.
        is_held: another default dictionary or deque holds it directly: its contents are final.
    """

    __slots__ = ("chain", "is_built", "is_held", "nesting")

    def __init__(self, nesting: int, chain: int = 0) -> None:
        self.nesting = nesting
        self.chain = chain
        self.is_built = False
        self.is_held = False


def check(data: bytes, admitted: Admitted) -> None:  # noqa: C901, PLR0912, PLR0915 -- one loop over opcodes, and it is hot
    """Walk through a pickle.

    Raises:
        UnsafePickleError: it names what is not admitted, or does what the pickler never does.
        IndexError: it ends early.
    """
    if data[0] != _PROTO or data[1] not in _PROTOCOLS:
        found = f"protocol {data[1]}" if data[0] == _PROTO else f"byte {data[0]:#04x}"
        raise UnsafePickleError(
            f"expected a pickle of protocol 4 or 5; found {found}: write it with pickle.dump(..., protocol=5)"
        )
    stack: list[Any] = []
    marks: list[int] = []
    memo: list[Any] = []
    push, pop = stack.append, stack.pop
    randoms = 0
    at = 2
    frame_end = len(data)  # or of the frame, in which whatever begins must end: the rest of a frame is thrown away
    while True:
        if at >= frame_end:
            if at > frame_end:
                raise UnsafePickleError(f"the pickle goes on beyond a frame, at byte {frame_end}, in mid-opcode")
            frame_end = len(data)
        opcode = data[at]
        at += 1
        if opcode == _BINGET:
            push(memo[data[at]])
            at += 1
        elif opcode == _MEMOIZE:
            memo.append(stack[-1])
        elif opcode in _SIMPLE:
            push(None)
            at += _SIMPLE[opcode]
        elif opcode in {_SHORT_TEXT, _LONG1}:
            push(at - 1)
            at += 1 + data[at]
        elif opcode == _MARK:
            marks.append(len(stack))
        elif opcode in {_SETITEMS, _APPENDS, _ADDITEMS}:
            mark = marks.pop()
            _fill(stack[mark - 1], stack[mark:], at)
            del stack[mark:]
        elif opcode == _EMPTY_DICT:
            push([])
        elif opcode == _TUPLE2:
            second, first = pop(), pop()
            push((1, first, second) if type(first) in _FLAT and type(second) in _FLAT else _tuple([first, second]))
        elif opcode in _TUPLES:
            mark = len(stack) - _TUPLES[opcode]
            stack[mark:] = [_tuple(stack[mark:])]
        elif opcode == _BININT:
            push(at - 1)
            at += 4
        elif opcode == _EMPTY_TUPLE:
            push(_EMPTY)
        elif opcode == _LONG_BINGET:
            push(memo[int.from_bytes(data[at : at + 4], "little")])
            at += 4
        elif opcode in _TEXTS:
            push(at - 1)
            width = _TEXTS[opcode]
            at += width + int.from_bytes(data[at : at + width], "little")
        elif opcode in _BLOBS:
            push(None)
            width = _BLOBS[opcode]
            at += width + int.from_bytes(data[at : at + width], "little")
        elif opcode == _SETITEM:
            items = [pop(), pop()]
            _fill(stack[-1], items, at)
        elif opcode == _APPEND:
            item = pop()
            _fill(stack[-1], [item], at)
        elif opcode == _TUPLE:
            mark = marks.pop()
            stack[mark:] = [_tuple(stack[mark:])]
        elif opcode == _FROZENSET:
            del stack[marks.pop() :]
            push(None)
        elif opcode == _NEWOBJ:
            arguments, made_of = pop(), pop()
            if type(made_of) is not Grant or not made_of.makes or type(arguments) is not tuple:
                raise _refusal(f"make an object of {_name(made_of)}", at)
            if made_of.is_native and not all(_is_modest(data, each) for each in arguments[1:]):
                raise _refusal(f"make an object of {_name(made_of)} of an absurd size", at)
            push(_Made(arguments[0]))
        elif opcode == _REDUCE:
            arguments, called = pop(), pop()
            if type(called) is not Grant or type(arguments) is not tuple or not _may_call(called.call, arguments[1:]):
                raise _refusal(f"call {_name(called)}", at)
            randoms += called.what is random.Random
            push(_Made(arguments[0], 1 if called.what in _CHAINED else 0))
        elif opcode == _BUILD:
            pop()
            target = stack[-1]
            if type(target) is not _Made or target.is_built:
                raise _refusal(f"set the state of {_name(target)}", at)
            target.is_built = True
        elif opcode == _STACK_GLOBAL:
            name, module = _text(data, pop()), _text(data, pop())
            push(admitted.find(module, name))
        elif opcode == _FRAME:
            end = at + 8 + int.from_bytes(data[at : at + 8], "little")
            if frame_end < len(data) or end > len(data):
                raise UnsafePickleError(f"the pickle has a frame that is none of its own, at byte {at - 1}")
            at, frame_end = at + 8, end
        elif opcode == _POP:
            if marks and marks[-1] == len(stack):
                marks.pop()
            else:
                pop()
        elif opcode == _POP_MARK:
            del stack[marks.pop() :]
        elif opcode == _STOP:
            break
        else:
            raise UnsafePickleError(
                f"expected a pickle of protocol 4 or 5 as Python writes it; found opcode {opcode:#04x} at byte {at - 1}"
            )
    if at != len(data) or len(stack) != 1 or marks:
        raise UnsafePickleError("the pickle ends before the data does, or leaves something over")
    if randoms * _RANDOM_BYTES > len(data):
        raise UnsafePickleError("the pickle makes more random generators than it has states for")


def _tuple(items: list[Any]) -> tuple[Any, ...]:
    deepest = 0
    for each in items:
        if type(each) is tuple:
            deepest = max(deepest, each[0])
        elif type(each) is _Made:
            deepest = max(deepest, each.nesting)
    if deepest >= _DEEPEST:
        raise UnsafePickleError(f"the pickle nests tuples more than {_DEEPEST} deep")
    return (deepest + 1, *items)


def _fill(target: Any, items: list[Any], at: int) -> None:  # noqa: ANN401 -- whatever stands on the stack
    """Note that a container gets items."""
    if type(target) is not _Made:
        if type(target) is Grant:
            raise _refusal(f"put something into {_name(target)}", at)
        return
    if target.is_built or target.is_held:
        raise _refusal("change an object that is complete", at)
    if target.chain:
        for each in items:
            if type(each) is _Made and each.chain:
                each.is_held = True
                target.chain = max(target.chain, each.chain + 1)
        if target.chain > _DEEPEST:
            raise UnsafePickleError(f"the pickle nests containers more than {_DEEPEST} deep")


def _may_call(call: Call, arguments: Sequence[Any]) -> bool:  # noqa: PLR0911 -- a table
    if call is Call.EMPTY:
        return not arguments
    if call is Call.ONE:
        return len(arguments) == 1
    if call is Call.COPY:
        return len(arguments) == 1 and _is_copied_once(arguments[0])
    if call is Call.PLAIN:
        return all(each is None or type(each) is int for each in arguments)
    if call is Call.DEQUE:
        return tuple(arguments[:1]) in _NO_ITEMS and len(arguments) in {0, 2}
    if call is Call.METHOD:
        return len(arguments) == 2 and type(arguments[0]) is _Made and type(arguments[1]) is int  # noqa: PLR2004 -- a pair
    if call is Call.VECTOR:
        return len(arguments) == 4 and _is_copied_once(arguments[0])  # noqa: PLR2004 -- mapping, default, mask, copy
    return call is Call.ANY


def _is_copied_once(mapping: Any) -> bool:  # noqa: ANN401 -- whatever stands on the stack
    if type(mapping) is not list or mapping:
        return False
    mapping.append("copied")
    return True


def _is_modest(data: bytes, value: Any) -> bool:  # noqa: ANN401 -- whatever stands on the stack
    """Tell whether an argument of compiled code is a small number."""
    if type(value) is not int:
        return value is None
    if data[value] != _BININT:
        return False
    return 0 <= int.from_bytes(data[value + 1 : value + 5], "little", signed=True) <= _LARGEST_SIZE


def _text(data: bytes, at: Any) -> str:  # noqa: ANN401 -- whatever stands on the stack
    """Return the text whose opcode stands at a position."""
    if type(at) is not int or data[at] not in {_SHORT_TEXT, _TEXT}:
        raise UnsafePickleError("expected the names of a module and of a class in the pickle; found something else")
    width = 1 if data[at] == _SHORT_TEXT else 4
    begin = at + 1 + width
    return data[begin : begin + int.from_bytes(data[at + 1 : begin], "little")].decode("utf-8", "surrogatepass")


def _name(value: Any) -> str:  # noqa: ANN401 -- whatever stands on the stack
    if type(value) is not Grant:
        return "what is no class" if type(value) is not _Made else "an object that is complete"
    return f"{value.what.__module__}.{value.what.__qualname__}"


def _refusal(what: str, at: int) -> UnsafePickleError:
    return UnsafePickleError(
        f"the pickle would {what} (at byte {at - 1}), which Python's pickler does not write; do not use this file"
    )
