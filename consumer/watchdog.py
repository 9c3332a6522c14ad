"""The watchdog: a worker that stands still is ended, so that its supervisor starts another one.

A client's call may ignore its time-out (librdkafka's issue 5456), a model may never return, a close may hang. Nothing
is lost by an end at such a moment, as by any kill: what was committed stands, the rest is done again.

A thread looks once a second for the loop's sign of life. It cannot run while a C call holds the interpreter's lock, so
at each look it puts off a last resort that needs no Python (`consumer.last_resort`).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.health import Stillness

LOOK_SECONDS: Final = 1.0
_MOST_COUNTED_SECONDS: Final = 5.0
"""What one look may add to a stillness: one that comes later was held up itself, by a freeze or for lack of CPU."""

_LIVEZ_SHARE: Final = 2 / 3
_MARGIN_SECONDS: Final = 5.0


def livez_seconds(limit: float, most: float) -> float:
    """Return after how long a stillness /livez fails: well before the watchdog ends the process, so that it is seen."""
    return min(most, _LIVEZ_SHARE * limit)


def check_limit(limit: float, longest_call: float) -> None:
    """Refuse a limit that a worker in good order would run into.

    Args:
        limit: `WATCHDOG_SECONDS`.
        longest_call: how long one call to Kafka may take under these settings and be in good order.

    Raises:
        SettingsError: it is too low.
    """
    if limit < longest_call + _MARGIN_SECONDS:
        raise SettingsError(
            f"WATCHDOG_SECONDS={limit:g}: expected at least {longest_call + _MARGIN_SECONDS:g}; under these settings "
            f"one call to Kafka may take {longest_call:g} s and be in good order. Raise it, or lower "
            "KAFKA_TRANSACTION_TIMEOUT_MS, or under at_least_once KAFKA_SOCKET_TIMEOUT_MS"
        )


class Ending(Protocol):
    """How a process that stands still is ended."""

    def put_off(self, seconds: float) -> None:
        """Let the last resort act in so many seconds, unless it is put off again or called off."""

    def call_off(self) -> None:
        """Let it never act."""

    def end(self, still: Stillness) -> None:
        """Say where the loop stands, dump all stacks, and end the process with STUCK; does not return."""


class Watchdog:
    """Ends the process once the loop has given no sign of life for too long.

    Args:
        limit: how long is too long, in seconds.
        stillness: tells for how long it has given none, and where it stands.
        ending: how the process is ended.
        clock: monotonic, in seconds.
        tell: hears at each look for how long the loop has been still.
    """

    def __init__(
        self,
        limit: float,
        *,
        stillness: Callable[[], Stillness],
        ending: Ending,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._limit = limit
        self._stillness = stillness
        self._ending = ending
        self._clock = clock
        self._tell = tell
        self._looked_at = clock()
        self._counted = 0.0
        self._stopped = threading.Event()

    def look(self) -> None:
        """Look once.

        Time for which nobody looked, as in a frozen process, is not held against the loop: it stood still like all.
        """
        now = self._clock()
        since_last_look, self._looked_at = now - self._looked_at, now
        self._ending.put_off(self._limit)
        still = self._stillness()
        self._tell(still.seconds)
        self._counted = min(still.seconds, self._counted + min(since_last_look, _MOST_COUNTED_SECONDS))
        if self._counted >= self._limit:
            self._ending.end(still)

    def start(self) -> None:
        """Look again and again, in a thread of its own, until `stop`."""
        self._ending.put_off(self._limit)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._ending.call_off()

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self.look()
        self._ending.call_off()  # again: a look may have been under way
