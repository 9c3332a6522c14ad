"""`run --workers N`: N worker processes on one machine, started and stopped together."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final

from consumer.errors import ExitCode
from consumer.logs import SUPERVISED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

_TICK_SECONDS: Final = 0.1
_LAST_WORDS_SECONDS: Final = 5.0
_SENTENCE: Final = "smart-inventory: "


def run_workers(
    number: int, arguments: Sequence[str], environment: Mapping[str, str], *, instance_id: str, metrics_port: int
) -> int:
    """Run `smart-inventory run` so many times and return the first exit code that is not 0.

    Worker i, from 0, is named `instance_id`-i and listens on `metrics_port`+i (0 stays 0: any free port). Where one
    fails, the others are asked to finish as well: whoever supervises this process then starts all of them anew. What
    the first one said of its end is then the last line on standard error.
    """
    workers = []
    for index in range(number):
        port = metrics_port + index if metrics_port else 0
        own = {"INSTANCE_ID": f"{instance_id}-{index}", "METRICS_PORT": str(port), SUPERVISED: "1"}
        workers.append(_Worker(own["INSTANCE_ID"], arguments, {**environment, **own}))

    def pass_on(received: int, _frame: FrameType | None) -> None:
        for worker in workers:
            if worker.code() is None:
                worker.process.send_signal(received)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    first: _Worker | None = None
    while None in [worker.code() for worker in workers]:  # each is polled: one that fails must not go unnoticed
        failed = [worker for worker in workers if worker.code()]
        if failed and first is None:
            first = failed[0]
            pass_on(signal.SIGTERM, None)
        time.sleep(_TICK_SECONDS)
    first = first or next((worker for worker in workers if worker.code()), None)
    for worker in workers:
        worker.join()
    if first is None:
        return 0
    sys.stderr.write(_SENTENCE + first.last_words() + "\n")
    return first.code() or 0


class _Worker:
    """One worker process; what it says on standard error is passed on, but for the sentence that it ends with."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = name
        self._sentence = ""
        command = [sys.executable, "-m", "consumer", "run", *arguments]
        # A group of its own: a terminal's Ctrl-C must not reach a worker twice, the second time ends it at once.
        self.process = subprocess.Popen(  # noqa: S603 -- our own command
            command, env=environment, process_group=0, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self._listener.start()

    def code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self.process.poll()

    def join(self) -> None:
        """Wait until everything it said has been heard; a child of its own may keep the pipe open for longer."""
        self._listener.join(_LAST_WORDS_SECONDS)

    def last_words(self) -> str:
        """Return a sentence on how it ended."""
        code = self.code() or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}{_meaning(code)}"
        said = self._sentence or "it said nothing of the reason; see its lines in the log"
        return f"worker {self._name} {how}, so all were stopped: {said}"

    def _listen(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            if line.startswith(_SENTENCE):
                self._sentence = line.removeprefix(_SENTENCE).strip()
                continue
            with contextlib.suppress(OSError):
                sys.stderr.write(line)


def _meaning(code: int) -> str:
    return f" ({ExitCode(code).name})" if code in set(ExitCode) else ""
