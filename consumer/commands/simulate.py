"""`smart-inventory simulate`: a shop to try the worker on."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from consumer.commands.terminal import one_sentence, output, settings_with_broker
from consumer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.simulate.events import ShopEvent

EXAMPLE: Final = "Example: smart-inventory simulate --source completejourney --limit 100000 --rate 5000"


def simulate(  # noqa: PLR0913 -- one option each
    *,
    source: Annotated[str, typer.Option(help="synthetic (a seeded shop) or completejourney (a real retail year).")] = (
        "synthetic"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Good events to send; by default all there are.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Events per second; by default flat out.")] = None,
    invalid_share: Annotated[float, typer.Option(min=0, max=1, help="Invalid events added, per good one.")] = 0.0,
    repeat_share: Annotated[float, typer.Option(min=0, max=1, help="Repeated events added, per good one.")] = 0.0,
    late_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the sales sent late.")] = 0.0,
    missed_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the sales never scanned (synthetic only).")
    ] = 0.0,
    opening_stock: Annotated[
        bool, typer.Option("--opening-stock", help="Begin with a count of each item (synthetic only).")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Give each event the present time; for a shop without end.")] = (
        False
    ),
    key_by: Annotated[str, typer.Option(help="Record key: store (store_id) or item (store_id:sku).")] = "store",
    seed: Annotated[int, typer.Option(help="Seed of the synthetic shop and of the faults.")] = 0,
) -> None:
    """Send a shop's stock transactions to the input topic."""
    with one_sentence():
        loaded = settings_with_broker()
        from consumer import logs  # noqa: PLC0415
        from consumer.run import client_properties  # noqa: PLC0415
        from consumer.simulate.faults import with_faults  # noqa: PLC0415
        from consumer.simulate.live import as_of_now  # noqa: PLC0415
        from consumer.simulate.progress import send_with_progress  # noqa: PLC0415

        events = _shop(source, limit, key_by, seed, missed_share, opening_stock=opening_stock)
        if live:
            events = as_of_now(events, time.time)
        if invalid_share or repeat_share or late_share:
            events = with_faults(
                events, invalid_share=invalid_share, repeat_share=repeat_share, late_share=late_share, seed=seed
            )
        report = send_with_progress(
            events,
            topic=loaded.input_topic,
            config=client_properties(loaded, os.environ, logs.quiet()),
            rate=rate,
            expected=None if limit is None else round(limit * (1 + invalid_share + repeat_share)),
        )
        ended = ", interrupted" if report.interrupted else ""
        table = Table(title=f"Sent to {loaded.input_topic} in {report.seconds:.1f} s{ended}")
        table.add_column("kind")
        table.add_column("records", justify="right")
        for kind, number in sorted(report.by_kind.items()):
            table.add_row(kind, f"{number:,}")
        output.print(table)


def _shop(  # noqa: PLR0913 -- what a shop is asked for
    source: str, limit: int | None, key_by: str, seed: int, missed_share: float, *, opening_stock: bool
) -> Iterator[ShopEvent]:
    if key_by not in {"store", "item"}:
        raise SettingsError(f"--key-by {key_by!r}: expected store or item")
    if source == "synthetic":
        from consumer.simulate.synthetic import synthetic_events  # noqa: PLC0415

        return synthetic_events(
            seed=seed,
            limit=limit,
            key_by=key_by,  # type: ignore[arg-type]  # checked above
            missed_share=missed_share,
            opening_stock=opening_stock,
        )
    if missed_share or opening_stock:
        raise SettingsError("--missed-share and --opening-stock belong to --source synthetic; expected neither here")
    if source == "completejourney":
        from consumer.simulate.completejourney import completejourney_events  # noqa: PLC0415

        return completejourney_events(key_by=key_by, limit=limit)  # type: ignore[arg-type]  # checked above
    raise SettingsError(f"--source {source!r}: expected synthetic or completejourney")
