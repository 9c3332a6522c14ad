"""Workers without the seconds that each start takes for its imports: forked from a process that has made them.

`python -m tests.nursery` is that process. It has no threads and no clients, so that a fork of it is as good as a new
process; what only a true start shows is left to the tests marked `cold`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from consumer import hash_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parent.parent
_IMPORTED: Final = (
    "consumer.__main__",
    "consumer.cli",
    "consumer.run",
    "consumer.surroundings",
    "consumer.assembly",
    "consumer.model_trial",
    "consumer.learning.linear",
    "consumer.learning.guarded",
    "consumer.checkpoint.bucket_store",
    "consumer.kafka.checkpoint_topic",
)
_READY_SECONDS: Final = 60.0


class Forked:
    """A forked worker, to be used as a `subprocess.Popen`.

    Attributes:
        pid: its process id.
        returncode: as of a Popen; None while it runs.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.returncode: Any = None  # as typeshed has it of a Popen
        self._has_ended = threading.Event()

    def ended(self, code: int) -> None:
        """Hear of the end."""
        self.returncode = code
        self._has_ended.set()

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        code: int | None = self.returncode
        return code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it did not come in time.
        """
        if not self._has_ended.wait(timeout):
            raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
        code: int = self.returncode
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that is forked, seen from the tests."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket = ours
        self._lines = ours.makefile("rb")
        self._lock = threading.Lock()
        self._running: dict[int, Forked] = {}
        self._born: list[Forked] = []
        self._is_born = threading.Condition(self._lock)
        atexit.register(self._close)
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()

    def start(self, environment: Mapping[str, str], log: Path, *arguments: str) -> Forked:
        """Start `python -m consumer run` with these arguments, its output appended to a file."""
        seed = hash_seed.derive(
            environment.get("CONSUMER_GROUP") or hash_seed.DEFAULT_GROUP,
            environment.get("CHECKPOINT_SIGNING_KEY") or "",
        )
        request = {
            # Else it would replace itself by a process under that seed, and import all anew.
            "environment": {**environment, hash_seed.VARIABLE: seed},
            "arguments": ["run", *arguments],
            "log": str(log.absolute()),
        }
        log.touch()  # whoever reads it need not wait for the worker
        forked = Forked()
        with self._is_born:
            self._born.append(forked)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            if not self._is_born.wait_for(lambda: forked.pid, _READY_SECONDS):
                raise AssertionError("the process that is to be forked does not answer")
        return forked

    def _listen(self) -> None:
        for line in self._lines:
            told = json.loads(line)
            with self._is_born:
                if "code" in told:
                    self._running.pop(told["pid"]).ended(told["code"])
                else:
                    forked = self._born.pop(0)
                    forked.pid = told["pid"]
                    self._running[forked.pid] = forked
                    self._is_born.notify_all()

    def _close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.wait(10)


@cache
def nursery() -> Nursery:
    """Return this process's one."""
    return Nursery()


def main() -> None:
    """Import all, then fork whatever is asked for until nobody asks any more."""
    for name in _IMPORTED:
        importlib.import_module(name)
    asked = socket.socket(fileno=int(sys.argv[1]))
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    selector = selectors.DefaultSelector()
    for each in (asked, woken):
        selector.register(each, selectors.EVENT_READ)
    unread = b""
    while True:
        ready = [key.fileobj for key, _ in selector.select()]
        if woken in ready:
            woken.recv(1_000)
            _report(asked)
        if asked in ready:
            got = asked.recv(1_000_000)
            if not got:
                return
            *lines, unread = (unread + got).split(b"\n")
            for line in lines:
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    selector.close()
                    for each in (asked, woken, waking):
                        each.close()
                    _become(json.loads(line))
                asked.sendall(json.dumps({"pid": pid}).encode() + b"\n")


def _report(asked: socket.socket) -> None:
    """Tell of those that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        asked.sendall(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


def _become(request: dict[str, Any]) -> NoReturn:
    """Be the worker that was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["environment"])
    output = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv = [str(ROOT / "consumer/__main__.py"), *request["arguments"]]
    random.seed()
    from consumer.__main__ import main as run  # noqa: PLC0415 -- imported long since

    try:
        run()
    except BaseException:  # noqa: BLE001 -- or this process would go on as the one that is forked
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
