"""Checkpoints that share shards: what is put together is what was there, and no file goes that another one needs."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumer.checkpoint import lineage as lineages
from consumer.checkpoint import shards
from consumer.checkpoint.background_reads import BackgroundReads
from consumer.checkpoint.envelope import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    EnvelopeError,
    Header,
    Identity,
    Section,
    Shard,
    read_header,
    seal,
    shard_digest,
    unseal,
)
from consumer.checkpoint.joining import JoinedReads, MissingCheckpointError, Opened
from consumer.checkpoint.lineage import MAX_PARENTS, USUAL, Lineage, Sharing
from consumer.checkpoint.pruning import superseded
from consumer.checkpoint.shards import MAX_SHARDS, Piece, cut
from consumer.checkpoint.store import CheckpointName, StoreError, UnreadableError
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import Prune, Sealing, Snapshot, Written
from consumer.errors import RetryError
from consumer.learning.identities import ENTRY_BYTES
from consumer.learning.model_sections import joined
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from consumer.checkpoint.envelope import Data

IDENTITY: Final = Identity("g", "sales", "topic-id", "model", "fingerprint", "7", {"MODEL": "linear"})
SHARING: Final = Sharing(shard_bytes=64, least_bytes=0, most_read=30.0)
KEY: Final = b"a key of the shop's own"
STATE: Final = "later"
"""A section that this version knows nothing of: any bytes will do."""


class Files:
    """A store in memory, in which everything can go wrong."""

    def __init__(self) -> None:
        self.kept: dict[CheckpointName, bytes] = {}
        self.refuses = False
        self.keeps_what_it_refuses = False
        self.unreadable: set[int] = set()
        self.deleted: list[int] = []
        self.beginnings = 0
        self.reads: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def write(self, name: CheckpointName, data: Data) -> str:
        """Keep it, or say that it could not."""
        if not self.refuses or self.keeps_what_it_refuses:
            self.kept[name] = bytes(data)
        if self.refuses:
            raise StoreError("no space left")
        return f"at-{name.offset}"

    def read(self, name: CheckpointName) -> bytes | None:
        """Return it."""
        self.reads.append(name.offset)
        assert self.gate.wait(10.0)
        if name.offset in self.unreadable:
            raise UnreadableError("input/output error")
        return self.kept.get(name)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the beginning of it."""
        self.beginnings += 1
        data = self.read(name)
        return None if data is None else data[:length]

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List it."""
        return sorted(name for name in self.kept if name.is_of(group, topic, partition))

    def delete(self, name: CheckpointName) -> None:
        """Forget it."""
        self.deleted.append(name.offset)
        self.kept.pop(name, None)

    def check(self, _group: str, _topic: str) -> None:
        """Nothing is in the way."""

    def where(self) -> str:
        """Name it."""
        return "memory"


class Partition:
    """A partition's state of forty shards of which some change, and what is written of it.

    Args:
        files: where it is written to.
        key: the signing key.
    """

    def __init__(self, files: Files | None = None, key: bytes | None = None) -> None:
        self.files = files or Files()
        self.key = key
        self.lineage = Lineage()
        self.sealing = Sealing(self.files, IDENTITY, admitted=Admitted(), key=key, sharing=SHARING)
        self.state = bytearray(random.Random(1).randbytes(40 * SHARING.shard_bytes))
        self.offset = 0

    def change(self, shard: int = 0) -> None:
        """Change a shard."""
        self.state[shard * SHARING.shard_bytes] ^= 1 + self.offset % 250

    def write(self, shard: int = 0) -> Written:
        """Change a shard, and write the state as of the next offset."""
        self.offset += 10
        self.change(shard)
        return self.sealing.write(Snapshot(None, 0, self.offset, {STATE: bytes(self.state)}, lineage=self.lineage))

    def named(self, offset: int) -> CheckpointName:
        """Return the name of the only checkpoint at an offset."""
        (name,) = [name for name in self.files.kept if name.offset == offset]
        return name

    def header(self, offset: int) -> Header:
        """Return the header of the only checkpoint at an offset."""
        return read_header(self.files.kept[self.named(offset)])

    def parents(self, offset: int) -> list[int]:
        """Return the offsets of its parents."""
        return [each.offset for each in self.header(offset).parents]

    def restored(self, offset: int) -> bytes:
        """Return the state that a restore finds."""
        opened = JoinedReads(self.files, self.key).read(self.named(offset))
        assert opened is not None
        return bytes(opened.sections[STATE])

    def offsets(self) -> list[int]:
        """Return where checkpoints stand."""
        return sorted(name.offset for name in self.files.kept)


@pytest.fixture(params=[None, KEY], ids=["unsigned", "signed"])
def partition(request: pytest.FixtureRequest) -> Partition:
    """A partition of which nothing is written yet."""
    return Partition(key=request.param)


# Cutting


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "identities"]), st.binary(max_size=900) | st.lists(st.binary(max_size=200))
    ),
    st.integers(1, 300),
)
def test_pieces_are_the_sections(sections: dict[str, bytes | list[bytes]], shard_bytes: int) -> None:
    """Whatever is cut, whole or in parts, comes together again; no piece is empty or far too large."""
    pieces = cut(sections, shard_bytes)
    whole = {name: joined(section) for name, section in sections.items()}
    assert list(pieces) == list(sections)
    for name, each in pieces.items():
        assert b"".join(piece.body.tobytes() for piece in each) == whole[name]
        assert all(0 < len(piece.body) <= 2 * shard_bytes for piece in each)
        assert all(piece.digest == shard_digest(piece.body.data) for piece in each)


def test_parts_are_cut_each_alone() -> None:
    """A part that grows moves no cut of the others."""
    first, second = b"a" * 100, b"b" * 150
    before = cut({"models": [first, second]}, 64)["models"]
    after = cut({"models": [first + b"!", second]}, 64)["models"]
    assert [len(piece.body) for piece in before] == [64, 36, 64, 64, 22]
    assert [piece.digest for piece in before[2:]] == [piece.digest for piece in after[2:]]


def test_a_window_that_slides_keeps_its_cuts() -> None:
    """All but its ends is found again, though every entry has moved; no multiple of anything would do that."""
    entries = random.Random(5).randbytes(60_000 * ENTRY_BYTES)
    width = 50_000 * ENTRY_BYTES
    before = {piece.digest for piece in cut({"identities": entries[:width]}, 100_000)["identities"]}
    slid = entries[1_234 * ENTRY_BYTES :][:width]
    after = cut({"identities": slid}, 100_000)["identities"]
    assert sum(piece.digest not in before for piece in after) <= 3
    assert 6 <= len(after) <= 24
    assert after[3].digest in before
    assert all(len(piece.body) % ENTRY_BYTES == 0 for piece in after)
    fixed = {piece.digest for piece in cut({"other": entries[:width]}, 100_000)["other"]}
    assert fixed.isdisjoint(piece.digest for piece in cut({"other": slid}, 100_000)["other"])


@pytest.mark.parametrize("every", [b"\x00" * ENTRY_BYTES, b"\xff" * ENTRY_BYTES])
def test_a_window_that_was_chosen_badly_is_cut_all_the_same(every: bytes) -> None:
    """Whoever chooses identities so that none or each of them is a cut makes no shard too small or too large."""
    pieces = cut({"identities": every * 10_000}, 12_000)["identities"]
    assert all(5_900 <= len(piece.body) <= 24_000 for piece in pieces[:-1])


def test_a_large_state_is_cut_into_larger_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header names each shard and is bounded: so is their number, in one piece or in parts."""
    monkeypatch.setattr(shards, "MAX_SHARDS", 64)
    state = random.Random(2).randbytes(20_000)
    parts = [state[start : start + 10] for start in range(0, len(state), 10)]
    for content in (state, parts):
        assert sum(map(len, cut({"a": content}, 64).values())) <= 64
        assert b"".join(piece.body.tobytes() for piece in cut({"a": content}, 64)["a"]) == state
    assert MAX_SHARDS * 2 * 60 < MAX_HEADER_BYTES


# Sharing


def test_what_did_not_change_is_not_written_again(partition: Partition) -> None:
    """The second checkpoint holds the one shard that changed, and leads to the whole state."""
    first = partition.write()
    second = partition.write(7)
    assert (first.parents, second.parents) == (0, 1)
    assert first.size > second.state_bytes == len(partition.state)
    assert sum(shard.length for shard in partition.header(20).own_shards()) == SHARING.shard_bytes
    assert partition.restored(20) == bytes(partition.state)
    assert second.size == len(partition.files.kept[partition.named(20)])


def test_no_file_needs_its_parents_parents(partition: Partition) -> None:
    """Each shard is named with the file that really holds it."""
    partition.write(0)
    partition.write(1)
    partition.write(2)
    assert partition.parents(30) == [10, 20]
    partition.write(1)
    assert partition.parents(40) == [10, 30]
    del partition.files.kept[partition.named(20)]
    assert partition.restored(40) == bytes(partition.state)
    with pytest.raises(MissingCheckpointError, match="at offset 30 shares with the one at offset 20"):
        partition.restored(30)


def test_parents_carry_their_places(partition: Partition) -> None:
    """A store that would have to search finds them sooner."""
    partition.write()
    partition.write()
    (parent,) = partition.header(20).parent_names()
    assert (parent, parent.place) == (partition.named(10), "at-10")


def test_chains_end(partition: Partition) -> None:
    """A whole checkpoint comes again and again, so that none depends for ever on a file that may have been damaged."""
    numbers = [partition.write(number % 40).parents for number in range(3 * (MAX_PARENTS + 1))]
    assert numbers == 3 * list(range(MAX_PARENTS + 1))
    assert partition.restored(partition.offset) == bytes(partition.state)


def test_a_chain_of_few_parents_ends_too(partition: Partition) -> None:
    """Where the same shard changes each time, the first file is all that is shared, and would be for ever."""
    numbers = [partition.write(0).parents for _ in range(2 * (MAX_PARENTS + 1))]
    assert numbers == 2 * [0, *[1] * MAX_PARENTS]


@pytest.mark.parametrize(
    ("sharing", "is_shared"),
    [
        (SHARING, True),
        (SHARING._replace(least_bytes=40 * 64 + 1), False),
        (SHARING._replace(least_saved=0.98), False),
        (SHARING._replace(most_read=1.0), False),
    ],
)
def test_sharing_that_does_not_pay_is_left(sharing: Sharing, is_shared: bool) -> None:
    """A small state, a state that has mostly changed, and one of which a restore would read far too much, are whole."""
    partition = Partition()
    partition.sealing = Sealing(partition.files, IDENTITY, admitted=Admitted(), sharing=sharing)
    partition.write()
    assert bool(partition.write().parents) is is_shared


def test_a_state_of_the_usual_size_is_whole() -> None:
    """Below 1 MiB nothing is shared."""
    partition = Partition()
    partition.sealing = Sealing(partition.files, IDENTITY, admitted=Admitted())
    assert [partition.write().parents for _ in range(3)] == [0, 0, 0]
    assert USUAL.least_bytes == 2**20


def test_equal_shards_are_held_as_often_as_they_are_needed(partition: Partition) -> None:
    """A reader takes no shard out of a file more often than it is in there: no small file becomes a large state."""
    partition.state = bytearray(random.Random(3).randbytes(20 * 64) + b"x" * (10 * 64))
    partition.write()
    partition.state[-20 * 64 : -15 * 64] = b"x" * (5 * 64)
    partition.write()
    assert partition.parents(20) == [10]
    own = [shard.digest for shard in partition.header(20).own_shards()]
    assert own.count(shard_digest(b"x" * 64)) == 15
    assert partition.restored(20) == bytes(partition.state)
    partition.write(1)
    assert partition.restored(30) == bytes(partition.state)
    assert len(partition.header(30).own_shards()) == 1


@pytest.mark.parametrize("is_kept", [False, True])
def test_nothing_is_shared_with_a_file_whose_write_failed(partition: Partition, is_kept: bool) -> None:
    """Whether it is there all the same or not: that it is durable, nobody has said."""
    partition.write(0)
    partition.files.refuses, partition.files.keeps_what_it_refuses = True, is_kept
    assert partition.write(1).name is None
    partition.files.refuses = False
    partition.write(2)
    assert partition.parents(30) == [10]
    assert partition.restored(30) == bytes(partition.state)


def test_nothing_is_shared_with_a_file_that_is_gone(partition: Partition) -> None:
    """An operator may have deleted it; what he deleted comes again with the next checkpoint."""
    partition.write()
    del partition.files.kept[partition.named(10)]
    assert partition.write().parents == 0
    assert partition.write().parents == 1
    assert partition.restored(30) == bytes(partition.state)


def test_another_assignment_shares_nothing(partition: Partition) -> None:
    """Who had the partition in between may have pruned what this process wrote before."""
    partition.write()
    partition.lineage = Lineage()
    assert partition.write().parents == 0


def test_a_snapshot_without_a_lineage_is_whole(partition: Partition) -> None:
    """Whoever writes one by hand need not know about chains."""
    for offset in (10, 20):
        written = partition.sealing.write(Snapshot(None, 0, offset, {STATE: bytes(partition.state)}))
        assert (written.parents, written.error) == (0, "")


def test_what_is_put_together_is_checked_before_it_is_written(partition: Partition) -> None:
    """A restore's check runs on the joined state, shared shards and all."""
    state = {"invalid": b"\x90", STATE: bytes(partition.state)}
    assert partition.sealing.write(Snapshot(None, 0, 10, state, lineage=partition.lineage)).error == ""
    refused = partition.sealing.write(Snapshot(None, 0, 20, {**state, "invalid": b"\xc1"}, lineage=partition.lineage))
    assert "section 'invalid' is not of its type" in refused.error
    assert partition.offsets() == [10]


@given(st.lists(st.tuples(st.integers(0, 39), st.sampled_from(["write", "write", "fail", "lose", "prune", "lost"]))))
def test_every_checkpoint_that_counts_leads_to_its_state(steps: list[tuple[int, str]]) -> None:
    """Whatever fails, is pruned or lost in between: the two newest that were written are exact, and so is the next."""
    partition, states = Partition(), dict[int, bytes]()
    for shard, step in steps:
        if step == "lost":
            partition.lineage = Lineage()
        if step == "prune" and len(states) > 1:
            partition.sealing.prune(Prune(0, sorted(states)[-2], None))
        if step == "lose" and partition.files.kept:
            del partition.files.kept[sorted(partition.files.kept)[shard % len(partition.files.kept)]]
            states.clear()
        if step in {"write", "fail"}:
            partition.files.refuses = step == "fail"
            if partition.write(shard).name is not None:
                states[partition.offset] = bytes(partition.state)
        for offset in sorted(states)[-2:]:
            assert partition.restored(offset) == states[offset]


# Putting together


def test_a_missing_parent_is_named(partition: Partition) -> None:
    """Both of them: the one that is asked for, and the one that is not there."""
    partition.write()
    partition.write()
    del partition.files.kept[partition.named(10)]
    with pytest.raises(MissingCheckpointError, match=r"at offset 20 shares with the one at offset 10, .*is missing"):
        partition.restored(20)


def test_an_unreadable_parent_is_as_a_missing_one(partition: Partition) -> None:
    """As for the checkpoint itself."""
    partition.write()
    partition.write()
    partition.files.unreadable = {10}
    with pytest.raises(MissingCheckpointError, match=r"offset 10, .*cannot be read: input/output error"):
        partition.restored(20)


def test_a_damaged_parent_is_found_out(partition: Partition) -> None:
    """Any byte of it, shared or not: each file is verified alone."""
    partition.write()
    partition.write()
    whole = partition.files.kept[partition.named(10)]
    for place in range(0, len(whole), 97):
        partition.files.kept[partition.named(10)] = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        with pytest.raises(EnvelopeError, match=r"offset 10, .*which cannot be used"):
            partition.restored(20)


def test_another_file_in_a_parent_s_place_is_found_out(partition: Partition) -> None:
    """Whole and signed as it may be."""
    partition.write()
    partition.write()
    partition.write()
    partition.files.kept[partition.named(10)] = partition.files.kept[partition.named(20)]
    with pytest.raises(EnvelopeError, match="in whose place another one lies"):
        partition.restored(30)


def test_a_parent_of_another_key_is_refused() -> None:
    """A key guards the whole chain."""
    partition = Partition(key=KEY)
    partition.write()
    partition.write()
    partition.files.kept[partition.named(10)] = partition.files.kept[partition.named(10)][:-32]
    with pytest.raises(EnvelopeError, match=r"offset 10, .*another signature"):
        partition.restored(20)


def forged(partition: Partition, **changed: Any) -> CheckpointName:
    """Write a file at offset 20 whose header says of a parent at 10 what it likes, under a right digest."""
    header = msgspec.structs.replace(partition.header(20), **changed, digest="")
    _, data = seal(IDENTITY, 0, 20, {})
    digest = _digest(header)
    encoded = msgspec.json.encode(msgspec.structs.replace(header, digest=digest))
    own = unseal(partition.files.kept[partition.named(20)]).payload
    prefix = data[: PREFIX_BYTES - 4].tobytes() + len(encoded).to_bytes(4, "big")
    name = replace(partition.named(20), digest=digest)
    partition.files.kept[name] = prefix + encoded + bytes(own)
    return name


def _digest(header: Header) -> str:
    return blake2b(msgspec.json.encode(header), digest_size=32).hexdigest()


def lying(partition: Partition, lie: str) -> list[Section]:
    """Return sections that ask of the parent what it does not have."""
    (section,) = partition.header(20).sections
    own, shared = section.shards[0], section.shards[1]
    lies = {
        "a shard too many times": [own, *[shared] * 60],
        "a shard that it has not": [own, Shard("ab" * 16, 64, 1)],
        "another length": [own, Shard(shared.digest, 63, 1)],
        "far too much": [own, Shard(shared.digest, 2**62, 1)],
        "more than there is memory": [own, Shard(shared.digest, 2**40 - 64, 1)],
        "what is in the child": [own, Shard(own.digest, 64, 1)],
    }
    made = lies[lie]
    return [Section(section.name, sum(shard.length for shard in made), made)]


@pytest.mark.parametrize(
    "lie",
    [
        "a shard too many times",
        "a shard that it has not",
        "another length",
        "far too much",
        "more than there is memory",
        "what is in the child",
    ],
)
def test_a_header_that_lies_about_a_parent_is_refused(lie: str) -> None:
    """A parent gives what it has and no more; nothing is allocated for the rest but room that is never touched."""
    partition = Partition()
    partition.write()
    partition.write()
    name = forged(partition, sections=lying(partition, lie))
    with pytest.raises(EnvelopeError, match=r"does not hold the shard|at most|fit into memory"):
        JoinedReads(partition.files).read(name)


def test_one_parent_counts_once() -> None:
    """Named again and again it would give its shards as often."""
    partition = Partition()
    partition.write()
    partition.write()
    name = forged(partition, parents=[*partition.header(20).parents] * 2)
    with pytest.raises(EnvelopeError, match="expected different parents"):
        JoinedReads(partition.files).read(name)


def test_the_forging_is_sound() -> None:
    """With an honest header the same file is accepted."""
    partition = Partition()
    partition.write()
    partition.write()
    opened = JoinedReads(partition.files).read(forged(partition))
    assert opened is not None
    assert bytes(opened.sections[STATE]) == bytes(partition.state)


def test_each_file_is_read_once(partition: Partition) -> None:
    """A restore reads the file and its parents, and nothing again."""
    for shard in range(4):
        partition.write(shard)
    partition.restored(40)
    assert sorted(partition.files.reads) == [10, 20, 30, 40]


def test_a_slow_chain_is_read_once_however_often_it_is_asked_for(partition: Partition) -> None:
    """While one of its files is on its way, the loop asks again and again: no file is read a second time for that."""
    for shard in range(4):
        partition.write(shard)
    partition.files.gate.clear()
    reads = BackgroundReads(JoinedReads(partition.files, partition.key), patience=0.01)
    for _ in range(3):
        with pytest.raises(RetryError, match="offset 40 is being read"):
            reads.read(partition.named(40))
    partition.files.gate.set()

    def opened() -> Opened | None:
        with suppress(RetryError):
            return reads.read(partition.named(40))
        return None

    found = wait_until(opened, 10.0, "the chain to be read")
    assert found is not None
    assert bytes(found.sections[STATE]) == bytes(partition.state)
    assert sorted(partition.files.reads) == [10, 20, 30, 40]
    assert reads._under_way == {}


# Pruning


def test_pruning_keeps_parents(partition: Partition) -> None:
    """What a kept checkpoint needs stays, however old; the rest goes, children before their parents."""
    for shard in range(5):
        partition.write(shard)
    partition.write(3)
    partition.sealing.prune(Prune(0, 60, None))
    assert partition.parents(60) == [10, 20, 30, 50]
    assert partition.files.deleted == [40]
    assert partition.restored(60) == bytes(partition.state)


def test_another_process_knows_parents_from_headers() -> None:
    """It has not written them; each header is read once."""
    partition = Partition()
    for shard in range(6):
        partition.write(shard)
    other = Partition(partition.files)
    other.sealing.prune(Prune(0, 60, None))
    assert partition.offsets() == [10, 20, 30, 40, 50, 60]
    beginnings = partition.files.beginnings
    other.sealing.prune(Prune(0, 60, None))
    assert partition.files.beginnings == beginnings > 0


def test_where_a_header_cannot_be_read_nothing_goes() -> None:
    """Not this time: what it shares with might be among what would go."""
    partition = Partition()
    for shard in range(3):
        partition.write(shard)
    partition.lineage = Lineage()
    partition.write()
    partition.write()
    partition.files.unreadable = {50}
    other = Partition(partition.files)
    other.sealing.prune(Prune(0, 50, None))
    assert partition.files.deleted == []
    partition.files.unreadable = set()
    other.sealing.prune(Prune(0, 50, None))
    assert partition.files.deleted == [30, 20, 10]


def test_a_damaged_header_does_not_stop_pruning() -> None:
    """A restore refuses such a file, so nothing is kept for its sake."""
    partition = Partition()
    partition.write()
    partition.lineage = Lineage()
    partition.write()
    partition.files.kept[partition.named(20)] = partition.files.kept[partition.named(20)].replace(b"sales", b"Sales")
    Partition(partition.files).sealing.prune(Prune(0, 20, None))
    assert partition.offsets() == [20]


def test_a_header_of_a_later_version_stops_pruning() -> None:
    """What it shares with is not known here."""
    partition = Partition()
    partition.write()
    partition.lineage = Lineage()
    partition.write()
    later = bytearray(partition.files.kept[partition.named(20)])
    later[8:10] = (9).to_bytes(2, "big")
    partition.files.kept[partition.named(20)] = bytes(later)
    Partition(partition.files).sealing.prune(Prune(0, 20, None))
    assert partition.offsets() == [10, 20]


def test_where_all_share_one_file_another_rung_stays(partition: Partition) -> None:
    """Damage to that file would take every kept one: the newest of the chain before stays, with what it needs."""
    for number in range(MAX_PARENTS + 4):
        partition.write(number)
        if number >= 2:
            partition.sealing.prune(Prune(0, partition.offset - 20, None))
    chain = [10 * number for number in range(1, MAX_PARENTS + 2)]
    assert partition.parents(120) == [100, 110]
    assert partition.offsets() == [*chain, 100, 110, 120]
    partition.files.kept[partition.named(100)] = b"damaged"
    for offset in (120, 110, 100):
        with pytest.raises(EnvelopeError):
            partition.restored(offset)
    partition.restored(chain[-1])


def test_a_damaged_file_is_no_other_rung(partition: Partition) -> None:
    """The newest that a restore would accept is kept in its place."""
    for _ in range(2):
        partition.lineage = Lineage()
        partition.write()
    partition.lineage = Lineage()
    for number in range(4):
        partition.write(number)
    partition.files.kept[partition.named(20)] = b"damaged"
    other = Partition(partition.files, partition.key)
    other.sealing.prune(Prune(0, 50, None))
    assert partition.offsets() == [10, 30, 40, 50, 60]


def family(numbers: Mapping[int, Collection[int]]) -> tuple[list[CheckpointName], Callable[..., Collection[Any]]]:
    """Return checkpoints by offset and what tells their parents."""
    names = {offset: CheckpointName("g", "sales", 0, offset, f"{offset:064x}") for offset in numbers}
    parents = {names[offset]: [names[each] for each in of if each in names] for offset, of in numbers.items()}
    return list(names.values()), lambda name: parents[name]


@given(
    st.dictionaries(st.integers(0, 30), st.sets(st.integers(0, 30), max_size=8), max_size=20),
    st.integers(0, 31),
    st.none() | st.integers(0, 30),
)
def test_whoever_stays_stays_whole(drawn: dict[int, set[int]], below: int, kept: int | None) -> None:
    """Nothing goes that is kept or that a kept one needs, and nothing stays without a reason."""
    numbers = {offset: {each for each in of if each < offset and each in drawn} for offset, of in drawn.items()}
    names, parents_of = family(numbers)
    going = {name.offset for name in superseded(names, below, kept, parents_of)}
    staying = set(numbers) - going
    roots = {offset for offset in numbers if offset >= below or offset == kept}
    needed = roots.union(*(numbers[offset] for offset in roots))
    assert needed <= staying
    spare = staying - needed
    if spare:
        common = set.intersection(*({offset, *numbers[offset]} for offset in roots))
        assert common
        assert spare <= {max(spare), *numbers[max(spare)]}
        assert common.isdisjoint({max(spare), *numbers[max(spare)]})


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 8))
def test_there_are_two_independent_rungs(count: int, keep: int, most: int) -> None:
    """Of chains one after the other, what is kept never hangs on one file alone, once there was another."""
    numbers = {n: set(range(n - n % (most + 1), n)) for n in range(count)}
    assume(count > keep > 1)
    names, parents_of = family(numbers)
    going = {name.offset for name in superseded(names, count - keep, None, parents_of)}
    staying = [offset for offset in numbers if offset not in going and numbers[offset].isdisjoint(going)]
    if count - 1 > most:
        assert not set.intersection(*({offset, *numbers[offset]} for offset in staying))


def test_small_pieces_do_not_cost_another_file(partition: Partition) -> None:
    """A few bytes that stayed are held again rather than read from a file of their own."""
    pieces = cut({"a": b"x" * 5, "b": bytes(partition.state)}, 512)
    lineage = Lineage()
    name = CheckpointName("g", "sales", 0, 10, "ab" * 32)
    lineage.note(name, 3_000, pieces, {})
    holders = lineage.holders(pieces, 20, SHARING._replace(shard_bytes=512))
    assert set(holders.values()) == {name}
    assert pieces["a"][0].digest not in holders
    assert 5 * lineages._SMALL < 512


def test_a_lineage_keeps_nothing_of_the_content() -> None:
    """Digests and names, of the last state only: a chain costs no memory."""
    lineage = Lineage()

    def pieces(seed: int) -> dict[str, Sequence[Piece]]:
        return dict(cut({"a": np.random.default_rng(seed).bytes(6_400)}, 64))

    for number in range(4):
        lineage.note(CheckpointName("g", "sales", 0, number, "ab" * 32), 1, pieces(number), {})
    assert len(lineage._held) == 100
    assert list(lineage._sizes) == [CheckpointName("g", "sales", 0, 3, "ab" * 32)]
