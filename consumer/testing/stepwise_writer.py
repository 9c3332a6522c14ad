"""A checkpoint writer without a thread: what is queued is done when asked for results, or later, as is decided."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.writer import Prune, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.writer import Sealing, Written

_WRITE_SECONDS: Final = 0.05


class StepwiseWriter:
    """Does at most one thing each time that it is asked for a result.

    Args:
        sealing: what seals, writes and prunes.
        is_slow: tells each time whether the background has got nowhere since.
        pause: lets the time pass that writing takes.
    """

    def __init__(self, sealing: Sealing, is_slow: Callable[[], bool], pause: Callable[[float], None]) -> None:
        self._sealing = sealing
        self._is_slow = is_slow
        self._pause = pause
        self._queue: deque[Snapshot | Prune] = deque()

    def submit(self, snapshot: Snapshot) -> None:
        """Queue a snapshot."""
        self._queue.append(snapshot)

    def prune(self, partition: int, below: int, kept: int | None = None) -> None:
        """Queue the removal of what is superseded."""
        self._queue.append(Prune(partition, below, kept))

    def finished(self, wait_seconds: float = 0.0) -> Written | None:
        """Return the next result; one who waits for it gets it."""
        while self._queue and (wait_seconds > 0 or not self._is_slow()):
            item = self._queue.popleft()
            self._pause(_WRITE_SECONDS)
            if isinstance(item, Snapshot):
                return self._sealing.write(item)
            self._sealing.prune(item)
        return None
