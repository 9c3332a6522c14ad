"""`smart-inventory config`: every setting in force."""

from __future__ import annotations

import os
from typing import Final

from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.terminal import one_sentence, output
from consumer.settings import Settings

EXAMPLE: Final = "Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 smart-inventory config"


def config() -> None:
    """Show every setting in force, secrets hidden, and the KAFKA_* properties that are passed to the client."""
    with one_sentence():
        loaded = settings.load()
        table = Table(title="Settings")
        for column in ("variable", "value", "meaning"):
            table.add_column(column)
        for name, field in Settings.model_fields.items():
            value = settings.redacted(name, getattr(loaded, name))
            table.add_row(name.upper(), Text(value), field.description or "")
        output.print(table)
        properties = settings.kafka_properties(os.environ)
        if properties:
            passed = Table(title="Passed to the Kafka client")
            for column in ("property", "value"):
                passed.add_column(column)
            for name, value in properties.items():
                passed.add_row(Text(name), Text(settings.redacted(name, value)))
            output.print(passed)
        from consumer.run import refuse_owned  # noqa: PLC0415

        refuse_owned(properties)
