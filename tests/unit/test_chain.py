"""The chained digest: equal exactly where all links are, however often it was asked, saved and restored."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.chain import OutcomeChain

if TYPE_CHECKING:
    from collections.abc import Iterable

AROUND = (0, 1, 1023, 1024, 1025, 2047, 2048, 2049)
"""Numbers of links around the boundaries of the blocks."""


def links(count: int) -> list[bytes]:
    """So many links, all different."""
    return [b"link %d" % number for number in range(count)]


def chained(some: Iterable[bytes], chain: OutcomeChain | None = None) -> OutcomeChain:
    """A chain over these links."""
    chain = OutcomeChain() if chain is None else chain
    for link in some:
        chain.add(link)
    return chain


def restored(chain: OutcomeChain) -> OutcomeChain:
    """A new chain with the state of another."""
    other = OutcomeChain()
    other.restore(chain.snapshot())
    return other


def test_the_digest_is_fixed() -> None:
    """Committed references hold it: BLAKE2b of 8 bytes over blocks of 1,024 links, each begun by the last digest."""
    assert OutcomeChain().digest() == bytes(8)
    block = blake2b(bytes(8) + b"".join(links(1024)), digest_size=8).digest()
    assert chained(links(1024)).digest() == block
    assert chained(links(1025)).digest() == blake2b(block + links(1025)[-1], digest_size=8).digest()


@pytest.mark.parametrize("count", AROUND)
def test_asking_changes_nothing(count: int) -> None:
    """A worker that commits after each record, and one that commits seldom, arrive at the same digest."""
    asked = OutcomeChain()
    for link in links(count):
        asked.add(link)
        assert asked.digest() == asked.digest()
    assert asked.digest() == chained(links(count)).digest()


@pytest.mark.parametrize("count", AROUND)
def test_a_restored_chain_continues_as_the_original(count: int) -> None:
    """A checkpoint at any record, the blocks' boundaries included, leads to the same digests as none."""
    original = chained(links(count))
    copy = restored(original)
    assert copy.digest() == original.digest()
    for link in links(1_030):
        original.add(link)
        copy.add(link)
        assert copy.digest() == original.digest()
    assert copy.snapshot() == original.snapshot()


def test_a_snapshot_does_not_change_underneath() -> None:
    """The original goes on after the snapshot; the snapshot stays."""
    original = chained(links(5))
    state = original.snapshot()
    chained(links(5), original)
    late = OutcomeChain()
    late.restore(state)
    assert late.digest() == chained(links(5)).digest()
    chained([b"more"], late)
    assert state == chained(links(5)).snapshot()


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize("place", [0, 511, 1022, 1023, 1024, 2048])
def test_one_other_link_changes_the_digest(count: int, place: int) -> None:
    """One prediction that differs in its last bit, anywhere, is seen, however much came after it."""
    if place >= count:
        return
    changed = links(count)
    changed[place] = bytes([changed[place][0] ^ 1]) + changed[place][1:]
    assert chained(changed).digest() != chained(links(count)).digest()


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025])
def test_every_record_moves_the_digest(count: int) -> None:
    """A missing, repeated or swapped record is seen, too."""
    whole = chained(links(count)).digest()
    assert chained(links(count)[:-1]).digest() != whole
    assert chained([*links(count), links(count)[-1]]).digest() != whole
    swapped = links(count)
    swapped[0], swapped[-1] = swapped[-1], swapped[0]
    assert (chained(swapped).digest() == whole) is (count == 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=17), max_size=60), st.data())
def test_the_digest_depends_on_the_links_only(some: list[bytes], data: st.DataObject) -> None:
    """Wherever it was asked, saved and restored on the way, the same links give the same digest."""
    stops = data.draw(st.sets(st.integers(0, len(some))))
    chain = OutcomeChain()
    for number, link in enumerate(some):
        if number in stops:
            chain = restored(chain)
        chain.add(link)
    assert chain.digest() == chained(some).digest()


@pytest.mark.parametrize("count", AROUND)
def test_a_rebased_chain_goes_on_from_the_given_digest(count: int) -> None:
    """Across a gap nothing but the committed digest counts, and what follows moves it as ever."""
    digest = chained(links(7)).digest()
    chain = chained(links(count))
    chain.rebase(digest)
    assert chain.digest() == digest
    chain.add(links(1)[0])
    assert chain.digest() == blake2b(digest + links(1)[0], digest_size=8).digest()
