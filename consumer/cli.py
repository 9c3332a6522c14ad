"""The command line of `smart-inventory`, put together; what the commands do is in `consumer.commands`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer

from consumer import __version__, logs
from consumer.commands import (
    check_model,
    checkpoints,
    config,
    dead_letters,
    demo,
    evaluate,
    import_stock,
    run,
    simulate,
    tick,
    topics,
    transactions,
)
from consumer.commands.layout import Command, Root

_WORK: Final = "At work"
_TRY: Final = "To begin with"
_LOOK: Final = "Where something was refused or lost"
EXAMPLES: Final = """\
export KAFKA_BOOTSTRAP_SERVERS=localhost:9092   # your broker
smart-inventory topics create                   # once
smart-inventory simulate --limit 20000          # a shop to try it on
smart-inventory run --stop-at-end               # the worker"""

app: Final = typer.Typer(
    cls=Root,
    name="smart-inventory",
    help="Predict stock levels from a Kafka topic of stock transactions, exactly once. Settings come from the "
    "environment.",
    epilog=EXAMPLES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command(
    "demo",
    cls=Command,
    epilog=demo.EXAMPLES,
    rich_help_panel=_TRY,
    short_help="See it work: a shop, a broker, a worker.",
)(demo.demo)
app.command("config", cls=Command, epilog=config.EXAMPLES, rich_help_panel=_TRY, short_help="Settings in force.")(
    config.config
)
app.add_typer(topics.topics_app, name="topics", rich_help_panel=_TRY)
app.command(
    "simulate", cls=Command, epilog=simulate.EXAMPLES, rich_help_panel=_TRY, short_help="A shop to try the worker on."
)(simulate.simulate)
app.command(
    "import-stock",
    cls=Command,
    epilog=import_stock.EXAMPLES,
    rich_help_panel=_TRY,
    short_help="Opening levels from a CSV file.",
)(import_stock.import_stock)
app.command(
    "check-model",
    cls=Command,
    epilog=check_model.EXAMPLES,
    rich_help_panel=_TRY,
    short_help="Does a model of your own keep the contract?",
)(check_model.check_model)
app.command(
    "evaluate",
    cls=Command,
    epilog=evaluate.EXAMPLES,
    rich_help_panel=_TRY,
    short_help="The outlook on your own history, beside the usual forecasts.",
)(evaluate.evaluate)
app.command(
    "tick",
    cls=Command,
    epilog=tick.EXAMPLES,
    rich_help_panel=_WORK,
    short_help="Let days close where no events come.",
)(tick.tick)
app.command("run", cls=Command, epilog=run.EXAMPLES, rich_help_panel=_WORK, short_help="The worker.")(run.run)
app.add_typer(dead_letters.dead_letters_app, name="dead-letters", rich_help_panel=_LOOK)
app.add_typer(checkpoints.app, name="checkpoints", rich_help_panel=_LOOK)
app.add_typer(transactions.transactions_app, name="transactions", rich_help_panel=_LOOK)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"smart-inventory {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show the traceback of an error too; so does {logs.DEBUG}=1.")
    ] = False,
) -> None:
    """Take what belongs to all commands."""
    if debug:
        os.environ[logs.DEBUG] = "1"  # the workers of `run --workers` are to know as well
