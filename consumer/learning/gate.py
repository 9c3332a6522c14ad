"""The gate: whether a correction has earned its place beside the ledger's arithmetic."""

from __future__ import annotations

from typing import Final

LEAST_VOTES: Final = 5
MEMORY: Final = 100
CLEAR_WIN: Final = 0.75
LARGEST_VOTE: Final = 4.0
LEAST_ERROR: Final = 0.001 * 0.001


class Gate:
    """Running squared errors with and without the correction, over events of one kind.

    Errors are shares of the event's quantity, so each event has one vote of bounded weight, whatever its size. The
    gate is open while the correction's running error is clearly the smaller: below `CLEAR_WIN` of the other's. Books
    that are mostly right and now and then wrong never reach that, because their mean then says little about the next
    event: where a part p of the events misses the same share, the mean improves the squared error by p of it.

    A running error is the mean of the first `MEMORY` votes and from there on forgets, 1/`MEMORY` a vote. While the gate
    is open, a vote counts at most `LARGEST_VOTE` times the usual error: one absurd event cannot close it.

    Attributes:
        votes: how many there were, counted up to `MEMORY`.
        without: running squared error of no correction.
        corrected: running squared error of the correction.
        is_open: whether the correction is to be used. Below a thousandth missing (`LEAST_ERROR` squares it) it is
            not: books that are right, or have become right, are left alone.
    """

    __slots__ = ("corrected", "is_open", "votes", "without")

    def __init__(self, votes: int = 0, without: float = 0.0, corrected: float = 0.0) -> None:
        self.votes = votes
        self.without = without
        self.corrected = corrected
        self.is_open = _has_earned(votes, without, corrected)

    def vote(self, missing: float, corrected_by: float) -> None:
        """Count one observed event.

        Args:
            missing: the share of its quantity that the books missed.
            corrected_by: the share that the correction took for missing, used or not.
        """
        left = missing - corrected_by
        without, corrected = missing * missing, left * left
        if self.is_open:
            largest = LARGEST_VOTE * self.without
            without, corrected = min(without, largest), min(corrected, largest)
        votes = self.votes
        if votes < MEMORY:
            self.votes = votes = votes + 1
        self.without = without = self.without + (without - self.without) / votes
        self.corrected = corrected = self.corrected + (corrected - self.corrected) / votes
        self.is_open = _has_earned(votes, without, corrected)

    def snapshot(self) -> tuple[int, float, float]:
        """Return the arguments that make an equal gate."""
        return self.votes, self.without, self.corrected


def _has_earned(votes: int, without: float, corrected: float) -> bool:
    return votes >= LEAST_VOTES and without > LEAST_ERROR and corrected < CLEAR_WIN * without
