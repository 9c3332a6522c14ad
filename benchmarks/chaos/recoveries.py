"""How long each fault was felt: until predictions for new events came again from every partition that it concerned."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from benchmarks.chaos.plan import Kind


@dataclass(slots=True)
class _Open:
    kind: Kind
    began: float
    needed: dict[int, int]


class Recoveries:
    """Measures from a fault's moment, or its end, until predictions for new events are read.

    New is an event that was not there at that moment; the measure ends once such a prediction, committed, has been read
    from each of the fault's partitions.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: list[_Open] = []
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)

    def begin(self, kind: Kind, ends: Mapping[int, int], partitions: Collection[int]) -> None:
        """Begin to measure; `ends` is by partition the offset at which its next event will come."""
        with self._lock:
            self._open.append(_Open(kind, self._clock(), {partition: ends[partition] for partition in partitions}))

    def arrived(self, partition: int, offset: int) -> None:
        """Take note of a prediction that a reader got, by its input record's partition and offset."""
        with self._lock:
            for each in self._open:
                if each.needed.get(partition, math.inf) <= offset:
                    del each.needed[partition]
                    if not each.needed:
                        self._seconds[each.kind.value].append(round(self._clock() - each.began, 3))
            self._open = [each for each in self._open if each.needed]

    @property
    def pending(self) -> int:
        """How many faults are still felt."""
        with self._lock:
            return len(self._open)

    def seconds(self) -> dict[str, list[float]]:
        """Return the finished measurements by kind."""
        with self._lock:
            return {kind: list(each) for kind, each in self._seconds.items()}
