"""A process of its own that is talked to through a pipe, for work that must not wait for the demonstration."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_LEAVE_SECONDS = 5.0


class Piped:
    """Runs a function in a new process; a context manager that ends it.

    Args:
        work: a module's own function, called there with its end of the pipe and the arguments.
        arguments: what else it is called with.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")  # a forked client of Kafka's has no threads
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, *arguments), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(_LEAVE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
