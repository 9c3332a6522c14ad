"""Waiting for a condition, never for an amount of time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_SECONDS = 0.02  # Short beside anything a broker does, long beside the cost of asking it.


class DeadlineExceededError(TimeoutError):
    """The awaited condition did not come true in time."""


def wait_until(condition: Callable[[], T], deadline_seconds: float, what: str) -> T:
    """Return the first truthy value of `condition`, asked again and again until `deadline_seconds` have passed.

    The condition is asked at least once, and its own exceptions pass through. `what` completes the sentence
    "waited 5 s for ...".

    Raises:
        DeadlineExceededError: The condition was still falsy at the deadline.

    """
    deadline = time.monotonic() + deadline_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            message = f"waited {deadline_seconds:g} s for {what}; the last answer was {value!r}"
            raise DeadlineExceededError(message)
        time.sleep(_PAUSE_SECONDS)
