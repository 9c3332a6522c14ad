"""`smart-inventory topics create`: the topics as the worker needs them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from consumer.commands.layout import Command, Group
from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker

topics_app: Final = typer.Typer(
    cls=Group,
    help="The worker's topics.",
    epilog="smart-inventory topics create --partitions 12 --replication-factor 3",
)


@topics_app.command(
    "create",
    cls=Command,
    epilog="smart-inventory topics create\nsmart-inventory topics create --partitions 12 --replication-factor 3",
)
def create(
    *,
    partitions: Annotated[int, typer.Option(metavar="N", min=1, help="Partitions of each topic.")] = 4,
    replication_factor: Annotated[int, typer.Option(metavar="N", min=1, help="Copies of each partition.")] = 1,
    retention_ms: Annotated[
        int, typer.Option(metavar="N", min=-1, help="How long input and dead letters are kept; -1 for ever.")
    ] = -1,
    as_json: AsJson = False,
) -> None:
    """Create the topics that the settings name, where they do not exist: input, outputs, and that of CHECKPOINT_URL."""
    loaded = settings_with_broker()
    from consumer.kafka.topics import create_topics  # noqa: PLC0415 -- help loads no Kafka client
    from consumer.run import topic_names  # noqa: PLC0415

    created = create_topics(
        client_properties(loaded),
        topic_names(loaded),
        partitions=partitions,
        replication_factor=replication_factor,
        retention_ms=retention_ms,
    )
    if as_json:
        print_json([{"topic": name, "created": is_new} for name, is_new in created.items()])
        return
    for name, is_new in created.items():
        output.print(f"{name}: {'created' if is_new else 'exists already, left as it is'}", highlight=False)
