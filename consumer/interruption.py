"""Ctrl-C, also where the exception that it raises is lost: in a callback of the Kafka client, or of an import."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class _Noted:
    is_there = False


def watch() -> None:
    """Take note of SIGINT before it raises KeyboardInterrupt; where it is ignored (`nohup`), it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def heed() -> None:
    """Call where a command waits.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, and the first exception for it has not got here.
    """
    if _Noted.is_there:
        raise KeyboardInterrupt


def _note(_number: int, _frame: FrameType | None) -> None:
    _Noted.is_there = True
    raise KeyboardInterrupt
