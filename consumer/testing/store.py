"""A simulated checkpoint store: durable step by step, so that a crash may fall between any two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.testing.faults import Fault, begin_step, end_step

if TYPE_CHECKING:
    from consumer.checkpoint.envelope import Data
    from consumer.checkpoint.store import CheckpointName
    from consumer.testing.faults import Faults

_STEP: Final = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.REFUSED})


class Disk:
    """What outlives a process.

    Attributes:
        files: whole and durable checkpoints.
        temporary: what a writer that died has left behind; no name leads there.
        chunks: of checkpoints in a topic that are not whole: what each chunk is a part of, by its number.
    """

    def __init__(self) -> None:
        self.files: dict[CheckpointName, bytes] = {}
        self.temporary: list[bytes] = []
        self.chunks: dict[CheckpointName, dict[int, bytes]] = {}

    def put_chunk(self, name: CheckpointName, number: int, total: int, data: Data) -> None:
        """Append one of `total` chunks of a checkpoint; with the last one, in whatever order, it is whole."""
        lying = self.chunks.setdefault(name, {})
        lying[number] = bytes(data)
        if len(lying) == total:
            self.files[name] = bytes(data)
            del self.chunks[name]

    def drop_chunk(self, name: CheckpointName, number: int, total: int) -> None:
        """Append the tombstone of one chunk: without it, the checkpoint is not whole any more."""
        if name in self.files:
            self.chunks[name] = dict.fromkeys(range(total), self.files.pop(name))
        lying = self.chunks.get(name, {})
        lying.pop(number, None)
        if not lying:
            self.chunks.pop(name, None)


class SimulatedStore:
    """One process's way to the disk, with the steps of `DirectoryStore`.

    Args:
        disk: shared by all processes of a simulation.
        faults: decides what becomes of each step.
    """

    def __init__(self, disk: Disk, faults: Faults) -> None:
        self._disk = disk
        self._faults = faults

    def write(self, name: CheckpointName, data: Data) -> None:
        """Write a temporary file, fsync it, rename it, fsync the folder."""
        fault = self._step("store.write")
        if fault is not Fault.NONE:
            self._disk.temporary.append(bytes(data[: len(data) // 2]))
            self._fail("store.write", fault)
        self._disk.temporary.append(bytes(data))
        self._fail("store.fsync", self._step("store.fsync"))
        fault = self._step("store.rename")
        if fault is not Fault.REFUSED:
            self._disk.files[name] = bytes(data)
            self._disk.temporary.pop()
        self._fail("store.rename", fault)
        self._fail("store.sync_folder", self._step("store.sync_folder"))

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the file's bytes."""
        self._fail("store.read", self._step("store.read"))
        return self._disk.files.get(name)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the file's first bytes."""
        data = self.read(name)
        return None if data is None else data[:length]

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List a partition's checkpoints."""
        self._fail("store.list", self._step("store.list"))
        return sorted(name for name in self._disk.files if name.is_of(group, topic, partition))

    def delete(self, name: CheckpointName) -> None:
        """Remove one."""
        fault = self._step("store.delete")
        if fault is not Fault.REFUSED:
            self._disk.files.pop(name, None)
        self._fail("store.delete", fault)

    def check(self, _group: str, _topic: str) -> None:
        """Nothing is in the way."""

    def where(self) -> str:
        """Name it."""
        return "simulated store"

    def _step(self, step: str) -> Fault:
        return begin_step(self._faults, step, _STEP)

    @staticmethod
    def _fail(step: str, fault: Fault) -> None:
        end_step(step, fault, "no space left on the simulated device")
