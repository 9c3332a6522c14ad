"""How many of the last records were invalid: what the limit on invalid events is judged by."""

from __future__ import annotations

from collections import deque


class InvalidWindow:
    """The invalid ones among the last `size` records, kept by their ordinals: a valid record costs nothing.

    Args:
        size: records in the window.
    """

    __slots__ = ("_invalid", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._invalid: deque[int] = deque()

    def add(self, ordinal: int) -> None:
        """Note that record `ordinal`, counted from 1, was invalid."""
        self._invalid.append(ordinal)
        while self._invalid[0] <= ordinal - self._size:
            self._invalid.popleft()

    def ratio(self, ordinal: int) -> float:
        """Return the share of invalid ones as of an invalid record `ordinal`; 0 until a whole window has been seen."""
        return 0.0 if ordinal < self._size else len(self._invalid) / self._size

    def snapshot(self) -> list[int]:
        """Return the state, of plain types only."""
        return list(self._invalid)

    def restore(self, state: list[int]) -> None:
        """Take over a state that `snapshot` returned."""
        self._invalid = deque(state)
