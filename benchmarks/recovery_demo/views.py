"""Three ways to show it: live on a terminal, plain lines in a pipe, JSON for machines."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from typing import TextIO

    from benchmarks.recovery_demo.board import Moment, Snapshot
    from benchmarks.recovery_demo.summary import Summary

_PLAIN_SECONDS: Final = 5.0
_JSON_SECONDS: Final = 1.0


class View(Protocol):
    """Somebody who is told what happens; left, it gives the terminal back, however it ended."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, moment: Moment) -> None:
        """Tell what happened."""

    def update(self, snapshot: Snapshot) -> None:
        """Tell how it stands; called often, so it is for the view to say how often it shows it."""

    def close(self, summary: Summary) -> None:
        """Tell how it ended."""


class _Writer:
    """What writes lines has nothing to give back."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class PlainView(_Writer):
    """Lines without colours."""

    def show(self, moment: Moment) -> None:
        """Write a line."""
        self._print(f"{moment.seconds:6.1f} s  {moment.text}")

    def update(self, snapshot: Snapshot) -> None:
        """Write the counts every five seconds."""
        if snapshot.seconds < self._due:
            return
        self._due = snapshot.seconds + _PLAIN_SECONDS
        both = snapshot.counts.values()
        left = "" if snapshot.seconds_left is None else f", about {snapshot.seconds_left:.0f} s left"
        self._print(
            f"{snapshot.seconds:6.1f} s  = {sum(c.equal for c in both):,} equal, {sum(c.lost for c in both):,} lost, "
            f"{sum(c.doubled for c in both):,} doubled, {sum(c.differing for c in both):,} differing; "
            f"lag {snapshot.lag:,}; {snapshot.records_per_second:,.0f} events/s in, "
            f"{snapshot.seen_per_second:,.0f} answers/s out{left}"
        )

    def close(self, summary: Summary) -> None:
        """Write the summary."""
        self._print("\n" + summary.text())


class JsonView(_Writer):
    """One object a line."""

    def show(self, moment: Moment) -> None:
        """Write what happened."""
        self._write(moment.event, moment.seconds, {"text": moment.text, **moment.facts})

    def update(self, snapshot: Snapshot) -> None:
        """Write the counts every second."""
        if snapshot.seconds >= self._due:
            self._due = snapshot.seconds + _JSON_SECONDS
            facts = asdict(snapshot)
            self._write("counts", facts.pop("seconds"), facts)

    def close(self, summary: Summary) -> None:
        """Write the summary."""
        self._write("summary", summary.snapshot.seconds, summary.facts())

    def _write(self, event: str, seconds: float, facts: dict[str, Any]) -> None:
        content = {"event": event, "seconds": round(seconds, 3), **facts}
        self._print(json.dumps(content))


def view_for(*, as_json: bool) -> View:
    """Return the view that fits standard output."""
    if as_json:
        return JsonView(sys.stdout)
    from rich.console import Console  # noqa: PLC0415 -- only where it may be needed

    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        from benchmarks.recovery_demo.live import LiveView  # noqa: PLC0415

        return LiveView(console)
    return PlainView(sys.stdout)
