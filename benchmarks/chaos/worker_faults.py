"""What happens to workers: killed, stopped, frozen and replaced; and others that come and go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.chaos.plan import Kind
from benchmarks.chaos.scene import DOWN_SECONDS, PATIENCE_SECONDS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.chaos.crew import Life, Slot
    from benchmarks.chaos.plan import Fault
    from benchmarks.chaos.scene import Scene

_GIVEN_UP_SECONDS: Final = 7.0  # a session lasts 6
_LONGEST_OUTAGE_SECONDS: Final = 120.0
_IN_A_REPLAY: Final = 0.4
_FENCING: Final = ("recovering", "partitions_lost", "stopped_by_error")


class WorkerFaults:
    """Strikes workers.

    Args:
        scene: what there is.
        rng: of whatever the plan leaves open.
    """

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng
        self._joined = 0

    def ways(self) -> Mapping[Kind, Callable[[Fault], None]]:
        """Return how each kind is done."""
        return {
            Kind.KILL: self.kill,
            Kind.KILL_IN_RECOVERY: self._kill_in_recovery,
            Kind.TERMINATE: self._terminate,
            Kind.ZOMBIE: self._freeze,
            Kind.REPLACED: self._replace_frozen,
            Kind.JOIN: self._join_and_leave,
        }

    def _strike(self, slot: Slot, kind: Kind) -> None:
        """Kill a slot's worker, the lock held; its next one is the caller's to start."""
        has_effect = slot.kill()
        self._scene.count(kind, has_effect)
        if has_effect:
            self._scene.felt(kind, slot.held or None)

    def kill(self, fault: Fault) -> None:
        """Kill a worker; a moment later its supervisor starts the next."""
        slot = self._scene.slot(fault)
        with slot.lock:
            self._strike(slot, Kind.KILL)
            self._scene.pause(self._rng.uniform(*DOWN_SECONDS))
            slot.start()

    def _kill_in_recovery(self, fault: Fault) -> None:
        """Kill a worker, and its successor before it has published anything."""
        scene, slot = self._scene, self._scene.slot(fault)
        with slot.lock:
            self._strike(slot, Kind.KILL)
            slot.start()
            began, wants_replay = time.monotonic(), self._rng.random() < _IN_A_REPLAY
            scene.until(
                lambda: (
                    slot.look().live
                    or (wants_replay and slot.life.longest_replay)
                    or (not wants_replay and time.monotonic() - began >= fault.seconds)
                ),
                PATIENCE_SECONDS,
                0.01,
            )
            # Once a partition is live it may have committed: then this is a kill like any other.
            self._strike(slot, Kind.KILL if slot.look().live else Kind.KILL_IN_RECOVERY)
            slot.start()

    def _terminate(self, fault: Fault) -> None:
        scene, slot = self._scene, self._scene.slot(fault)
        with slot.lock:
            scene.until(lambda: slot.look().events["serving"], PATIENCE_SECONDS)  # it takes signals from then on
            scene.felt(Kind.TERMINATE, slot.look().live or slot.held or None)
            scene.count(Kind.TERMINATE, slot.terminate())
            slot.start()

    def _freeze(self, fault: Fault) -> None:
        """Freeze a worker until the group has given it up, and a little longer; then let it go on unaware."""
        scene, slot = self._scene, self._scene.slot(fault)
        with slot.lock:
            if not self._is_at_work(slot):
                scene.count(Kind.ZOMBIE, has_effect=False)
                return
            life = slot.look()
            life.worker.freeze()
            scene.felt(Kind.ZOMBIE, slot.held or None)
            try:
                scene.pause(_GIVEN_UP_SECONDS + fault.seconds)
                while not scene.brokers_are_up.is_set():  # nobody is given up by a group that cannot be asked
                    scene.until(scene.brokers_are_up.is_set, _LONGEST_OUTAGE_SECONDS)
                    scene.pause(_GIVEN_UP_SECONDS)
            finally:
                life.worker.thaw()
            scene.count(Kind.ZOMBIE, self._is_fenced(life))

    def _replace_frozen(self, fault: Fault) -> None:
        """Freeze a worker and start another of its name, as where a node cannot be reached; then the first goes on."""
        scene, slot = self._scene, self._scene.slot(fault)
        with slot.lock:
            if not self._is_at_work(slot):
                scene.count(Kind.REPLACED, has_effect=False)
                return
            old = slot.look()
            old.worker.freeze()
            try:
                scene.felt(Kind.REPLACED, slot.held or None)
                slot.start()
                scene.until(lambda: slot.look().live or not slot.life.is_running, PATIENCE_SECONDS)
                scene.pause(fault.seconds)
                old.worker.thaw()
                scene.count(Kind.REPLACED, self._is_fenced(old))
                scene.pause(self._rng.uniform(0.0, 2.0))
            finally:
                old.worker.kill()  # its node is shut down
                slot.bury(old)

    def _is_fenced(self, life: Life) -> bool:
        """Tell whether a worker that goes on after a freeze soon learns that it was given up meanwhile."""
        before = sum(life.events[event] for event in _FENCING)

        def has_learnt() -> bool:
            life.follow()
            return not life.is_running or sum(life.events[event] for event in _FENCING) > before

        return self._scene.until(has_learnt, PATIENCE_SECONDS / 2)

    def _is_at_work(self, slot: Slot) -> bool:
        return self._scene.until(lambda: slot.look().live and slot.life.is_running, PATIENCE_SECONDS / 2)

    def _join_and_leave(self, fault: Fault) -> None:
        """Let another worker join, take part and leave again; its partitions are the others' once it is given up."""
        scene = self._scene
        self._joined += 1
        slot = scene.crew.add(f"extra-{self._joined}")
        has_gained = scene.until(lambda: slot.look().gained, PATIENCE_SECONDS)
        if has_gained:
            scene.felt(Kind.JOIN, set(slot.life.gained) or None)
        scene.count(Kind.JOIN, has_gained and scene.until(lambda: slot.look().live, PATIENCE_SECONDS))
        scene.pause(fault.seconds)
        with slot.lock:
            scene.felt(Kind.LEAVE, slot.look().live or None)
            slot.terminate()
            scene.crew.remove(slot)
        every = set(range(scene.stage.partitions))
        scene.count(Kind.LEAVE, scene.until(lambda: scene.crew.live() == every, PATIENCE_SECONDS))
