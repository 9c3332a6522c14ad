"""Several workers on one machine: each named, all started and stopped together, the first failure told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.errors import ExitCode
from consumer.supervisor import run_workers
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE: Final = 6.0
STUB: Final = f"""#!{sys.executable} -SE
# Stands for `python -m consumer run`: notes how it was called, then does what its part of PLAN says.
import json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM, signal.SIGINT}})
name = os.environ["INSTANCE_ID"]
folder = os.environ["FOLDER"]
noted = {{"arguments": sys.argv[1:], "port": os.environ["METRICS_PORT"], "other": os.environ.get("OTHER"),
          "group": os.getpgid(0), "pid": os.getpid(), "signals": []}}
def note():
    with open(f"{{folder}}/{{name}}.new", "w") as file:
        json.dump(noted, file)
    os.replace(f"{{folder}}/{{name}}.new", f"{{folder}}/{{name}}.json")
SIGNALS = {{signal.SIGTERM, signal.SIGINT}}
plan = os.environ["PLAN"].split(",")[int(name.rsplit("-", 1)[1])]
if plan == "killed":
    note()
    os.kill(os.getpid(), signal.SIGKILL)
if plan == "early":  # takes no signals yet
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    note()
    signal.pause()
if plan in ("twice", "patient"):
    note()
    noted["signals"].append(signal.sigwait(SIGNALS))
    note()
    second = signal.sigwait(SIGNALS) if plan == "twice" else signal.sigtimedwait(SIGNALS, 1.0)
    if second:
        noted["signals"].append(second if plan == "twice" else second.si_signo)
        note()
    os._exit(143 if second else 0)
code = int(plan)
if code <= 0:  # waits for a signal, then leaves with the code's size
    note()
    noted["signals"].append(signal.sigwait({{signal.SIGTERM, signal.SIGINT}}))
    note()
    os._exit(abs(code))
note()
sys.exit(code - 1)  # leaves at once: 1 stands for code 0
"""


@pytest.fixture(autouse=True)
def _restored_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Crew:
    """Stub workers and what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, plan: str, *arguments: str, port: int = 8000, **variables: str) -> int:
        """Run as many as the plan has parts."""
        environment = {**os.environ, "FOLDER": str(self.folder), "PLAN": plan, **variables}
        number = len(plan.split(","))
        guard = threading.Timer(DEADLINE, self.kill)
        guard.start()
        try:
            return run_workers(number, arguments, environment, instance_id="till", metrics_port=port)
        finally:
            guard.cancel()

    def kill(self) -> None:
        """End stubs that wait for a signal which never comes."""
        for worker in self.noted().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker["pid"], signal.SIGKILL)

    def noted(self) -> dict[str, dict[str, Any]]:
        """What each noted last, by name."""
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))}


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crew:
    """Let run_workers start stubs instead of workers."""
    stub = tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    folder = tmp_path / "notes"
    folder.mkdir()
    return Crew(folder)


def test_each_worker_has_its_name_and_port(crew: Crew) -> None:
    """Worker i, from 0, is INSTANCE_ID-i on METRICS_PORT+i, with everything else of the environment and arguments."""
    assert crew.run("1,1,1", "--stop-at-end", port=9000, OTHER="x") == 0
    noted = crew.noted()
    assert list(noted) == ["till-0", "till-1", "till-2"]
    assert [worker["port"] for worker in noted.values()] == ["9000", "9001", "9002"]
    for worker in noted.values():
        assert worker["arguments"] == ["-m", "consumer", "run", "--stop-at-end"]
        assert worker["other"] == "x"


def test_port_0_stays_0(crew: Crew) -> None:
    """Any free port is any free port for each: 0 + 1 would be a privileged one."""
    assert crew.run("1,1", port=0) == 0
    assert [worker["port"] for worker in crew.noted().values()] == ["0", "0"]


def test_a_terminals_interrupt_reaches_each_worker_once(crew: Crew) -> None:
    """Ctrl-C goes to a terminal's whole group; a worker that got it twice would end without its last commit."""
    crew.run("1,1")
    for worker in crew.noted().values():
        assert worker["group"] == worker["pid"] != os.getpgid(0)


@pytest.mark.parametrize(("plan", "code"), [("1,1", 0), ("5,1", 4), ("1,5", 4), ("1,1,1,9", 8)])
def test_the_exit_code_is_the_one_that_is_not_0(crew: Crew, plan: str, code: int) -> None:
    """0 only where all ended well."""
    assert crew.run(plan) == code


@pytest.mark.parametrize(
    "plan",
    ["4,0,-7", "0,4,-7", "0,-7,4"],
)
def test_where_one_fails_the_others_are_asked_to_finish(crew: Crew, plan: str) -> None:
    """Whoever supervises this process then starts all anew; the code is the failure's, not that of those stopped."""
    assert crew.run(plan) == 3
    for name, worker in crew.noted().items():
        assert worker["signals"] in ([], [signal.SIGTERM]), name


def run_asked(crew: Crew, ends: str, *numbers: int) -> int:
    """Run two stubs and send this process signals meanwhile, each once all stubs have had the one before."""

    def have_had(signals: int) -> bool:
        return all(len(worker["signals"]) >= signals for worker in crew.noted().values())

    def ask() -> None:
        wait_until(lambda: len(crew.noted()) == 2, DEADLINE, "both stubs to start")
        for already, number in enumerate(numbers):
            wait_until(partial(have_had, already), DEADLINE, "the signal before")
            os.kill(os.getpid(), number)

    asking = threading.Thread(target=ask)
    asking.start()
    code = crew.run(ends)
    asking.join()
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_to_all(crew: Crew, number: signal.Signals) -> None:
    """Asked to finish, the supervisor asks each worker, waits for them, and ends well when they do."""
    code = run_asked(crew, "0,0", number)
    assert code == 0
    assert [worker["signals"] for worker in crew.noted().values()] == [[number], [number]]


def test_a_stop_that_goes_wrong_is_told(crew: Crew) -> None:
    """A worker that could not finish in time makes the whole end with its code."""
    code = run_asked(crew, "0,-7", signal.SIGTERM)
    assert code == ExitCode.SHUTDOWN_TIMEOUT


def test_a_worker_asked_before_it_takes_signals_has_stopped(crew: Crew) -> None:
    """It has begun nothing: a stop during the start is no failure."""
    code = run_asked(crew, "0,early", signal.SIGTERM)
    assert code == 0


def test_a_second_signal_is_passed_on(crew: Crew) -> None:
    """It ends a worker at once; the code says so."""
    code = run_asked(crew, "twice,twice", signal.SIGTERM, signal.SIGTERM)
    assert code == ExitCode.TERMINATED
    assert [worker["signals"] for worker in crew.noted().values()] == [[signal.SIGTERM] * 2] * 2


def test_a_failure_while_stopping_asks_nobody_twice(crew: Crew) -> None:
    """The others finish in good order: a second signal would end them at once."""
    code = run_asked(crew, "-7,patient", signal.SIGTERM)
    assert code == ExitCode.SHUTDOWN_TIMEOUT
    assert [worker["signals"] for worker in crew.noted().values()] == [[signal.SIGTERM]] * 2


def test_a_worker_ended_by_a_signal(crew: Crew, capfd: pytest.CaptureFixture[str]) -> None:
    """As by the system when memory is short: the others are asked to finish, the code is what a shell would say."""
    assert crew.run("0,killed") == 128 + signal.SIGKILL
    assert "worker till-1 was ended by signal 9, so all were stopped" in capfd.readouterr().err


# The real thing


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Make the environment of real workers that never find a broker."""

    def made(**variables: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        return {**kept, "CHECKPOINT_URL": f"file:{tmp_path}", **variables}

    return made


def test_workers_with_a_bad_setting(
    environment: Callable[..., dict[str, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Real workers end with the documented code and their one sentence."""
    code = run_workers(2, [], environment(MODEL="forest"), instance_id="till", metrics_port=0)
    assert code == ExitCode.USAGE
    captured = capfd.readouterr()
    (sentence,) = captured.err.splitlines()
    assert sentence.startswith("smart-inventory: worker till-")
    assert "ended with exit code 2 (USAGE), so all were stopped: KAFKA_BOOTSTRAP_SERVERS is not set" in sentence
    assert "Traceback" not in captured.err
