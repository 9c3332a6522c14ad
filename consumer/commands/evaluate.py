"""`smart-inventory evaluate`: the outlook on a retailer's own history, before anything is deployed."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 -- typer reads the annotation
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from consumer import settings
from consumer.commands.terminal import AsJson, output, print_json, say
from consumer.evaluate import WARM_UP_DAYS
from consumer.zones import zone_of

if TYPE_CHECKING:
    from consumer.evaluate.result import Evaluation

EXAMPLES: Final = """\
smart-inventory evaluate sales.csv
smart-inventory evaluate sales.parquet --report outlook.html
smart-inventory evaluate sales.csv --timezone Europe/Berlin --json"""
_SHOWN: Final = (("rmsse", "RMSSE", "{:.3f}"), ("bias", "bias", "{:+.1%}"), ("wape", "WAPE", "{:.3f}"))


def evaluate(  # noqa: PLR0913 -- one option each
    *,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV or Parquet: store_id, sku, quantity (below 0 leaves the shelf), occurred_at; optional "
            "transaction_id, line_id, transaction_type, unit_cost, new_stock_level, corrects.",
        ),
    ],
    warm_up: Annotated[
        int, typer.Option("--warm-up", metavar="DAYS", min=1, help="Days before the first forecast that is scored.")
    ] = WARM_UP_DAYS,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Where the shops are, such as Europe/Berlin; by default STORE_TIMEZONE."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report with pictures, one HTML file.")
    ] = None,
    forecasts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every forecast, the baselines' too, as Parquet.")
    ] = None,
    experts: Annotated[
        bool, typer.Option("--experts", help="Score each expert that is mixed into the outlook by itself too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try the outlook on your own history: one pass over a file, each day forecast, then compared with what came.

    No broker is needed. Beside it run the simple methods that it has to beat: docs/evaluate.md explains them and the
    scores.
    """
    loaded = settings.load()
    zone = zone_of(timezone, "--timezone") if timezone else zone_of(loaded.store_timezone)
    from consumer.evaluate.run import evaluate as run  # noqa: PLC0415 -- River takes a second
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415
    from schemas.transaction import Limits  # noqa: PLC0415

    with ExitStack() as at_the_end:
        write = None
        if forecasts is not None:
            from consumer.evaluate.forecasts import ForecastFile  # noqa: PLC0415

            kept = ForecastFile(forecasts)
            at_the_end.callback(kept.close)
            write = kept.write
        progress = at_the_end.enter_context(progress_bar(counts=False))
        task = progress.add_task(file.name, total=1.0)
        found = run(
            file,
            zone,
            Limits(loaded.max_quantity, loaded.max_clock_ahead_seconds),
            seen_ids=loaded.seen_ids,
            warm_up_days=warm_up,
            variants=experts,
            write=write,
            on_progress=lambda share: progress.update(task, completed=share),
        )
    if report is not None:
        from consumer.evaluate.report import render  # noqa: PLC0415

        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        report.write_text(render(found), encoding="utf-8")
    if as_json:
        print_json(found)
        return
    _print(found)
    for written in (report, forecasts):
        if written is not None:
            say(f"written: {written}")


def _print(found: Evaluation) -> None:
    output.print(
        f"{found.file}: {found.rows:,} rows, {found.items_with_demand:,} items with demand, {found.first_day} to "
        f"{found.last_day}; forecasts from {found.origins} days."
    )
    if found.refused:
        listed = ", ".join(f"{count:,} {reason}" for reason, count in found.refused.items())
        output.print(f"[yellow]refused: {listed}[/yellow] (docs/contract.md says why)")
    for metric, title, form in _SHOWN:
        table = Table(title=Text(_TITLES[metric]), title_justify="left")
        table.add_column(title)
        for horizon in found.scores:
            table.add_column(f"{horizon} day{'s' if horizon > 1 else ''}", justify="right")
        for method in found.methods:
            values = [rows[method][metric] for rows in found.scores.values()]
            table.add_row(
                Text(method, style="bold" if method == found.methods[0] else ""),
                *("-" if value is None else form.format(value) for value in values),
            )
        output.print(table)
    table = Table(title=Text("Calibration of the outlook: how often demand was within the interval for 80%"))
    for column in ("horizon", "all items", *("lowest fifth by volume", "2nd", "3rd", "4th", "highest")):
        table.add_column(column, justify="right")
    for horizon, row in found.calibration.items():
        shares = [row["coverage_80"], *row["by_volume"]]
        table.add_row(str(horizon), *("-" if share is None else f"{share:.1%}" for share in shares))
    output.print(table)


_TITLES: Final = {
    "rmsse": "Error of the mean, a multiple of that of 'as in the last days' (RMSSE): less is better",
    "bias": "Bias of the mean, a share of demand: nearer to 0 is better",
    "wape": "Error of the median, a share of demand (WAPE): less is better",
}
