"""A checkpoint in chunks: their keys, and what an index makes of a partition that was walked through."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.checkpoint.store import MAX_PLACE_CHARACTERS, CheckpointName
from consumer.kafka.chunk_index import ChunkIndex
from consumer.kafka.chunks import CHUNK_BYTES, ChunkKey, Place, Write, decode_key, decode_place, split

NAME: Final = CheckpointName("group", "topic", 3, 42, "ab" * 32)
KEY: Final = f"1/group/topic/3/{42:020d}-{'ab' * 32}/0123456789abcdef/2/1"
CONTENT: Final = bytes(3 * CHUNK_BYTES)

TEXTS: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NAMES: Final = st.builds(
    CheckpointName,
    TEXTS,
    TEXTS,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=8, max_size=32).map(bytes.hex),
)
KEYS: Final = st.builds(
    lambda name, content, total, number: ChunkKey(Write(name, content.hex(), total), number % total),
    NAMES,
    st.binary(min_size=8, max_size=8),
    st.integers(1, 999_999),
    st.integers(0, 999_999),
)


@given(KEYS)
def test_a_key_says_which_chunk_it_is(key: ChunkKey) -> None:
    """Nothing of it is lost, so no two chunks share a key; whatever the group is called."""
    assert decode_key(key.encode()) == key


def test_the_documented_key() -> None:
    """The layout is in topics, and stays."""
    (key, _), *_ = split(replace(NAME, group="a/b", place="1+1"), b"state")
    assert key.encode().startswith(f"1/a%2Fb/topic/3/{42:020d}-{'ab' * 32}/".encode())
    assert key.encode().endswith(b"/1/0")


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"\xff",
        KEY.replace("1/", "2/", 1).encode(),
        KEY.replace("/2/1", "/2/2").encode(),
        KEY.replace("/2/1", "/0/0").encode(),
        KEY.replace("/2/1", "/2/01").encode(),
        KEY.replace("/topic/3/", "/topic/03/").encode(),
        KEY.replace("group", "%67roup").encode(),
        KEY.replace("group", "gr%oup").encode(),
        KEY.replace("group", "%FF").encode(),
        KEY.replace("abab", "ABAB").encode(),
        KEY.encode() + b"\n",
        f"{KEY}/0".encode(),
    ],
)
def test_what_is_no_key_is_none(key: bytes | None) -> None:
    """What others write into the topic, and a second spelling of a key, is passed over."""
    assert decode_key(KEY.encode()) is not None
    assert decode_key(key) is None


@given(st.integers(0, 2**62), st.integers(1, 10**8))
def test_a_place_reads_back(first: int, count: int) -> None:
    """It fits into a reference, whatever the offsets."""
    place = Place(first, first + count)
    assert decode_place(place.encode()) == place
    assert len(place.encode()) <= MAX_PLACE_CHARACTERS


@pytest.mark.parametrize(
    "text", [None, "", "1", "+", "1+", "+1", "-1+1", "1+1+1", "a+b", "1 + 1", "9" * 20 + "+1", "1+1\n"]
)
def test_what_is_no_place_is_none(text: str | None) -> None:
    """Another store's hint says nothing here."""
    assert decode_place(text) is None


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_chunks_are_bounded_and_make_up_the_whole(size: int) -> None:
    """Each at most `CHUNK_BYTES`, at least one, numbered from 0; the same again for the same data."""
    data = random.Random(size).randbytes(size)
    chunks = split(NAME, data)
    assert b"".join(chunk for _, chunk in chunks) == data
    assert all(len(chunk) <= CHUNK_BYTES for _, chunk in chunks)
    assert [key.number for key, _ in chunks] == list(range(len(chunks)))
    assert {key.write.total for key, _ in chunks} == {len(chunks)}
    assert split(replace(NAME, place="7+1"), data) == chunks


# The index


def walked(*records: tuple[bytes, int | None], start: int = 0) -> ChunkIndex:
    """Walk through records, pairs of key and size, written a second after each other."""
    index = ChunkIndex(3, start)
    for number, (key, size) in enumerate(records):
        index.note(start + number, key, size, number * 1_000)
    return index


def written(data: bytes = CONTENT, name: CheckpointName = NAME) -> list[tuple[bytes, int | None]]:
    """Return the records of one write."""
    return [(key.encode(), len(chunk)) for key, chunk in split(name, data)]


def test_whole_only_with_every_chunk() -> None:
    """In whatever order they lie; half of one is none."""
    records = written()
    for order in ([0, 1, 2], [2, 0, 1]):
        index = walked(*(records[number] for number in order), start=10)
        whole = index.whole(NAME)
        assert whole is not None
        assert whole.name.place == "10+3"
        assert [chunk.offset for chunk in whole.chunks] == [10 + order.index(number) for number in range(3)]
        assert index.next == 13
    for missing in range(3):
        assert walked(*(each for number, each in enumerate(records) if number != missing)).wholes() == []


def test_two_writes_are_never_mixed() -> None:
    """A checkpoint that is being signed anew is the former one until the last chunk of the new one is there."""
    old, new = written(), written(CONTENT[:-1] + b"\1")
    assert walked(*old, *new[:2]).whole(NAME) == walked(*old).whole(NAME)
    assert [chunk.offset for chunk in walked(*old, *new).wholes()[0].chunks] == [3, 4, 5]
    assert [chunk.offset for chunk in walked(*old, *new, *old).wholes()[0].chunks] == [6, 7, 8]
    assert walked(*old[:2], *new[2:]).wholes() == []


def test_a_tombstone_is_the_last_word_until_it_is_written_again() -> None:
    """One takes the whole away; all of it again brings it back; one of nothing is none."""
    records = written()
    gone = [(key, None) for key, _ in records]
    assert walked(*records, gone[1]).wholes() == []
    assert walked(*records, gone[1], records[1]).whole(NAME) is not None
    assert walked(*gone, *records).whole(NAME) is not None
    assert walked(*records, *gone).keys(NAME) == []


def test_only_the_partition_s_own_counts() -> None:
    """A key of another partition, and what is no key, only takes an offset."""
    index = walked(*written(name=replace(NAME, partition=4)), (b"other", 5), (b"1/", None))
    assert index.wholes() == []
    assert index.next == 5
    index.pass_to(9)
    index.pass_to(3)
    assert index.next == 9


def test_what_never_became_whole_is_abandoned_after_a_while() -> None:
    """By its newest chunk, and only of the group and topic in question; what is whole never is."""
    other = replace(NAME, offset=43)
    index = walked(*written(), *written(name=other)[:2])
    assert index.abandoned("group", "topic", 4_000) == []
    assert index.abandoned("group", "topic", 4_001) == index.keys(other) == [key for key, _ in written(name=other)[:2]]
    assert index.abandoned("another", "topic", 10**9) == []
    assert index.abandoned("group", "another", 10**9) == []
