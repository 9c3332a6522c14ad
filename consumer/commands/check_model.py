"""`smart-inventory check-model`: does a model of your own keep the contract?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.terminal import AsJson, output, print_json, waiting
from consumer.errors import ExitCode

if TYPE_CHECKING:
    from consumer.learning.check_model import Finding

EXAMPLES: Final = """\
smart-inventory check-model
smart-inventory check-model my_models:forest
smart-inventory check-model my_models:forest --json"""
_COLOURS = {"passed": "green", "warning": "yellow", "fault": "red"}


def check_model(
    model: Annotated[
        str | None,
        typer.Argument(
            help="guarded, linear or module:function; by default MODEL.", autocompletion=lambda: ["guarded", "linear"]
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check that a model predicts, learns, and goes on after a restart as the guarantees need it; takes seconds."""
    chosen = model or settings.load().model
    from consumer.model_trial import faults_of, try_model  # noqa: PLC0415 -- River takes a second

    with waiting("trying the model"):
        findings = try_model(chosen)
    if as_json:
        print_json({"model": chosen, "findings": [finding._asdict() for finding in findings]})
    else:
        _print(chosen, findings)
    if faults_of(findings):
        raise typer.Exit(ExitCode.MODEL)


def _print(chosen: str, findings: list[Finding]) -> None:
    table = Table(title=Text(f"MODEL={chosen}"))
    for column in ("check", "result", "finding"):
        table.add_column(column)
    for finding in findings:
        result = finding.severity.value
        table.add_row(finding.check, Text(result, style=_COLOURS[result]), Text(finding.sentence))
    output.print(table)
