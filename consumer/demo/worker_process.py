"""The real worker, as a process of its own: started, asked whether it is ready, and stopped as an operator would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from consumer.errors import ExitCode, StopError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CHECKPOINT_SECONDS: Final = 5
"""Twice as often as by default: a checkpoint should be seen within half a minute."""

_ASK_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 30.0
_TAIL_LINES: Final = 5


class WorkerError(StopError):
    """The demo's worker ended by itself, or is not ready in time; its log tells more.

    Args:
        message: one sentence, which names the log.
        code: what the demo is to end with.
        lines: the end of the log, where the sentence does not say why.
    """

    def __init__(self, message: str, code: int = ExitCode.UNEXPECTED, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_code = ExitCode(code) if code in set(ExitCode) and code else ExitCode.UNEXPECTED
        self.lines = lines


class WorkerProcess:
    """`smart-inventory run` with a directory of its own for checkpoints and log.

    Args:
        environment: its settings, as `Place.worker_environment` returns them.
        model: what `MODEL` names.
        directory: its own, and empty.

    Attributes:
        log: the file that its log goes to.
    """

    def __init__(self, environment: Mapping[str, str], model: str, directory: Path) -> None:
        self.log = directory / "worker.log"
        own = {
            "MODEL": model,
            "CHECKPOINT_URL": f"file:{quote(str(directory / 'checkpoints'))}",
            "CHECKPOINT_INTERVAL_SECONDS": str(CHECKPOINT_SECONDS),
            "LOG_FORMAT": "json",
        }
        with self.log.open("wb") as log:
            # A group of its own: a terminal's Ctrl-C is for the demo, which then stops the worker in good order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "consumer", "run"],
                env={**environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._port: int | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def metrics_url(self) -> str | None:
        """Where its metrics are; None until it has said so in its log."""
        if self._port is None:
            ports = [each["port"] for each in self._entries() if each.get("event") == "serving"]
            self._port = ports[-1] if ports else None
        return None if self._port is None else f"http://127.0.0.1:{self._port}/metrics"

    def is_ready(self) -> bool:
        """Tell whether it has joined the group and every partition is live.

        Raises:
            WorkerError: it has ended.
        """
        self.check()
        url = self.metrics_url
        if url is None:
            return False
        try:
            with urllib.request.urlopen(url.removesuffix("metrics") + "readyz", timeout=_ASK_SECONDS):  # noqa: S310
                return True
        except OSError:  # not yet: refused, or 503
            return False

    def check(self) -> None:
        """See that it lives.

        Raises:
            WorkerError: it does not.
        """
        code = self._process.poll()
        if code is None:
            return
        reasons = [each["reason"] for each in self._entries() if each.get("event") == "stopped_by_error"]
        ending = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        if reasons:
            raise WorkerError(f"the worker ended with {ending}: {reasons[-1]}; its log is {self.log}", code)
        raise WorkerError(
            f"the worker ended with {ending}; its log, {self.log}, ends as above", code, self.last_lines()
        )

    def stop(self) -> int:
        """Ask it to finish, wait for that, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once, if it still runs."""
        self._process.kill()
        return self._process.wait()

    def last_lines(self) -> list[str]:
        """Return the end of its log."""
        return self._lines()[-_TAIL_LINES:]

    def _entries(self) -> list[dict[str, Any]]:
        entries = []
        for line in self._lines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # not the log's: a traceback, or the one sentence on standard error
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()
