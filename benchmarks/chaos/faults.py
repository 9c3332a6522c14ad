"""The hand that does a track's faults, one after the other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from benchmarks.chaos.broker_faults import BrokerFaults
from benchmarks.chaos.connection_faults import ConnectionFaults
from benchmarks.chaos.store_faults import StoreFaults
from benchmarks.chaos.worker_faults import WorkerFaults

if TYPE_CHECKING:
    from benchmarks.chaos.plan import Fault
    from benchmarks.chaos.scene import Scene


class Hand:
    """Does every kind of fault, and enters in the scene's books whether it was seen to have an effect.

    Args:
        scene: what it strikes.
        track: the track's name.
    """

    def __init__(self, scene: Scene, track: str) -> None:
        rng = random.Random(f"{scene.seed}/{track}")
        workers = WorkerFaults(scene, rng)
        others = (BrokerFaults(scene, rng), ConnectionFaults(scene, rng), StoreFaults(scene, rng, workers.kill))
        self._ways = dict(workers.ways())
        for each in others:
            self._ways.update(each.ways())

    def do(self, fault: Fault) -> None:
        """Do one.

        Raises:
            OverError: the run ends meanwhile.
        """
        self._ways[fault.kind](fault)
