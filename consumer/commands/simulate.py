"""`smart-inventory simulate`: a shop to try the worker on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import typer
from rich.table import Table

from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker
from consumer.errors import ExitCode, SettingsError
from consumer.simulate.events import KeyBy  # noqa: TC001 -- typer reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.simulate.events import ShopEvent
    from consumer.simulate.sender import SendReport

Source = Literal["synthetic", "completejourney"]
EXAMPLES: Final = """\
smart-inventory simulate --limit 20000
smart-inventory simulate --limit 20000 --invalid-share 0.01 --late-share 0.01
smart-inventory simulate --source completejourney --rate 5000"""
_FAULTS: Final = "What goes wrong"


def simulate(  # noqa: PLR0913 -- one option each
    *,
    source: Annotated[
        Source, typer.Option(help="synthetic (a seeded shop, without end) or completejourney (a real retail year).")
    ] = "synthetic",
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Good events to send; by default all there are.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", min=0.1, help="Events per second; by default flat out.")
    ] = None,
    key_by: Annotated[KeyBy, typer.Option(help="Record key: store (store_id) or item (store_id:sku).")] = "store",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the synthetic shop and of the faults.")] = 0,
    as_json: AsJson = False,
    live: Annotated[
        bool, typer.Option("--live", help="Give each event the present time, for a shop that stays open for days.")
    ] = False,
    opening_stock: Annotated[
        bool, typer.Option("--opening-stock", help="Begin with one count of each item (synthetic only).")
    ] = False,
    missed_share: Annotated[
        float,
        typer.Option(
            metavar="N", min=0, max=1, help="Scans missed: stock leaves, no event (synthetic).", rich_help_panel=_FAULTS
        ),
    ] = 0.0,
    late_share: Annotated[
        float,
        typer.Option(
            metavar="N", min=0, max=1, help="Sales held back, sent after later ones.", rich_help_panel=_FAULTS
        ),
    ] = 0.0,
    invalid_share: Annotated[
        float,
        typer.Option(metavar="N", min=0, max=1, help="Invalid events added, per good one.", rich_help_panel=_FAULTS),
    ] = 0.0,
    repeat_share: Annotated[
        float,
        typer.Option(metavar="N", min=0, max=1, help="Repeated events added, per good one.", rich_help_panel=_FAULTS),
    ] = 0.0,
) -> None:
    """Send a shop's stock transactions to the input topic. Without --limit a synthetic shop goes on until Ctrl-C."""
    loaded = settings_with_broker()
    from consumer.simulate.faults import with_faults  # noqa: PLC0415 -- help loads none of it
    from consumer.simulate.live import as_of_now  # noqa: PLC0415
    from consumer.simulate.progress import send_with_progress  # noqa: PLC0415

    config = client_properties(loaded)
    shop = _Shop(source, limit, key_by, seed, opening_stock, missed_share)
    events, number = shop.events(), shop.number()
    if live:
        events = as_of_now(events, time.time)
    if invalid_share or repeat_share or late_share:
        shares = {"invalid_share": invalid_share, "repeat_share": repeat_share, "late_share": late_share}
        events = with_faults(events, **shares, seed=seed)
    report = send_with_progress(
        events,
        topic=loaded.input_topic,
        config=config,
        rate=rate,
        expected=None if number is None else round(number * (1 + invalid_share + repeat_share)),
    )
    _show(report, loaded.input_topic, as_json=as_json)
    if report.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _show(report: SendReport, topic: str, *, as_json: bool) -> None:
    if as_json:
        counts = {"sent": report.sent, "by_kind": dict(report.by_kind)}
        print_json({"topic": topic, **counts, "seconds": report.seconds, "interrupted": report.interrupted})
        return
    ended = ", interrupted" if report.interrupted else ""
    table = Table(title=f"Sent to {topic} in {report.seconds:.1f} s{ended}")
    table.add_column("kind")
    table.add_column("records", justify="right")
    for kind, number in sorted(report.by_kind.items()):
        table.add_row(kind, f"{number:,}")
    output.print(table)


class _Shop(NamedTuple):
    """Which shop is asked for."""

    source: Source
    limit: int | None
    key_by: KeyBy
    seed: int
    opening_stock: bool
    missed_share: float

    def events(self) -> Iterator[ShopEvent]:
        """Return its good events."""
        if self.source == "synthetic":
            from consumer.simulate.synthetic import synthetic_events  # noqa: PLC0415

            return synthetic_events(
                seed=self.seed,
                limit=self.limit,
                key_by=self.key_by,
                opening_stock=self.opening_stock,
                missed_share=self.missed_share,
            )
        if self.opening_stock or self.missed_share:
            raise SettingsError("--opening-stock and --missed-share: expected --source synthetic with them")
        from consumer.simulate.completejourney import completejourney_events  # noqa: PLC0415

        return completejourney_events(key_by=self.key_by, limit=self.limit)

    def number(self) -> int | None:
        """Return how many they are, None where they have no end."""
        if self.source == "synthetic":
            return self.limit
        from consumer.simulate.completejourney import EVENTS  # noqa: PLC0415

        return EVENTS if self.limit is None else min(self.limit, EVENTS)
