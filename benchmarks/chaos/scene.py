"""What faults strike, and the books that they are entered in."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from benchmarks.chaos.crew import Crew, Slot
    from benchmarks.chaos.onlooker import Onlooker
    from benchmarks.chaos.places import Place
    from benchmarks.chaos.plan import Fault, Kind
    from benchmarks.chaos.proxy import Network
    from benchmarks.chaos.recoveries import Recoveries
    from tests.kafka.cluster import Cluster
    from tests.stage import Stage

PATIENCE_SECONDS: Final = 60.0
DOWN_SECONDS: Final = (0.0, 1.5)
"""How long what was killed stays away."""

_PAUSE_SECONDS: Final = 0.05


class OverError(Exception):
    """The run ends: nothing more is to be done."""


@dataclass
class Scene:
    """Everything that faults may strike.

    Attributes:
        brokers_are_up: cleared while a broker's fault lasts.
        is_over: set where the run ends before its time.
        faults: those that were seen to have an effect.
        without_effect: and those that were not.
    """

    stage: Stage
    cluster: Cluster
    network: Network
    crew: Crew
    place: Place
    onlooker: Onlooker
    recoveries: Recoveries
    seed: str
    brokers_are_up: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)
    faults: Counter[Kind] = field(default_factory=Counter)
    without_effect: Counter[Kind] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.brokers_are_up.set()

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            OverError: the run ends meanwhile.
        """
        if self.is_over.wait(seconds):
            raise OverError

    def until(self, condition: Callable[[], object], seconds: float, pause: float = _PAUSE_SECONDS) -> bool:
        """Wait for a condition; tell whether it came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.pause(pause)
        return True

    def slot(self, fault: Fault) -> Slot:
        """Return the worker that a fault hits."""
        return self.crew.slots[fault.target % len(self.crew.slots)]

    def count(self, kind: Kind, has_effect: bool) -> None:
        """Enter a fault in the books."""
        (self.faults if has_effect else self.without_effect)[kind] += 1

    def felt(self, kind: Kind, partitions: Collection[int] | None = None) -> None:
        """Begin to measure a recovery; without partitions, of all."""
        ends = self.onlooker.input_ends
        self.recoveries.begin(kind, ends, list(ends) if partitions is None else partitions)
