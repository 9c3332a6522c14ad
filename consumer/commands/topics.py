"""`smart-inventory topics create`: the topics as the worker needs them."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from consumer.commands.terminal import one_sentence, output, settings_with_broker

topics_app: Final = typer.Typer(help="The worker's topics.", no_args_is_help=True)


@topics_app.command("create", epilog="Example: smart-inventory topics create --partitions 12 --replication-factor 3")
def create(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 4,
    replication_factor: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    retention_ms: Annotated[
        int, typer.Option(min=-1, help="How long input and dead letters are kept; -1 for ever.")
    ] = -1,
) -> None:
    """Create the input, output and dead-letter topics where they do not exist."""
    with one_sentence():
        loaded = settings_with_broker()
        from consumer import logs  # noqa: PLC0415
        from consumer.kafka.topics import create_topics  # noqa: PLC0415
        from consumer.run import client_properties, topic_names  # noqa: PLC0415

        created = create_topics(
            client_properties(loaded, os.environ, logs.quiet()),
            topic_names(loaded),
            partitions=partitions,
            replication_factor=replication_factor,
            retention_ms=retention_ms,
        )
        for name, is_new in created.items():
            output.print(f"{name}: {'created' if is_new else 'exists already, left as it is'}", highlight=False)
