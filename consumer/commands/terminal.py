"""What all commands share: the console, JSON, settings with a broker, and errors in one sentence."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console

from consumer import logs, settings
from consumer.errors import ExitCode, RetryError, SettingsError, StopError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.settings import LogFormat, Settings

NAME: Final = "smart-inventory"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else, for scripts.")]


class _Output(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `one_sentence`, for all output alike."""
        raise BrokenPipeError


output: Final = _Output()


def print_json(value: object) -> None:
    """Write a value as indented JSON to standard output."""
    import msgspec  # noqa: PLC0415 -- help needs none

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def settings_with_broker() -> Settings:
    """Read the settings of a command that talks to Kafka.

    Raises:
        SettingsError: one is wrong, or no broker is named.
    """
    loaded = settings.load()
    if loaded.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set; expected the brokers, such as localhost:9092")
    return loaded


def client_properties(loaded: Settings) -> dict[str, str]:
    """Return the properties of a command's Kafka clients once a broker has answered to them.

    Raises:
        SettingsError: the worker owns one, or librdkafka refuses it.
        BrokerError: no broker answers, or it refuses this client.
    """
    from consumer.kafka.reach import await_broker  # noqa: PLC0415
    from consumer.run import client_properties as judged  # noqa: PLC0415

    properties = judged(loaded, os.environ, logs.quiet())
    with waiting("asking the broker"):
        await_broker(properties)
    return properties


def say(sentence: str) -> None:
    """Write the one sentence with which a command ends in error."""
    sys.stderr.write(f"{NAME}: {' '.join(sentence.split())}\n")


def sentence_of(error: BaseException) -> str:
    """Return what there is to say of an error that this software did not raise on purpose."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, OSError):
        return f"the system refused something ({what}); `{NAME} --debug` in front of the command shows where"
    return (
        f"this is a bug ({what}); `{NAME} --debug` in front of the command shows where it is, please report it with "
        "that"
    )


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show on a terminal that something takes its time; in a pipe nothing."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(text):
        yield


def is_said_once(log_format: LogFormat) -> bool:
    """Tell whether log and standard error meet before the same eyes."""
    return logs.is_text(log_format) and sys.stdout.isatty() and sys.stderr.isatty()


@contextmanager
def one_sentence() -> Iterator[None]:
    """Say an error in one sentence on standard error and leave with its exit code; `--debug` shows the traceback."""
    try:
        yield
    except StopError as error:
        _leave(error, str(error), error.exit_code)
    except RetryError as error:
        _leave(error, str(error), ExitCode.BROKER)
    except BrokenPipeError as error:  # whoever read the output has what they wanted
        raise typer.Exit(ExitCode.OUTPUT_CLOSED) from error
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise  # the parser's own
    except Exception as error:  # noqa: BLE001 -- whatever it is, it ends in a sentence
        _leave(error, sentence_of(error), ExitCode.UNEXPECTED)


def _leave(error: BaseException, sentence: str, code: ExitCode) -> NoReturn:
    if logs.is_debug():
        traceback.print_exception(error)
    say(sentence)
    raise typer.Exit(code) from error
