"""The worker's log on standard output: JSON lines for machines, coloured lines on a terminal.

Every line is one event, librdkafka's own lines included. Lines carry topic, partition and offset, never a value: what
shops sell is nobody's business but theirs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from consumer.settings import LogFormat

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

SUPERVISED: Final = "SMART_INVENTORY_SUPERVISED"
"""Set for a worker whose lines stand among others' on one terminal: each then says whose it is. Its supervisor's id."""

DEBUG: Final = "SMART_INVENTORY_DEBUG"
_EVENT_WIDTH: Final = 24


def is_debug() -> bool:
    """Tell whether errors come with their tracebacks (`--debug`)."""
    return os.environ.get(DEBUG, "").lower() not in {"", "0", "false", "no", "off"}


def is_text(log_format: LogFormat) -> bool:
    """Tell whether the log is written for people."""
    return log_format is LogFormat.TEXT or (log_format is LogFormat.AUTO and sys.stdout.isatty())


def configure(
    log_format: LogFormat = LogFormat.AUTO, *, instance_id: str | None = None, level: int = logging.INFO
) -> FilteringBoundLogger:
    """Send everything through one formatter and return the worker's log.

    Args:
        log_format: how it is written.
        instance_id: stands in every JSON line, so that the lines of many workers may be kept in one place.
        level: what lies below is not written.
    """
    text = is_text(log_format)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        if text
        else structlog.processors.TimeStamper(fmt="iso", utc=True),
        _brief_exceptions if text and not is_debug() else structlog.processors.format_exc_info,
    ]
    if instance_id is not None and (not text or os.environ.get(SUPERVISED)):
        shared.insert(0, _named(instance_id))
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(text=text)],
    )
    handler = _Lines(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log: FilteringBoundLogger = structlog.get_logger("smart_inventory")
    return log


def quiet() -> FilteringBoundLogger:
    """Return the log of short commands: warnings and worse, as plain lines on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log: FilteringBoundLogger = structlog.get_logger("smart_inventory")
    return log


class Below(Protocol):
    """What stands on the terminal below the log's last line."""

    def aside(self) -> AbstractContextManager[None]:
        """Make room for a line, which is written within, and stand below it again."""


def put_below(below: Below) -> None:
    """Let something stand below the log's lines from now on: neither tears the other."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Lines):
            handler.below = below


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]  # the stream's type is of no use here
    """Writes lines; where they cannot be written any more, says so once: the worker's work goes on without a log."""

    _is_told = False
    below: Below | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, above whatever stands below."""
        if self.below is None:
            super().emit(record)
            return
        with self.below.aside():
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the library's name
        """Tell it once on standard error; what is no error of writing is Python's own to report."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            with contextlib.suppress(OSError):
                sys.stderr.write(
                    f"smart-inventory: the log cannot be written to standard output ({error.strerror}); the worker "
                    "goes on without it: make room, or start it again with another place for its output\n"
                )


def _renderer(*, text: bool) -> Processor:
    if not text:
        return structlog.processors.JSONRenderer()
    has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return structlog.dev.ConsoleRenderer(
        colors=has_colours,
        pad_event_to=_EVENT_WIDTH,
        pad_level=True,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )


def _named(instance_id: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["instance_id"] = instance_id
        return event

    return add


def _brief_exceptions(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """On a terminal an exception is its name and its words; `--debug` shows where it came from."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__name__}: {error}"
    return event
