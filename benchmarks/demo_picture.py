"""The README's picture of `make demo`: `python -m benchmarks.demo_picture` runs a demo and draws one of its frames.

It is one SVG file with a background of its own, so that it can be read on light and dark pages, in whatever
monospaced font the reader has: nothing is fetched from anywhere.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from consumer import settings
from consumer.demo.live import item_rows, picture
from consumer.demo.session import Plan, run_demo

if TYPE_CHECKING:
    from consumer.demo.display import Moment, Stage
    from consumer.demo.verdict import Summary

PICTURE: Final = Path("docs/images/demo.svg")
COLUMNS: Final = 80
LINES: Final = 24
PLAN: Final = Plan(source="synthetic", seconds=20, rate=500, seed=0, model="guarded")

_THEME: Final = TerminalTheme(
    (22, 27, 34),
    (214, 220, 228),
    [  # black, red, green, yellow, blue, magenta, cyan, white
        *((72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (214, 220, 228)),
    ],
)  # fmt: skip
_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img"
 aria-label="The live table of make demo">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
 font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: ui-sans-serif, system-ui, sans-serif; font-size: 16px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class BestFrame:
    """Keeps the frame of the demo's second half that has most rows with a discrepancy, the later one among equals."""

    def __init__(self) -> None:
        self.console = Console(
            record=True, file=io.StringIO(), width=COLUMNS, height=LINES, force_terminal=True, color_system="standard"
        )
        self._stage: Stage
        self._most = -1

    def waiting(self, what: str, seconds: float) -> None:
        """Draw nothing."""

    def opened(self, stage: Stage) -> None:
        """Note where everything is."""
        self._stage = stage

    def tick(self, moment: Moment) -> None:
        """Draw the frame, as a terminal would show it, over what was drawn before."""
        frame = picture(self._stage, moment, COLUMNS, LINES)
        rows = sum(bool(line.discrepancy) for line in moment.board.shown(item_rows(COLUMNS, LINES), moment.now))
        if moment.elapsed > self._stage.seconds / 2 and rows >= self._most:
            self._most = rows
            self.console.export_text()  # forgets what was drawn
            self.console.print(frame)
            self.console.print()  # the lowest line's underscores are cut off otherwise

    def summed_up(self, summary: Summary, log: Path | None) -> None:
        """Draw nothing."""

    def close(self) -> None:
        """Have nothing to close."""


def main() -> None:
    """Run a demo on the embedded broker and write its picture."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    display = BestFrame()
    summary = run_demo(PLAN, settings.Settings(kafka_bootstrap_servers=None), environment, display)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    svg = display.console.export_svg(title="make demo", theme=_THEME, code_format=_FORMAT, unique_id="demo")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
    print(f"{PICTURE}: {summary.predictions:,} predictions, {'good' if summary.is_good else 'NOT GOOD'}")


if __name__ == "__main__":
    main()
