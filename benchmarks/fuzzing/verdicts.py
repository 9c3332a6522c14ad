"""What a number of cases came to, added up over episodes and processes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SLOWEST_SECONDS: Final = 1.0
"""CPU time that one case may take."""


class Found(NamedTuple):
    """A case in which the software and the independent reading of its rules differ.

    Attributes:
        where: how to come back to it: seed, episode and case.
        what: the difference, and what it was found with.
    """

    where: str
    what: str


class Verdicts:
    """What a number of cases came to.

    Attributes:
        cases: how many there were.
        valid: those that the rules take.
        verdicts: cases by verdict.
        mutations: how often each mutation was applied; under "name, valid", how often in a valid case.
        found: the differences.
        slowest: CPU seconds of the slowest case.
    """

    def __init__(self) -> None:
        self.cases = 0
        self.valid = 0
        self.verdicts: Counter[str] = Counter()
        self.mutations: Counter[str] = Counter()
        self.found: list[Found] = []
        self.slowest = 0.0

    def count(self, verdict: str, mutations: Iterable[str], *, is_valid: bool, seconds: float) -> None:
        """Count one case."""
        self.cases += 1
        self.valid += is_valid
        self.verdicts[verdict] += 1
        self.mutations.update(mutations)
        if is_valid:
            self.mutations.update(f"{name}, valid" for name in mutations)
        self.slowest = max(self.slowest, seconds)

    def add(self, other: Verdicts) -> None:
        """Add another's cases."""
        self.cases += other.cases
        self.valid += other.valid
        self.verdicts.update(other.verdicts)
        self.mutations.update(other.mutations)
        self.found += other.found
        self.slowest = max(self.slowest, other.slowest)
