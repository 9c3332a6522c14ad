"""The workers of a run and their supervisor, which starts each anew that ends."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stage import WorkerProcess

_TURN_SECONDS: Final = 0.1
_RESTART_SECONDS: Final = 0.5
_LONGEST_STOP_SECONDS: Final = 60.0  # SHUTDOWN_SECONDS is 20; one that stands still ends itself after 30
_STACKS_SECONDS: Final = 5.0
_RESTORED: Final = frozenset({"checkpoint_restored", "older_checkpoint_restored"})


class Life:
    """One worker process and what its log has said so far.

    Attributes:
        live: the partitions that it works on.
        gained: those that the group has given it.
        events: its log's lines, by their name.
        longest_replay: the most records that it had to replay after a checkpoint.
    """

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.live: set[int] = set()
        self.gained: set[int] = set()
        self.events: Counter[str] = Counter()
        self.longest_replay = 0
        self._read = 0

    @property
    def is_running(self) -> bool:
        """Tell whether the process is there, frozen or not."""
        return self.worker.process.poll() is None

    def follow(self) -> None:
        """Read what its log has new."""
        with self.worker.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # the rest comes later
                self._read += len(line)
                self._hear(line)

    def end_with_stacks(self) -> None:
        """End a process that hangs, and let its log say where."""
        self.worker.process.send_signal(signal.SIGABRT)  # faulthandler writes the stacks, whatever holds the lock
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.worker.wait(_STACKS_SECONDS)
        self.worker.kill()

    def last_words(self) -> str:
        """Return the last lines of its log."""
        return self.worker.log.read_text(encoding="utf-8", errors="replace")[-1_500:]

    def _hear(self, line: bytes) -> None:
        try:
            said = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError:
            return
        self.events[said.event] += 1
        if said.event == "recovering":
            self.events[f"recovering: {said.kind}"] += 1
            self.live.clear()
            self.gained.clear()
        elif said.event in {"partition_live", "partition_fresh"} and said.partition is not None:
            self.live.add(said.partition)
        elif said.event == "partitions_gained":
            self.gained.update(said.partitions)
        elif said.event in {"partitions_revoked", "partitions_lost"}:
            self.live.difference_update(said.partitions)
            self.gained.difference_update(said.partitions)
        elif said.event in _RESTORED:
            self.longest_replay = max(self.longest_replay, said.committed_offset - said.offset)


class _Line(msgspec.Struct):
    event: str = ""
    kind: str = ""
    partition: int | None = None
    partitions: list[int] = []
    offset: int = 0
    committed_offset: int = 0


class Slot:
    """The place of one worker: a name, and one process after the other under it.

    Whoever does something to the worker holds `lock`: the supervisor leaves it alone meanwhile.

    Args:
        name: the worker's `INSTANCE_ID`.
        spawn: starts a worker from (name, log).
        directory: where the logs go.
        record: the crew's books.

    Attributes:
        is_given_up: nobody starts a worker here any more.
    """

    def __init__(self, name: str, spawn: Callable[[str, Path], WorkerProcess], directory: Path, record: Record) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.held: set[int] = set()
        self.is_given_up = False
        self._spawn = spawn
        self._directory = directory
        self._record = record
        self._lives = 0
        self.life = self.new_life()

    def new_life(self) -> Life:
        """Start a process; the one before, if it still runs, is the caller's."""
        self._lives += 1
        return Life(self._spawn(self.name, self._directory / f"{self.name}-{self._lives:03}.log"))

    def start(self) -> None:
        """Start the next worker."""
        self.life = self.new_life()

    def look(self) -> Life:
        """Return the present life, its log read; what it works on is remembered as held."""
        with self.lock:
            self.life.follow()
            self.held = set(self.life.live) or self.held
            return self.life

    def tend(self) -> None:
        """Start the worker anew if it has ended by itself."""
        if self.is_given_up:
            return  # while the supervisor was on its way to it
        self.look()
        if not self.life.is_running:
            self.bury(self.life)
            time.sleep(_RESTART_SECONDS)
            self.start()

    def kill(self) -> bool:
        """End the worker with SIGKILL; tell whether it was running till then. The next is the caller's to start."""
        life = self.look()
        life.worker.kill()
        self.bury(life)
        return life.worker.process.returncode == -signal.SIGKILL

    def terminate(self) -> bool:
        """Ask the worker to stop and wait; tell whether it was running and ended well."""
        life = self.look()
        was_running = life.is_running
        if was_running:
            try:
                life.worker.terminate(_LONGEST_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._record.findings.append(
                    f"{life.worker.log.name}: no end {_LONGEST_STOP_SECONDS:g} s after SIGTERM"
                )
                life.end_with_stacks()
        self.bury(life)
        return was_running and life.worker.process.returncode == 0

    def bury(self, life: Life) -> None:
        """Enter an ended life in the books."""
        life.follow()
        self._record.enter(life)


class Record:
    """What the lives of a crew's workers add up to."""

    def __init__(self) -> None:
        self.exits: Counter[int] = Counter()
        self.events: Counter[str] = Counter()
        self.findings: list[str] = []
        self.longest_replay = 0
        self._entered: set[int] = set()
        self._lock = threading.Lock()

    def enter(self, life: Life) -> None:
        """Add an ended life, once."""
        code = life.worker.process.returncode
        with self._lock:
            if life.worker.process.pid in self._entered:
                return
            self._entered.add(life.worker.process.pid)
            self.events.update(life.events)
            self.longest_replay = max(self.longest_replay, life.longest_replay)
            if code in {-signal.SIGKILL, -signal.SIGABRT}:
                return  # that was us
            self.exits[code] += 1


class Crew:
    """All slots, and the supervisor's thread; a context manager that ends every worker.

    Args:
        names: of the workers that are there from the beginning.
        spawn: starts a worker from (name, log).
        directory: where the logs go.
    """

    def __init__(self, names: list[str], spawn: Callable[[str, Path], WorkerProcess], directory: Path) -> None:
        self.record = Record()
        self._spawn = spawn
        self._directory = directory
        self._extra: list[Slot] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self.slots = [Slot(name, spawn, directory, self.record) for name in names]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()
        for slot in self.all():
            slot.life.worker.thaw()
            slot.life.worker.kill()

    def all(self) -> list[Slot]:
        """Return the slots, those that joined later too."""
        return [*self.slots, *self._extra]

    def add(self, name: str) -> Slot:
        """Let another worker join."""
        slot = Slot(name, self._spawn, self._directory, self.record)
        self._extra.append(slot)
        return slot

    def remove(self, slot: Slot) -> None:
        """Supervise a slot no longer."""
        with slot.lock:
            slot.is_given_up = True
        self._extra.remove(slot)

    def live(self) -> set[int]:
        """Return the partitions that are being worked on."""
        return {partition for slot in self.all() for partition in slot.look().live}

    def number(self, event: str) -> int:
        """Return how often the workers' logs have said something so far."""
        return self.record.events[event] + sum(slot.look().events[event] for slot in self.all())

    def rest(self) -> None:
        """End the supervising: who ends now stays away."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _supervise(self) -> None:
        while not self._is_over.wait(_TURN_SECONDS):
            for slot in self.all():
                if slot.lock.acquire(blocking=False):
                    try:
                        slot.tend()
                    finally:
                        slot.lock.release()
