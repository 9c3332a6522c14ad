"""The background writer: a snapshot is taken between records in the loop, and made durable beside it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from consumer.checkpoint.envelope import (
    BEGINNING_BYTES,
    EnvelopeError,
    Identity,
    OtherFormatError,
    read_header,
    seal,
    unseal,
)
from consumer.checkpoint.joining import assembled
from consumer.checkpoint.lineage import USUAL
from consumer.checkpoint.pruning import superseded
from consumer.checkpoint.shards import cut
from consumer.checkpoint.store import StoreError
from consumer.checkpoint.unpickling import Pickles, UnsafePickleError, check_sections

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from consumer.checkpoint.lineage import Lineage, Sharing
    from consumer.checkpoint.shards import Piece
    from consumer.checkpoint.store import CheckpointName, CheckpointStore
    from consumer.checkpoint.unpickling import Admitted
    from consumer.learning.model_sections import Section


class Snapshot(NamedTuple):
    """A partition's state at a record boundary, on its way to the store.

    Attributes:
        owner: the assignment that took it; what it becomes must not touch a later one.
        offset: the state's next offset.
        sections: the state's, as `consumer.learning.state` has them; nothing may change them any more.
        pause_seconds: how long the loop stood still for it at one time, at most.
        lineage: what its owner has written before; None where nothing is to be shared with that.
    """

    owner: object
    partition: int
    offset: int
    sections: Mapping[str, Section]
    pause_seconds: float = 0.0
    lineage: Lineage | None = None


class Written(NamedTuple):
    """What became of a snapshot.

    Attributes:
        name: the durable checkpoint with its place, None where writing failed.
        error: why it failed.
        size: bytes written.
        seconds: time that cutting, sealing, checking and writing took.
        state_bytes: bytes of the whole state.
        parents: how many earlier checkpoints hold the rest of it.
    """

    snapshot: Snapshot
    name: CheckpointName | None
    error: str
    size: int
    seconds: float
    state_bytes: int = 0
    parents: int = 0


class Prune(NamedTuple):
    """The checkpoints of a partition below an offset are superseded, but for those at `kept`, and all parents."""

    partition: int
    below: int
    kept: int | None


class Writer(Protocol):
    """Makes snapshots durable in their order; when, is its own affair."""

    def submit(self, snapshot: Snapshot) -> None:
        """Queue a snapshot; its result comes out of `finished`."""

    def prune(self, partition: int, below: int, kept: int | None = None) -> None:
        """Queue the removal of a partition's checkpoints below an offset, but for those that stand at `kept`.

        Failing to remove one costs only space.
        """

    def finished(self, wait_seconds: float = 0.0) -> Written | None:
        """Return the next result, or None if there is none within `wait_seconds`."""


class Sealing:
    """Cuts, seals, checks and writes one snapshot, or prunes; nothing of it ever raises.

    Args:
        store: where checkpoints go.
        identity: whose state this is.
        admitted: what a restore will admit.
        key: the signing key, None to sign nothing.
        sharing: when a checkpoint shares shards with earlier ones.
    """

    def __init__(
        self,
        store: CheckpointStore,
        identity: Identity,
        *,
        admitted: Admitted,
        key: bytes | None = None,
        sharing: Sharing = USUAL,
    ) -> None:
        self._store = store
        self._identity = identity
        self._pickles = Pickles(admitted)
        self._key = key
        self._sharing = sharing
        self._parents: dict[int, dict[CheckpointName, Collection[CheckpointName] | None]] = {}

    def prune(self, todo: Prune) -> None:
        """Remove what is superseded, as far as the store lets us."""
        # What cannot be removed now lies below the kept ones and is found again by the next listing; whatever a store
        # raises, the thread lives on: without it no checkpoint would be written any more.
        going: list[CheckpointName] = []
        with contextlib.suppress(Exception):
            names = self._names(todo.partition)
            known = self._parents.get(todo.partition, {})
            self._parents[todo.partition] = {name: known[name] for name in names if name in known}
            going = superseded(names, todo.below, todo.kept, self._parents_of)
        for name in going:
            with contextlib.suppress(Exception):
                self._store.delete(name)

    def write(self, snapshot: Snapshot) -> Written:
        """Make a snapshot durable and say what became of it."""
        started = time.monotonic()
        try:
            return self._write(snapshot, started)
        except (StoreError, EnvelopeError, UnsafePickleError) as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 -- a dead writer thread would stop checkpoints without a word
            reason = f"{type(error).__name__}: {error}"
        return Written(snapshot, None, reason, 0, time.monotonic() - started)

    def _write(self, snapshot: Snapshot, started: float) -> Written:
        pieces = cut(snapshot.sections, self._sharing.shard_bytes)
        holders = self._holders(snapshot, pieces)
        header, data = seal(self._identity, snapshot.partition, snapshot.offset, pieces, self._key, holders)
        # What a restore would refuse is never written: a committed reference to it would stop the next worker.
        check_sections(assembled(unseal(data, self._key), pieces), self._pickles)
        name = header.name()
        name = replace(name, place=self._store.write(name, data))
        # Only now that it is durable: what is shared with a file that may never be there is lost.
        if snapshot.lineage is not None:
            snapshot.lineage.note(name, len(data), pieces, holders)
        self._parents.setdefault(snapshot.partition, {})[name] = header.parent_names()
        return Written(
            snapshot,
            name,
            "",
            len(data),
            time.monotonic() - started,
            sum(section.length for section in header.sections),
            len(header.parents),
        )

    def _holders(self, snapshot: Snapshot, pieces: Mapping[str, Sequence[Piece]]) -> Mapping[str, CheckpointName]:
        """Return which earlier files hold shards, by digest; none where an operator's hand has been there."""
        if snapshot.lineage is None:
            return {}
        holders = snapshot.lineage.holders(pieces, snapshot.offset, self._sharing)
        if holders and not set(holders.values()).issubset(self._names(snapshot.partition)):
            snapshot.lineage.forget()
            return {}
        return holders

    def _names(self, partition: int) -> list[CheckpointName]:
        return self._store.names(self._identity.group, self._identity.topic, partition)

    def _parents_of(self, name: CheckpointName) -> Collection[CheckpointName] | None:
        """Return a checkpoint's parents, read from its header where this process has not written it.

        None where a restore would refuse it, whoever its parents are.

        Raises:
            StoreError: they cannot be told.
        """
        known = self._parents.setdefault(name.partition, {})
        if name not in known:
            known[name] = self._read_parents(name)
        return known[name]

    def _read_parents(self, name: CheckpointName) -> Collection[CheckpointName] | None:
        beginning = self._store.read_beginning(name, BEGINNING_BYTES)
        if beginning is None:
            raise StoreError("it is not there any more")
        try:
            header = read_header(beginning)
        except OtherFormatError as error:  # a later version's, which may have parents all the same
            raise StoreError(str(error)) from error
        except EnvelopeError:
            return None
        return header.parent_names() if header.name() == name else None


class BackgroundWriter:
    """One thread that does the sealing beside the loop."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing
        self._todo: queue.SimpleQueue[Snapshot | Prune | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Written] = queue.SimpleQueue()
        # A daemon: a store that hangs must not keep a process alive that was told to stop.
        self._thread = threading.Thread(target=self._run, name="checkpoint-writer", daemon=True)
        self._thread.start()

    def submit(self, snapshot: Snapshot) -> None:
        """Queue a snapshot; its result comes out of `finished`."""
        self._todo.put(snapshot)

    def prune(self, partition: int, below: int, kept: int | None = None) -> None:
        """Queue the removal of what is superseded."""
        self._todo.put(Prune(partition, below, kept))

    def finished(self, wait_seconds: float = 0.0) -> Written | None:
        """Return the next result, or None if there is none within `wait_seconds`."""
        try:
            return self._done.get(timeout=wait_seconds) if wait_seconds > 0 else self._done.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let the thread end once everything queued is done; does not wait for it."""
        self._todo.put(None)

    def _run(self) -> None:
        while (item := self._todo.get()) is not None:
            if isinstance(item, Snapshot):
                self._done.put(self._sealing.write(item))
            else:
                self._sealing.prune(item)
            del item  # a snapshot holds its partition's state, which may be another worker's by now
