"""One turn: so many workers of one group go through the same backlog."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.bench.verification import Agreement, check_predictions
from benchmarks.load import CommittedOffsets
from benchmarks.scaling.backlog import Backlog
from benchmarks.scaling.cores import CoreMeter, children
from benchmarks.scaling.shares import are_shared
from tests.kafka import read_all, wait_until, wait_until_stable
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from consumer.simulate.events import ShopEvent
    from tests.stage import WorkerProcess

PARTITIONS: Final = 4
MODEL: Final = "guarded"  # the default, said because a stage has another
_WARM_UP_EVENTS: Final = 60_000
"""So many that each of two workers has loaded its machine code, which one does that has seen 20,000."""

_WARM_UP_SHARE: Final = 0.2
"""Of all events at most, where they are few."""

_SETTLE_SECONDS: Final = 3.0
"""What a worker begins to load beside its loop at the warm-up's end is there by then."""

_READY_SECONDS: Final = 120.0
_DONE_SECONDS: Final = 600.0
_ASK_SECONDS: Final = 0.02


class Turn(msgspec.Struct, frozen=True):
    """What one turn found.

    Attributes:
        workers: how many there were.
        events: in the backlog.
        seconds: from the moment at which the backlog could be read until the group had committed all of it.
        workers_cpu: seconds of CPU that the workers used meanwhile.
        broker_cpu: likewise, the broker and who asks it.
        elsewhere_cpu: likewise, everything else on the machine.
    """

    workers: int
    events: int
    seconds: float
    workers_cpu: float
    broker_cpu: float
    elsewhere_cpu: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def workers_cores(self) -> float:
        """Cores that the workers used."""
        return self.workers_cpu / self.seconds

    @property
    def broker_cores(self) -> float:
        """Cores that the broker used, and who asked it."""
        return self.broker_cpu / self.seconds

    @property
    def elsewhere_cores(self) -> float:
        """Cores that everything else used."""
        return self.elsewhere_cpu / self.seconds


class Track:
    """Lets workers run over the same events, each time on topics of their own.

    Args:
        bootstrap_servers: the broker.
        directory: for checkpoints and logs.
        events: all valid and distinct.
    """

    def __init__(self, bootstrap_servers: str, directory: Path, events: Sequence[ShopEvent]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._directory = directory
        self._events = events
        self._agreement = Agreement()
        self._turns = 0

    def turn(self, workers: int) -> Turn:
        """Run so many workers.

        Raises:
            VerificationError: an event has no prediction, or several, or another one than in a former turn.
            AssertionError: the workers ended by themselves, or did not end well.
        """
        self._turns += 1
        stage = Stage(
            self._bootstrap_servers, self._directory / str(self._turns), partitions=PARTITIONS, prefix="scale"
        )
        try:
            return self._on(stage, workers)
        finally:
            stage.delete_topics()

    def _on(self, stage: Stage, number: int) -> Turn:
        warm = min(_WARM_UP_EVENTS, int(len(self._events) * _WARM_UP_SHARE))
        offsets = CommittedOffsets(stage)
        with stage.worker("scale", "--workers", str(number), MODEL=MODEL) as workers:
            wait_until(
                lambda: are_shared(workers.events(), number, PARTITIONS),
                _READY_SECONDS,
                "the workers to share the partitions",
            )
            stage.send(self._events[:warm])
            stage.wait_until_done(_READY_SECONDS)
            time.sleep(_SETTLE_SECONDS)
            backlog = Backlog(self._bootstrap_servers, stage.input)
            backlog.add(self._events[warm:])
            ends = stage.ends(isolation="read_uncommitted")  # the backlog is still open, and has no marker yet
            supervisor = workers.process.pid
            meter = CoreMeter(children(supervisor) if number > 1 else [supervisor], supervisor)
            began = backlog.release()
            _wait_for(offsets, ends, workers)
            seconds = time.monotonic() - began
            used = meter.used()
            code = workers.terminate()
            if code != 0:
                raise AssertionError(f"the workers ended with {code}: {workers.log.read_text()[-2000:]}")
        offsets.close()
        wait_until_stable(self._bootstrap_servers, stage.output)
        published = read_all(self._bootstrap_servers, stage.output, deadline_seconds=_READY_SECONDS)
        values = (message.value() for messages in published.values() for message in messages)
        label = f"{number} workers"
        self._agreement.check(label, MODEL, check_predictions(label, values, ends))
        return Turn(number, len(self._events) - warm, seconds, *used)


def _wait_for(offsets: CommittedOffsets, ends: dict[int, int], workers: WorkerProcess) -> None:
    deadline = time.monotonic() + _DONE_SECONDS
    while any(offset < ends[number] for number, offset in offsets.now().items()):
        if workers.process.poll() is not None:
            raise AssertionError(f"the workers ended by themselves: {workers.log.read_text()[-2000:]}")
        if time.monotonic() > deadline:
            raise AssertionError(f"the workers were not done within {_DONE_SECONDS:.0f} s")
        time.sleep(_ASK_SECONDS)
