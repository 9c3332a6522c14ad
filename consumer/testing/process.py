"""One simulated worker process: the real worker over the simulated Kafka and store, which can be killed at any step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog

from consumer.assembly import build_worker
from consumer.checkpoint.lineage import Sharing
from consumer.checkpointing import Pace
from consumer.errors import StopError
from consumer.health import Health
from consumer.metrics import Metrics
from consumer.permissions import NONE_GIVEN, Permissions
from consumer.settings import Guarantee
from consumer.surroundings import Surroundings
from consumer.testing.cluster import SimulatedBroker
from consumer.testing.faults import Crash
from consumer.testing.stepwise_writer import StepwiseWriter
from consumer.testing.store import SimulatedStore

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from consumer.checkpoint.store import CheckpointStore
    from consumer.settings import Settings
    from consumer.testing.cluster import SimulatedCluster
    from consumer.testing.connection import SimulatedConnection
    from consumer.testing.store import Disk
    from consumer.worker import Worker


SHARING: Final = Sharing(shard_bytes=256, least_bytes=0, least_saved=0.05, most_read=4.0)
"""So that checkpoints of the small states of a simulation share shards, as large ones do."""


def _directory(disk: Disk, cluster: SimulatedCluster) -> CheckpointStore:
    return SimulatedStore(disk, cluster.faults)


class SimulatedProcess:
    """A place where workers of one `INSTANCE_ID` run, one after the other.

    Args:
        cluster: its Kafka.
        disk: where its checkpoints are, shared with other processes.
        settings: of the worker; `INSTANCE_ID` names the place.
        permissions: what the operator allows.
        new_store: opens the checkpoint store on the disk, once for each worker.
        is_slow: tells whether the checkpoint writer has got nowhere since it was last asked.

    Attributes:
        worker: the running one, None between two.
        error: what the last one has stopped with, None where it left in good order or was killed.
        log: what workers have logged, newest last.
    """

    def __init__(  # noqa: PLR0913 -- its world, named
        self,
        cluster: SimulatedCluster,
        disk: Disk,
        settings: Settings,
        *,
        permissions: Permissions = NONE_GIVEN,
        new_store: Callable[[Disk, SimulatedCluster], CheckpointStore] = _directory,
        is_slow: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self.permissions = permissions
        self.worker: Worker | None = None
        self.error: StopError | None = None
        self.log: list[dict[str, Any]] = []
        self._cluster = cluster
        self._disk = disk
        self._new_store = new_store
        self._is_slow = is_slow
        self._broker: SimulatedBroker | None = None

    @property
    def connection(self) -> SimulatedConnection | None:
        """The clients of the worker that runs or ran last."""
        return None if self._broker is None else self._broker.connection

    def start(self) -> None:
        """Start a worker; it has joined when this returns, and has done nothing yet.

        Raises:
            StopError: its settings are refused.
        """
        cluster, settings = self._cluster, self.settings
        self.error = None
        broker = self._broker = SimulatedBroker(
            cluster,
            input_topic=settings.input_topic,
            group=settings.consumer_group,
            instance_id=settings.instance_id,
            is_transactional=settings.processing_guarantee is Guarantee.EXACTLY_ONCE,
        )
        self.worker = build_worker(
            settings,
            broker=broker,
            topic=broker.check_topics(),
            health=Health(cluster.clock),
            metrics=Metrics(),
            log=structlog.wrap_logger(
                None, processors=[self._note], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
            ),
            hash_seed="0",
            stop_at_end=False,
            skips=(),
            permissions=self.permissions,
            store=self._new_store(self._disk, cluster),
            surroundings=Surroundings(
                clock=cluster.clock,
                sleep=cluster.advance,
                new_writer=lambda sealing: StepwiseWriter(sealing, self._is_slow, cluster.advance),
                reads_of=lambda store: store,
                pace=Pace(0.0, 1),  # so that events come in between
                accelerate=lambda _log: None,  # a thread of its own would not be the simulation's
                sharing=SHARING,
            ),
        )
        self.worker.begin()

    def step(self) -> None:
        """Let the worker take one turn, if one runs; it may leave, stop with an error, or be killed in it."""
        worker = self.worker
        if worker is None:
            return
        try:
            if worker.step():
                self.worker = None
        except Crash:
            self.kill()
        except StopError as error:
            self.error = error
            worker.leave()
            self.worker = None

    def stop(self) -> None:
        """Ask the worker to leave, as SIGTERM does; it takes its next steps to do so."""
        if self.worker is not None:
            self.worker.stop()

    def kill(self) -> None:
        """End the worker as kill -9 does."""
        self.worker = None
        if self.connection is not None:
            self.connection.die()

    def _note(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        self.log.append({"level": level, **event, "instance": self.settings.instance_id, "now": self._cluster.now})
        raise structlog.DropEvent
