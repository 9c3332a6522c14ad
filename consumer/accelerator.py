"""When machine code is worth its second of loading: once a worker has seen so much that more will come."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

_WORTH_RECORDS: Final = 20_000


def load_beside(log: FilteringBoundLogger) -> None:
    """Load machine code in a thread of its own; models take to it with their next batch."""

    def load() -> None:
        from consumer.learning import acceleration  # noqa: PLC0415 -- only where it is wanted

        started = time.monotonic()
        why = acceleration.load()
        seconds = round(time.monotonic() - started, 1)
        if why is None:
            log.info("accelerated", seconds=seconds)
        else:
            log.warning("not_accelerated", reason=f"{why}; the same predictions, in more time", seconds=seconds)

    try:
        threading.Thread(target=load, name="accelerate", daemon=True).start()
    except RuntimeError as error:  # no thread to be had, and nothing depends on it
        log.warning("not_accelerated", reason=str(error), seconds=0.0)


class Accelerator:
    """Begins the loading, once. A start does not wait for it, and a worker with little to do never pays for it.

    Args:
        load: begins to load beside the loop.
        log: the worker's log.
    """

    def __init__(self, load: Callable[[FilteringBoundLogger], None], log: FilteringBoundLogger) -> None:
        self._load = load
        self._log = log
        self._left = _WORTH_RECORDS

    def note(self, records: int) -> None:
        """Take note of records that were processed in a batch."""
        if self._left > 0:
            self._left -= records
            if self._left <= 0:
                self._load(self._log)
