"""The one table: on a terminal or in a pipe, and as Markdown for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

from benchmarks.bench.roster import Kind

if TYPE_CHECKING:
    from benchmarks.bench.outcome import Outcome, Row

_COLUMNS: Final = ("contender", "events/s", "spread", "to bare", "CPU µs\n/event", "peak\nMB")


def headline(outcome: Outcome) -> str:
    """Return what was run, in one line."""
    kept = len(outcome.rounds) - len(outcome.far_off) or len(outcome.rounds)
    rounds = "one round" if kept == 1 else f"medians of {kept} rounds"
    return f"{outcome.events:,} real stock transactions, {outcome.partitions} partitions, {rounds}"


def fewer(outcome: Outcome) -> dict[str, int]:
    """Return the contenders that took the first events only, each with how many."""
    runs = [pair for each in outcome.rounds for pair in each.runs.items()]
    return {name: run.events for name, run in runs if run.events < outcome.events}


def label(outcome: Outcome, row: Row) -> str:
    """Return a row's label, with a star where it stands for fewer events."""
    return f"{row.label} *" if row.name in fewer(outcome) else row.label


def footnote(outcome: Outcome) -> str | None:
    """Return what the stars mean, None where there are none."""
    found = fewer(outcome)
    notes = [f"{row.label}: the first {found[row.name]:,} events only" for row in outcome.rows if row.name in found]
    return f"* {'; '.join(notes)}" if notes else None


def table(outcome: Outcome, *, is_plain: bool) -> Table:
    """Return the table for a console.

    Args:
        outcome: what to show.
        is_plain: in a pipe: rules of ASCII, no colour.
    """
    shown = Table(
        title=headline(outcome),
        caption=footnote(outcome),
        box=box.ASCII_DOUBLE_HEAD if is_plain else box.SIMPLE_HEAD,
        show_edge=is_plain,
        pad_edge=is_plain,
        title_style="" if is_plain else "bold",
        caption_style="",
    )
    for column in _COLUMNS:
        is_text = column == _COLUMNS[0]
        name = _one_line(column) if is_plain else column
        shown.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row in outcome.rows:
        style = "bold" if row.kind is Kind.OURS and not is_plain else None
        shown.add_row(label(outcome, row), *_numbers(row), style=style)
    return shown


def markdown(outcome: Outcome) -> str:
    """Return the table for the documentation, the machine and the commit below it."""
    heads = [_one_line(column) for column in _COLUMNS]
    lines = [
        f"| {' | '.join(heads)} |",
        f"| --- |{' ---: |' * (len(heads) - 1)}",
        *(f"| {' | '.join([label(outcome, row), *_numbers(row)])} |" for row in outcome.rows),
    ]
    machine = outcome.provenance["machine"]
    below = (
        f"{headline(outcome)}; {machine['cores']} cores ({machine['cpu']}), Python {machine['python']}, "
        f"broker included; {outcome.provenance['started'][:10]}, commit {outcome.provenance['commit'][:12]}."
    )
    starred = footnote(outcome)
    return "\n".join([*lines, "", below, *([] if starred is None else ["", f"\\{starred}."])])


def _one_line(column: str) -> str:
    return column.replace("\n/", "/").replace("\n", " ")


def _numbers(row: Row) -> list[str]:
    return [
        f"{row.rate.median:,.0f}",
        f"{(row.rate.highest - row.rate.lowest) / row.rate.median:.0%}",
        f"{row.ratio.median:.2f}",
        f"{row.cpu_us.median:.1f}",
        f"{row.peak_mb.median:,.0f}",
    ]
