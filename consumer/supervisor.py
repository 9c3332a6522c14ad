"""`run --workers N`: N worker processes on one machine, started and stopped together."""

from __future__ import annotations

import contextlib
import os
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

_TICK_SECONDS: Final = 0.1
_LAST_WORDS_SECONDS: Final = 5.0
_SENTENCE: Final = "smart-inventory: "


def run_workers(
    number: int, arguments: Sequence[str], environment: Mapping[str, str], *, instance_id: str, metrics_port: int
) -> int:
    """Run `smart-inventory run` so many times and return the first exit code that is not 0.

    Worker i, from 0, is named `instance_id`-i and listens on `metrics_port`+i (0 stays 0: any free port). Where one
    fails, the others are asked to finish as well: whoever supervises this process then starts all of them anew. What
    the first one said of its end is then the last line on standard error. SIGTERM and SIGINT are passed on to all.
    """
    asked: list[int] = []  # signals, in the order in which they came; handlers only take note
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda received, _frame: asked.append(received))
    workers: list[_Worker] = []
    for index in range(number):
        port = metrics_port + index if metrics_port else 0
        name = f"{instance_id}-{index}"
        own = {"INSTANCE_ID": name, "METRICS_PORT": str(port), SUPERVISED: str(os.getpid())}
        workers.append(_Worker(name, arguments, {**environment, **own}))
    first: _Worker | None = None
    while None in [worker.code() for worker in workers]:  # each is polled: one that fails must not go unnoticed
        for worker in workers:
            worker.pass_on(asked)
        first = first or next((worker for worker in workers if worker.code()), None)
        if first is not None and not asked:  # one that is asked twice ends at once
            asked.append(signal.SIGTERM)
        time.sleep(_TICK_SECONDS)
    first = first or next((worker for worker in workers if worker.code()), None)
    for worker in workers:
        worker.join()
    if first is None:
        return 0
    sys.stderr.write(_SENTENCE + first.last_words() + "\n")
    return first.exit_code()


class _Worker:
    """One worker process; what it says on standard error is passed on, but for the sentence that it ends with."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = name
        self._sentence = ""
        self._passed: list[int] = []
        command = [sys.executable, "-m", "consumer", "run", *arguments]
        # A group of its own: a terminal's Ctrl-C must not reach a worker twice, the second time ends it at once.
        self.process = subprocess.Popen(  # noqa: S603 -- our own command
            command, env=environment, process_group=0, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self._listener.start()

    def code(self) -> int | None:
        """Return the exit code, None while it runs; a signal's number below 0 where one ended it.

        One that was asked to stop so early that it could not take the signal yet has stopped as well as any: it had
        begun nothing.
        """
        code = self.process.poll()
        if code is not None and len(self._passed) == 1 and code in {-self._passed[0], 128 + self._passed[0]}:
            return 0
        return code

    def exit_code(self) -> int:
        """Return what stands for its end in an exit code: 128 and its number for a signal, as a shell has it."""
        code = self.code() or 0
        return code if code >= 0 else 128 - code

    def pass_on(self, asked: Sequence[int]) -> None:
        """Send it those of these signals that it has not had."""
        for number in asked[len(self._passed) :]:
            self._passed.append(number)
            self.process.send_signal(number)

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
