"""What happens to brokers: killed and started again on what they had written, or frozen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.chaos.plan import Kind, leader_freeze
from benchmarks.chaos.scene import DOWN_SECONDS, PATIENCE_SECONDS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.chaos.plan import Fault
    from benchmarks.chaos.scene import Scene

_SETTLED_SECONDS: Final = 1.0  # what a frozen broker had sent before is read by then


class BrokerFaults:
    """Strikes brokers, one at a time: with two of three away nothing can be promised but a stop.

    A single broker's recovery is measured from when it is back; one of several is not waited for, so from its failure.

    Args:
        scene: what there is.
        rng: of whatever the plan leaves open.
    """

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng
        self._killed = 0

    def ways(self) -> Mapping[Kind, Callable[[Fault], None]]:
        """Return how each kind is done."""
        return {Kind.BROKER_KILL: self._away(self._kill), Kind.BROKER_FREEZE: self._away(self._freeze)}

    def _away(self, way: Callable[[Fault], None]) -> Callable[[Fault], None]:
        def do(fault: Fault) -> None:
            self._scene.brokers_are_up.clear()
            try:
                way(fault)
            finally:
                self._scene.brokers_are_up.set()

        return do

    def _kill(self, _: Fault) -> None:
        scene, nodes = self._scene, self._scene.cluster.nodes
        node = nodes[self._killed % len(nodes)]
        self._killed += 1
        node.kill()
        if len(nodes) > 1:
            scene.felt(Kind.BROKER_KILL)
        time.sleep(self._rng.uniform(*DOWN_SECONDS))  # whatever ends meanwhile, it must come back
        node.restart()
        if len(nodes) == 1:
            scene.felt(Kind.BROKER_KILL)
        scene.count(Kind.BROKER_KILL, has_effect=True)
        self._until_whole()

    def _freeze(self, fault: Fault) -> None:
        scene, nodes = self._scene, self._scene.cluster.nodes
        if len(nodes) > 1:
            self._freeze_leader(leader_freeze(fault))
            return
        (node,) = nodes
        node.freeze()
        try:
            scene.pause(_SETTLED_SECONDS)
            before = scene.onlooker.predictions
            scene.pause(fault.seconds - _SETTLED_SECONDS)
            has_effect = scene.onlooker.predictions == before
        finally:
            node.thaw()
        scene.felt(Kind.BROKER_FREEZE)
        scene.count(Kind.BROKER_FREEZE, has_effect)

    def _freeze_leader(self, fault: Fault) -> None:
        """Freeze the leader of one of the input's partitions for longer than the others wait for it."""
        scene = self._scene
        topic, partition = scene.stage.input, fault.target % scene.stage.partitions
        number = scene.cluster.leader(topic, partition)
        node = scene.cluster.nodes[number]
        node.freeze()
        try:
            scene.felt(Kind.BROKER_FREEZE)
            scene.pause(fault.seconds)
            has_effect = scene.cluster.leader(topic, partition, without=number) != number
        finally:
            node.thaw()
        scene.count(Kind.BROKER_FREEZE, has_effect)
        self._until_whole()

    def _until_whole(self) -> None:
        """Wait until the next broker may fail."""
        if len(self._scene.cluster.nodes) > 1:
            self._scene.until(self._scene.cluster.is_whole, PATIENCE_SECONDS, 0.5)
