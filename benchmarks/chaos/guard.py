"""Ends a run's workers where the run itself was ended without a chance to do so, as by SIGKILL.

Run as a script: it reads process ids, a line each, and kills at the end of its input those that are still there. A
process is held by a pidfd from then on: unlike its number, that can never come to mean another one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


class Guard:
    """The process that waits for this one's end; a context manager."""

    def __init__(self) -> None:
        # In a session of its own: Ctrl-C is for the run, which ends its workers itself.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()

    def watch(self, process: int) -> None:
        """End this process where it outlives us."""
        pipe = self._process.stdin
        if pipe is not None:
            pipe.write(b"%d\n" % process)
            pipe.flush()


def wait(lines: Iterable[str]) -> None:
    """Hold the processes that are named, and kill them at the end."""
    held = []
    for line in lines:
        if sys.platform == "linux":  # the only platform with pidfds, said for mypy
            with suppress(OSError):
                held.append(os.pidfd_open(int(line)))
    for process in held:
        if sys.platform == "linux":
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)


if __name__ == "__main__":
    wait(sys.stdin)
