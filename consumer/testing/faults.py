"""What may go wrong at a call: the vocabulary, and who decides."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from consumer.checkpoint.store import StoreError


class Fault(Enum):
    """What becomes of one call."""

    NONE = "none"
    CRASH_BEFORE = "crash before its effect"
    CRASH_AFTER = "crash after its effect"
    LOSE_REPLY = "effect, but the reply is lost"
    TIME_OUT = "no effect, and no reply"
    LATE = "no reply, and the effect comes later"
    REFUSED = "an error of the call's own class"
    ABORT = "an error that asks for an abort"
    FENCED = "this client is fenced"
    FREEZE = "the process is frozen before the call, while everybody else goes on"
    STALE = "what was fetched before comes again"
    UNDELIVERED = "what was produced before is not delivered"


class Crash(BaseException):
    """The process is gone, as by kill -9: nothing of it may run any more.

    No `Exception`, so that no handler of the worker can catch it.
    """


class Faults(Protocol):
    """Decides, call by call."""

    def at(self, step: str, allowed: frozenset[Fault]) -> Fault:
        """Return what becomes of a call.

        Args:
            step: the call's name, such as `commit` or `store.rename`.
            allowed: what can befall such a call, NONE apart.
        """


def begin_step(faults: Faults, step: str, allowed: frozenset[Fault]) -> Fault:
    """Ask what becomes of a call, and crash where that is before its effect."""
    fault = faults.at(step, allowed)
    if fault is Fault.CRASH_BEFORE:
        raise Crash(step)
    return fault


def end_step(step: str, fault: Fault, refusal: str) -> None:
    """Crash after a step's effect, or refuse it in these words."""
    if fault is Fault.CRASH_AFTER:
        raise Crash(step)
    if fault is Fault.REFUSED:
        raise StoreError(f"{step}: {refusal}")


class NoFaults:
    """Nothing ever goes wrong."""

    def at(self, step: str, allowed: frozenset[Fault]) -> Fault:
        """Let the call through."""
        del step, allowed
        return Fault.NONE
