"""Days as a store has them: in its own time zone, numbered from 1970-01-01."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.transaction import MILLION

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400
_QUARTER_SECONDS: Final = 900
"""No zone has changed its offset but at a multiple of it since 1972."""
_CACHED: Final = 100_000


class Calendar:
    """The days of one time zone.

    Args:
        zone: the zone.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._offsets: dict[int, int] = {}

    def day_of(self, us: int) -> int:
        """Return the day of an instant, given in microseconds since 1970 UTC."""
        seconds = us // MILLION
        quarter = seconds // _QUARTER_SECONDS
        offset = self._offsets.get(quarter)
        if offset is None:
            offset = self._offset(quarter)
        return (seconds + offset) // _DAY_SECONDS

    def days_of(self, us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the days of instants."""
        seconds = us // MILLION
        quarters, at = np.unique(seconds // _QUARTER_SECONDS, return_inverse=True)
        offsets = [self._offsets[each] if each in self._offsets else self._offset(each) for each in quarters.tolist()]
        found: NDArray[np.int64] = (seconds + np.array(offsets, np.int64)[at]) // _DAY_SECONDS
        return found

    def _offset(self, quarter: int) -> int:
        if len(self._offsets) >= _CACHED:
            self._offsets.clear()
        there = datetime.fromtimestamp(quarter * _QUARTER_SECONDS, self._zone).utcoffset() or timedelta()
        found = self._offsets[quarter] = there // timedelta(seconds=1)
        return found

    def begin_of(self, day: int) -> int:
        """Return when a day begins, in microseconds since 1970 UTC."""
        midnight = datetime.combine(date_of(day), time(), self._zone)
        return (midnight.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def date_of(day: int) -> date:
    """Return the date of a day's number."""
    return date.fromordinal(_EPOCH_DAY + day)


def weekday_of(day: int) -> int:
    """Return the day of the week, Monday 0."""
    return (day + 3) % 7
