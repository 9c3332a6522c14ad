"""`smart-inventory import-stock`: opening levels from a CSV file, sent as `count` events."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 -- typer reads the annotation
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from consumer.commands.terminal import AsJson, client_properties, output, print_json, settings_with_broker
from consumer.errors import ExitCode, SettingsError
from consumer.simulate.events import KeyBy  # noqa: TC001 -- typer reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumer.import_stock import BadLine, Document, Header
    from consumer.settings import Settings
    from consumer.simulate.events import ShopEvent
    from consumer.simulate.sender import SendReport

_SHOWN_LINES: Final = 50
_PROGRESS_LINES: Final = 1_000
EXAMPLES: Final = """\
smart-inventory import-stock opening.csv
smart-inventory import-stock opening.csv --as-of 2026-01-01T06:00:00+01:00
smart-inventory import-stock opening.csv --skip-bad --json"""


def import_stock(  # noqa: PLR0913 -- one option each
    *,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV in UTF-8 with a header line: store_id, sku, level (or new_stock_level); optional unit_cost, "
            "occurred_at. Columns are separated by ',' or ';'.",
        ),
    ],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the levels were counted, as an RFC 3339 date-time; now by default. With the same time the same "
            "file may be imported again: what is there already is a repeat. Without it each import is a new count.",
        ),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The transaction id of all lines, such as a stocktake's number; by default one is derived from item "
            "and time. Needs --as-of.",
        ),
    ] = None,
    key_by: Annotated[KeyBy, typer.Option(help="Record key: store (store_id) or item (store_id:sku).")] = "store",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Send the good lines even if some are bad; by default nothing is sent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send opening stock levels to the input topic: one count event for each line of a CSV file."""
    loaded = settings_with_broker()
    from consumer.import_stock import BadLinesError, read_header  # noqa: PLC0415 -- the command loads what it needs

    common = _document(loaded, as_of, document, key_by)
    with file.open("rb") as opened:
        if not opened.seekable():
            raise SettingsError(f"{file}: expected a file that can be read twice, not a pipe")
        header = read_header(opened)
        good, bad = _check(opened, header, common)
        lines = f"{bad:,} of {good + bad:,} lines of {file.name} are bad"
        if bad and not skip_bad:
            raise BadLinesError(f"{lines}, nothing was sent; mend them, or send the others with --skip-bad")
        opened.seek(0)
        report = _send(loaded, _good_events(opened, common, skip_bad=skip_bad), good)
    if as_json:
        print_json(_summary(loaded, report, common, header) | {"bad_lines": bad})
    else:
        _print_summary(loaded, report, common, header)
    if report.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if bad:
        raise BadLinesError(
            f"{lines} and were not sent, the others were; mend them and import the file again with "
            f"--as-of {common.as_of}: what is there already will be skipped as a repeat"
        )


def _document(loaded: Settings, as_of: str | None, name: str | None, key_by: KeyBy) -> Document:
    from consumer.import_stock import Document, check_document  # noqa: PLC0415
    from schemas.transaction import Limits  # noqa: PLC0415

    if name is not None and as_of is None:
        raise SettingsError(
            "--document needs --as-of: at another time, the same document would be a conflicting repeat of itself"
        )
    common = Document(
        name=name,
        as_of=datetime.now(UTC).isoformat(timespec="milliseconds") if as_of is None else as_of,
        timestamp_ms=time.time_ns() // 1_000_000,
        key_by=key_by,
        limits=Limits(loaded.max_quantity, loaded.max_clock_ahead_seconds),
    )
    check_document(common)
    return common


def _check(opened: IO[bytes], header: Header, common: Document) -> tuple[int, int]:
    """Read all lines once, say what is wrong with the bad ones, and return how many are good and bad."""
    from consumer.import_stock import BadLine, read_events  # noqa: PLC0415
    from consumer.simulate.progress import progress_bar  # noqa: PLC0415

    good = bad = 0
    with progress_bar(counts=False) as bar:
        task = bar.add_task("checking", total=os.fstat(opened.fileno()).st_size)
        for event in read_events(opened, header, common):
            if not (good + bad) % _PROGRESS_LINES:
                bar.update(task, completed=opened.tell())
            if not isinstance(event, BadLine):
                good += 1
                continue
            bad += 1
            if bad <= _SHOWN_LINES:
                bar.console.print(
                    f"line {event.number}: {event.problem}", markup=False, highlight=False, soft_wrap=True
                )
    if bad > _SHOWN_LINES:
        sys.stderr.write(f"and {bad - _SHOWN_LINES:,} more bad lines\n")
    return good, bad


def _good_events(opened: IO[bytes], common: Document, *, skip_bad: bool) -> Iterator[ShopEvent]:
    """Read the file once more and yield its events; it must say what it said when it was checked."""
    from consumer.import_stock import BadLine, read_events, read_header  # noqa: PLC0415

    for event in read_events(opened, read_header(opened), common):
        if not isinstance(event, BadLine):
            yield event
        elif not skip_bad:
            raise _changed(event)


def _changed(line: BadLine) -> SettingsError:
    return SettingsError(f"line {line.number} was good when the file was checked: expected a file that does not change")


def _send(loaded: Settings, events: Iterator[ShopEvent], expected: int) -> SendReport:
    from consumer.simulate.progress import send_with_progress  # noqa: PLC0415

    config = client_properties(loaded)
    return send_with_progress(events, topic=loaded.input_topic, config=config, rate=None, expected=expected)


def _summary(loaded: Settings, report: SendReport, common: Document, header: Header) -> dict[str, Any]:
    return {
        "topic": loaded.input_topic,
        "sent": report.sent,
        "as_of": common.as_of,
        "document": common.name,
        "unused_columns": header.unused,
        "seconds": report.seconds,
        "interrupted": report.interrupted,
    }


def _print_summary(loaded: Settings, report: SendReport, common: Document, header: Header) -> None:
    ended = ", interrupted" if report.interrupted else ""
    table = Table(title=f"Opening levels sent to {loaded.input_topic} in {report.seconds:.1f} s{ended}")
    table.add_column("what")
    table.add_column("value")
    rows = [("levels sent", f"{report.sent:,}"), ("as of", common.as_of), ("document", common.name or "one per item")]
    if header.unused:
        rows.append(("columns not used", ", ".join(header.unused)))
    for name, value in rows:
        table.add_row(name, Text(value))
    output.print(table)
    if report.interrupted:
        output.print(
            f"Import the file again with --as-of {common.as_of}: what is there already will be skipped as a repeat.",
            highlight=False,
        )
