"""What every checkpoint store must do, held against each: the real ones and those of the simulation."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from consumer.checkpoint.bucket import Bucket
from consumer.checkpoint.bucket_store import BucketStore
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.reference import Reference, decode_reference
from consumer.checkpoint.store import CheckpointName
from consumer.checkpoint.throttle import Throttle
from consumer.kafka import checkpoint_topic
from consumer.kafka.checkpoint_topic import CheckpointTopic
from consumer.kafka.chunks import CHUNK_BYTES
from consumer.kafka.topics import TopicNames, create_topics
from consumer.testing.cluster import SimulatedCluster
from consumer.testing.faults import NoFaults
from consumer.testing.store import Disk, SimulatedStore
from consumer.testing.topic_store import SimulatedTopicStore
from tests.kafka import unique

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.checkpoint.store import CheckpointStore, ListedStore
    from tests.kafka import Broker
    from tests.objects import Endpoint

PARTITIONS: Final = 3
BYTES_PER_SECOND: Final = 10**9
GROUPS: Final = ("smart-inventory", "a/b", "a%2Fb", "Größe 1", ".", "..", "x" * 200)
CONTENTS: Final = {
    "nothing": b"",
    "one byte": b"\0",
    "one chunk": bytes(range(256)) * (CHUNK_BYTES // 256),
    "a byte more": bytes(range(256)) * (CHUNK_BYTES // 256) + b"\xff",
    "several chunks": b"".join(number.to_bytes(4, "big") for number in range(3 * CHUNK_BYTES // 4)),
}


class Places(Protocol):
    """One place that stores are opened on again and again, as by one process after the other."""

    def open(self) -> CheckpointStore:
        """Open another store there."""


class Directory:
    """A directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> ListedStore:
        """Open it."""
        return DirectoryStore(self._root / "checkpoints")


class SimulatedDirectory:
    """What outlives the processes of a simulation."""

    def __init__(self) -> None:
        self._disk = Disk()

    def open(self) -> CheckpointStore:
        """Open it."""
        return SimulatedStore(self._disk, NoFaults())


class SimulatedTopic(SimulatedDirectory):
    """The same, as a topic."""

    def open(self) -> CheckpointStore:
        """Open it."""
        return SimulatedTopicStore(self._disk, SimulatedCluster(PARTITIONS))


class Topic:
    """A compacted topic on a real broker."""

    def __init__(self, broker: Broker) -> None:
        self._config = {"bootstrap.servers": broker.bootstrap_servers}
        names = TopicNames(*(unique(f"stores-{kind}") for kind in ("in", "out", "dead", "checkpoints")))
        create_topics(self._config, names, partitions=PARTITIONS, replication_factor=1, retention_ms=-1)
        assert names.checkpoints is not None
        self._topic = names.checkpoints

    def open(self) -> ListedStore:
        """Open it."""
        return CheckpointTopic(self._config, "stores", self._topic, Throttle(BYTES_PER_SECOND))


class InBucket:
    """A bucket of a real S3 endpoint, with its variables in this process."""

    def __init__(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bucket = endpoint.new_bucket()
        for variable, value in endpoint.environment().items():
            monkeypatch.setenv(variable, value)

    def open(self) -> ListedStore:
        """Open it."""
        return BucketStore(Bucket("s3", f"{self._bucket}/checkpoints"), Throttle(BYTES_PER_SECOND).take)


LISTED: Final = ("directory", "bucket", pytest.param("topic", marks=pytest.mark.broker))
ALL: Final = (*LISTED, "simulated directory", "simulated topic")


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Where a kind of store keeps its checkpoints, empty."""
    makers: dict[str, Callable[[], Places]] = {
        "directory": lambda: Directory(tmp_path),
        "bucket": lambda: InBucket(request.getfixturevalue("s3_endpoint"), monkeypatch),
        "topic": lambda: Topic(request.getfixturevalue("broker")),
        "simulated directory": SimulatedDirectory,
        "simulated topic": SimulatedTopic,
    }
    return makers[request.param]()


of_every_store: Final = pytest.mark.parametrize("place", ALL, indirect=True)
of_listed_stores: Final = pytest.mark.parametrize("place", LISTED, indirect=True)


def name(offset: int = 42, *, group: str = "smart-inventory", partition: int = 1, digest: str = "ab") -> CheckpointName:
    """Return a checkpoint's name."""
    return CheckpointName(group, "inventory.transactions", partition, offset, digest * 32)


def names(store: CheckpointStore, of: CheckpointName) -> list[CheckpointName]:
    """List the partition of a name."""
    return store.names(of.group, of.topic, of.partition)


@of_every_store
def test_what_was_written_is_read(place: Places) -> None:
    """Whatever its size, byte for byte, by the writer and by another process, with its place and without."""
    writer, reader = place.open(), place.open()
    for offset, content in enumerate(CONTENTS.values()):
        where = writer.write(name(offset), content)
        for store in (writer, reader):
            assert store.read(replace(name(offset), place=where)) == content
            assert store.read(name(offset)) == content
    assert names(reader, name()) == [name(offset) for offset in range(len(CONTENTS))]
    assert names(writer, name()) == names(reader, name())


@of_every_store
def test_the_place_fits_into_a_reference(place: Places) -> None:
    """Whatever `write` returns, the committed offset's metadata can carry it."""
    where = place.open().write(name(), CONTENTS["several chunks"])
    reference = Reference(
        checkpoint_offset=42,
        checkpoint_digest="ab" * 32,
        topic_id="t",
        fingerprint="f" * 64,
        hash_seed="0",
        first_offset=0,
        records_applied=42,
        chain="c" * 16,
        checkpoint_place=where,
    )
    assert decode_reference(reference.encode()) == reference


@of_every_store
@pytest.mark.parametrize("hint", ["0+1", "7+3", "99999999+4", "elsewhere", "0+0"])
def test_a_wrong_place_misleads_nobody(place: Places, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place is a hint: one that is none of this checkpoint leads to it all the same, and to no other."""
    monkeypatch.setattr(checkpoint_topic, "BEHIND_SECONDS", 0.5)
    store = place.open()
    store.write(name(7), b"other")
    store.write(name(42), b"state")
    store.write(name(43), b"later")
    assert store.read(replace(name(42), place=hint)) == b"state"
    assert store.read(replace(name(41), place=hint)) is None


@of_every_store
def test_absent_is_none_and_empty(place: Places) -> None:
    """A store that was never written to is no failure: nothing is there."""
    store = place.open()
    assert store.read(name()) is None
    assert names(store, name()) == []
    store.delete(name())


@of_every_store
def test_delete_removes_one(place: Places) -> None:
    """Deleting takes away that checkpoint only, for every process, by its place too; again it is no error."""
    writer, reader = place.open(), place.open()
    where = {each: writer.write(each, CONTENTS["several chunks"]) for each in (name(1), name(2), name(2, digest="cd"))}
    assert len(names(reader, name())) == 3
    for store in (writer, reader):
        store.delete(name(2))
        for each in (writer, reader):
            assert each.read(name(2)) is None
            assert each.read(replace(name(2), place=where[name(2)])) is None
            assert names(each, name()) == [name(1), name(2, digest="cd")]
    assert writer.read(name(2, digest="cd")) == CONTENTS["several chunks"]


@of_every_store
def test_what_was_deleted_can_be_written_again(place: Places) -> None:
    """The last word counts."""
    store = place.open()
    for _ in range(2):
        where = store.write(name(), CONTENTS["a byte more"])
        assert store.read(replace(name(), place=where)) == CONTENTS["a byte more"]
        store.delete(name())
        assert store.read(name()) is None
    store.write(name(), b"again")
    assert place.open().read(name()) == b"again"


@of_every_store
def test_the_newest_content_of_a_name_counts(place: Places) -> None:
    """A checkpoint that is signed anew keeps its name: from then on the signed one is read, by its old place too."""
    store = place.open()
    first = store.write(name(), CONTENTS["several chunks"])
    second = store.write(name(), CONTENTS["several chunks"] + b"signature")
    for each in (store, place.open()):
        for where in (first, second, None):
            assert each.read(replace(name(), place=where)) == CONTENTS["several chunks"] + b"signature"
        assert names(each, name()) == [name()]
    store.delete(name())
    assert place.open().read(name()) is None


@of_every_store
def test_names_are_kept_apart(place: Places) -> None:
    """No group, topic or partition is ever taken for another, however it is spelt."""
    store = place.open()
    everywhere = [name(group=group, partition=partition) for group in GROUPS for partition in range(PARTITIONS)]
    for number, each in enumerate(everywhere):
        store.write(each, str(number).encode())
    other = place.open()
    for number, each in enumerate(everywhere):
        assert other.read(each) == str(number).encode()
        assert names(other, each) == [each]


@of_every_store
def test_names_come_in_the_order_of_their_offsets(place: Places) -> None:
    """Lowest first, as numbers."""
    store = place.open()
    for offset in (100, 9, 2**40, 0):
        store.write(name(offset), b"state")
    assert [each.offset for each in names(store, name())] == [0, 9, 100, 2**40]


@of_every_store
def test_it_can_be_written_to(place: Places) -> None:
    """The check at the start finds nothing wrong, leaves nothing behind, and can be made again."""
    store = place.open()
    for _ in range(2):
        store.check("smart-inventory", "inventory.transactions")
    assert names(store, name()) == []
    assert store.where()


@of_listed_stores
def test_it_says_what_it_keeps(place: Places) -> None:
    """All of it, of a group, or of a group and topic: names, sizes and when each was written."""
    before = time.time()
    store = place.open()
    written = [name(2), name(1), name(1, partition=2), replace(name(), topic="other"), name(group="another")]
    for number, each in enumerate(written):
        store.write(each, bytes(number))
    listed: ListedStore = place.open()  # type: ignore[assignment]
    kept = listed.kept()
    assert [each.name for each in kept] == sorted(written)
    assert {each.name: each.size for each in kept} == {each: number for number, each in enumerate(written)}
    assert all(before - 2 < (each.written or 0) < time.time() + 2 for each in kept)
    assert all(each.label for each in kept)
    assert [each.name for each in listed.kept("smart-inventory")] == sorted(written[:4])
    assert [each.name for each in listed.kept("smart-inventory", "other")] == [written[3]]
    assert listed.kept("nobody") == []


@of_listed_stores
def test_its_beginning_can_be_read(place: Places) -> None:
    """At least so many bytes, or all of it; None where it is absent."""
    store: ListedStore = place.open()  # type: ignore[assignment]
    store.write(name(), CONTENTS["several chunks"])
    beginning = store.read_beginning(name(), 1_000) or b""
    assert len(beginning) >= 1_000
    assert CONTENTS["several chunks"].startswith(beginning)
    assert store.read_beginning(name(), 10**9) == CONTENTS["several chunks"]
    assert store.read_beginning(name(1), 1_000) is None
