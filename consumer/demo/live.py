"""The demo on a terminal: a table that lives, at 80 columns and wider, on light and dark."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from consumer.demo.summary import summary_lines

if TYPE_CHECKING:
    from pathlib import Path

    from consumer.demo.board import ItemLine
    from consumer.demo.display import Moment, Stage
    from consumer.demo.verdict import Summary

WIDE_COLUMNS: Final = 150
"""From here on the figures stand beside the items, not below them."""

_REFRESH_SECONDS: Final = 0.25
_FIGURES_WIDTH: Final = 38
_OTHER_LINES: Final = 16
"""Lines of a narrow picture that are no items, and the one that the cursor needs."""

_OTHER_LINES_WHEN_WIDE: Final = 8
_ROWS: Final = (3, 12)
_MOST_REASONS: Final = 8
_CAPTION: Final = "discrepancy: what the till told, less what the books expect; drift: its sum"
_STYLES: Final = {"": "", "heading": "bold", "good": "green", "bad": "bold red"}


class LiveDisplay:
    """Redraws a table a few times a second.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._spinner = Spinner("line")
        self._due = 0.0
        self._stage: Stage

    def waiting(self, what: str, seconds: float) -> None:
        """Turn a spinner."""
        self._spinner.update(text=Text(f"{what} ... {seconds:.0f} s"))
        self._show(self._spinner)

    def opened(self, stage: Stage) -> None:
        """Note where everything is; each picture says it."""
        self._stage = stage

    def tick(self, moment: Moment) -> None:
        """Draw how it stands."""
        if moment.now >= self._due or moment.is_last:
            self._due = moment.now + _REFRESH_SECONDS
            self._show(picture(self._stage, moment, self._console.width, self._console.height))

    def summed_up(self, summary: Summary, log: Path | None) -> None:
        """Print the summary below the last picture."""
        self.close()
        self._console.print()
        stage = self._stage
        for line in summary_lines(summary, stage.place, source=stage.source, environment=stage.environment, log=log):
            self._console.print(Text(line.text, _STYLES[line.style]), soft_wrap=True)

    def close(self) -> None:
        """Stop drawing."""
        self._live.stop()

    def _show(self, renderable: RenderableType) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.update(renderable, refresh=True)


def picture(stage: Stage, moment: Moment, width: int, height: int) -> RenderableType:
    """Return one frame for a terminal of so many columns and lines."""
    is_wide = width >= WIDE_COLUMNS
    items = _items(moment, item_rows(width, height), is_wide=is_wide)
    caption = Text(f" {_CAPTION}", "dim")
    if not is_wide:
        return Group(_title(stage, moment), items, caption, Text(), _figures_below(moment), _address(stage))
    beside = Table.grid(padding=(0, 4, 0, 0))
    beside.add_column()
    beside.add_column(width=_FIGURES_WIDTH)
    beside.add_row(items, _figures_beside(moment))
    return Group(_title(stage, moment), beside, caption, _address(stage))


def item_rows(width: int, height: int) -> int:
    """Return how many items a frame for such a terminal shows."""
    least, most = _ROWS
    others = _OTHER_LINES_WHEN_WIDE if width >= WIDE_COLUMNS else _OTHER_LINES
    return min(most, max(least, height - others))


def _title(stage: Stage, moment: Moment) -> RenderableType:
    title = Table.grid(expand=True, padding=(0, 1))
    title.add_column()
    title.add_column(justify="right")
    title.add_column(justify="right", width=16)
    elapsed = min(moment.elapsed, stage.seconds)
    title.add_row(
        Text.assemble((" Smart Inventory demo ", "bold reverse"), "  ", (_shop_time(moment.board.shop_time), "bold")),
        f"{elapsed:.0f} of {stage.seconds:g} s",
        ProgressBar(total=stage.seconds, completed=elapsed, width=16, complete_style="green", finished_style="green"),
    )
    return title


def _items(moment: Moment, rows: int, *, is_wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("store", "sku"):
        table.add_column(name, no_wrap=True)
    for name in ("before", "predicted", "told", "discrepancy", "drift"):
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    if is_wide:
        table.add_column("events", justify="right", no_wrap=True)
        table.add_column("last event", no_wrap=True)
    shown = moment.board.shown(rows, moment.now)
    for line in shown:
        wide = (f"{line.events:,}", _shop_time(line.occurred_at)) if is_wide else ()
        table.add_row(*_levels(line), *wide)
    for _ in range(rows - len(shown)):  # as high from the first picture on, so that nothing below it jumps
        table.add_row()
    return table


def _levels(line: ItemLine) -> tuple[RenderableType, ...]:
    return (
        Text(line.store_id),
        Text(line.sku),
        Text(_number(line.level_before)),
        Text(_number(line.predicted), "bold"),
        Text(_number(line.observed)),
        Text(_signed(line.discrepancy), "bold red" if line.discrepancy else "dim"),
        Text(_signed(line.drift), "red" if line.drift else "dim"),
    )


def _figures_below(moment: Moment) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    board = moment.board
    grid.add_row("sent", Text(f"{board.sent_total:,}", "bold"), "lag", _lag(moment), "late", f"{board.late:,}")
    grid.add_row(
        "predicted", Text(f"{board.predictions:,}", "bold"), "last checkpoint", _checkpoint(moment), "repeats skipped",
        f"{board.readings.repeats:,}",
    )  # fmt: skip
    grid.add_row("events a second", Text(f"{moment.rate:,.0f}", "bold"), "model learned", f"{board.readings.learned:,}")
    refused = Text(f"refused {board.dead_letters.total():,}", no_wrap=False)
    for reason, number in board.dead_letters.most_common():
        refused.append(f"  {reason} ").append(f"{number:,}", "bold")
    return Padding(Group(grid, refused), (0, 0, 0, 1))


def _figures_beside(moment: Moment) -> RenderableType:
    board = moment.board
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_row()
    for name, value in (
        ("events sent", f"{board.sent_total:,}"),
        ("predictions", f"{board.predictions:,}"),
        ("events a second", f"{moment.rate:,.0f}"),
        ("lag, records", _lag(moment)),
        ("last checkpoint", _checkpoint(moment)),
        ("late events", f"{board.late:,}"),
        ("repeats skipped", f"{board.readings.repeats:,}"),
    ):
        grid.add_row(name, Text(value, "bold"))
    grid.add_row("dead letters", Text(f"{board.dead_letters.total():,}", "bold"))
    for reason, number in board.dead_letters.most_common(_MOST_REASONS):
        grid.add_row(Text(f"  {reason}"), f"{number:,}")
    return grid


def _address(stage: Stage) -> Text:
    place = "embedded broker" if stage.place.is_embedded else stage.place.address
    return Text(f" {place}, {stage.place.guarantee}; worker {stage.pid}; {stage.metrics_url}", "dim")


def _lag(moment: Moment) -> str:
    return f"{moment.board.readings.lag_records:,}"


def _checkpoint(moment: Moment) -> str:
    return "none yet" if moment.checkpoint_age is None else f"{moment.checkpoint_age:.0f} s ago"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:+g}" if value else "0"


def _shop_time(occurred_at: str) -> str:
    try:
        return datetime.fromisoformat(occurred_at).strftime("%a %d %b %Y %H:%M")
    except ValueError:
        return ""
