"""The background writer: a snapshot is taken between records in the loop, and made durable beside it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from consumer.checkpoint.envelope import EnvelopeError, Identity, seal, unseal
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.unpickling import UnsafePickleError, decode_sections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.checkpoint.store import CheckpointStore
    from consumer.checkpoint.unpickling import Admitted


class Snapshot(NamedTuple):
    """A partition's state at a record boundary, on its way to the store.

    Attributes:
        owner: the assignment that took it; what it becomes must not touch a later one.
        offset: the state's next offset.
        sections: the state's, as `consumer.learning.state` has them; nothing may change them any more.
        pause_seconds: how long the loop stood still for it.
    """

    owner: object
    partition: int
    offset: int
    sections: Mapping[str, Buffer]
    pause_seconds: float = 0.0


class Written(NamedTuple):
    """What became of a snapshot.

    Attributes:
        name: the durable checkpoint with its place, None where writing failed.
        error: why it failed.
        size: bytes written.
        seconds: time that sealing, checking and writing took.
    """

    snapshot: Snapshot
    name: CheckpointName | None
    error: str
    size: int
    seconds: float


class Prune(NamedTuple):
    """The checkpoints of a partition below an offset are superseded, but for those at `kept`."""

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
    """Seals, checks and writes one snapshot, or prunes; nothing of it ever raises.

    Args:
        store: where checkpoints go.
        identity: whose state this is.
        admitted: what a restore will admit.
        key: the signing key, None to sign nothing.
    """

    def __init__(
        self, store: CheckpointStore, identity: Identity, *, admitted: Admitted, key: bytes | None = None
    ) -> None:
        self._store = store
        self._identity = identity
        self._admitted = admitted
        self._key = key

    def prune(self, todo: Prune) -> None:
        """Remove what is superseded, as far as the store lets us."""
        # What cannot be removed now lies below the kept ones and is found again by the next listing; whatever a store
        # raises, the thread lives on: without it no checkpoint would be written any more.
        names: list[CheckpointName] = []
        with contextlib.suppress(Exception):
            names = self._store.names(self._identity.group, self._identity.topic, todo.partition)
        for name in names:
            if name.offset < todo.below and name.offset != todo.kept:
                with contextlib.suppress(Exception):
                    self._store.delete(name)

    def write(self, snapshot: Snapshot) -> Written:
        """Make a snapshot durable and say what became of it."""
        started = time.monotonic()
        try:
            header, data = seal(self._identity, snapshot.partition, snapshot.offset, snapshot.sections, self._key)
            # What a restore would refuse is never written: a committed reference to it would stop the next worker.
            decode_sections(unseal(data, self._key)[1], self._admitted)
            name = CheckpointName(
                self._identity.group, self._identity.topic, snapshot.partition, snapshot.offset, header.digest
            )
            place = self._store.write(name, data)
        except (StoreError, EnvelopeError, UnsafePickleError) as error:
            return Written(snapshot, None, str(error), 0, time.monotonic() - started)
        except Exception as error:  # noqa: BLE001 -- a dead writer thread would stop checkpoints without a word
            return Written(snapshot, None, f"{type(error).__name__}: {error}", 0, time.monotonic() - started)
        return Written(snapshot, replace(name, place=place), "", len(data), time.monotonic() - started)


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
