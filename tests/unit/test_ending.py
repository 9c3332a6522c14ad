"""How commands end: at most one sentence, a documented exit code, a traceback only where it was asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest
import typer
from typer.testing import CliRunner

from consumer import cli, settings
from consumer.errors import BrokerError, ExitCode, RetryError
from tests.kafka import wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE: Final = 30
BUG: Final = """
import sys
import consumer.settings
def load():
    raise KeyError("shelf")
consumer.settings.load = load
from consumer.__main__ import main
main()
"""
"""The command line with a bug in it."""


def _environment() -> dict[str, str]:
    # Unbuffered, output never waits for the end of the process, where what is left of it may go wrong.
    others = ("KAFKA_", "SMART_INVENTORY_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let every command fail at its first step, with what a test puts there."""
    monkeypatch.delenv("SMART_INVENTORY_DEBUG", raising=False)
    return monkeypatch


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def load() -> None:
        raise error

    monkeypatch.setattr(settings, "load", load)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("shelf"), ExitCode.UNEXPECTED, "smart-inventory: this is a bug (KeyError: 'shelf'); "),
        (RuntimeError("a\nb"), ExitCode.UNEXPECTED, "smart-inventory: this is a bug (RuntimeError: a b); "),
        (OSError(28, "No space left"), ExitCode.UNEXPECTED, "smart-inventory: the system refused something (OSError: "),
        (BrokerError("no way"), ExitCode.BROKER, "smart-inventory: no way\n"),
        (RetryError("not now"), ExitCode.BROKER, "smart-inventory: not now\n"),
    ],
    ids=repr,
)
def test_an_error_is_one_sentence(failing: pytest.MonkeyPatch, error: Exception, code: ExitCode, said: str) -> None:
    """Foreseen or not: one line, its code, and for a bug how to see more; no traceback."""
    fail_with(failing, error)
    result = CliRunner().invoke(cli.app, ["config"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1
    assert ("--debug" in result.stderr) is (code == ExitCode.UNEXPECTED)


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize("error", [KeyError("shelf"), BrokerError("no way")], ids=repr)
def test_debug_shows_where_it_came_from(failing: pytest.MonkeyPatch, error: Exception, how: str) -> None:
    """`--debug` before the command, or its variable: the traceback, then the same sentence as the last line."""
    fail_with(failing, error)
    failing.setenv("SMART_INVENTORY_DEBUG", "1" if how == "variable" else "0")
    arguments = ["--debug", "config"] if how == "option" else ["config"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert "in load\n    raise error\n" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("smart-inventory: ")


def test_a_bug_as_a_process() -> None:
    """The same as users meet it."""
    done = subprocess.run(
        [sys.executable, "-c", BUG, "config"], cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("smart-inventory: this is a bug (KeyError: 'shelf')")
    assert "Traceback" not in done.stderr


def test_a_bug_in_the_worker_is_kept_in_its_log(tmp_path: Path) -> None:
    """Nobody can ask a worker that crashed at night to crash again: the log has the traceback as a field."""
    code = (
        "import sys, consumer.run\n"
        "def run_worker(*_, **__): raise KeyError('shelf')\n"
        "consumer.run.run_worker = run_worker\n"
        "from consumer import hash_seed\n"
        "hash_seed.ensure = lambda _: None\n"
        "from consumer.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run"],
        env={**_environment(), "CHECKPOINT_URL": f"file:{tmp_path}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    (line,) = [json.loads(text) for text in done.stdout.splitlines()]
    assert (line["event"], line["kind"], line["exit_code"]) == ("stopped_by_error", "KeyError", 1)
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert done.stderr == f"smart-inventory: {line['reason']}\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runn"], "no such command 'runn'. Did you mean 'run'?; see `smart-inventory --help`"),
        (["run", "--workers", "0"], "invalid value for '--workers'"),
        (["simulate", "--source", "moon"], "'moon' is not one of 'synthetic', 'completejourney'"),
        (["simulate", "--rate", "fast"], "'--rate'"),
        (["import-stock"], "missing argument"),
        (["run", "--debug"], "no such option: --debug"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_sentence_too(arguments: list[str], said: str) -> None:
    """What the parser refuses reads as every other error does, and says where to read on."""
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == ExitCode.USAGE
    (line,) = result.stderr.splitlines()
    assert line.startswith("smart-inventory: ")
    assert said.lower() in line.lower()
    assert "--help`" in line


def test_ctrl_c_ends_a_command_without_a_word(failing: pytest.MonkeyPatch) -> None:
    """130, as every shell expects it."""
    fail_with(failing, KeyboardInterrupt())
    result = CliRunner().invoke(cli.app, ["config"])
    assert (result.exit_code, result.output) == (ExitCode.INTERRUPTED, "")


def test_ctrl_c_at_a_question(failing: pytest.MonkeyPatch) -> None:
    """The prompt's own way to say so is the same to a script."""
    fail_with(failing, typer.Abort())
    assert CliRunner().invoke(cli.app, ["config"]).exit_code == ExitCode.INTERRUPTED


def test_ctrl_c_while_a_command_waits_for_the_broker() -> None:
    """As a process: a command that waits for its broker ends at once, quietly."""
    waiting = subprocess.Popen(
        [sys.executable, "-m", "consumer", "dead-letters", "list"],
        env={**_environment(), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    maps = f"/proc/{waiting.pid}/maps"
    wait_until(lambda: "librdkafka" in open(maps).read(), DEADLINE, "the Kafka client to be loaded")  # noqa: PTH123, SIM115
    while waiting.poll() is None:  # one that falls into the client's own code may be lost: a person presses again
        waiting.send_signal(signal.SIGINT)
        time.sleep(0.5)
    out, error = waiting.communicate(timeout=DEADLINE)
    assert out == ""
    assert waiting.returncode in {130, -signal.SIGINT}, "a shell calls both 130"
    assert "Traceback" not in error


@pytest.mark.parametrize("command", ["config", "config --json", "--help", "run --help"])
def test_a_reader_that_leaves_is_no_error(command: str) -> None:
    """`| head` has what it wanted: no word about a broken pipe."""
    done = subprocess.run(
        ["/bin/bash", "-c", f"{sys.executable} -m consumer {command} | true; echo ${{PIPESTATUS[0]}}"],
        env=_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) in {0, ExitCode.OUTPUT_CLOSED}  # 0 where all was written before the reader left


@pytest.mark.parametrize("command", ["config", "config --json", "--version", "topics --help"])
def test_a_reader_that_left_before(command: str) -> None:
    """The exit code says that the output went nowhere."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "consumer", *command.split()],
        env=_environment(),
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.OUTPUT_CLOSED, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_output_onto_a_full_disk() -> None:
    """A redirected table that did not fit is no success."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "consumer", "config"],
            env=_environment(),
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == ExitCode.UNEXPECTED
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
