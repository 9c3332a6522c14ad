"""How far replays are: what is done, what is left, at which speed and for how long; the log's lines about it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from consumer.assigned import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from consumer.assigned import Assigned
    from consumer.assignment import Assignment

_SPEED_SECONDS: Final = 10.0
"""The present speed is that of so many seconds."""


class Moment(NamedTuple):
    """How far all replays are.

    Attributes:
        partitions: those that still replay.
        replayed: records done, those of partitions included that have arrived meanwhile.
        remaining: records left.
        rate: records a second, at present.
    """

    partitions: list[int]
    replayed: int
    remaining: int
    rate: float

    @property
    def total(self) -> int:
        """All records, done and left."""
        return self.replayed + self.remaining

    @property
    def percent(self) -> int:
        """How much of them is done; 100 only when all is."""
        return 100 * self.replayed // self.total if self.total else 100

    @property
    def seconds_left(self) -> int | None:
        """The time left at the present speed; None where nothing moves."""
        return round(self.remaining / self.rate) if self.rate > 0 else None


class ReplayDisplay(Protocol):
    """Shows replays to whoever watches. No method may block for long: the loop waits.

    Attributes:
        interval: seconds between two showings, and before the first.
    """

    @property
    def interval(self) -> float:
        """Seconds between two showings, and before the first."""

    def show(self, moment: Moment) -> None:
        """Show how far they are."""

    def end(self) -> None:
        """Nothing replays any more; may be called more than once."""


class ReplayLines:
    """A line of the log now and then: of replays that are over within 10 s it says nothing."""

    interval = 10.0

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def show(self, moment: Moment) -> None:
        """Write the line."""
        self._log.info(
            "replaying",
            partitions=moment.partitions,
            percent=moment.percent,
            replayed=moment.replayed,
            remaining=moment.remaining,
            records_per_second=round(moment.rate),
            seconds_left=moment.seconds_left,
        )

    def end(self) -> None:
        """Say nothing: `partition_live` has said it of each."""


@dataclass(slots=True)
class _Way:
    """The offsets of one replay, as far as was seen: where it began, where it stands, where it will end."""

    begun: int
    stands: int
    goal: int


class ReplayProgress:
    """Follows the replays and has them shown.

    Args:
        display: where they are shown.
        clock: the loop's monotonic clock, in seconds.
    """

    def __init__(self, assignment: Assignment, display: ReplayDisplay, clock: Callable[[], float]) -> None:
        self._assignment = assignment
        self._display = display
        self._clock = clock
        self._ways: dict[Assigned, _Way] = {}
        self._due = 0.0
        self._done = 0  # records, of whichever partition
        self._seen: deque[tuple[float, int]] = deque()  # when, and how many were done by then

    def turn(self) -> None:
        """Show how far the replays are, if it is time; one of the loop's turns is over."""
        replaying = self._assignment.in_phase(Phase.REPLAYING)
        if not replaying:
            self.end()
            return
        now = self._clock()
        is_first = not self._ways
        if not is_first and now < self._due:
            return
        self._look(replaying)
        self._due = now + self._display.interval
        self._seen.append((now, self._done))
        if is_first:
            return
        while len(self._seen) > 2 and now - self._seen[1][0] >= _SPEED_SECONDS:  # noqa: PLR2004 -- a speed needs two
            self._seen.popleft()
        since, done = self._seen[0]
        ways = self._ways.values()
        self._display.show(
            Moment(
                partitions=sorted(assigned.partition for assigned in replaying),
                replayed=sum(way.stands - way.begun for way in ways),
                remaining=sum(way.goal - way.stands for way in ways),
                rate=(self._done - done) / (now - since),
            )
        )

    def end(self) -> None:
        """Show nothing more: the replays are over, or the worker leaves."""
        if self._ways:
            self._ways.clear()
            self._seen.clear()
            self._display.end()

    def _look(self, replaying: list[Assigned]) -> None:
        """Take note of where each replay stands."""
        ways = {assigned: way for assigned, way in self._ways.items() if assigned.phase is Phase.LIVE}  # arrived
        for way in ways.values():
            self._done += way.goal - way.stands
            way.stands = way.goal
        for assigned in replaying:
            offset, goal = assigned.state.next_offset, assigned.destination.offset
            way = self._ways.get(assigned) or _Way(offset, offset, goal)
            self._done += max(0, offset - way.stands)
            # One that stands on a lower rung now has more to do.
            ways[assigned] = _Way(min(way.begun, offset), offset, goal)
        self._ways = ways
