"""`smart-inventory evaluate` as the demonstrations run it: the same code with its defaults, a bar on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.evaluate import WARM_UP_DAYS
from consumer.evaluate.run import evaluate
from consumer.simulate.progress import progress_bar
from schemas.transaction import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from consumer.evaluate.result import Evaluation
    from consumer.evaluate.run import Write
    from consumer.outlook.outlook import Outlook

_SEEN_IDS: Final = 100_000  # as SEEN_IDS is by default


def evaluated(  # noqa: PLR0913 -- what may differ from the command
    path: Path,
    zone: ZoneInfo,
    title: str,
    *,
    warm_up_days: int = WARM_UP_DAYS,
    variants: bool = False,
    prepare: Callable[[Outlook], None] = lambda _outlook: None,
    write: Write | None = None,
) -> Evaluation:
    """Evaluate a history.

    Args:
        path: the history.
        zone: the stores'.
        title: of the bar.
        warm_up_days: days before the first forecast that is scored.
        variants: score each expert by itself too.
        prepare: is given the outlook before the first event.
        write: is given each scored day's forecasts, and the items' keys.
    """
    with progress_bar(counts=False) as progress:
        task = progress.add_task(title, total=1.0)
        return evaluate(
            path,
            zone,
            Limits(),
            seen_ids=_SEEN_IDS,
            warm_up_days=warm_up_days,
            variants=variants,
            prepare=prepare,
            write=write,
            on_progress=lambda share: progress.update(task, completed=share),
        )
