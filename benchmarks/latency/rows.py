"""The curve: each setting's medians over the rounds, and the figures that say whether bounds are met."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.figures import Figure
from benchmarks.latency.setting import Setting  # noqa: TC001 -- msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.latency.turn import Turn

LEAST_RATE: Final = 0.99
"""Of the wanted rate: below it, another rate was measured."""


class Row(msgspec.Struct, frozen=True):
    """One setting over the rounds; times in milliseconds.

    Attributes:
        setting: the setting.
        rounds: how many turns it had.
        p50: median of the rounds.
        p99: likewise.
        p99_lowest: the lowest round's.
        p99_highest: the highest round's.
        p999: median of the rounds.
        longest: the longest of all rounds.
    """

    setting: Setting
    rounds: int
    p50: float
    p99: float
    p99_lowest: float
    p99_highest: float
    p999: float
    longest: float

    @property
    def is_met(self) -> bool:
        """Tell whether the median 99th percentile is within its bound, if there is one."""
        bound = self.setting.bound_ms
        return bound is None or self.p99 <= bound


def rows(turns: Sequence[Turn]) -> list[Row]:
    """Return a row for each setting, in the order in which the settings are given by rate, promise and interval."""
    by_setting: dict[Setting, list[Turn]] = {}
    for turn in turns:
        by_setting.setdefault(turn.setting, []).append(turn)
    return [_row(setting, by_setting[setting]) for setting in sorted(by_setting, key=_place)]


def figures(turns: Sequence[Turn]) -> Iterator[Figure]:
    """Yield all figures of a run."""
    for row in rows(turns):
        what = f"{row.setting.rate:,}/s, {row.setting.label}"
        yield Figure(f"{what}: p50, ms", row.p50)
        bound = row.setting.bound_ms
        yield Figure(f"{what}: p99, ms", row.p99, "stated" if bound is None else "<=", bound)
        yield Figure(f"{what}: p99 of the highest round, ms", row.p99_highest)
        yield Figure(f"{what}: p99.9, ms", row.p999)
    yield Figure("events sent", sum(turn.events for turn in turns), ">", 0)
    yield Figure("events measured, after each warm-up", sum(turn.measured for turn in turns), ">", 0)
    yield Figure("events without a prediction", sum(turn.lost for turn in turns), "=", 0)
    yield Figure("predictions twice, or of no event", sum(turn.doubled + turn.unknown for turn in turns), "=", 0)
    slowest = min(turn.sent_rate / turn.setting.rate for turn in turns)
    yield Figure("lowest rate sent / rate wanted", slowest, ">=", LEAST_RATE)
    yield Figure("sender later than due, p99, ms, worst turn", max(turn.behind_p99 for turn in turns))


def _place(setting: Setting) -> tuple[int, bool, int]:
    return setting.rate, setting.interval_ms is None, setting.interval_ms or 0


def _row(setting: Setting, turns: Sequence[Turn]) -> Row:
    tails = [turn.p99 for turn in turns]
    return Row(
        setting=setting,
        rounds=len(turns),
        p50=median(turn.p50 for turn in turns),
        p99=median(tails),
        p99_lowest=min(tails),
        p99_highest=max(tails),
        p999=median(turn.p999 for turn in turns),
        longest=max(turn.longest for turn in turns),
    )
