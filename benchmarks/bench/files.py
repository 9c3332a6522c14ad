"""Where a run's figures go: those that may be claimed into the repository, all others aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.bench import CACHE, ROOT
from benchmarks.bench.plot import plot
from benchmarks.bench.table import headline, markdown
from benchmarks.figures import RESULTS
from benchmarks.written import WrittenPart

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.bench.outcome import Outcome

_PART: Final = WrittenPart("make bench")


@dataclass(frozen=True, slots=True)
class Places:
    """Where files go.

    Attributes:
        results: the JSON.
        picture: the plot.
        page: the documentation whose block is rewritten; None leaves it alone.
    """

    results: Path
    picture: Path
    page: Path | None


CLAIMED: Final = Places(RESULTS / "bench.json", ROOT / "docs" / "images" / "bench.svg", ROOT / "docs" / "benchmarks.md")
UNCLAIMED: Final = Places(CACHE / "bench.json", CACHE / "bench.svg", None)


def write(outcome: Outcome, *, claimed: Places = CLAIMED, unclaimed: Places = UNCLAIMED) -> list[str]:
    """Write the JSON, the plot and the documentation's table; return lines that say what is where and why."""
    doubts = outcome.doubts()
    places = unclaimed if doubts else claimed
    places.results.parent.mkdir(parents=True, exist_ok=True)
    places.results.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=2) + b"\n")
    plot(outcome, places.picture)
    written = [places.results, places.picture]
    if places.page is not None:
        text = places.page.read_text(encoding="utf-8")
        places.page.write_text(with_block(text, block(outcome)), encoding="utf-8")
        written.append(places.page)
    off = [f"round {number + 1} lies far off, see the calibrations; it is left out" for number in outcome.far_off]
    if len(off) == len(outcome.rounds):
        off = ["every round lies far off, see the calibrations; none is left out"]
    not_claimed = [f"not to be claimed: {doubt}" for doubt in doubts]
    return [*off, *not_claimed, f"written: {', '.join(_shown(path) for path in written)}"]


def block(outcome: Outcome) -> str:
    """Return the documentation's block: plot and table."""
    text = f"Input events per second of each contender, {headline(outcome)}"
    return f"![{text}](images/bench.svg)\n\n{markdown(outcome)}"


def with_block(page: str, new: str) -> str:
    """Return the page with its block replaced.

    Raises:
        ValueError: it has not exactly one.
    """
    return _PART.put_into(page, new)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
