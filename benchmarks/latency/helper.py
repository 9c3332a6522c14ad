"""A process of its own for who sends and who reads: neither may wait for the other, nor for the demonstration."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from benchmarks.piped import Piped

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


class HelperError(Exception):
    """The process failed, ended by itself, or did not answer in time."""


class Helper(Piped):
    """Runs a function in a new process and talks to it through a pipe.

    Args:
        name: for messages.
        work: called there with its end of the pipe and the arguments; a module's own function.
        arguments: what else it is called with.
    """

    def __init__(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        super().__init__(_run, work, arguments)
        self._name = name

    @property
    def process_id(self) -> int:
        """The process."""
        return self._process.pid or 0

    def tell(self, word: str) -> None:
        """Send it a word."""
        self._pipe.send(word)

    def answer(self, seconds: float) -> Any:  # noqa: ANN401 -- whatever it sends
        """Wait for what it sends next.

        Raises:
            HelperError: it failed, ended, or sent nothing in time.
        """
        try:
            if not self._pipe.poll(seconds):
                raise HelperError(f"the {self._name} did not answer within {seconds:.0f} s")
            found = self._pipe.recv()
        except EOFError as error:
            raise HelperError(f"the {self._name} ended by itself") from error
        if isinstance(found, _Failure):
            raise HelperError(f"the {self._name} failed: {found.reason}")
        return found


class _Failure:
    """What a process sends that cannot go on."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _run(pipe: Connection, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the demonstration
    try:
        work(pipe, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the demonstration is gone
    except Exception as error:  # noqa: BLE001 -- whatever it is, the demonstration must hear of it
        pipe.send(_Failure(f"{type(error).__name__}: {error}"))
    finally:
        pipe.close()
