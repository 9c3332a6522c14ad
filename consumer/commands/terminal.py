"""What all commands share: the console, settings with a broker, and errors in one sentence."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console

from consumer import settings
from consumer.errors import ExitCode, RetryError, SettingsError, StopError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.settings import Settings

output: Final = Console()


def settings_with_broker() -> Settings:
    """Read the settings of a command that talks to Kafka.

    Raises:
        SettingsError: one is wrong, or no broker is named.
    """
    loaded = settings.load()
    if loaded.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set; expected the brokers, such as localhost:9092")
    return loaded


@contextmanager
def one_sentence() -> Iterator[None]:
    """Say an error in one sentence on standard error and leave with its exit code."""
    try:
        yield
    except StopError as error:
        sys.stderr.write(f"smart-inventory: {error}\n")
        raise typer.Exit(error.exit_code) from error
    except RetryError as error:
        sys.stderr.write(f"smart-inventory: {error}\n")
        raise typer.Exit(ExitCode.BROKER) from error
