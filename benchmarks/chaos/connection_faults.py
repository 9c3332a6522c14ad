"""What happens to connections: reset, slowed, or silent on one side and gone on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.chaos.plan import Kind
from benchmarks.chaos.scene import PATIENCE_SECONDS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.chaos.plan import Fault
    from benchmarks.chaos.scene import Scene

_DELAY_SECONDS: Final = (0.2, 1.5)


class ConnectionFaults:
    """Strikes the connections between workers and brokers.

    Args:
        scene: what there is.
        rng: of whatever the plan leaves open.
    """

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng

    def ways(self) -> Mapping[Kind, Callable[[Fault], None]]:
        """Return how each kind is done."""
        return {Kind.CUT: self._cut, Kind.SLOW: self._slow, Kind.HALF_OPEN: self._leave_half_open}

    def _wait_for_connections(self) -> None:
        """Wait until there is something to strike: with the broker away, nobody is connected."""
        scene = self._scene
        scene.until(lambda: scene.brokers_are_up.is_set() and scene.network.live() > 0, PATIENCE_SECONDS)

    def _cut(self, fault: Fault) -> None:
        scene = self._scene
        self._wait_for_connections()
        number = scene.network.cut(self._rng, fault.share)
        if number:
            scene.felt(Kind.CUT)
        scene.count(Kind.CUT, number > 0)

    def _slow(self, fault: Fault) -> None:
        scene = self._scene
        self._wait_for_connections()
        number = scene.network.slow(self._rng, fault.share, self._rng.uniform(*_DELAY_SECONDS))
        self._heal_after(fault, number)

    def _leave_half_open(self, fault: Fault) -> None:
        self._wait_for_connections()
        number = self._scene.network.leave_half_open(self._rng, fault.share)
        self._heal_after(fault, number)

    def _heal_after(self, fault: Fault, number: int) -> None:
        try:
            self._scene.pause(fault.seconds)
        finally:
            held = self._scene.network.heal()
        has_effect = number > 0 and held > 0
        if has_effect:
            self._scene.felt(fault.kind)
        self._scene.count(fault.kind, has_effect)
