"""The client's complaints, without the flood: while a broker is away it says the same many times a second."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

QUIET_SECONDS: Final = 10.0


class Repetitions:
    """Lets one complaint of a kind pass every so many seconds, and counts the others; called from any thread.

    Args:
        clock: monotonic, in seconds.
        seconds: how long a kind stays quiet once it was heard.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, seconds: float = QUIET_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._heard: dict[Hashable, tuple[float, int]] = {}

    def left_out(self, kind: Hashable) -> int | None:
        """Return how many of this kind were left out since the last one that passed; None to leave out this one."""
        now = self._clock()
        with self._lock:
            passed_at, left_out = self._heard.get(kind, (None, 0))
            if passed_at is not None and now - passed_at < self._seconds:
                self._heard[kind] = passed_at, left_out + 1
                return None
            self._heard[kind] = now, 0
            return left_out


class LineFilter(logging.Filter):
    """The same for librdkafka's own log lines; a kind is their level and their first word, such as `FAIL`."""

    def __init__(self, repetitions: Repetitions | None = None) -> None:
        super().__init__()
        self._repetitions = repetitions or Repetitions()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line passes; one that follows others that did not says how many."""
        kind = record.getMessage().partition(" ")[0]
        left_out = self._repetitions.left_out((record.levelno, kind))
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more {kind} lines before)", None
        return left_out is not None
