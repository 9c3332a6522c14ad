"""The checkpoint topic without a broker: a leader that lags behind, or a reader that fails, misleads nobody."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.throttle import Throttle
from consumer.kafka import checkpoint_topic
from consumer.kafka.checkpoint_topic import CheckpointTopic
from consumer.kafka.chunks import split
from consumer.kafka.log import Range
from consumer.settings import Settings
from consumer.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = CheckpointName("group", "topic", 0, 42, "ab" * 32)


class Record:
    """A message of the client."""

    def __init__(self, offset: int, key: bytes, value: bytes | None) -> None:
        self._all = offset, key, value

    def offset(self) -> int:
        """Return the offset."""
        return self._all[0]

    def key(self) -> bytes:
        """Return the key."""
        return self._all[1]

    def value(self) -> bytes | None:
        """Return the value."""
        return self._all[2]

    def timestamp(self) -> tuple[int, int]:
        """Return the type and the time."""
        return 1, 1_000


class Partition:
    """A partition as the brokers show it: which end they give is scripted, the last one again and again."""

    def __init__(self, records: list[Record], ends: list[int]) -> None:
        self.records_there = records
        self.ends = ends
        self.reads: list[tuple[int, int]] = []
        self.renewed = 0
        self.fails_after: int | None = None

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Partition]:
        """Lend itself as a reader."""
        yield self

    def renew(self) -> None:
        """Count."""
        self.renewed += 1

    def range(self, _partition: int) -> Range:
        """Give the next end."""
        return Range(0, self.ends.pop(0) if len(self.ends) > 1 else self.ends[0])

    def records(self, _partition: int, start: int, end: int) -> Iterator[Any]:
        """Yield the records of a range."""
        self.reads.append((start, end))
        for number, record in enumerate(each for each in self.records_there if start <= each.offset() < end):
            if number == self.fails_after:
                raise StoreError("the broker went away")
            yield record


def store_on(partition: Partition) -> CheckpointTopic:
    """Open a topic with this partition."""
    store = CheckpointTopic({"bootstrap.servers": "nowhere:1"}, "group", "checkpoints", Throttle(10**9))
    store._readers = partition  # type: ignore[assignment]
    return store


def lying(*contents: tuple[CheckpointName, bytes], start: int = 0) -> list[Record]:
    """Return checkpoints as records, one after the other."""
    chunks = [(key.encode(), chunk) for name, data in contents for key, chunk in split(name, data)]
    return [Record(start + number, key, chunk) for number, (key, chunk) in enumerate(chunks)]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_topic, "_RETRY_SECONDS", 0.001)


def test_a_leader_that_lags_behind_is_asked_again() -> None:
    """An end below the place of a committed reference is an older one: the checkpoint is not called missing."""
    partition = Partition(lying((NAME, b"state"), start=7), [0, 3, 7, 8])
    assert store_on(partition).read(replace(NAME, place="7+1")) == b"state"
    assert partition.renewed == 3


def test_a_topic_created_anew_is_believed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end never comes to the place: after a while the checkpoint is missing."""
    monkeypatch.setattr(checkpoint_topic, "BEHIND_SECONDS", 0.05)
    partition = Partition([], [3])
    assert store_on(partition).read(replace(NAME, place="7+1")) is None
    assert partition.renewed > 1


def test_without_a_place_the_answer_is_taken() -> None:
    """Nobody has said that there must be more."""
    partition = Partition([], [0])
    assert store_on(partition).read(NAME) is None
    assert partition.renewed == 0


def test_a_restore_reads_from_its_place_on() -> None:
    """And the whole partition only where the place leads to nothing."""
    records = lying((replace(NAME, offset=1), b"older"), (NAME, b"state"), (replace(NAME, offset=50), b"newer"))
    partition = Partition(records, [3])
    store = store_on(partition)
    assert store.read(replace(NAME, place="1+1")) == b"state"
    assert partition.reads == [(1, 3)]
    assert store.read(replace(NAME, place="2+1")) == b"state"
    assert partition.reads[1:] == [(2, 3), (0, 3)]


def test_what_is_known_of_a_partition_is_not_read_again() -> None:
    """A second listing reads what is new; one that failed goes on where it was; a shorter log is another one."""
    records = lying(*((replace(NAME, offset=offset), b"state") for offset in range(6)))
    partition = Partition(records, [4, 4, 6, 6, 2])
    store = store_on(partition)

    def offsets() -> list[int]:
        return [name.offset for name in store.names("group", "topic", 0)]

    assert offsets() == [0, 1, 2, 3]
    assert offsets() == [0, 1, 2, 3]
    partition.fails_after = 1
    with pytest.raises(StoreError, match="went away"):
        offsets()
    partition.fails_after = None
    assert offsets() == [0, 1, 2, 3, 4, 5]
    assert partition.reads == [(0, 4), (4, 4), (4, 6), (5, 6)]
    assert offsets() == [0, 1]


@pytest.mark.parametrize(("offsets", "place"), [([7], "7+1"), ([None], None)])
def test_a_chunk_that_was_sent_twice_has_no_place(
    offsets: list[int | None], place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker recognises the repeat and confirms it without an offset: the name alone must do."""
    topic = CheckpointTopic({"bootstrap.servers": "127.0.0.1:1"}, "group", "topic", Throttle(10**9))
    monkeypatch.setattr(topic._writer, "send", lambda _partition, _records: offsets)
    assert topic.write(NAME, b"content") == place


def test_the_scheme_chooses_the_store() -> None:
    """A directory asks for no client's properties; a topic names itself, and no secret."""

    def properties() -> dict[str, str]:
        return {"bootstrap.servers": "nowhere:1", "sasl.password": "hunter2"}

    def never() -> dict[str, str]:
        raise AssertionError("a directory needs no Kafka client")

    assert isinstance(open_store(Settings(checkpoint_url="file:checkpoints"), never), DirectoryStore)
    store = open_store(Settings(checkpoint_url="kafka:checkpoints"), properties)
    assert store.where() == "topic checkpoints at nowhere:1"
