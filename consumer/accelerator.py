"""When machine code is worth its second of loading: once a worker knows of much to do, or has seen that much."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

_WORTH_RECORDS: Final = 10_000
_WORTH_BACKLOG: Final = 100_000
"""What lies ahead at a start: in Python it would take longer than the loading does."""
_BACKLOG_RECORDS: Final = 1_000
"""A poll brings so many of one partition only where more are waiting."""
_WAIT_SECONDS: Final = 1.5
_SWITCH_SECONDS: Final = 0.0002


def load_beside(log: FilteringBoundLogger) -> threading.Thread | None:
    """Load machine code in a thread of its own, which is returned; tasks take to it with their next batch."""

    def load() -> None:
        from consumer.learning import acceleration  # noqa: PLC0415 -- only where it is wanted

        started = time.monotonic()
        usual = sys.getswitchinterval()
        # A loop that never waits would take up the interpreter's lock again, for all of its interval, each time that
        # the loading lets go of it, as every reading of a file does: 12 s instead of 2.
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            why = acceleration.load()
        finally:
            sys.setswitchinterval(usual)
        seconds = round(time.monotonic() - started, 1)
        if why is None:
            log.info("accelerated", seconds=seconds)
        else:
            log.warning("not_accelerated", reason=f"{why}; the same predictions, in more time", seconds=seconds)

    thread = threading.Thread(target=load, name="accelerate", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # no thread to be had, and nothing depends on it
        log.warning("not_accelerated", reason=str(error), seconds=0.0)
        return None
    return thread


class Accelerator:
    """Begins the loading, once. A start does not wait for it, and a worker with little to do never pays for it.

    A worker that is behind waits for it, but not for long: side by side, loading and processing each take the other's
    time, and what was kept on disk is loaded within a second, after which several times as much is done.

    Args:
        load: begins to load beside the loop.
        log: the worker's log.
    """

    def __init__(
        self, load: Callable[[FilteringBoundLogger], threading.Thread | None], log: FilteringBoundLogger
    ) -> None:
        self._load = load
        self._log = log
        self._ahead = 0
        self._seen = 0
        self._has_begun = False
        self._loading: threading.Thread | None = None  # until a batch has waited for it

    def expect(self, records: int) -> None:
        """Take note of records that a partition is behind: a backlog is met with machine code from its first batch."""
        self._ahead += records
        if self._ahead >= _WORTH_BACKLOG:
            self._begin()

    def note(self, records: int) -> None:
        """Take note of records that are about to be processed in a batch."""
        self._seen += records
        if self._seen >= _WORTH_RECORDS:
            self._begin()
        if self._loading is not None and records >= _BACKLOG_RECORDS:
            self._loading.join(_WAIT_SECONDS)
            self._loading = None

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._loading = self._load(self._log)
