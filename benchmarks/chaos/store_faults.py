"""What happens to the checkpoints' store: a disk emptied, rotten, read-only or full; a bucket that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.chaos.plan import Kind

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.chaos.disk import CheckpointDisk
    from benchmarks.chaos.plan import Fault
    from benchmarks.chaos.scene import Scene


class StoreFaults:
    """Strikes the store, and a worker that has to do with what is left.

    Args:
        scene: what there is.
        rng: of whatever the plan leaves open.
        kill_worker: kills a worker.
    """

    def __init__(self, scene: Scene, rng: random.Random, kill_worker: Callable[[Fault], None]) -> None:
        self._scene = scene
        self._rng = rng
        self._kill_worker = kill_worker

    def ways(self) -> Mapping[Kind, Callable[[Fault], None]]:
        """Return how each kind is done."""
        return {
            Kind.DELETED: self._delete,
            Kind.CORRUPTED: self._corrupt,
            Kind.READ_ONLY: self._make_read_only,
            Kind.FULL: self._fill,
            Kind.STORE: self._fail_store,
        }

    def _delete(self, fault: Fault) -> None:
        self._restart_after(fault, lambda disk: disk.delete())

    def _corrupt(self, fault: Fault) -> None:
        self._restart_after(fault, lambda disk: disk.corrupt(self._rng))

    def _restart_after(self, fault: Fault, damage: Callable[[CheckpointDisk], int]) -> None:
        """Do damage to the disk, and have a worker find its state there before the next checkpoint is written."""
        scene, slot = self._scene, self._scene.slot(fault)
        if scene.place.disk is None:
            return
        with slot.lock:
            number = damage(scene.place.disk)
            scene.count(Kind.KILL, slot.kill())
            number += damage(scene.place.disk)  # what it had still written, and others have meanwhile
            if number:
                scene.felt(fault.kind, slot.held or None)
            slot.start()
        scene.count(fault.kind, number > 0)

    def _make_read_only(self, fault: Fault) -> None:
        self._keep_from_writing(fault, lambda disk, is_on: disk.set_read_only(is_on))

    def _fill(self, fault: Fault) -> None:
        self._keep_from_writing(fault, lambda disk, is_on: disk.set_full(is_on))

    def _keep_from_writing(self, fault: Fault, switch: Callable[[CheckpointDisk, bool], bool]) -> None:
        """Let no checkpoint be written for a while; half of the time a worker has to start just then."""
        scene = self._scene
        if scene.place.disk is None or not switch(scene.place.disk, True):
            scene.count(fault.kind, has_effect=False)
            return
        before = scene.crew.number("checkpoint_failed")
        try:
            if fault.share > 0.5:
                self._kill_worker(fault)
            scene.pause(fault.seconds)
        finally:
            switch(scene.place.disk, False)
        scene.felt(fault.kind)
        scene.count(fault.kind, scene.crew.number("checkpoint_failed") > before)

    def _fail_store(self, fault: Fault) -> None:
        """Let a store over the network fail for a while; half of the time a worker has to start just then."""
        scene = self._scene
        with scene.place.failing(self._rng) as asked:
            if fault.share > 0.5:
                self._kill_worker(fault)
            scene.pause(fault.seconds)
            has_effect = asked() > 0
        if has_effect:
            scene.felt(fault.kind)
        scene.count(fault.kind, has_effect)
