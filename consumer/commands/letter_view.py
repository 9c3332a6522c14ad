"""How dead letters and redrives are shown: as tables, or as JSON lines. Values stay hidden unless asked for."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.commands.terminal import output
from schemas.dead_letter import headers_size

if TYPE_CHECKING:
    from collections import Counter

    from consumer.dead_letters import Letter
    from consumer.letter_fate import Rules
    from consumer.redrive import Plan

_SHOWN_VALUE: Final = 2_000


def letters_table(topic: str, *, show_value: bool) -> Table:
    """Return an empty table for letters; it is whole on 80 columns."""
    table = Table(title=f"Dead letters in {topic}", box=box.SIMPLE, pad_edge=False)
    table.add_column("letter", no_wrap=True)
    table.add_column("reason and message", overflow="fold")
    table.add_column("original record and its time", overflow="fold")
    table.add_column("attempts", justify="right")
    table.add_column("bytes", no_wrap=True)
    if show_value:
        table.add_column("content", overflow="fold")
    return table


def row(letter: Letter, *, show_value: bool) -> list[Text]:
    """Return a letter's cells, each of one or more lines; positions are `partition:offset`."""
    record, origin = letter.record, letter.origin
    cells = [[f"{record.partition}:{record.offset}"]]
    if origin is None:
        cells += [[letter.reason, "no dead letter of a worker's"], [], []]
    else:
        place = f"{origin.topic} {origin.partition}:{origin.offset}"
        cells += [[letter.reason, origin.message], [place, _time(origin.timestamp_ms)], [str(origin.attempts)]]
    sizes = {"key": _size(record.key), "value": _size(record.value), "headers": str(_headers_size(letter))}
    cells.append([f"{name} {size}" for name, size in sizes.items()])
    if show_value:
        key, value = _shown(record.key), _shown(record.value)
        cells.append([f"{key} {value}" if len(value) <= _SHOWN_VALUE else f"{key} {value[:_SHOWN_VALUE]}…"])
    return [Text("\n".join(_printable(line) for line in lines)) for lines in cells]


def as_json_line(letter: Letter, *, show_value: bool) -> dict[str, Any]:
    """Return a letter as `--json` gives it; the names are public."""
    record, origin = letter.record, letter.origin
    line: dict[str, Any] = {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "reason": None if origin is None else origin.reason,
        "message": None if origin is None else origin.message,
        "original": None
        if origin is None
        else {
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "timestamp_ms": origin.timestamp_ms,
        },
        "attempts": None if origin is None else origin.attempts,
        "key_bytes": None if record.key is None else len(record.key),
        "value_bytes": None if record.value is None else len(record.value),
        "headers_bytes": _headers_size(letter),
    }
    if show_value:
        line |= _content("key", record.key) | _content("value", record.value)
        line["headers"] = [{"name": name, **_content("value", value)} for name, value in record.headers or ()]
    return line


def _content(name: str, data: bytes | None) -> dict[str, str | None]:
    """Give bytes as text where they are UTF-8, else in base64 under a name that says so."""
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _shown(data: bytes | None) -> str:
    return "null" if data is None else data.decode(errors="backslashreplace")


def _printable(text: str) -> str:
    """Spell out what a terminal might obey: anyone who may write to the topic chooses it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return "none"
    try:
        return datetime.fromtimestamp(timestamp_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return str(timestamp_ms)


def _size(data: bytes | None) -> str:
    return "null" if data is None else str(len(data))


def _headers_size(letter: Letter) -> int:
    """Return the bytes of the original's headers, names and values."""
    return headers_size(pair for pair in letter.record.headers or () if not pair[0].startswith("error."))


def summarise(by_reason: Counter[str], *, hidden: int, to_errors: bool) -> None:
    """Print how many letters there are of which reason, and how many of them were not shown."""
    summary = Table(title=f"{by_reason.total():,} letters" if by_reason else "No letters")
    summary.add_column("reason")
    summary.add_column("letters", justify="right")
    for reason, number in sorted(by_reason.items()):
        summary.add_row(Text(_printable(reason)), f"{number:,}")
    console = Console(stderr=True) if to_errors else output
    console.print(summary)
    if hidden:
        console.print(f"{hidden:,} more are counted but not shown; --max or --json shows them.", highlight=False)


def plan_as_json(made: Plan, rules: Rules) -> dict[str, Any]:
    """Return what becomes of the letters as `redrive --json` gives it; the names are public."""
    fates = [
        {"reason": reason, "outcome": fate.value, "letters": number}
        for (reason, fate), number in sorted(made.fates.items())
    ]
    return {"from": rules.source, "to": rules.target, "outcomes": fates, "cut_off_partitions": sorted(made.cut_off)}


def show_plan(made: Plan, rules: Rules) -> None:
    """Print what becomes of the letters asked for."""
    table = Table(title=f"From {rules.source} to {rules.target}")
    table.add_column("reason")
    table.add_column("outcome")
    table.add_column("letters", justify="right")
    for (reason, fate), number in sorted(made.fates.items()):
        table.add_row(Text(_printable(reason)), fate.value, f"{number:,}")
    output.print(table)
    if made.cut_off:
        numbers = ", ".join(str(number) for number in sorted(made.cut_off))
        output.print(
            f"Partitions {numbers} of {rules.target} no longer hold every record since the letters were refused: "
            "whether those were redriven before cannot be told of all.",
            highlight=False,
        )
