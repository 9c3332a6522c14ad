"""The command line of `smart-inventory`, put together; what the commands do is in `consumer.commands`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from consumer import __version__
from consumer.commands import check_model, checkpoints, config, dead_letters, import_stock, run, simulate, topics
from consumer.commands.terminal import output

app: Final = typer.Typer(
    name="smart-inventory",
    help="A Kafka stream processor whose online model is a pure function of the log.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("run", epilog=run.EXAMPLE)(run.run)
app.command("config", epilog=config.EXAMPLE)(config.config)
app.command("check-model", epilog=check_model.EXAMPLE)(check_model.check_model)
app.add_typer(topics.topics_app, name="topics")
app.command("simulate", epilog=simulate.EXAMPLE)(simulate.simulate)
app.command("import-stock", epilog=import_stock.EXAMPLE)(import_stock.import_stock)
app.add_typer(dead_letters.dead_letters_app, name="dead-letters")
app.add_typer(checkpoints.app, name="checkpoints")


def _print_version(wanted: bool) -> None:
    if wanted:
        output.print(f"smart-inventory {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Say what belongs to all commands."""
