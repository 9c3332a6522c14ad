"""The view on a terminal: counts, progress and the latest moments, drawn anew several times a second."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from benchmarks.recovery_demo.board import Moment, Snapshot, Tone
    from benchmarks.recovery_demo.comparison import Counts
    from benchmarks.recovery_demo.summary import Summary

_DRAW_SECONDS: Final = 0.2
_WIDE: Final = 120
_LEFT_WIDTH: Final = 62
_MOST_MOMENTS: Final = 40
_ROWS_BESIDE_MOMENTS: Final = 16  # what stands above the moments on a narrow terminal, frames included
_STYLES: Final[dict[Tone, str]] = {"plain": "", "kill": "bold yellow", "good": "green", "bad": "bold white on red"}


class LiveView:
    """A picture that stays in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._moments: deque[Moment] = deque(maxlen=_MOST_MOMENTS)
        self._drawn = -_DRAW_SECONDS
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, moment: Moment) -> None:
        """Keep it for the next drawing."""
        self._moments.append(moment)
        self._drawn = -_DRAW_SECONDS  # at once

    def update(self, snapshot: Snapshot) -> None:
        """Draw, not too often."""
        if snapshot.seconds - self._drawn >= _DRAW_SECONDS:
            self._drawn = snapshot.seconds
            self._live.update(self.picture(snapshot), refresh=True)

    def close(self, summary: Summary) -> None:
        """Leave the last picture standing, and write the summary below."""
        self._live.update(self.picture(summary.snapshot), refresh=True)
        self._live.stop()
        self._console.print()
        self._console.print(ending(summary))

    def picture(self, snapshot: Snapshot) -> RenderableType:
        """Return what is drawn, as wide as the terminal."""
        parts = Group(_compared(snapshot), _now(snapshot), _progress(snapshot))
        if self._console.width < _WIDE:
            left = Panel(parts, title="what a read_committed reader sees", border_style=_border(snapshot))
            room = max(3, self._console.height - _ROWS_BESIDE_MOMENTS)
            return Group(left, self._latest(room))
        left = Panel(
            parts, title="what a read_committed reader sees", border_style=_border(snapshot), width=_LEFT_WIDTH
        )
        side_by_side = Table.grid(padding=(0, 1), expand=True)
        side_by_side.add_column(width=_LEFT_WIDTH)
        side_by_side.add_column(ratio=1)
        side_by_side.add_row(left, self._latest(max(3, min(20, self._console.height - 4))))
        return side_by_side

    def _latest(self, rows: int) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(justify="right", style="dim", no_wrap=True, min_width=7)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for moment in list(self._moments)[-rows:]:
            table.add_row(f"{moment.seconds:.1f} s", Text(moment.text, style=_STYLES[moment.tone]))
        return table


def _border(snapshot: Snapshot) -> str:
    return "red" if any(counts.wrong for counts in snapshot.counts.values()) else "green"


def _compared(snapshot: Snapshot) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    table.add_column("")
    for name in ("equal", "lost", "doubled", "differing"):
        table.add_column(name, justify="right")
    for kind, counts in snapshot.counts.items():
        table.add_row(f"{kind.replace('_', ' ')}s", f"{counts.equal:,}", *_must_be_zero(counts))
    return table


def _must_be_zero(counts: Counts) -> list[Text]:
    numbers = (counts.lost, counts.doubled, counts.differing)
    return [Text(f"{number:,}", style="bold white on red" if number else "bold green") for number in numbers]


def _now(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row("", "")
    table.add_row("now", snapshot.state)
    speeds = f"{snapshot.records_per_second:,.0f}/s in, {snapshot.seen_per_second:,.0f}/s answered"
    table.add_row("events", f"{speeds}, lag {snapshot.lag:,}")
    table.add_row("input", f"{snapshot.records:,} records, {snapshot.repeats:,} of them repeats")
    offsets = "  ".join(f"{number}: {offset:,}" for number, offset in snapshot.checkpoints.items())
    table.add_row("checkpoints", offsets or "none yet")
    return table


def _progress(snapshot: Snapshot) -> RenderableType:
    left = "" if snapshot.seconds_left is None else f", {_clock(snapshot.seconds_left)} left"
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_row("", "", "")
    table.add_row(
        f"kill {snapshot.kills} of {snapshot.kills_planned}",
        ProgressBar(total=1.0, completed=snapshot.share_done),
        f"{_clock(snapshot.seconds)}{left}",
    )
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def ending(summary: Summary) -> RenderableType:
    """Return the summary for a terminal."""
    good = {0: "bold green", 130: "bold yellow"}
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in summary.lines():
        table.add_row(name, text)
    for name, text in summary.reach():
        table.add_row(name, text)
    return Group(Text(summary.verdict, style=good.get(summary.exit_code, "bold red")), table)
