"""A terminal: a shell that is typed into, block by block, with what it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

_PATIENCE_SECONDS: Final = 20


class Terminal:
    """One bash that keeps its directory and variables from block to block.

    Args:
        directory: where it begins.
        environment: all of its variables.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._output = b""
        self._mark = b""
        self._from = 0
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],  # noqa: S607 -- the machine's own
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C can be sent to all that runs in it, and to nothing else
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._type("trap : INT\n")  # the shell lives on after Ctrl-C, its child does not

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._signal(signal.SIGKILL)
        self._bash.wait()
        self._reader.join(10)

    @property
    def output(self) -> str:
        """What the last block has printed so far."""
        return self._output[self._from :].decode(errors="replace")

    def run(self, text: str, seconds: float = 60) -> str:
        """Run a block to its end and return its output; any command of it that fails is a failure."""
        self._enter(f"set -e\n{text}\nset +e\n")
        code = self._wait(seconds)
        if code != 0:
            raise AssertionError(f"ended with {code}:\n{text}\n--- output\n{self.output}")
        return self.output

    def start(self, text: str) -> None:
        """Begin a block that runs until Ctrl-C."""
        self._enter(text)

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Wait until the block that was begun has printed this."""
        try:
            wait_until(lambda: words in self.output or self._bash.poll() is not None, seconds, repr(words))
        except TimeoutError as error:
            raise AssertionError(f"{error}; output:\n{self.output}") from None
        if words not in self.output:
            raise AssertionError(f"the shell ended; expected {words!r}, output:\n{self.output}")

    def interrupt(self, seconds: float = 60) -> int:
        """Press Ctrl-C and return the exit code of what ran; one may be lost in a client's own code: press again."""
        self._signal(signal.SIGINT)
        with suppress(AssertionError):
            return self._wait(_PATIENCE_SECONDS)
        self._signal(signal.SIGINT)
        return self._wait(seconds)

    def _enter(self, text: str) -> None:
        self._from = len(self._output)
        self._mark = f"<{uuid.uuid4().hex}>".encode()
        self._type(f"{text}\nprintf '%s%d\\n' '{self._mark.decode()}' $?\n")

    def _wait(self, seconds: float) -> int:
        """Wait for the mark after the block, and return the exit code beside it; the shell's own if it is gone."""

        def ended() -> bool:
            return b"\n" in self._output[self._from :].partition(self._mark)[2] or not self._reader.is_alive()

        try:
            wait_until(ended, seconds, "the end of a block")
        except TimeoutError as error:
            raise AssertionError(f"{error}; output:\n{self.output}") from None
        printed, mark, after = self._output[self._from :].partition(self._mark)
        if not mark:
            return self._bash.wait()
        self._output = self._output[: self._from] + printed
        return int(after)

    def _type(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(text.encode())
        self._bash.stdin.flush()

    def _read(self) -> None:
        assert self._bash.stdout is not None
        while piece := os.read(self._bash.stdout.fileno(), 65_536):
            self._output += piece

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, number)
