"""What the documentation shows of the curve: plot and table, the machine and the commit below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.bench import ROOT
from benchmarks.latency.plot import plot
from benchmarks.written import WrittenPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.latency.rows import Row

PAGE: Final = ROOT / "docs" / "latency.md"
PICTURE: Final = ROOT / "docs" / "images" / "latency.svg"
PART: Final = WrittenPart("make show NAME=latency")
NOT_MEASURED: Final = "Not measured on a quiet machine yet."
_COLUMNS: Final = ("events/s", "guarantee", "commit interval", "p50", "p99", "rounds' p99", "p99.9", "bound on p99")


def write(found: Sequence[Row], source: Mapping[str, Any], *, aside: Path | None) -> None:
    """Write the plot and the page's table; where the figures are not to be claimed, only the plot, to `aside`."""
    plot(found, aside or PICTURE)
    if aside is None:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(PART.put_into(page, content(found, source)), encoding="utf-8")


def content(found: Sequence[Row], source: Mapping[str, Any]) -> str:
    """Return the page's written part.

    Args:
        found: the curve.
        source: what it belongs to, as `provenance` has it.
    """
    machine = source["machine"]
    rounds = min(row.rounds for row in found)
    below = (
        f"Milliseconds, medians of {rounds} rounds; {machine['cores']} cores ({machine['cpu']}), Python "
        f"{machine['python']}, broker, sender and reader included; {source['started'][:10]}, commit "
        f"{source['commit'][:12]}."
    )
    lines = [
        "![Milliseconds from an event to its prediction, over commit intervals](images/latency.svg)",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "| ---: | --- |" + " ---: |" * (len(_COLUMNS) - 2),
        *(f"| {' | '.join(_cells(row))} |" for row in found),
        "",
        below,
    ]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    bound, interval = row.setting.bound_ms, row.setting.interval_ms
    return [
        f"{row.setting.rate:,}",
        row.setting.guarantee.value.replace("_", " "),
        "" if interval is None else f"{interval}",
        f"{row.p50:.1f}",
        f"{row.p99:.1f}",
        f"{row.p99_lowest:.1f} to {row.p99_highest:.1f}",
        f"{row.p999:.1f}",
        "" if bound is None else f"{bound}" if row.is_met else f"{bound}, missed",
    ]
