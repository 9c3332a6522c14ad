"""A bound on the bytes a second that checkpoints take of a network which the worker's records need as well."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Throttle:
    """Lets so many bytes a second pass, piece by piece; for one thread.

    Whoever passes pays afterwards: the first piece goes at once, the next one when the time of the one before is up.
    Time in which nothing passed is not saved up, so no burst follows a pause.

    Args:
        bytes_per_second: how many.
        clock: monotonic, in seconds.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        bytes_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    def take(self, size: int) -> None:
        """Wait until a piece of `size` bytes may pass."""
        now = self._clock()
        begin = max(now, self._free_at)
        if begin > now:
            self._sleep(begin - now)
        self._free_at = begin + size / self._bytes_per_second
