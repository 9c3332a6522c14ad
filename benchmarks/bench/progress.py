"""How far a run is: a line for each turn on standard error, and on a terminal a bar with the time left below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.bench.arena import Run
    from benchmarks.bench.roster import Contender


class Shown:
    """Shows a run's phases and turns.

    Args:
        turns: how many there will be.
        rounds: how many they belong to.
        console: where to.
    """

    def __init__(self, turns: int, rounds: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._rounds = rounds
        self._left = ""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *columns,
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=turns, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def phase(self, text: str) -> None:
        """Say what is being prepared."""
        self._bar.update(self._task, description=text)
        if not self._console.is_terminal:
            self._line(text)

    def begins(self, number: int, contender: Contender, seconds_left: float | None) -> None:
        """Show whose turn it is, and the time left where there is something to go by."""
        self._left = "" if seconds_left is None else f"{_minutes(seconds_left)} left"
        description = f"round {number + 1} of {self._rounds}: {contender.label}"
        self._bar.update(self._task, description=description, left=self._left)

    def ended(self, number: int, contender: Contender, run: Run) -> None:
        """Show what the turn measured."""
        self._bar.update(self._task, advance=1, description="checking how quiet the machine is", left="")
        left = "" if self._console.is_terminal else self._left
        line = f"round {number + 1} of {self._rounds}  {contender.label:36}{run.rate:>10,.0f} events/s  {left}"
        self._line(line.rstrip())

    def _line(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _minutes(seconds: float) -> str:
    """Return a time to the second.

    >>> _minutes(61.6)
    '1:02'
    """
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"
