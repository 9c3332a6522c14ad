"""The input of the demonstrations: the real retail year, with invalid and repeated events among its own."""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.simulate.completejourney import completejourney_events
from consumer.simulate.faults import with_faults
from schemas.transaction import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from consumer.simulate.events import ShopEvent

FAULT_SHARE: Final = 0.005
_KEPT_EVENTS: Final = 30_000
LINEAR: Final = LearningSettings("linear", ModelScope.PARTITION, 100_000, 1_000, Limits())
"""The learning settings of `MODEL=linear`, everything else at its default."""


def real_transactions(number: int, *, seed: int) -> Iterator[ShopEvent]:
    """Return the year's first events, 0.5% invalid and 0.5% repeated ones added."""
    return with_faults(valid_transactions(number), invalid_share=FAULT_SHARE, repeat_share=FAULT_SHARE, seed=seed)


def valid_transactions(number: int) -> Iterator[ShopEvent]:
    """Return the year's first events as they are: each valid, distinct, in time and with its level."""
    if number <= _KEPT_EVENTS:
        return islice(_beginning(), number)
    return completejourney_events(limit=number)


@cache
def _beginning() -> tuple[ShopEvent, ...]:
    """Return the first events: each test asks for some, and loading the year takes a second or two."""
    return tuple(completejourney_events(limit=_KEPT_EVENTS))


def invalid_and_repeated(by_kind: Mapping[str, int]) -> tuple[int, int]:
    """Return how many invalid and how many repeated events were sent."""
    invalid = sum(number for kind, number in by_kind.items() if kind.startswith("invalid:"))
    return invalid, by_kind.get("repeat", 0)
