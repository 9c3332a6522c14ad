"""`smart-inventory check-model`: does a model of your own keep the contract?"""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.terminal import one_sentence, output
from consumer.errors import ExitCode

EXAMPLE: Final = "Example: smart-inventory check-model my_models:forest"
_COLOURS = {"passed": "green", "warning": "yellow", "fault": "red"}


def check_model(
    model: Annotated[str | None, typer.Argument(help="linear or module:function; by default MODEL.")] = None,
) -> None:
    """Check that a model predicts, learns, and goes on after a restart as the guarantees need it; takes seconds."""
    with one_sentence():
        chosen = model or settings.load().model
        from consumer.model_trial import faults_of, try_model  # noqa: PLC0415 -- River takes a second

        findings = try_model(chosen)
        table = Table(title=Text(f"MODEL={chosen}"))
        for column in ("check", "result", "finding"):
            table.add_column(column)
        for finding in findings:
            result = finding.severity.value
            table.add_row(finding.check, Text(result, style=_COLOURS[result]), Text(finding.sentence))
        output.print(table)
        if faults_of(findings):
            raise typer.Exit(ExitCode.MODEL)
