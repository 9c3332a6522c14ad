"""On a terminal a replay is a bar, which the log's lines do not tear."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import ExitStack

import pytest
import structlog
from rich.console import Console

from consumer import logs
from consumer.replay_bar import ReplayBar
from consumer.replay_progress import Moment, ReplayLines
from consumer.run import _replay_display
from consumer.settings import LogFormat, Settings

pytestmark = pytest.mark.usefixtures("restored_logging")

HALF = Moment([0, 3], 1_250_000, 1_250_000, 98_765.4)


class Terminal(io.StringIO):
    """A terminal that does as it is told: carriage returns, line feeds, and clearing to the end of the line."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """What a person sees."""
        lines, column = [""], 0
        for part in self.getvalue().replace("\x1b[K", "\x00").replace("\r\n", "\n"):
            if part == "\n":
                lines.append("")
                column = 0
            elif part == "\r":
                column = 0
            elif part == "\x00":
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] = lines[-1][:column] + part + lines[-1][column + 1 :]
                column += 1
        return lines


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, _: str) -> int:
        raise OSError(5, "Input/output error")


def bar_on(terminal: io.StringIO, width: int = 80) -> ReplayBar:
    """A bar on it, without colours."""
    return ReplayBar(Console(file=terminal, width=width, force_terminal=True, color_system=None))


def test_it_shows_what_is_done_the_speed_and_the_time_left() -> None:
    """In one line of 80 columns, over all partitions."""
    terminal = Terminal()
    bar_on(terminal).show(HALF)
    (line,) = terminal.screen
    assert line.split() == ["replaying", line.split()[1], "1,250,000/2,500,000", "50%", "98,765/s", "0:00:13"]
    assert line.count("━") + line.count("╸") == 14  # of 28
    assert len(line) < 80


def test_it_stays_one_line() -> None:
    """Each drawing replaces the one before, a shorter one, too; at the end nothing is left."""
    terminal = Terminal()
    bar = bar_on(terminal)
    bar.show(HALF)
    bar.show(Moment([0], 3, 4, 0.0))
    (line,) = terminal.screen
    assert line.split()[2:] == ["3/7", "42%", "0/s", "-:--:--"]
    bar.end()
    assert terminal.screen == [""]
    written = terminal.getvalue()
    bar.end()
    assert terminal.getvalue() == written


@pytest.mark.parametrize("width", [20, 40, 79, 200])
def test_it_fits(width: int) -> None:
    """A line that is too long would wrap, and could not be taken away again."""
    terminal = Terminal()
    bar_on(terminal, width).show(Moment([0], 1_234_567_890, 9_876_543_210, 123_456.0))
    (line,) = terminal.screen
    assert 0 < len(line) < width


def test_the_cursor_is_never_hidden() -> None:
    """A worker may end without a word: by the watchdog, by a second signal, by kill -9."""
    terminal = Terminal()
    bar_on(terminal).show(HALF)
    assert "\x1b[?25l" not in terminal.getvalue()


def test_log_lines_stand_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, in their order, whoever writes them; the bar is the last line all the while."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    log = logs.configure(LogFormat.AUTO)
    bar = bar_on(terminal)
    logs.put_below(bar)
    log.info("before", number=1)
    bar.show(HALF)
    log.info("during", number=2)
    bar.show(HALF)
    logging.getLogger("librdkafka").warning("its own")
    *lines, last = terminal.screen
    assert [line.split()[-1] for line in lines] == ["number=1", "number=2", "[librdkafka]"]
    assert last.startswith("replaying ")
    bar.end()
    log.info("after", number=3)
    assert [line.split()[-1] for line in terminal.screen[3:-1]] == ["number=3"]
    assert terminal.screen[-1] == ""


def test_a_terminal_that_has_gone_takes_no_worker_with_it() -> None:
    """What cannot be drawn is not drawn."""
    bar = bar_on(Gone())
    bar.show(HALF)
    with bar.aside():
        pass
    bar.end()


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[Terminal, Terminal]:
    """Make standard output and standard error a terminal, from within the test: pytest has its own between fixtures."""
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    for name in (logs.SUPERVISED, "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return out, err


def shown_by(log_format: LogFormat = LogFormat.AUTO) -> object:
    """What a worker under this setting shows replays with."""
    log = logs.configure(log_format)
    return _replay_display(Settings(log_format=log_format), log, ExitStack())


def test_a_person_gets_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, below the lines of standard output."""
    out, err = on_terminal(monkeypatch)
    bar = shown_by()
    assert isinstance(bar, ReplayBar)
    bar.show(HALF)
    assert not out.getvalue()
    assert "2,500,000" in err.getvalue()
    structlog.get_logger().info("a line")
    assert "a line" in out.getvalue()
    assert err.getvalue().count("2,500,000") == 2  # drawn again


@pytest.mark.parametrize("piped", [0, 1])
def test_a_pipe_gets_lines(piped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two it is."""
    monkeypatch.setattr(on_terminal(monkeypatch)[piped], "isatty", lambda: False)
    assert isinstance(shown_by(), ReplayLines)


def test_machines_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LOG_FORMAT=json` on a terminal."""
    on_terminal(monkeypatch)
    assert isinstance(shown_by(LogFormat.JSON), ReplayLines)


@pytest.mark.parametrize(("name", "value"), [(logs.SUPERVISED, "1"), ("TERM", "dumb")])
def test_where_a_bar_would_be_torn_there_are_lines(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run --workers N`: N bars on one line; and a terminal that cannot go back to a line's start."""
    on_terminal(monkeypatch)
    monkeypatch.setenv(name, value)
    assert isinstance(shown_by(), ReplayLines)
