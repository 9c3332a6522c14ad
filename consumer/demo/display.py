"""The seam between the demo and whoever watches: a person at a terminal, a pipe, or a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from consumer.demo.board import Board
    from consumer.demo.place import Place
    from consumer.demo.verdict import Summary


class Stage(NamedTuple):
    """What stays the same while the demo runs.

    Attributes:
        place: where it happens.
        source: which shop.
        pid: the worker's process id.
        metrics_url: where the worker's metrics are.
        seconds: how long the shop is to be open.
        environment: the demo's own.
    """

    place: Place
    source: str
    pid: int
    metrics_url: str
    seconds: float
    environment: Mapping[str, str]


class Moment(NamedTuple):
    """What changes from moment to moment.

    Attributes:
        board: what has been seen.
        elapsed: seconds since the shop opened.
        rate: events answered a second.
        checkpoint_age: seconds since a checkpoint was made durable; None before the first one.
        now: seconds, monotonic.
        is_last: none comes after it.
    """

    board: Board
    elapsed: float
    rate: float
    checkpoint_age: float | None
    now: float
    is_last: bool = False


class Display(Protocol):
    """Shows the demo. No method may block for long, or the answers pile up."""

    def waiting(self, what: str, seconds: float) -> None:
        """Show that something is being waited for, and for how long by now; called many times."""

    def opened(self, stage: Stage) -> None:
        """Show where everything is: the worker is ready, the shop opens."""

    def tick(self, moment: Moment) -> None:
        """Show how it stands; called several times a second."""

    def summed_up(self, summary: Summary, log: Path | None) -> None:
        """Show the summary, and where the worker's log was kept, if it was; nothing comes after it."""

    def close(self) -> None:
        """Leave the terminal as it was, whatever happened; may be called more than once."""
