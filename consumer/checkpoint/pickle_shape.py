"""Pickles that differ in nothing but numbers: what one of them does, all of them do.

A checkpoint may hold a hundred thousand models of one class, each pickled by itself. To walk through one pickle
(`consumer.checkpoint.pickle_program`) takes as long as to make the model several times over. But that walk never looks
at a floating-point number, nor at an integer of one or two bytes: it would come to the same end for every pickle that
has the same bytes everywhere else. Which these are is found by one walk more, and compared as one long integer.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_PREFIX_BYTES: Final = 2
_STOP: Final = 0x2E
# A float, and an integer of one or two bytes: the bytes that follow the opcode.
_NUMBERS: Final = {0x47: 8, 0x4B: 1, 0x4D: 2}
# Frame, BININT, BINGET, LONG_BINGET: likewise.
_FIXED: Final = {0x95: 8, 0x4A: 4, 0x68: 1, 0x6A: 4}
# Texts, bytes and long integers: the width of the length that follows the opcode, before so many bytes.
_LENGTHS: Final = {0x8C: 1, 0x58: 4, 0x8D: 8, 0x8A: 1, 0x8B: 4, 0x43: 1, 0x42: 4, 0x8E: 8, 0x96: 8}

_MOST_BYTES: Final = 2**21
"""Of all pickles whose shapes are kept: a thousand of `linear`. What they take is twice that."""
_MOST_OF_A_SIZE: Final = 8


class _Shape(NamedTuple):
    """All bytes of a pickle but its numbers.

    Attributes:
        mask: 1 for each bit that counts, the first byte lowest.
        bits: those of the pickle.
    """

    mask: int
    bits: int


class Shapes:
    """The shapes of pickles that have been found good; as many as are worth keeping."""

    def __init__(self) -> None:
        self._by_size: dict[int, list[_Shape]] = {}
        self._left = _MOST_BYTES

    def __contains__(self, data: bytes) -> bool:
        shapes = self._by_size.get(len(data))
        if shapes is None:
            return False
        bits = int.from_bytes(data, "little")
        return any(bits & shape.mask == shape.bits for shape in shapes)

    def add(self, data: bytes) -> None:
        """Note that a pickle was walked through and is good, unless there are too many shapes to tell them quickly."""
        shapes = self._by_size.get(len(data), [])
        if len(data) > self._left or len(shapes) == _MOST_OF_A_SIZE:
            return
        mask = _mask(data)
        self._by_size[len(data)] = [*shapes, _Shape(mask, int.from_bytes(data, "little") & mask)]
        self._left -= len(data)


def _mask(data: bytes) -> int:
    """Return the bits of a good pickle that are no number's."""
    mask = bytearray(b"\xff" * len(data))
    at = _PREFIX_BYTES
    while (opcode := data[at]) != _STOP:
        at += 1
        if opcode in _NUMBERS:
            end = at + _NUMBERS[opcode]
            mask[at:end] = bytes(end - at)
            at = end
        elif opcode in _LENGTHS:
            width = _LENGTHS[opcode]
            at += width + int.from_bytes(data[at : at + width], "little")
        else:
            at += _FIXED.get(opcode, 0)
    return int.from_bytes(mask, "little")
