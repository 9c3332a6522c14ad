"""Every closed day in turn: forecast, wait for the days to come, score; ours and the baselines alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from consumer.evaluate.baselines import BASELINES, Baselines
from consumer.evaluate.residuals import Residuals
from consumer.evaluate.scoring import Scores
from consumer.outlook.grid import bins_of
from consumer.outlook.horizons import HORIZONS, LEVELS, LONGEST, PENDING, STARTS
from consumer.outlook.intervals import FRACTIONAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from consumer.outlook.intervals import Tables
    from consumer.outlook.outlook import Closed, Outlook

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

OUTLOOK: Final = "outlook"
PERIOD_DAYS: Final = 14
_OURS: Final = 1 + len(LEVELS)


class Origin(NamedTuple):
    """The forecasts of all methods from one closed day.

    Attributes:
        day: the closed day.
        items: the items' numbers.
        methods: their names.
        means: shape (methods, horizons, items).
        quantiles: shape (levels, methods, horizons, items).
    """

    day: int
    items: Numbers
    methods: tuple[str, ...]
    means: Floats
    quantiles: Floats


class Prequential:
    """Runs the baselines beside an outlook and scores all of them.

    Args:
        outlook: is asked for nothing but what it says by itself.
        first_origin: the first day from whose close forecasts are scored.
        variants: more of its forecasts to be scored by their means: a name and what picks them from a close.
        write: is given each day's forecasts.
    """

    def __init__(
        self,
        outlook: Outlook,
        *,
        first_origin: int,
        variants: dict[str, Callable[[Closed], Floats]] | None = None,
        write: Callable[[Origin], None] | None = None,
    ) -> None:
        self._outlook = outlook
        self._first_origin = first_origin
        self._first_day: int | None = None  # that was closed
        self._variants = variants or {}
        self._write = write
        self.methods = (OUTLOOK, *BASELINES, *self._variants)
        self.scores = Scores(self.methods)
        self._baselines = Baselines()
        others = len(self.methods) - 1
        self._residuals = [Residuals() for _ in range(others)]
        self._means = np.zeros((others, PENDING, 0), np.float32)
        self._scales = np.zeros((others, PENDING, 0), np.float32)
        self._ours = np.zeros((_OURS, PENDING, 0), np.float32)
        self._naive = np.zeros((PENDING, 0))
        self._class = np.zeros((LONGEST, 0), np.int64)
        self._known = np.zeros((LONGEST, 0), np.bool_)
        self._quantiles = np.zeros((LONGEST, others, len(HORIZONS), len(LEVELS)))
        self._tables: list[Tables | None] = [None] * LONGEST

    def close(self, closed: Closed, weekday: int, today: Floats) -> None:
        """Take a closed day: score the forecasts that end with it, and keep its own.

        Args:
            closed: what the outlook said of all items.
            weekday: the day of the week, Monday 0.
            today: demand of these items.
        """
        which, day = closed.items, closed.day
        self._grow(len(self._outlook.items))
        for residuals in self._residuals:
            residuals.begin_close()
        for number, horizon in enumerate(HORIZONS):
            self._judge(number, horizon, day)
        means = self._baselines.close(which, day, weekday, today)
        means = np.concatenate([means, *(pick(closed)[None] for pick in self._variants.values())])
        self._keep(closed, means)

    def _judge(self, number: int, horizon: int, day: int) -> None:
        origin = day - horizon
        which = np.flatnonzero(self._known[origin % LONGEST])
        if not len(which) or self._first_day is None or origin < self._first_day:
            return
        place = STARTS[number] + origin % horizon
        outcomes = self._outlook.outcomes(which, day, horizon)
        means = self._means[:, place, which].astype(np.float64)
        scales = self._scales[:, place, which].astype(np.float64)
        for method, residuals in enumerate(self._residuals):
            residuals.add(number, which, outcomes - means[method], scales[method])
        if origin < self._first_origin:
            return
        ours = self._ours[:, place, which].astype(np.float64)
        factors = self._quantiles[origin % LONGEST][:, number]
        quantiles = np.maximum(means[None] + factors.T[:, :, None] * scales[None], 0.0)
        self.scores.add(
            number,
            which,
            outcomes,
            np.concatenate([ours[:1], means]),
            np.concatenate([ours[1:, None], quantiles], axis=1),
            self._naive[place, which],
            self._pit(number, which, ours[0], outcomes, origin),
            (origin - self._first_origin) // PERIOD_DAYS,
        )

    def _pit(self, number: int, which: Numbers, means: Floats, outcomes: Floats, origin: int) -> Floats:
        """Return where each outcome lies in its forecast distribution, a tie's place drawn from the item and day."""
        tables = self._tables[origin % LONGEST]
        if tables is None:
            raise AssertionError("a forecast has the tables that it was made of")
        classes, bins = self._class[origin % LONGEST, which], bins_of(means)
        low = tables.below(number, classes, means, bins, outcomes)
        step = np.where(classes == FRACTIONAL, 0.0, 1.0)
        high = np.maximum(tables.below(number, classes, means, bins, outcomes + step), low)
        mixed = (which.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(
            (origin * 0xBF58476D1CE4E5B9 + number) & 0xFFFFFFFFFFFFFFFF
        )
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        chance = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
        found: Floats = low + chance * (high - low)
        return found

    def _keep(self, closed: Closed, means: Floats) -> None:
        which, day = closed.items, closed.day
        if self._first_day is None:
            self._first_day = day
        at = day % LONGEST
        self._known[at] = False
        self._known[at, which] = True
        self._class[at, which] = closed.classes
        self._tables[at] = self._outlook.intervals.tables
        scales = np.stack(
            [residuals.scales(which, each) for residuals, each in zip(self._residuals, means, strict=True)]
        )
        for number, horizon in enumerate(HORIZONS):
            place = STARTS[number] + day % horizon
            self._means[:, place, which] = means[:, number]
            self._scales[:, place, which] = scales[:, number]
            self._ours[0, place, which] = closed.means[number]
            self._ours[1:, place, which] = closed.quantiles[:, number]
            self._naive[place, which] = self._outlook.outcomes(which, day, horizon)
        for method, residuals in enumerate(self._residuals):
            self._quantiles[at, method] = residuals.quantiles.T
        if self._write is not None and day >= self._first_origin:
            factors = self._quantiles[at]
            quantiles = np.maximum(means[None] + factors.transpose(2, 0, 1)[..., None] * scales[None], 0.0)
            self._write(
                Origin(
                    day,
                    which,
                    self.methods,
                    np.concatenate([closed.means[None], means]),
                    np.concatenate([closed.quantiles[:, None], quantiles], axis=1),
                )
            )

    def _grow(self, items: int) -> None:
        more = items - self._naive.shape[1]
        if more <= 0:
            return
        more = max(more, items // 2)
        for name in ("_means", "_scales", "_ours"):
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, 0), (0, more))))
        for name in ("_naive", "_class", "_known"):
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, more))))
        room = self._naive.shape[1]
        self.scores.grow(room)
        self._baselines.grow(room)
        for residuals in self._residuals:
            residuals.grow(room)
