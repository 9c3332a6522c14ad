"""The log: one JSON object a line, whoever writes it."""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Producer

from consumer import logs
from consumer.settings import LogFormat
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("restored_logging")

DEADLINE: Final = 20.0


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return what was logged since the last asking, each line parsed; anything that is no JSON line raises."""

    def parsed() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert captured.err == ""
        return [json.loads(line) for line in captured.out.splitlines()]

    return parsed


def fail() -> None:
    """Raise."""
    raise ValueError('something "unforeseen"\nover two lines')


def test_one_json_object_a_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Each event is one object with its name, level, time in UTC and fields."""
    log = logs.configure()
    log.info("partition_live", partition=3, offset=42)
    log.warning("text", reason='quotes " and\nlines\tand ünïcode\x00', sizes=[1, 2], none=None)
    first, second = lines()
    timestamp = first.pop("timestamp")
    assert timestamp.endswith("Z")
    assert first == {"event": "partition_live", "level": "info", "partition": 3, "offset": 42}
    assert second["reason"] == 'quotes " and\nlines\tand ünïcode\x00'
    assert (second["level"], second["sizes"], second["none"]) == ("warning", [1, 2], None)


def test_what_json_does_not_know_is_spelt_out(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A field of another type never costs the line."""
    logs.configure().info("x", data=b"\xff", kind=ValueError, members={1})
    (line,) = lines()
    assert (line["data"], line["members"]) == (repr(b"\xff"), repr({1}))


def test_exceptions_stay_inside_their_line(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A traceback has many lines; in the log it is a field of one."""
    log = logs.configure()
    try:
        fail()
    except ValueError:
        log.exception("rebalance_callback_failed")
        logging.getLogger("some.library").exception("it failed")
    ours, theirs = lines()
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith('ValueError: something "unforeseen"\nover two lines')
    assert (ours["event"], theirs["event"]) == ("rebalance_callback_failed", "it failed")


def test_other_libraries_lines_are_json_too(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Lines through Python's logging get the same form, and say whose they are."""
    logs.configure()
    logging.getLogger("librdkafka").warning("FAIL [%s]: %s", "thrd:a:1", "Connection refused\nby a")
    (line,) = lines()
    assert line.pop("timestamp")
    assert line == {
        "event": "FAIL [thrd:a:1]: Connection refused\nby a",
        "level": "warning",
        "logger": "librdkafka",
    }


def test_librdkafkas_own_lines_are_json(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A real client that cannot connect says so in the JSON log, not in its own words on standard error."""
    logs.configure()
    client = Producer({"bootstrap.servers": "127.0.0.1:1", "logger": logging.getLogger("librdkafka")})
    seen: list[dict[str, Any]] = []

    def has_failed() -> bool:
        client.poll(0.05)
        seen.extend(lines())
        return any("Connect to" in line["event"] for line in seen)

    wait_until(has_failed, DEADLINE, "a line about the connection")
    assert {line["logger"] for line in seen} == {"librdkafka"}


def test_levels_are_kept(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """What lies below the level is not written, whoever says it."""
    log = logs.configure()
    log.debug("hidden")
    logging.getLogger("library").debug("hidden")
    log.info("shown")
    assert [line["event"] for line in lines()] == ["shown"]


def test_configuring_twice_writes_once(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """There is one handler, whoever was there before."""
    logs.configure()
    logs.configure().info("once")
    logging.getLogger("library").info("once")
    assert len(lines()) == 2


def test_json_lines_say_whose_they_are(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Where the lines of many workers are kept in one place, each names its own; other libraries' do too."""
    logs.configure(instance_id="till-7").info("x")
    logging.getLogger("librdkafka").warning("y")
    assert [line["instance_id"] for line in lines()] == ["till-7", "till-7"]


# For people


@pytest.mark.parametrize(
    ("log_format", "on_terminal", "text"),
    [
        (LogFormat.AUTO, False, False),
        (LogFormat.AUTO, True, True),
        (LogFormat.TEXT, False, True),
        (LogFormat.TEXT, True, True),
        (LogFormat.JSON, False, False),
        (LogFormat.JSON, True, False),
    ],
)
def test_the_form(
    log_format: LogFormat,
    on_terminal: bool,
    text: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`LOG_FORMAT`: auto is text on a terminal and JSON in a pipe; a machine never meets colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    logs.configure(log_format, instance_id="till-7").info("partition_live", partition=3)
    (line,) = capsys.readouterr().out.splitlines()
    if not text:
        assert json.loads(line)["partition"] == 3
        return
    assert "partition_live" in line
    assert "till-7" not in line
    assert ("\x1b[" in line) is on_terminal
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info +\] partition_live +partition=3", plain)


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours(
    variable: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants none gets none, on a terminal too."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv(variable, value)
    logs.configure(LogFormat.AUTO).warning("x", reason="y")
    assert "\x1b" not in capsys.readouterr().out


def test_of_many_workers_on_a_terminal_each_line_says_whose(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run --workers N` mixes their lines."""
    monkeypatch.setenv(logs.SUPERVISED, "1")
    logs.configure(LogFormat.TEXT, instance_id="till-7").info("x")
    assert "instance_id=till-7" in capsys.readouterr().out


@pytest.mark.parametrize("debug", ["", "1"])
def test_exceptions_on_a_terminal(
    debug: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name and the words; where it came from only with `--debug`."""
    monkeypatch.setenv(logs.DEBUG, debug)
    log = logs.configure(LogFormat.TEXT)
    try:
        fail()
    except ValueError:
        log.exception("rebalance_callback_failed")
    text = capsys.readouterr().out
    assert 'something "unforeseen"' in text
    assert ("Traceback" in text) is bool(debug)


def test_a_log_that_cannot_be_written_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk under the log, or a reader that has gone, stops no worker and fills no other disk."""

    class Full:
        def write(self, _: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdout", Full())
    log = logs.configure()
    log.info("a")
    log.info("b")
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(
        "smart-inventory: the log cannot be written to standard output (No space left on device)"
    )


def test_short_commands_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """`simulate` and `topics` print a table for people: their log is warnings only, on standard error."""
    log = logs.quiet()
    log.info("nothing")
    log.warning("kafka_variables_ignored", names=["KAFKA_PORT"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "event='kafka_variables_ignored' names=['KAFKA_PORT']\n"
