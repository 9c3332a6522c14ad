"""What is forecast: demand summed over the next days, and which of its quantiles."""

from __future__ import annotations

from typing import Final

HORIZONS: Final = (1, 3, 7, 14, 28)
"""Days."""

LONGEST: Final = HORIZONS[-1]

LEVELS: Final = (0.025, 0.1, 0.5, 0.9, 0.975)
"""Of the quantiles: the bounds at 95% and 80% about the median."""

LOWER95, LOWER80, MEDIAN, UPPER80, UPPER95 = range(len(LEVELS))

PENDING: Final = sum(HORIZONS)
"""Forecasts of an item whose days are not over: for each horizon as many as it has days."""

STARTS: Final = tuple(sum(HORIZONS[:at]) for at in range(len(HORIZONS)))
"""Where each horizon's ring begins among an item's pending forecasts."""
