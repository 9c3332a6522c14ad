"""`smart-inventory tick`: tells each partition of the input what time it is, so that quiet shops' days close too."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker
from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.settings import Settings

EXAMPLES: Final = """\
smart-inventory tick
smart-inventory tick --every 60
smart-inventory tick --at 2026-01-01T02:00:00+01:00"""


def tick(
    *,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=1.0, help="Go on, and tick so often, until Ctrl-C; by default once."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The time to tell, an RFC 3339 date-time not in the future; now by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a tick to each partition of the input: an item's day closes by the log's time, and a tick lets it pass.

    A day closes two hours after its midnight in STORE_TIMEZONE. Some instance of this should run wherever a partition
    may be without events for hours; more than one does no harm.
    """
    loaded = settings_with_broker()
    if at is not None and every is not None:
        raise SettingsError("--at tells one time: expected it without --every")
    _check(at)
    properties = client_properties(loaded)
    while True:
        moment = at or datetime.now(UTC).isoformat(timespec="milliseconds")
        partitions = _send(loaded, properties, moment)
        if as_json:
            print_json({"tick": moment, "topic": loaded.input_topic, "partitions": partitions})
        else:
            output.print(f"{loaded.input_topic}: {moment} to {partitions} partitions", highlight=False)
        if every is None:
            return
        time.sleep(every)


def _check(at: str | None) -> None:
    from schemas.transaction import parse_moment  # noqa: PLC0415 -- help loads no decoder

    if at is None:
        return
    try:
        moment = parse_moment(at)
    except ValueError as error:
        raise SettingsError(f"--at {at}: expected a time such as 2026-01-01T02:00:00+01:00; {error}") from None
    if moment.us > time.time() * 1_000_000:
        raise SettingsError(f"--at {at}: expected no time in the future: no day closes before it is over")


def _send(loaded: Settings, properties: Mapping[str, str], moment: str) -> int:
    from consumer.kafka.confirmed import ConfirmedProducer  # noqa: PLC0415
    from consumer.kafka.topics import partitions_of  # noqa: PLC0415
    from consumer.record import Record  # noqa: PLC0415
    from schemas.tick import encode_tick  # noqa: PLC0415

    partitions = partitions_of(properties, loaded.input_topic)
    producer = ConfirmedProducer(properties)
    for partition in range(partitions):
        producer.send(loaded.input_topic, Record(partition, 0, 0, None, encode_tick(moment)))
    producer.confirm(loaded.input_topic)
    return partitions
