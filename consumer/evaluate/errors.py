"""What keeps an evaluation from being made."""

from __future__ import annotations

from consumer.errors import ExitCode, StopError


class MissingExtraError(StopError):
    """A library is not installed that only an evaluation needs."""

    exit_code = ExitCode.USAGE

    def __init__(self, library: str) -> None:
        super().__init__(
            f'`smart-inventory evaluate` needs {library}; install it with `pip install "smart-inventory[evaluate]"`'
        )


class HistoryError(StopError):
    """A file is no history that could be evaluated."""

    exit_code = ExitCode.BAD_LINES
