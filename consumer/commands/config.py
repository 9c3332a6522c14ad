"""`smart-inventory config`: every setting in force."""

from __future__ import annotations

import os
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.terminal import AsJson, output, print_json
from consumer.settings import Settings

EXAMPLES: Final = """\
smart-inventory config
COMMIT_INTERVAL_MS=500 smart-inventory config
smart-inventory config --json"""


def config(*, as_json: AsJson = False) -> None:
    """Show every setting in force, secrets hidden, and the KAFKA_* properties that are passed to the client."""
    loaded = settings.load()
    properties = settings.kafka_properties(os.environ)
    from consumer.run import refuse_owned  # noqa: PLC0415

    if as_json:
        refuse_owned(properties)
        print_json(_values(loaded, properties))
        return
    _print(loaded, properties)
    refuse_owned(properties)


def _values(loaded: Settings, properties: dict[str, str]) -> dict[str, Any]:
    """Return what is in force by the variables' names, null where one is not set."""
    values = {name.upper(): getattr(loaded, name) for name in Settings.model_fields}
    hidden = {name: settings.redacted(name.lower(), value) for name, value in values.items() if value is not None}
    shown = {
        # A number stays a number; whatever is a secret, or no plain value, is as the table has it.
        name: value if isinstance(value, int | float) or value is None else hidden[name]
        for name, value in values.items()
    }
    return {
        "settings": shown,
        "kafka_properties": {name: settings.redacted(name, value) for name, value in properties.items()},
    }


def _print(loaded: Settings, properties: dict[str, str]) -> None:
    table = Table(title="Settings", box=box.SIMPLE, pad_edge=False)
    for column in ("variable", "value", "meaning"):
        table.add_column(column, overflow="fold")
    for name, field in Settings.model_fields.items():
        value = settings.redacted(name, getattr(loaded, name))
        table.add_row(name.upper(), Text(value), field.description or "")
    output.print(table)
    if properties:
        passed = Table(title="Passed to the Kafka client", box=box.SIMPLE, pad_edge=False)
        for column in ("property", "value"):
            passed.add_column(column, overflow="fold")
        for name, value in properties.items():
            passed.add_row(Text(name), Text(settings.redacted(name, value)))
        output.print(passed)
