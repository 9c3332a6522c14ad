"""What happens, and how it stands: what all views of the demonstration show."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.recovery_demo.comparison import Counts, Kind

Tone = Literal["plain", "kill", "good", "bad"]

_RATE_SECONDS: Final = 3.0


class Phase(Enum):
    """What a worker was doing when it was killed, by its own log and by what the reader had seen of it."""

    STARTING = "while it started"
    REPLAYING = "while it replayed"
    LIVE = "before its first prediction"
    PREDICTING = "while it predicted"
    CHECKPOINT = "just after it wrote a checkpoint"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened.

    Attributes:
        seconds: since the demonstration began.
        event: its name, for machines.
        text: one line for people.
        facts: what belongs to it, for machines.
        tone: how it is coloured.
    """

    seconds: float
    event: str
    text: str
    facts: Mapping[str, Any]
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How it stands at one moment.

    Attributes:
        seconds: since the demonstration began.
        seconds_left: in about; None while nothing is known.
        share_done: 0 to 1.
        kills: done so far.
        kills_planned: how many it will be.
        state: what the worker is doing.
        checkpoints: newest offset by partition.
        records: input records read so far.
        repeats: those of them that publish nothing.
        records_per_second: input, over the last seconds.
        seen_per_second: answers, over the last seconds.
        lag: events whose answer the reader has not seen yet.
        counts: what was compared.
    """

    seconds: float
    seconds_left: float | None
    share_done: float
    kills: int
    kills_planned: int
    state: str
    checkpoints: Mapping[int, int]
    records: int
    repeats: int
    records_per_second: float
    seen_per_second: float
    lag: int
    counts: Mapping[Kind, Counts]


@dataclass(slots=True)
class Tally:
    """What has happened so far.

    Attributes:
        kills_planned: how many kills it was to be.
        kills: those done, by phase.
        seconds_to_first: from each restart that lived to see it to its first new prediction.
        replays: how many records each restart replayed or began to.
        checkpoints: how many were written.
        newest_checkpoints: offset by partition.
        exit_code: of the last worker, which was asked to stop; None before.
        trouble: one sentence, why it could not go on; None if it could.
        is_interrupted: it was ended from outside.
    """

    kills_planned: int
    kills: Counter[Phase] = field(default_factory=Counter)
    seconds_to_first: list[float] = field(default_factory=list)
    replays: list[int] = field(default_factory=list)
    checkpoints: int = 0
    newest_checkpoints: dict[int, int] = field(default_factory=dict)
    exit_code: int | None = None
    trouble: str | None = None
    is_interrupted: bool = False


class Rate:
    """How fast a number grows, over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, seconds: float, number: int) -> float:
        """Take the number at a time and return its growth a second."""
        self._points.append((seconds, number))
        while len(self._points) > 2 and seconds - self._points[1][0] >= _RATE_SECONDS:
            self._points.popleft()
        first_seconds, first = self._points[0]
        return (number - first) / (seconds - first_seconds) if seconds > first_seconds else 0.0
