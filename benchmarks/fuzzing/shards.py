"""Episodes in processes of their own, each with a time limit: what hangs or crashes is a finding and ends nothing else.

An episode depends on its number alone, so the findings are the same however many processes share the work.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import multiprocessing.connection
import os
import resource
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from benchmarks.fuzzing.verdicts import Found, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

PROCESSES: Final = 2
EPISODE_SECONDS: Final = 120.0
"""Far more than an episode takes, on a loaded machine too."""

_MORE_MEMORY: Final = 1 << 30
"""Bytes of address space that an episode may take on top of what the process has: a bomb ends in a MemoryError."""

_POLL_SECONDS: Final = 0.2


class Judge(Protocol):
    """Judges one episode; found by its import path in another process."""

    def __call__(self, seed: int, episode: int, /) -> Verdicts:
        """Return what the episode's cases came to."""


class _Worker:
    """A process that judges one episode after another."""

    def __init__(self, judge: Judge, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115 -- as long as the process
        arguments = (judge, seed, other, self._errors.name)
        self.process: BaseProcess = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        self.episode: int | None = None
        self.deadline = 0.0

    def give(self, episode: int) -> None:
        self.episode = episode
        self.deadline = time.monotonic() + EPISODE_SECONDS
        self.connection.send(episode)

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error: where it hung or crashed."""
        return Path(self._errors.name).read_text(errors="replace")[-2_000:]

    def end(self) -> None:
        self.connection.close()
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self._errors.close()


class Shards(NamedTuple):
    """What the episodes came to.

    Attributes:
        verdicts: of all of them.
        lost: episodes that crashed their process or hung.
    """

    verdicts: Verdicts
    lost: int


def judge_all(
    judge: Judge,
    seed: int,
    episodes: Iterable[int],
    *,
    processes: int = PROCESSES,
    progress: Callable[[Verdicts], None] = lambda _: None,
) -> Shards:
    """Judge these episodes and add up what they came to."""
    todo = deque(episodes)
    total, lost = Verdicts(), 0
    workers = [_Worker(judge, seed) for _ in range(min(processes, len(todo)))]
    try:
        while todo or any(worker.episode is not None for worker in workers):
            for worker in workers:
                if worker.episode is None and todo:
                    worker.give(todo.popleft())
            idle = True
            for place, worker in enumerate(workers):
                if worker.episode is None:
                    continue
                answer = _answer(worker)
                if answer is None:
                    continue
                idle = False
                if isinstance(answer, str):
                    lost += 1
                    where = f"seed {seed}, episode {worker.episode} of {getattr(judge, '__name__', judge)}"
                    total.found.append(Found(where, f"{answer}; {worker.last_words()}"))
                    worker.end()
                    workers[place] = _Worker(judge, seed)
                else:
                    total.add(answer)
                    worker.episode = None
                    progress(total)
            if idle:
                multiprocessing.connection.wait([each.connection for each in workers], _POLL_SECONDS)
    finally:
        for worker in workers:
            worker.end()
    return Shards(total, lost)


def _answer(worker: _Worker) -> Verdicts | str | None:
    """Return what an episode came to, what became of its process, or None while it runs."""
    if worker.connection.poll(0):
        try:
            verdicts: Verdicts = worker.connection.recv()
        except EOFError:
            worker.process.join(5)
            return f"the process ended with {worker.process.exitcode}"
        return verdicts
    if time.monotonic() > worker.deadline:
        return f"no end within {EPISODE_SECONDS:.0f} s"
    return None


def _serve(judge: Judge, seed: int, connection: Connection, errors: str) -> None:
    """Judge what is asked for until the asking process is gone."""
    with Path(errors).open("ab") as file:
        os.dup2(file.fileno(), 2)  # River's compiled code writes there whenever a state makes no sense to it
    faulthandler.enable()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + _MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while True:
        try:
            episode: int = connection.recv()
        except EOFError:
            return
        faulthandler.dump_traceback_later(EPISODE_SECONDS - 5)  # says where it hangs before it is killed
        connection.send(judge(seed, episode))
        faulthandler.cancel_dump_traceback_later()
