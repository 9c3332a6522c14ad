"""Who decides what goes wrong: a seeded chance, which can be recorded and played again without some of it."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from consumer.testing.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_KAFKA: Final = (
    "settle",
    "committed",
    "log_range",
    "tail",
    "start",
    "stop",
    "poll",
    "begin",
    "produce",
    "send_offsets",
    "commit",
    "abort",
    "discard",
    "close",
)
_DIRECTORY: Final = (
    "store.list",
    "store.read",
    "store.write",
    "store.fsync",
    "store.rename",
    "store.sync_folder",
    "store.delete",
)
_TOPIC: Final = ("store.scan", "store.fetch", "store.chunk", "store.confirm", "store.tombstone")
STEPS: Final = (*_KAFKA, *_DIRECTORY, *_TOPIC)
"""Every call of the commit path at which a process may die, numbered from 1 in docs/guarantees.md."""

STEPS_BY_STORE: Final = {"directory": (*_KAFKA, *_DIRECTORY), "topic": (*_KAFKA, *_TOPIC)}
"""Those that there are where checkpoints are kept in a directory, and in a topic."""

_RARE: Final = ("store.delete", "store.tombstone")
"""Calls of which a schedule has few, since checkpoints that others share with stay: one in eight is about them."""

_FIRST_ONES: Final = 300
"""So many are about everything alike: each planted bug is to be found soon."""

_RATES: Final = (0.002, 0.01, 0.03, 0.08)
_FOCUS_RATE: Final = 0.3
_RARE_FOCUS_RATE: Final = 0.8
_CRASH_SHARE: Final = 0.4
_CRASHES: Final = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


class ChanceFaults:
    """Strikes at random: seldom everywhere, and often at one step, another one in each schedule.

    Args:
        seed: of the chance.
        steps: those that there are.
        spared: calls, by their number, that are let through whatever the chance says; for shrinking.

    Attributes:
        is_active: nothing goes wrong while it is False.
        calls: how many there were.
        struck: what went wrong: (number of the call, step, fault).
        visits: calls by step.
    """

    def __init__(self, seed: int, steps: Sequence[str] = STEPS, spared: Collection[int] = ()) -> None:
        self._rng = random.Random(seed)
        self._spared = spared
        self._rate = self._rng.choice(_RATES)
        self._focus, self._focus_rate = self._rng.choice(steps), _FOCUS_RATE
        if seed >= _FIRST_ONES and seed // 2 % 8 == 7:  # even ones keep checkpoints in a directory, odd ones in a topic
            self._focus, self._focus_rate = next(step for step in _RARE if step in steps), _RARE_FOCUS_RATE
        self.is_active = True
        self.calls = 0
        self.struck: list[tuple[int, str, Fault]] = []
        self.visits: Counter[str] = Counter()

    def at(self, step: str, allowed: frozenset[Fault]) -> Fault:
        """Decide what becomes of a call."""
        self.calls += 1
        self.visits[step] += 1
        if not self.is_active:
            return Fault.NONE
        chance, choice = self._rng.random(), self._rng.random()
        if chance >= (self._focus_rate if step == self._focus else self._rate):
            return Fault.NONE
        if self.calls in self._spared:
            return Fault.NONE
        fault = _chosen(choice, allowed)
        self.struck.append((self.calls, step, fault))
        return fault


def _chosen(choice: float, allowed: frozenset[Fault]) -> Fault:
    """Pick a fault: a crash in two of five cases, else whatever is allowed; a set has no order, names have."""
    crashes = [fault for fault in _CRASHES if fault in allowed]
    others = sorted(allowed - set(_CRASHES), key=lambda fault: fault.name)
    share = _CRASH_SHARE if others else 1.0
    if choice < share:
        return crashes[int(choice / share * len(crashes))]
    return others[int((choice - share) / (1 - share) * len(others))]
