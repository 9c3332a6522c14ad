"""A few items followed through the history, for a reader to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from consumer.evaluate.result import Example
from consumer.outlook.calendar import date_of
from consumer.outlook.horizons import HORIZONS, LOWER80, LOWER95, UPPER80, UPPER95

if TYPE_CHECKING:
    from consumer.outlook.outlook import Closed, Outlook

_HORIZON: Final = 7
_VOLUMES: Final = (("low", 0.1), ("middle", 0.5), ("high", 0.9), ("highest", 0.995))
_SERIES: Final = ("mean", "lower80", "upper80", "lower95", "upper95")


class Examples:
    """Follows one item of each volume class, chosen at the first scored day by what they had sold in the last 28."""

    def __init__(self) -> None:
        self._chosen: list[int] = []
        self._days: list[int] = []
        self._actual: list[list[float]] = []
        self._series: list[list[list[float]]] = []

    def choose(self, outlook: Outlook, closed: Closed) -> None:
        """Choose the items."""
        demand = outlook.outcomes(closed.items, closed.day, HORIZONS[-1])
        ordered = closed.items[np.argsort(demand, kind="stable")]
        ordered = ordered[np.sort(demand, kind="stable") > 0]
        places = [int(share * (len(ordered) - 1)) for _, share in _VOLUMES] if len(ordered) else []
        self._chosen = [int(ordered[place]) for place in places]
        self._actual = [[] for _ in self._chosen]
        self._series = [[[] for _ in _SERIES] for _ in self._chosen]

    @property
    def are_chosen(self) -> bool:
        """Whether there are any yet."""
        return bool(self._chosen)

    def add(self, outlook: Outlook, closed: Closed) -> None:
        """Take what was said of them on a day, and what came of the day a horizon ago."""
        self._days.append(closed.day)
        number = HORIZONS.index(_HORIZON)
        places = {int(item): place for place, item in enumerate(closed.items.tolist()) if item in self._chosen}
        outcomes = outlook.outcomes(np.array(self._chosen), closed.day, _HORIZON)
        for each, item in enumerate(self._chosen):
            place = places[item]
            quantiles = closed.quantiles[:, number, place]
            values = (closed.means[number, place], *quantiles[[LOWER80, UPPER80, LOWER95, UPPER95]])
            for series, value in zip(self._series[each], values, strict=True):
                series.append(float(value))
            if len(self._days) > _HORIZON:
                self._actual[each].append(float(outcomes[each]))

    def result(self, keys: list[tuple[str, str]]) -> list[Example]:
        """Return them."""
        days = [date_of(day).isoformat() for day in self._days]
        return [
            Example(
                store_id=keys[item][0],
                sku=keys[item][1],
                volume=volume,
                horizon=_HORIZON,
                days=days,
                actual=[*actual, *[None] * (len(days) - len(actual))],
                **dict(zip(_SERIES, series, strict=True)),
            )
            for item, (volume, _), actual, series in zip(
                self._chosen, _VOLUMES, self._actual, self._series, strict=True
            )
        ]
