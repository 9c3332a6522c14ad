"""What a long replay says of itself: a line now and then with how much is done, how much is left, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.assigned import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from consumer.assigned import Assigned
    from consumer.assignment import Assignment

_INTERVAL_SECONDS: Final = 10.0


class ReplayProgress:
    """Tells of replays that take long; of those that are over within 10 s it says nothing.

    Args:
        clock: the loop's monotonic clock, in seconds.
    """

    def __init__(self, assignment: Assignment, log: FilteringBoundLogger, clock: Callable[[], float]) -> None:
        self._assignment = assignment
        self._log = log
        self._clock = clock
        self._told_at: float | None = None
        self._begun: dict[Assigned, int] = {}  # offsets where each replay began, as far as was seen
        self._told: dict[Assigned, int] = {}  # offsets when last told

    def turn(self) -> None:
        """Say how far the replays are, if it is time."""
        replaying = self._assignment.in_phase(Phase.REPLAYING)
        now = self._clock()
        if not replaying or self._told_at is None:
            self._told_at = now if replaying else None
            self._begun = self._told = {assigned: assigned.state.next_offset for assigned in replaying}
            return
        seconds = now - self._told_at
        if seconds < _INTERVAL_SECONDS:
            return
        offsets = {assigned: assigned.state.next_offset for assigned in replaying}
        self._begun = {assigned: self._begun.get(assigned, offset) for assigned, offset in offsets.items()}
        remaining = sum(assigned.destination.offset - offset for assigned, offset in offsets.items())
        rate = sum(offset - self._told.get(assigned, offset) for assigned, offset in offsets.items()) / seconds
        self._log.info(
            "replaying",
            partitions=sorted(assigned.partition for assigned in replaying),
            replayed=sum(offset - self._begun[assigned] for assigned, offset in offsets.items()),
            remaining=remaining,
            records_per_second=round(rate),
            seconds_left=round(remaining / rate) if rate > 0 else None,
        )
        self._told_at, self._told = now, offsets
