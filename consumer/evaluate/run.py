"""One pass over a history: what `smart-inventory evaluate` does between its arguments and its output."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

import numpy as np
import river

from consumer import __version__
from consumer.evaluate import WARM_UP_DAYS
from consumer.evaluate.errors import HistoryError
from consumer.evaluate.examples import Examples
from consumer.evaluate.history import History
from consumer.evaluate.prequential import PERIOD_DAYS, Prequential
from consumer.evaluate.result import Evaluation
from consumer.evaluate.shop import Shop
from consumer.outlook.calendar import Calendar, date_of
from consumer.outlook.columns import EXPERTS, NOT_YET
from consumer.outlook.horizons import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from consumer.evaluate.prequential import Origin
    from consumer.outlook.outlook import Closed, Outlook
    from schemas.transaction import Limits

    Write = Callable[[Origin, list[tuple[str, str]]], None]


class _Run:
    """The days of one evaluation as they close."""

    def __init__(self, warm_up_days: int, write: Write | None, variants: bool) -> None:
        self.examples = Examples()
        self.prequential: Prequential | None = None
        self.origins: list[int] = []
        self.weights: dict[int, NDArray[np.float64]] = {}
        self.shop: Shop
        self._warm_up_days = warm_up_days
        self._write = write
        self._variants = {f"only {name}": _picking(number) for number, name in enumerate(EXPERTS)} if variants else {}

    def close(self, closed: Closed, weekday: int, today: NDArray[np.float64]) -> None:
        """Take a closed day."""
        outlook, first = self.shop.outlook, self.shop.first_day
        if first is None:
            raise AssertionError("no day closes before the first event")
        first_origin = first + self._warm_up_days - 1
        if self.prequential is None:
            write = self._write
            self.prequential = Prequential(
                outlook,
                first_origin=first_origin,
                variants=self._variants,
                write=None if write is None else lambda origin: write(origin, self.shop.keys),
            )
        self.prequential.close(closed, weekday, today)
        if closed.day < first_origin:
            return
        self.origins.append(closed.day)
        if not self.examples.are_chosen:
            self.examples.choose(outlook, closed)
        if self.examples.are_chosen:
            self.examples.add(outlook, closed)
        self.weights.setdefault((closed.day - first_origin) // PERIOD_DAYS, outlook.mixture.weights.copy())


def evaluate(  # noqa: PLR0913 -- what one evaluation is told
    path: Path,
    zone: ZoneInfo,
    limits: Limits,
    *,
    seen_ids: int,
    warm_up_days: int = WARM_UP_DAYS,
    variants: bool = False,
    prepare: Callable[[Outlook], None] = lambda _outlook: None,
    write: Write | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Evaluation:
    """Run the outlook and the baselines over a file and score them.

    Args:
        path: the history.
        zone: the stores'.
        limits: the contract's bounds.
        seen_ids: how many identities are remembered, to find repeats.
        warm_up_days: days before the first forecast that is scored.
        variants: score each expert by itself too.
        prepare: is given the outlook before the first event, to take a part of it away and see what that part is worth.
        write: is given each scored day's forecasts, and the items' keys.
        on_progress: is told the share of the file that has been read.

    Raises:
        MissingExtraError: a library is not installed.
        HistoryError: the file is no history, or too short.
    """
    began = time.monotonic()
    run = _Run(warm_up_days, write, variants)
    shop = run.shop = Shop(Calendar(zone), seen_ids, run.close)
    prepare(shop.outlook)
    last_us = 0
    with History(path, zone, limits) as history:
        for events in history:
            shop.take(events)
            last_us = max(last_us, max((event.occurred_us for event in events), default=0))
            on_progress(history.fraction)
        rows, refused = history.rows, history.refused
    if shop.refused:
        refused["conflicting_repeat"] += shop.refused
    if shop.first_day is None:
        raise HistoryError(f"{path}: expected events; none of its {rows:,} rows is one ({_listed(refused)})")
    shop.close_last(last_us)
    if run.prequential is None or len(run.origins) <= HORIZONS[0]:
        days = shop.closed - shop.first_day + 1
        raise HistoryError(
            f"{path}: expected more than the {warm_up_days} days of --warm-up; the history has {days}: give a longer "
            "one, or a shorter --warm-up"
        )
    outlook, scores = shop.outlook, run.prequential.scores
    levels = [entry[0] for entry in shop.ledger.entries.values()]
    return Evaluation(
        file=path.name,
        rows=rows,
        refused=dict(refused.most_common()),
        repeats=shop.repeats,
        items=len(shop.keys),
        items_with_demand=int((outlook.items.first[: len(outlook.items)] != NOT_YET).sum()),
        items_without_level=levels.count(None),
        first_day=date_of(shop.first_day).isoformat(),
        last_day=date_of(shop.closed).isoformat(),
        warm_up_days=warm_up_days,
        origins=len(run.origins),
        seconds=time.monotonic() - began,
        versions={
            "smart-inventory": __version__,
            "river": river.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        methods=list(run.prequential.methods),
        scores=scores.table(),
        calibration=scores.calibration(),
        periods=[date_of(run.origins[0] + PERIOD_DAYS * period).isoformat() for period in sorted(run.weights)],
        over_time=scores.over_time(sorted(run.weights)),
        experts=list(EXPERTS),
        weights={
            horizon: {
                expert: [float(run.weights[period][at, number]) for period in sorted(run.weights)]
                for number, expert in enumerate(EXPERTS)
            }
            for at, horizon in enumerate(HORIZONS)
        },
        examples=run.examples.result(shop.keys),
    )


def _picking(number: int) -> Callable[[Closed], NDArray[np.float64]]:
    return lambda closed: closed.experts[number]


def _listed(refused: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in refused.items()) or "it is empty"
