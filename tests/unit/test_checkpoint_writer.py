"""The background writer: results in order, a failing store reported, and a thread that nothing kills."""

from __future__ import annotations

import pickle
import re
import threading
import weakref
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from consumer.checkpoint.envelope import MAX_HEADER_BYTES, EnvelopeError, Identity
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import BackgroundWriter, Sealing, Snapshot, Written
from consumer.learning import get_ml_pipeline
from consumer.learning.ledger import Ledger
from tests.core import model_sections
from tests.kafka import wait_until
from tests.sealing import unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.checkpoint.envelope import Data

DEADLINE: Final = 10.0
IDENTITY: Final = Identity("g", "sales", "topic-id", "model", "fingerprint", "7", {"MODEL": "linear"})


class MemoryStore:
    """A store in memory that fails when it is told to."""

    def __init__(self) -> None:
        self.kept: dict[CheckpointName, bytes] = {}
        self.failure: Exception | None = None
        self.undeletable: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.listings = 0

    def write(self, name: CheckpointName, data: Data) -> None:
        """Keep it, once the gate is open."""
        assert self.gate.wait(DEADLINE)
        if self.failure is not None:
            raise self.failure
        self.kept[name] = bytes(data)

    def read(self, name: CheckpointName) -> bytes | None:
        """Return it."""
        return self.kept.get(name)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the beginning of it."""
        return self.kept[name][:length] if name in self.kept else None

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List it."""
        self.listings += 1
        if self.failure is not None:
            raise self.failure
        return sorted(name for name in self.kept if name.is_of(group, topic, partition))

    def delete(self, name: CheckpointName) -> None:
        """Forget it."""
        if name.offset in self.undeletable:
            raise StoreError("the file is immutable")
        self.kept.pop(name, None)

    def check(self, _group: str, _topic: str) -> None:
        """Nothing is in the way."""

    def where(self) -> str:
        """Name it."""
        return "memory"


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


@pytest.fixture
def writer(store: MemoryStore) -> Iterator[BackgroundWriter]:
    """A writer into the store, ended after the test."""
    made = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted()))
    yield made
    store.gate.set()
    made.close()
    made._thread.join(DEADLINE)
    assert not made._thread.is_alive()


def snapshot(offset: int, partition: int = 0, **sections: bytes) -> Snapshot:
    """A snapshot whose owner is nobody in particular."""
    return Snapshot(object(), partition, offset, sections or model_sections({"": "state"}))


def result(writer: BackgroundWriter) -> Written:
    """The next result, which must come."""
    written = writer.finished(DEADLINE)
    assert written is not None
    return written


def keep(store: MemoryStore, partition: int, *offsets: int, topic: str = "sales") -> None:
    """Put checkpoints into the store past the writer."""
    for offset in offsets:
        store.kept[CheckpointName("g", topic, partition, offset, "ab" * 32)] = b""


def offsets(store: MemoryStore, partition: int) -> list[int]:
    """Offsets of a partition's checkpoints."""
    return sorted(name.offset for name in store.kept if name.partition == partition)


def test_a_snapshot_becomes_a_checkpoint(store: MemoryStore, writer: BackgroundWriter) -> None:
    """What is in the store under the result's name is the snapshot's state, sealed for its partition and offset."""
    state = {**model_sections({}), **{name: bytes(body) for name, body in Ledger().snapshot().items()}}
    submitted = snapshot(42, 3, **state)
    writer.submit(submitted)
    written = result(writer)
    assert written.snapshot is submitted
    assert written.error == ""
    assert written.name is not None
    data = store.kept[written.name]
    header, sections = unseal(data)
    assert written.name == CheckpointName("g", "sales", 3, 42, header.digest)
    assert (header.identity(), header.partition, header.offset) == (IDENTITY, 3, 42)
    assert sections == state
    assert written.size == len(data)
    assert written.seconds >= 0


def test_a_snapshot_is_let_go_once_it_is_written(writer: BackgroundWriter) -> None:
    """It holds a partition's whole state, which may have gone to another worker."""

    class Owner:
        pass

    owner = Owner()
    gone = weakref.ref(owner)
    writer.submit(snapshot(10)._replace(owner=owner))
    assert result(writer).name is not None
    del owner
    wait_until(lambda: gone() is None, DEADLINE, "the snapshot to be let go")


def test_results_come_in_order(store: MemoryStore, writer: BackgroundWriter) -> None:
    """The newest result is the newest state: nothing overtakes, whatever the partitions."""
    submitted = [snapshot(offset, offset % 3) for offset in range(30)]
    for each in submitted:
        writer.submit(each)
    assert [result(writer).snapshot for _ in submitted] == submitted
    assert len(store.kept) == 30


def test_writing_does_not_hold_up_the_loop(store: MemoryStore, writer: BackgroundWriter) -> None:
    """While the store is slow, submitting and asking return at once; no result comes before the object is durable."""
    store.gate.clear()
    writer.submit(snapshot(1))
    assert writer.finished() is None
    assert writer.finished(0.05) is None
    assert not store.kept
    store.gate.set()
    assert result(writer).snapshot.offset == 1


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (StoreError("cannot write: No space left on device"), "cannot write: No space left on device"),
        (ValueError("something unforeseen"), "ValueError: something unforeseen"),
        (MemoryError("no memory"), "MemoryError: no memory"),
    ],
)
def test_a_failing_store_is_reported_and_survived(
    store: MemoryStore, writer: BackgroundWriter, failure: Exception, said: str
) -> None:
    """A failed write comes out as a result without a name but with the reason; the next one is written as ever."""
    store.failure = failure
    writer.submit(snapshot(1))
    failed = result(writer)
    assert (failed.name, failed.error, failed.size) == (None, said, 0)
    store.failure = None
    writer.submit(snapshot(2))
    assert result(writer).name is not None
    assert offsets(store, 0) == [2]


def test_a_snapshot_that_cannot_be_sealed_is_reported(writer: BackgroundWriter) -> None:
    """A defect in the snapshot itself, not the store, does not silence the writer either."""
    writer.submit(Snapshot(object(), 0, 1, {"models": None}))  # type: ignore[dict-item]  # that is the defect
    failed = result(writer)
    assert failed.name is None
    assert failed.error.startswith("TypeError: ")
    writer.submit(snapshot(2))
    assert result(writer).name is not None


def test_prune_removes_only_what_lies_below(store: MemoryStore, writer: BackgroundWriter) -> None:
    """Only that partition's objects below the offset go; the one at it, those above, and all others stay."""
    keep(store, 0, 10, 20, 30, 40)
    keep(store, 1, 10, 20)
    keep(store, 0, 5, topic="other")
    writer.prune(0, 30)
    writer.submit(snapshot(50, 2))
    result(writer)
    assert offsets(store, 0) == [5, 30, 40]
    assert offsets(store, 1) == [10, 20]


def test_pruning_keeps_its_place_in_the_order(store: MemoryStore, writer: BackgroundWriter) -> None:
    """A prune queued after a snapshot is done after it: an object that is not durable supersedes nothing."""
    keep(store, 0, 10)
    store.gate.clear()
    writer.submit(snapshot(20))
    writer.prune(0, 20)
    assert offsets(store, 0) == [10]
    store.gate.set()
    wait_until(lambda: offsets(store, 0) == [20], DEADLINE, "the older checkpoint to go")


def test_failing_to_prune_costs_only_space(store: MemoryStore, writer: BackgroundWriter) -> None:
    """A store that cannot list says nothing to the loop, and the next prune finds what was left."""
    keep(store, 0, 10, 20)
    store.failure = StoreError("cannot list")
    writer.prune(0, 20)
    wait_until(lambda: store.listings == 1, DEADLINE, "the first listing")
    store.failure = None
    writer.prune(0, 20)
    wait_until(lambda: offsets(store, 0) == [20], DEADLINE, "the second prune")
    assert writer.finished() is None


def test_one_undeletable_object_does_not_shield_the_others(store: MemoryStore, writer: BackgroundWriter) -> None:
    """An object that cannot be removed costs its own space only; the rest goes, or the disk fills up."""
    keep(store, 0, 10, 20, 30)
    store.undeletable = {10}
    writer.prune(0, 30)
    writer.submit(snapshot(40, 1))
    result(writer)
    assert offsets(store, 0) == [10, 30]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_error_while_pruning_is_survived(store: MemoryStore, writer: BackgroundWriter) -> None:
    """Pruning is the least important thing that the writer does: no error in it may end checkpoints for good."""
    store.failure = ValueError("something unforeseen")
    writer.prune(0, 30)
    wait_until(lambda: store.listings == 1, DEADLINE, "the listing")
    store.failure = None
    writer.submit(snapshot(40))
    assert writer.finished(1.0) is not None


def test_closing_finishes_what_is_queued(store: MemoryStore) -> None:
    """The checkpoint of a clean stop is still written; afterwards the thread is gone."""
    writer = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted()))
    store.gate.clear()
    writer.submit(snapshot(1))
    writer.close()
    assert writer._thread.daemon  # a store that hangs cannot keep the process alive
    store.gate.set()
    writer._thread.join(DEADLINE)
    assert not writer._thread.is_alive()
    assert offsets(store, 0) == [1]
    assert result(writer).name is not None


class Stranger:
    """A class that no checkpoint may name."""


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (model_sections({"": Stranger()}), "section 'models': the pickle names .*Stranger, which is not"),
        (
            {**model_sections({}), "ledger": pickle.dumps(get_ml_pipeline())},
            "section 'ledger' is not of its type",
        ),
        (
            {**model_sections({"": 0}), "models.lengths": b"\t\0\0\0", "models.pickles": b"no pickle"},
            "section 'models': expected a pickle",
        ),
    ],
)
def test_what_a_restore_would_refuse_is_never_written(
    store: MemoryStore, writer: BackgroundWriter, sections: dict[str, bytes], said: str
) -> None:
    """A snapshot passes the reader's own check first: a committed reference to it would stop the next worker."""
    writer.submit(Snapshot(object(), 0, 1, sections))
    failed = result(writer)
    assert failed.name is None
    assert re.match(said, failed.error)
    assert store.kept == {}
    writer.submit(snapshot(2))
    assert result(writer).name is not None


def test_what_the_factory_declares_is_written(store: MemoryStore) -> None:
    """A class of the user's own passes where a restore admits it."""
    writer = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted([Stranger])))
    writer.submit(Snapshot(object(), 0, 1, model_sections({"": Stranger()})))
    assert result(writer).error == ""
    writer.close()


def test_with_a_key_everything_is_signed(store: MemoryStore) -> None:
    """What the writer wrote with a key is read with it, and not without."""
    writer = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted(), key=b"key"))
    writer.submit(snapshot(1))
    written = result(writer)
    writer.close()
    assert written.name is not None
    data = store.kept[written.name]
    assert unseal(data, b"key")[0].offset == 1
    with pytest.raises(EnvelopeError):
        unseal(data)


def test_a_header_that_nobody_would_read_is_never_written(store: MemoryStore) -> None:
    """A meaning of absurd length is a failure to write, said so, and no checkpoint."""
    identity = msgspec.structs.replace(IDENTITY, meaning={"parameters": "x" * MAX_HEADER_BYTES})
    writer = BackgroundWriter(Sealing(store, identity, admitted=Admitted()))
    writer.submit(snapshot(1))
    assert result(writer).error.startswith("expected a header of at most")
    writer.close()
    assert store.kept == {}
