"""Digests in machine code: those of `identities.digests`, and hashlib's."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.mixture import mixed
from benchmarks.odd_kinds import ODD_KINDS
from consumer.learning import columns, hashing
from consumer.learning.identities import digests
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import KNOWN_TYPES, Limits, decode
from tests.columns import parsed
from tests.unit.test_batch import mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS: Final = Limits()
NOW_MS: Final = 1_736_150_400_000
KINDS: Final = columns.byte_table([kind.encode() for kind in sorted(KNOWN_TYPES)])
ENTRY_BYTES: Final = hashing.IDENTITY_BYTES + hashing.CONTENT_BYTES
SHORT: Final = [17, 4, 4, -1, -1]


def agree(values: Sequence[bytes | None], timestamps_ms: Sequence[int]) -> int:
    """Compare the digests of all that is plain; return how many that are. Other rows stay as they were."""
    found = parsed(values, timestamps_ms, LIMITS)
    entries = np.full((len(values), ENTRY_BYTES), 7, np.uint8)
    hashing.digest_events(found.text, found.spans, found.numbers, *KINDS, entries)
    rows = found.plain_rows()
    for row in range(len(values)):
        wanted = bytes([7] * ENTRY_BYTES)
        if row in rows:
            wanted = b"".join(digests(decode(values[row], timestamps_ms[row], LIMITS)))
        assert entries[row].tobytes() == wanted
    return len(rows)


def event(lengths: Sequence[int], letter: str, change: dict[str, object]) -> bytes:
    """An event whose five ids take so many bytes; -1 for none."""
    names = ("transaction_id", "store_id", "sku", "line_id", "corrects")
    width = len(letter.encode())
    ids = {
        name: None if length < 0 else letter * (length // width) + "x" * (length % width)
        for name, length in zip(names, lengths, strict=True)
    }
    fields = ids | {"quantity": -2, "occurred_at": "2025-01-06T07:00:00Z"} | change
    return json.dumps(fields, ensure_ascii=False).encode()


@numba.njit(error_model="numpy")  # not kept on disk, where it would outlive a change of what it calls
def blake2b(message: Any, digest_bytes: int, digest: Any) -> None:
    """Hash one message, as `hashlib.blake2b` does.

    Args:
        message: the bytes.
        digest_bytes: 1..64, the digest's size.
        digest: (64), filled; its first bytes are the digest.
    """
    length = len(message)
    words = np.zeros((length // hashing._BLOCK + 1) * hashing._WORDS, np.uint64)
    held = words.view(np.uint8)
    for i in range(length):  # to assign a slice takes seconds more to compile
        held[i] = message[i]
    state = digest.view(np.uint64)
    hashing._begin(state, digest_bytes)
    last = hashing._compress_before_last(state, words, 0, length)
    hashing._compress(state, words, last * hashing._WORDS, length, True)


@pytest.mark.parametrize("size", [1, 16, 64])
def test_blake2b_is_hashlib_s(size: int) -> None:
    """Of every length to beyond three blocks, and every size of digest that matters."""
    random = np.random.default_rng(size)
    for length in range(401):
        message = random.integers(0, 256, length, np.uint8)
        digest = np.empty(64, np.uint8)
        blake2b(message, size, digest)
        assert digest[:size].tobytes() == hashlib.blake2b(message.tobytes(), digest_size=size).digest()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_digests_of_mutants(seed: int) -> None:
    """Whatever is taken, among all that is not."""
    records = mutants(seed, 40)
    agree([record.value for record in records], [record.timestamp_ms for record in records])


def test_digests_of_a_shop() -> None:
    """And of the odd kinds of events between its own."""
    sent = list(mixed(ODD_KINDS, good=700, rounds=1, seed=3))
    assert agree([each.value for each in sent], [each.timestamp_ms for each in sent]) > 700
    shop = list(synthetic_events(seed=5, limit=2_000))
    assert agree([each.value for each in shop], [each.timestamp_ms for each in shop]) == 2_000


lengths: Final = st.tuples(
    st.integers(1, 128), st.integers(1, 64), st.integers(1, 64), st.integers(-1, 300), st.integers(-1, 300)
).map(lambda drawn: [length or -1 for length in drawn])
changes: Final = st.fixed_dictionaries(
    {"quantity": st.just(0)},
    optional={
        "transaction_type": st.sampled_from(["adjustment", "count", "void", None]),
        "unit_cost": st.integers(0, 10**8).map(lambda number: number / 1_000),
        "new_stock_level": st.integers(-(10**12), 10**12).map(lambda number: number / 10_000),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(lengths, st.sampled_from("xéЖ"), changes), min_size=1, max_size=12))
@example([([128, 64, 64, 3_500, -1], "x", {}), (SHORT, "x", {}), ([128, 64, 64, -1, 3_500], "é", {})])
@example([([9, 1, 1, 113, -1], "x", {}), (SHORT, "x", {})])
def test_digests_of_any_lengths(drawn: list[tuple[list[int], str, dict[str, object]]]) -> None:
    """Of messages of any number of blocks: nothing of a longer one shows in a shorter one that follows."""
    values = [event(*each) for each in drawn]
    taken = agree(values, [NOW_MS] * len(values))
    assert taken >= sum("transaction_type" not in each[2] for each in drawn)


def test_digests_at_the_ends_of_blocks() -> None:
    """Where identity or content end with a block, or a byte before or after it; in one batch, and each alone."""
    values = [event([9, 1, 1, length, -1], "x", {}) for length in range(1, 280)]
    assert agree(values, [NOW_MS] * len(values)) == len(values)
    for value in values:
        assert agree([value], [NOW_MS]) == 1


@pytest.mark.parametrize("kind", [*sorted(KNOWN_TYPES), None])
def test_digests_of_each_type(kind: str | None) -> None:
    """The effective one's name comes last."""
    change: dict[str, object] = {"transaction_type": kind, "quantity": 0, "new_stock_level": 4}
    assert agree([event(SHORT, "x", change)], [NOW_MS]) == 1
    assert agree([event(SHORT, "x", {"transaction_type": None, "quantity": sign}) for sign in (-1, 1)], [NOW_MS] * 2)


def test_there_may_be_nothing_to_digest() -> None:
    """No record at all, or none that is plain."""
    assert agree([], []) == 0
    assert agree([None, b"{", b""], [NOW_MS] * 3) == 0


@pytest.mark.parametrize("size", [8, 9, 20])
def test_a_text_is_appended_from_anywhere(size: int) -> None:
    """At either end of an array, too, where the eight bytes that are read at once lie on the other side."""
    text = np.arange(1, size + 1, dtype=np.uint8)
    for start in range(size + 1):
        for length in range(size - start + 1):
            words = np.full(8, 2**64 - 1, np.uint64)
            words[0] = 0xABCDEF  # a message of three bytes
            end = hashing._append(words, 3, text, start, length)
            assert end == 3 + length
            message = b"\xef\xcd\xab" + text[start : start + length].tobytes()
            assert words.view(np.uint8)[: end // 8 * 8 + 8].tobytes() == message.ljust(end // 8 * 8 + 8, b"\0")
