"""A worker's log on standard error, each line told to a contender first; imported as late as the worker is."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger


def listening_log(listen: Callable[[EventDict], None]) -> FilteringBoundLogger:
    """Return a log for `run_worker`."""

    def tell(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
        listen(line)
        return line

    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[tell, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return log
