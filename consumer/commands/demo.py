"""`smart-inventory demo`: see it work before anything is set up."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from consumer import settings
from consumer.commands.simulate import Source  # noqa: TC001 -- typer reads the annotation
from consumer.commands.terminal import output
from consumer.errors import ExitCode

if TYPE_CHECKING:
    from consumer.demo.display import Display

EXAMPLES: Final = """\
smart-inventory demo
smart-inventory demo --seconds 60 --rate 1000
smart-inventory demo --json
KAFKA_BOOTSTRAP_SERVERS=localhost:9092 smart-inventory demo"""


def demo(  # noqa: PLR0913 -- one option each
    *,
    seconds: Annotated[float, typer.Option(metavar="N", min=1, help="How long the shop is open.")] = 30,
    rate: Annotated[float, typer.Option(metavar="N", min=1, help="Events a second.")] = 500,
    source: Annotated[
        Source, typer.Option(help="synthetic (a seeded shop) or completejourney (a real retail year).")
    ] = "synthetic",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the synthetic shop and of the faults.")] = 0,
    model: Annotated[str, typer.Option(help="guarded, linear, or module:function of your own.")] = "guarded",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line; the last one is the summary.")] = (
        False
    ),
) -> None:
    """Watch a shop, a broker and a real worker for half a minute; needs nothing installed, nothing set.

    The broker is embedded in this process, for trying out; with KAFKA_BOOTSTRAP_SERVERS it is yours, exactly once, on
    topics of the demo's own. Ends with a summary, and with exit code 1 where an event was not answered as it should be.
    """
    loaded = settings.load()
    from consumer.demo.session import Plan, run_demo  # noqa: PLC0415 -- only where it is needed

    summary = run_demo(Plan(source, seconds, rate, seed, model), loaded, os.environ, _display(as_json=as_json))
    if not summary.is_good:
        raise typer.Exit(ExitCode.UNEXPECTED)


def _display(*, as_json: bool) -> Display:
    """Choose by who watches."""
    from consumer.demo.live import LiveDisplay  # noqa: PLC0415 -- only where it is needed
    from consumer.demo.plain import JsonDisplay, PlainDisplay  # noqa: PLC0415

    if as_json:
        return JsonDisplay(sys.stdout)
    is_live = output.is_terminal and not output.is_dumb_terminal
    return LiveDisplay(output) if is_live else PlainDisplay(sys.stdout)
