"""The digests of identities and contents, compiled to machine code by Numba.

BLAKE2b as in RFC 7693, without a key, over messages that are put together from the columns of many events.
`consumer.learning.identities.digests` says what they are made of, and a test holds the two together.

Importing this module compiles, or loads what an earlier process has compiled.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from consumer.learning.columns import (
    CORRECTS,
    COST,
    IS_PLAIN,
    KIND,
    LEVEL,
    LINE_ID,
    OCCURRED_US,
    QUANTITY,
    SKU,
    STORE_ID,
    TRANSACTION_ID,
)
from consumer.learning.compiling import compiled_now

IDENTITY_BYTES: Final = 16
CONTENT_BYTES: Final = 8

_SEPARATOR: Final = np.uint64(0x1F)
_NULL: Final = np.uint64(0x1E)
_BLOCK: Final = 128
_WORDS: Final = 16
_WORD: Final = 8
_STATE: Final = 8
_ROUNDS: Final = 12
_FIXED_BYTES: Final = 1 + 1 + 1 + 1 + 32 + 1 + 1
"""Of a longest message: three separators, a null, four numbers, a null, a separator."""

_IV: Final = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_SIGMA: Final = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.uint64,
)
"""In which order each round takes the words of a block."""

_R1: Final = np.uint64(1)
_R8: Final = np.uint64(8)
_R16: Final = np.uint64(16)
_R24: Final = np.uint64(24)
_R32: Final = np.uint64(32)
_R40: Final = np.uint64(40)
_R48: Final = np.uint64(48)
_R56: Final = np.uint64(56)
_R63: Final = np.uint64(63)
_ALL: Final = np.uint64(2**64 - 1)
_PARAMETERS: Final = np.uint64(0x01010000)
"""Sequential, without a key; the digest's size is added."""


@compiled_now("UniTuple(uint64, 4)(uint64, uint64, uint64, uint64, uint64, uint64)", allocates=False)
def _mixed(a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> Any:  # noqa: ANN401, PLR0913, PLR0917 -- 64-bit words
    """Mix two words of the block into four of the state."""
    a = a + b + x
    d ^= a
    d = d >> _R32 | d << _R32
    c += d
    b ^= c
    b = b >> _R24 | b << _R40
    a = a + b + y
    d ^= a
    d = d >> _R16 | d << _R48
    c += d
    b ^= c
    b = b >> _R63 | b << _R1
    return a, b, c, d


@compiled_now("void(uint64[::1], uint64[::1], int64, int64, boolean)", allocates=False)
def _compress(state: Any, words: Any, at: int, length: int, is_last: bool) -> None:  # noqa: ANN401 -- arrays
    """Take one block into a state.

    Args:
        state: (8), changed.
        words: of messages.
        at: the block's first word.
        length: how many bytes of the message there are up to the block's end.
        is_last: whether the message ends with it.
    """
    m = words[at : at + _WORDS]
    v0, v1, v2, v3 = state[0], state[1], state[2], state[3]
    v4, v5, v6, v7 = state[4], state[5], state[6], state[7]
    v8, v9, v10, v11 = _IV[0], _IV[1], _IV[2], _IV[3]
    v12, v13, v14, v15 = _IV[4] ^ np.uint64(length), _IV[5], _IV[6], _IV[7]
    if is_last:
        v14 = ~v14
    for turn in range(_ROUNDS):
        s = _SIGMA[turn]
        v0, v4, v8, v12 = _mixed(v0, v4, v8, v12, m[s[0]], m[s[1]])
        v1, v5, v9, v13 = _mixed(v1, v5, v9, v13, m[s[2]], m[s[3]])
        v2, v6, v10, v14 = _mixed(v2, v6, v10, v14, m[s[4]], m[s[5]])
        v3, v7, v11, v15 = _mixed(v3, v7, v11, v15, m[s[6]], m[s[7]])
        v0, v5, v10, v15 = _mixed(v0, v5, v10, v15, m[s[8]], m[s[9]])
        v1, v6, v11, v12 = _mixed(v1, v6, v11, v12, m[s[10]], m[s[11]])
        v2, v7, v8, v13 = _mixed(v2, v7, v8, v13, m[s[12]], m[s[13]])
        v3, v4, v9, v14 = _mixed(v3, v4, v9, v14, m[s[14]], m[s[15]])
    state[0] ^= v0 ^ v8
    state[1] ^= v1 ^ v9
    state[2] ^= v2 ^ v10
    state[3] ^= v3 ^ v11
    state[4] ^= v4 ^ v12
    state[5] ^= v5 ^ v13
    state[6] ^= v6 ^ v14
    state[7] ^= v7 ^ v15


@compiled_now("void(uint64[::1], int64)", allocates=False)
def _begin(state: Any, digest_bytes: int) -> None:  # noqa: ANN401 -- an array
    for i in range(_STATE):
        state[i] = _IV[i]
    state[0] ^= _PARAMETERS ^ np.uint64(digest_bytes)


@compiled_now("int64(uint64[::1], uint64[::1], int64, int64)", allocates=False)
def _compress_before_last(state: Any, words: Any, block: int, length: int) -> int:  # noqa: ANN401 -- arrays
    """Take the blocks from `block` on but the last one of a message of that length; return which that is."""
    last = max(length - 1, 0) // _BLOCK
    for i in range(block, last):
        _compress(state, words, i * _WORDS, (i + 1) * _BLOCK, False)
    return last


@compiled_now("void(uint64[::1], int64)", allocates=False)
def _pad(words: Any, end: int) -> None:  # noqa: ANN401 -- an array
    """Fill the last block of a message that ends there with zeros; the word that it ends in has them already."""
    for i in range(end // _WORD + 1, (end + _BLOCK - 1) // _BLOCK * _WORDS):
        words[i] = 0


@compiled_now("int64(uint64[::1], int64, uint64, int64)", allocates=False)
def _append_word(words: Any, end: int, word: Any, length: int) -> int:  # noqa: ANN401 -- an array; a 64-bit word
    """Append a word's lowest bytes, so many, to a message; all others are 0. Return where it ends then.

    Of the word in which a message ends the rest is 0, and so it is afterwards: nothing of an earlier message shows.
    """
    at, bits = end // _WORD, np.uint64(end % _WORD * 8)
    words[at] |= word << bits
    words[at + 1] = word >> _R1 >> (_R63 - bits)  # by 64 in two steps: a shift of that size would have no meaning
    return end + length


@compiled_now("uint64(uint8[::1], int64)", allocates=False)
def _word_at(text: Any, at: int) -> Any:  # noqa: ANN401 -- an array; a 64-bit word
    """Return eight bytes as a word: written so that it becomes one load."""
    return (
        np.uint64(text[np.uint64(at)])
        | np.uint64(text[np.uint64(at + 1)]) << _R8
        | np.uint64(text[np.uint64(at + 2)]) << _R16
        | np.uint64(text[np.uint64(at + 3)]) << _R24
        | np.uint64(text[np.uint64(at + 4)]) << _R32
        | np.uint64(text[np.uint64(at + 5)]) << _R40
        | np.uint64(text[np.uint64(at + 6)]) << _R48
        | np.uint64(text[np.uint64(at + 7)]) << _R56
    )


@compiled_now("int64(uint64[::1], int64, uint8[::1], int64, int64)", allocates=False)
def _append(words: Any, end: int, text: Any, start: int, length: int) -> int:  # noqa: ANN401 -- arrays
    """Append a text, or the mark for null where its length is below 0, to a message; return where it ends then."""
    if length < 0:  # and then nothing is said of the start
        return _append_word(words, end, _NULL, 1)  # type: ignore[no-any-return]
    stop = start + length
    while start + _WORD <= stop:
        end = _append_word(words, end, _word_at(text, start), _WORD)
        start += _WORD
    rest = stop - start
    if rest > 0:
        # Eight bytes that end with the text's or, where there are not as many before, begin with them.
        if stop >= _WORD:
            word = _word_at(text, stop - _WORD) >> np.uint64(8 * (_WORD - rest))
        else:
            word = _word_at(text, start) & ~(_ALL << np.uint64(8 * rest))
        end = _append_word(words, end, word, rest)
    return end


@compiled_now("void(uint8[::1], int64[:, ::1], int64[:, ::1], uint8[:, ::1], int64[::1], uint8[:, ::1])")
def digest_events(  # noqa: PLR0913, PLR0917 -- what is called, crosses over into machine code, once
    text: Any,  # noqa: ANN401 -- arrays
    spans: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    kinds: Any,  # noqa: ANN401
    kind_lengths: Any,  # noqa: ANN401
    digests: Any,  # noqa: ANN401
) -> None:
    """Return of each plain event the digests of identity and content, see `consumer.learning.identities.digests`.

    The identity's message is the beginning of the content's, so what is hashed of it but the last block serves both.

    Args:
        text: all values joined; eight bytes or more, where there is a plain event in it.
        spans: see `consumer.learning.columns`.
        numbers: see there.
        kinds: (kinds, bytes): the name of each, as `byte_table` gives the sorted known types; 8 bytes wide or more.
        kind_lengths: (kinds), their lengths.
        digests: (n, 24), filled where the event is plain: 16 bytes of identity, 8 of content.
    """
    longest = 0
    for row in range(len(numbers)):
        if numbers[row, IS_PLAIN]:
            length = kind_lengths[numbers[row, KIND]]
            for column in (TRANSACTION_ID, STORE_ID, SKU, LINE_ID, CORRECTS):
                length += max(spans[row, column + 1], 0)
            longest = max(longest, length)
    words = np.empty(((longest + _FIXED_BYTES) // _BLOCK + 1) * _WORDS + 1, np.uint64)
    identity, content = np.empty(_STATE, np.uint64), np.empty(_STATE, np.uint64)
    names = kinds.ravel()
    found = digests.view(np.uint64)

    for row in range(len(numbers)):
        if not numbers[row, IS_PLAIN]:
            continue
        words[0] = 0
        end = _append(words, 0, text, spans[row, TRANSACTION_ID], spans[row, TRANSACTION_ID + 1])
        end = _append_word(words, end, _SEPARATOR, 1)
        end = _append(words, end, text, spans[row, STORE_ID], spans[row, STORE_ID + 1])
        end = _append_word(words, end, _SEPARATOR, 1)
        end = _append(words, end, text, spans[row, SKU], spans[row, SKU + 1])
        end = _append_word(words, end, _SEPARATOR, 1)
        end = _append(words, end, text, spans[row, LINE_ID], spans[row, LINE_ID + 1])
        _pad(words, end)
        _begin(content, IDENTITY_BYTES)
        block = _compress_before_last(content, words, 0, end)
        for i in range(_STATE):
            identity[i] = content[i]
        _compress(identity, words, block * _WORDS, end, True)

        end = _append_word(words, end, np.uint64(numbers[row, QUANTITY]), _WORD)
        end = _append_word(words, end, np.uint64(numbers[row, COST]), _WORD)
        end = _append_word(words, end, np.uint64(numbers[row, OCCURRED_US]), _WORD)
        end = _append_word(words, end, np.uint64(numbers[row, LEVEL]), _WORD)
        end = _append(words, end, text, spans[row, CORRECTS], spans[row, CORRECTS + 1])
        end = _append_word(words, end, _SEPARATOR, 1)
        kind = numbers[row, KIND]
        end = _append(words, end, names, kind * kinds.shape[1], kind_lengths[kind])
        _pad(words, end)
        block = _compress_before_last(content, words, block, end)
        _compress(content, words, block * _WORDS, end, True)

        found[row, 0], found[row, 1], found[row, 2] = identity[0], identity[1], content[0]
