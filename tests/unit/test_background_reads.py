"""Reading checkpoints beside the loop: a store that takes its time never keeps the loop."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import pytest

from consumer.checkpoint import background_reads
from consumer.checkpoint.background_reads import BackgroundReads
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.errors import RetryError
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = CheckpointName("group", "topic", 0, 7, "d" * 64)
DEADLINE: Final = 10.0


class SlowStore:
    """A store that answers once its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.answers: list[bytes | Exception | None] = [b"state"]
        self.reads = 0

    def read(self, _name: CheckpointName) -> bytes | None:
        """Answer, or fail, when it may."""
        self.reads += 1
        assert self.gate.wait(DEADLINE)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List one checkpoint, when it may."""
        self.read(NAME)
        return [CheckpointName(group, topic, partition, 7, "d" * 64)]

    def where(self) -> str:
        """Name it."""
        return "slow store"


@pytest.fixture
def store() -> Iterator[SlowStore]:
    """A store whose threads all end with the test."""
    slow = SlowStore()
    yield slow
    slow.gate.set()


def test_a_quick_answer_comes_at_once(store: SlowStore) -> None:
    """A store that answers within the patience is as good as one that is read directly."""
    store.gate.set()
    store.answers = [b"state", None]
    reads = BackgroundReads(store, patience=DEADLINE)
    assert reads.read(NAME) == b"state"
    assert reads.read(NAME) is None


def test_a_slow_answer_is_asked_for_again(store: SlowStore) -> None:
    """While the store is silent each call ends within the patience, and one read is under way, not one per call."""
    reads = BackgroundReads(store, patience=0.01)
    for _ in range(3):
        with pytest.raises(RetryError, match="offset 7 is being read from the slow store"):
            reads.read(NAME)
    assert store.reads == 1
    store.gate.set()
    assert wait_until(lambda: _read(reads), DEADLINE, "the read to be answered") == b"state"
    assert store.reads == 1


def test_a_failure_is_raised_where_the_answer_is_taken(store: SlowStore) -> None:
    """A store that fails slowly fails like one that fails at once, and is asked anew the next time."""
    reads = BackgroundReads(store, patience=0.01)
    store.answers = [StoreError("no such bucket"), b"state"]
    with pytest.raises(RetryError):
        reads.read(NAME)
    store.gate.set()
    with pytest.raises(StoreError, match="no such bucket"):
        wait_until(lambda: _read(reads), DEADLINE, "the read to be answered")
    assert wait_until(lambda: _read(reads), DEADLINE, "the second read to be answered") == b"state"


def test_lists_of_two_partitions_are_two_questions(store: SlowStore) -> None:
    """Each partition gets its own list, also while both are under way."""
    reads = BackgroundReads(store, patience=0.01)
    for partition in (0, 1):
        with pytest.raises(RetryError, match=f"partition {partition} is being read"):
            reads.names("group", "topic", partition)
    store.answers = [None, None]
    store.gate.set()
    listed = [wait_until(lambda: _names(reads, number), DEADLINE, "a list") for number in (0, 1)]  # noqa: B023 -- at once
    assert [names[0].partition for names in listed] == [0, 1]


def test_an_answer_that_nobody_fetched_is_not_given_later(store: SlowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was listed for a partition that went away may be wrong when it comes back: it is asked anew."""
    monkeypatch.setattr(background_reads, "_KEPT_SECONDS", 0.0)
    reads = BackgroundReads(store, patience=0.01)
    store.answers = [b"old", b"new"]
    with pytest.raises(RetryError):
        reads.read(NAME)
    store.gate.set()
    done = time.monotonic()
    threads = [thread for thread in threading.enumerate() if thread.name == "read-checkpoint"]
    for thread in threads:
        thread.join(DEADLINE)
    wait_until(lambda: time.monotonic() > done, DEADLINE, "the clock to move on")
    assert wait_until(lambda: _read(reads), DEADLINE, "the second read to be answered") == b"new"


def _read(reads: BackgroundReads[bytes]) -> bytes | None:
    try:
        return reads.read(NAME)
    except RetryError:
        return None


def _names(reads: BackgroundReads[bytes], partition: int) -> list[CheckpointName]:
    try:
        return reads.names("group", "topic", partition)
    except RetryError:
        return []
