"""The sender with a progress bar on a terminal; in a pipe it stays silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from consumer.simulate.sender import SendReport, send

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumer.simulate.events import ShopEvent


def progress_bar(*, counts: bool = True) -> Progress:
    """Return a bar on standard error that tells the time left; in a pipe it shows nothing.

    Args:
        counts: show how many are done; without it, only the share.
    """
    numbers = (MofNCompleteColumn(),) if counts else ()
    columns = (TextColumn("{task.description}"), BarColumn(), *numbers, TaskProgressColumn())
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)


def send_with_progress(
    events: Iterable[ShopEvent], *, topic: str, config: Mapping[str, str], rate: float | None, expected: int | None
) -> SendReport:
    """Send the events, showing how many of `expected` have gone and the time left."""
    with progress_bar() as progress:
        task = progress.add_task("sending", total=expected)
        return send(
            events,
            bootstrap_servers=config["bootstrap.servers"],
            topic=topic,
            config=config,
            rate=rate,
            on_progress=lambda sent: progress.update(task, completed=sent),
        )
