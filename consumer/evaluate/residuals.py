"""Quantiles for a baseline: its own past errors, in units of how far it is usually off at each item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from consumer.outlook.horizons import HORIZONS, LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

_CELLS: Final = 640
_WIDTH: Final = 16.0 / _CELLS
_FADE: Final = 0.98
_DAYS: Final = 7.0
_COUNT_FADE: Final = 0.999


class Residuals:
    """The errors of one method."""

    def __init__(self) -> None:
        self._errors = np.zeros((len(HORIZONS), 2, 0))
        self._counts = np.full((len(HORIZONS), _CELLS), 1e-3)
        self._quantiles()

    def grow(self, items: int) -> None:
        """Have room for so many items."""
        more = items - self._errors.shape[2]
        if more > 0:
            self._errors = np.pad(self._errors, ((0, 0), (0, 0), (0, more)))

    def scales(self, which: Numbers, means: Floats) -> Floats:
        """Return how far the method is usually off at each item, shrunk to Poisson's spread; (horizons, items)."""
        squared, number = self._errors[:, 0, which], self._errors[:, 1, which]
        found: Floats = np.sqrt((squared + _DAYS * np.maximum(means, 0.05)) / (number + _DAYS))
        return found

    def begin_close(self) -> None:
        """Fix the quantiles for a day."""
        self._counts *= _COUNT_FADE
        self._quantiles()

    def add(self, horizon: int, which: Numbers, errors: Floats, scales: Floats) -> None:
        """Take by how much a horizon's outcomes were above what had been forecast, and the scales of then."""
        self._errors[horizon, 0, which] = _FADE * self._errors[horizon, 0, which] + errors * errors
        self._errors[horizon, 1, which] = _FADE * self._errors[horizon, 1, which] + 1.0
        cells = np.clip(errors / scales / _WIDTH + _CELLS / 2, 0, _CELLS - 1).astype(np.int64)
        self._counts[horizon] += np.bincount(cells, minlength=_CELLS)

    def _quantiles(self) -> None:
        shares = np.cumsum(self._counts, axis=1)
        shares /= shares[:, -1:]
        cells = np.stack([(shares < level).sum(axis=1) for level in LEVELS])
        self.quantiles = (np.minimum(cells, _CELLS - 1) + 0.5 - _CELLS / 2) * _WIDTH
