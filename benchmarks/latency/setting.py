"""What is varied: how many events come, what readers are promised, and how often the worker commits."""

from __future__ import annotations

from typing import Final

import msgspec

from consumer.settings import Guarantee

RATES: Final = (1_000, 10_000)
"""Events a second."""

INTERVALS_MS: Final = (20, 50, 100, 200)
ALLOWANCE_MS: Final = 50
"""What a 99th percentile may take beyond the commit interval."""


class Setting(msgspec.Struct, frozen=True):
    """One point of the curve.

    Attributes:
        rate: events a second.
        guarantee: `PROCESSING_GUARANTEE`.
        interval_ms: `COMMIT_INTERVAL_MS`; None leaves it at its default, under at_least_once nobody waits for it.
    """

    rate: int
    guarantee: Guarantee
    interval_ms: int | None

    @property
    def label(self) -> str:
        """For readers."""
        if self.interval_ms is None:
            return self.guarantee.value
        return f"{self.guarantee.value}, {self.interval_ms} ms"

    @property
    def bound_ms(self) -> int | None:
        """What the 99th percentile may be; None where none is set."""
        return None if self.interval_ms is None else self.interval_ms + ALLOWANCE_MS

    def variables(self) -> dict[str, str]:
        """Return the worker's environment that makes the difference."""
        found = {"PROCESSING_GUARANTEE": self.guarantee.value}
        if self.interval_ms is not None:
            found["COMMIT_INTERVAL_MS"] = str(self.interval_ms)
        return found


SETTINGS: Final = tuple(
    setting
    for rate in RATES
    for setting in (
        *(Setting(rate, Guarantee.EXACTLY_ONCE, interval) for interval in INTERVALS_MS),
        Setting(rate, Guarantee.AT_LEAST_ONCE, None),
    )
)
