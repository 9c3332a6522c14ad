"""The independent truth beside a run, in a process of its own: an hour's records are too many to compare afterwards."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from benchmarks.piped import Piped
from benchmarks.recovery_demo.watcher import Watcher
from benchmarks.soak.minutes import Verdict

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from consumer.learning.fingerprint import LearningSettings
    from tests.stage import Stage

_NICENESS = 10  # the worker is measured, the comparing is not
_TELL_SECONDS = 1.0
_FINDINGS = 5


class CheckerError(Exception):
    """The comparison ended before it was told to, or did not come to its end in time."""


class Checker(Piped):
    """Reads a stage's three topics with read_committed while they grow, and compares them record by record.

    Args:
        stage: whose topics they are.
        learning: the settings that predictions depend on.

    Attributes:
        latest: what it said last.
    """

    def __init__(self, stage: Stage, learning: LearningSettings) -> None:
        super().__init__(_check, stage, learning)
        self.latest = Verdict()

    def verdict(self) -> Verdict:
        """Return how far it has come.

        Raises:
            CheckerError: it has ended.
        """
        try:
            while self._pipe.poll(0):
                self._take(self._pipe.recv())
        except EOFError as error:
            raise CheckerError("the comparison ended by itself") from error
        return self.latest

    def finish(self, seconds: float) -> Verdict:
        """Have it read everything up to the topics' present ends, and return what it then says.

        Raises:
            CheckerError: it did not get there in time.
        """
        self._pipe.send("finish")
        deadline = time.monotonic() + seconds
        try:
            while self._pipe.poll(max(0.0, deadline - time.monotonic())):
                self._take(self._pipe.recv())
        except EOFError:
            return self.latest  # it closes the pipe behind its last word
        raise CheckerError(f"the comparison did not come to the topics' ends within {seconds:.0f} s")

    def _take(self, message: Verdict | str) -> None:
        if isinstance(message, str):
            raise CheckerError(f"the comparison failed: {message}")
        self.latest = message


def _check(pipe: Connection, stage: Stage, learning: LearningSettings) -> None:
    """Compare until told to finish, or until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the demonstration
    os.nice(_NICENESS)
    try:
        with Watcher(stage, learning) as watcher:
            while not pipe.poll(_TELL_SECONDS):
                pipe.send(_verdict(watcher))
            pipe.recv()
            ends = watcher.ends()
            while not watcher.has_reached(ends):
                time.sleep(_TELL_SECONDS)
                pipe.send(_verdict(watcher))
            watcher.finish()
            pipe.send(_verdict(watcher))
    except (EOFError, BrokenPipeError):
        return  # the demonstration is gone
    except Exception as error:  # noqa: BLE001 -- whatever it is, the demonstration must hear of it
        pipe.send(f"{type(error).__name__}: {error}")
    finally:
        pipe.close()


def _verdict(watcher: Watcher) -> Verdict:
    if watcher.failure is not None:
        raise watcher.failure
    comparison = watcher.comparison
    predictions, dead_letters = comparison.counts["prediction"], comparison.counts["dead_letter"]
    return Verdict(
        records=comparison.records,
        repeats=comparison.repeats,
        predictions=predictions.equal,
        dead_letters=dead_letters.equal,
        lost=predictions.lost + dead_letters.lost,
        doubled=predictions.doubled + dead_letters.doubled,
        differing=predictions.differing + dead_letters.differing,
        waiting=comparison.waiting,
        findings=comparison.findings[:_FINDINGS],
    )
