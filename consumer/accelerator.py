"""When machine code is worth its second of loading: once a worker has seen so much that more will come."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

_WORTH_RECORDS: Final = 10_000
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
        self._left = _WORTH_RECORDS

    def note(self, records: int) -> None:
        """Take note of records that were processed in a batch."""
        if self._left > 0:
            self._left -= records
            if self._left <= 0:
                loading = self._load(self._log)
                if loading is not None and records >= _BACKLOG_RECORDS:
                    loading.join(_WAIT_SECONDS)
