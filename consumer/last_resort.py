"""How a process that stands still is ended: with all stacks on standard error and the exit code STUCK.

Where the interpreter's lock is held by a call that does not return, no Python runs any more, not even a signal's
handler. Two threads of C are left: faulthandler's, which writes the stacks, and one that the system's own timer starts
with `_exit` as its function. Without such a timer (it is POSIX; the call here knows Linux's layout on 64 bits),
faulthandler ends the process itself, with exit code 1.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import struct
import sys
import threading
from typing import TYPE_CHECKING, Final, NoReturn

from consumer.errors import ExitCode

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from consumer.health import Stillness

_STDERR: Final = 2
_DUMP_SECONDS: Final = 5.0
"""How long saying so may take: whoever should read the log or the stacks may have stopped reading."""

_CLOCK_MONOTONIC: Final = 1
_SIGEV_THREAD: Final = 2


class _SignalEvent(ctypes.Structure):
    """Linux's `struct sigevent`."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_char * 32),
    )


class _TimerTimes(ctypes.Structure):
    """Linux's `struct itimerspec`."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class ExitTimer:
    """Ends the process with an exit code after a time, whatever holds the interpreter's lock.

    Raises:
        OSError: this system has no such timer.
    """

    def __init__(self, code: int) -> None:
        if sys.platform != "linux" or struct.calcsize("P") != 8:  # noqa: PLR2004 -- bytes of a pointer
            raise OSError("a timer of this kind is known on Linux with 64 bits only")
        self._library = ctypes.CDLL(None)
        self._timer = ctypes.c_void_p()
        exit_at_once = ctypes.cast(self._library._exit, ctypes.c_void_p).value  # noqa: SLF001 -- C's name
        event = _SignalEvent(code, 0, _SIGEV_THREAD, exit_at_once, None, b"")
        try:
            failed = self._library.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer))
        except AttributeError as error:
            raise OSError("the C library has no timer_create") from error
        if failed:
            raise OSError("timer_create failed")

    def set(self, seconds: float) -> None:
        """Let it act in so many seconds, in the place of what was set before; 0 calls it off."""
        whole = int(seconds)
        times = _TimerTimes(0, 0, whole, int((seconds - whole) * 1e9))
        self._library.timer_settime(self._timer, 0, ctypes.byref(times), None)


class LastResort:
    """The real ending of a worker's process.

    Args:
        log: the worker's log.
        limit: `WATCHDOG_SECONDS`, for what is said.
    """

    def __init__(self, log: FilteringBoundLogger, limit: float) -> None:
        self._log = log
        self._limit = limit
        self._timer: ExitTimer | None = None
        with contextlib.suppress(OSError):
            self._timer = ExitTimer(ExitCode.STUCK)

    def put_off(self, seconds: float) -> None:
        """Let the stacks be written in so many seconds, and the process end once they are."""
        if self._timer is not None:
            self._timer.set(seconds + _DUMP_SECONDS)
        faulthandler.dump_traceback_later(seconds, exit=self._timer is None, file=_STDERR)

    def call_off(self) -> None:
        """Let nothing of it happen."""
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.set(0)

    def end(self, still: Stillness) -> NoReturn:
        """Say where the loop stands, dump all stacks, and end the process with STUCK."""
        faulthandler.cancel_dump_traceback_later()
        threading.Thread(target=_exit_later, name="exit", daemon=True).start()
        if self._timer is not None:
            self._timer.set(_DUMP_SECONDS)  # the stacks are written with the interpreter's lock held
        at = _where_main_stands()
        with contextlib.suppress(OSError):  # first of all: the log may be what nobody takes any more
            faulthandler.dump_traceback(file=_STDERR)
        self._log.error(
            "stuck",
            phase=still.phase,
            partition=still.partition,
            offset=still.offset,
            seconds=round(still.seconds, 1),
            limit_seconds=self._limit,
            at=at,
            exit_code=int(ExitCode.STUCK),
        )
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"smart-inventory: stuck: no sign of life for {still.seconds:.0f} s {still.where()}, at {at}; the "
                "stacks above show every thread. Nothing is lost: start it again\n"
            )
            sys.stderr.flush()
        os._exit(ExitCode.STUCK)


def _exit_later() -> None:
    threading.Event().wait(_DUMP_SECONDS)
    os._exit(ExitCode.STUCK)


def _where_main_stands() -> str:
    """Return the innermost line of Python of the loop's thread."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 -- the only way to it
    if frame is None:
        return "no Python frame"
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
