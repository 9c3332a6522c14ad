"""One bar for all replays, for a person who watches a worker's start on a terminal."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.replay_progress import Moment

_TITLE: Final = "replaying"
_BAR_COLUMNS: Final = 40
_TO_LINE_START: Final = "\r\x1b[K"
"""Back to the first column, and the line is empty from there."""


class ReplayBar:
    """Draws the bar as the last line of a terminal, below the log's.

    No `rich.live` display: that hides the cursor, and a worker may end without a word to its terminal.

    Args:
        console: the terminal.
    """

    interval = 0.2

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()  # lines come from several threads
        self._line: Text | None = None

    def show(self, moment: Moment) -> None:
        """Draw the bar anew."""
        with self._lock:
            self._clear()
            self._line = self._drawn(moment)
            self._draw()

    def end(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._clear()
            self._line = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Make room for a line of the log, and stand below it again."""
        with self._lock:
            self._clear()
            yield
            self._draw()

    def _drawn(self, moment: Moment) -> Text:
        left = moment.seconds_left
        words = Text(" ").join(
            (
                Text(f"{moment.replayed:,}/{moment.total:,}", style="progress.download"),
                Text(f"{moment.percent:3}%", style="progress.percentage"),
                Text(f"{moment.rate:,.0f}/s", style="progress.data.speed"),
                Text("-:--:--" if left is None else str(timedelta(seconds=left)), style="progress.remaining"),
            )
        )
        most = self._console.width - 1  # in the last column some terminals begin a new line
        room = max(0, min(_BAR_COLUMNS, most - len(_TITLE) - len(words) - 2))
        bar = ProgressBar(total=moment.total, completed=moment.replayed, width=room)
        drawn = Text.assemble(*((part.text, part.style or "") for part in self._console.render(bar)))
        drawn.truncate(room, pad=True)  # without colours it has no background
        line = Text(" ").join((Text(_TITLE), drawn, words))
        line.truncate(most)
        return line

    def _clear(self) -> None:
        if self._line is not None:
            with suppress(OSError):  # a terminal that has gone takes no worker with it
                self._console.file.write(_TO_LINE_START)
                self._console.file.flush()

    def _draw(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._console.print(self._line, end="", soft_wrap=True)


def bar_on_terminal() -> ReplayBar | None:
    """Return a bar on standard error; None where that is no terminal that can draw one."""
    console = Console(stderr=True)
    return ReplayBar(console) if console.is_terminal and not console.is_dumb_terminal else None
