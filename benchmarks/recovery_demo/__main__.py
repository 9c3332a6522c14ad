"""`python -m benchmarks.recovery_demo`: options, a broker, the demonstration, an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.recovery_demo.demonstration import RATE, SEED, demonstrate
from benchmarks.recovery_demo.summary import INTERRUPTED
from benchmarks.recovery_demo.views import view_for
from consumer.errors import ExitCode
from consumer.settings import Settings
from tests.kafka import BrokerError, choose_broker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and return the exit code: 0, 1 where something is wrong, 9 without a broker, 130."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background jobs ignore SIGINT otherwise
        signal.signal(number, _interrupt)
    for name in Settings.model_fields:  # settings in the shell are for a worker of the user's; this one has its own
        if not name.startswith("kafka_"):
            os.environ.pop(name.upper(), None)
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("demo-recovery: interrupted before the first kill", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    choice = choose_broker(os.environ)
    if not choice.available:
        print(
            "demo-recovery needs a real Kafka broker: start Docker, or install Java 17 and Maven, or name a broker in "
            f"KAFKA_BOOTSTRAP_SERVERS ({choice.reason})",
            file=sys.stderr,
        )
        return ExitCode.BROKER
    print(f"broker: {choice.kind}, {choice.reason.partition('; ')[0]}", file=sys.stderr)
    try:
        with (
            choice.start(heap_megabytes=768) as broker,
            tempfile.TemporaryDirectory() as directory,
            view_for(as_json=options.json) as view,
        ):
            summary = demonstrate(
                broker, Path(directory), kills=options.kills, seed=options.seed, rate=options.rate, view=view
            )
    except BrokerError as error:
        (sentence, *_) = str(error).splitlines()  # below it a broker's own log, if it is one that was started here
        print(f"demo-recovery: no broker to work with: {sentence}", file=sys.stderr)
        return ExitCode.BROKER
    return summary.exit_code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo-recovery ARGS=...",
        description="Kill the worker again and again and count what a reader sees lost, doubled or differing.",
    )
    parser.add_argument("--kills", type=_positive, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the kills and the events (default: %(default)s)")
    parser.add_argument("--rate", type=_positive, default=RATE, help="events a second (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="write one JSON object a line")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
