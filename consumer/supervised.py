"""A worker that another process of ours has started ends with it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from consumer.logs import SUPERVISED

if TYPE_CHECKING:
    from collections.abc import Mapping

_PR_SET_PDEATHSIG: Final = 1


def end_with_supervisor(environment: Mapping[str, str]) -> None:
    """Have the system send this process SIGTERM once its supervisor is gone, however that ended.

    Left behind by a kill -9 of `run --workers N`, the workers would go on, and those of the next start would be fenced
    by them and fence them in turn. Linux only: elsewhere they go on until somebody ends them.
    """
    supervisor = environment.get(SUPERVISED)
    if supervisor is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):  # it was gone before the system was asked
        signal.raise_signal(signal.SIGTERM)
