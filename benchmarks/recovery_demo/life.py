"""One worker process, from its start to its end, followed by its own log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.recovery_demo.board import Phase
from consumer.recovery import RUNG_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stage import WorkerProcess

RESTORED: Final = frozenset(RUNG_EVENTS.values())
"""What a worker's log says where it has found a state to begin with."""


class Life:
    """What one worker has done so far.

    Args:
        number: 1 for the first.
        worker: the process.
        partitions: how many it will get.
        since: by partition, the committed offset at its start: predictions for what lies there or above are its own.

    Attributes:
        replays: by partition, from which offset to which it replays; empty ranges left out.
        first_after: seconds from its start to its first new prediction, as the reader saw it; None before.
    """

    def __init__(self, number: int, worker: WorkerProcess, partitions: int, since: dict[int, int]) -> None:
        self.number = number
        self.worker = worker
        self.since = since
        self.replays: dict[int, tuple[int, int]] = {}
        self.first_after: float | None = None
        self._partitions = partitions
        self._read = 0
        self._restored: set[int] = set()
        self._live: set[int] = set()

    def follow(self) -> Iterator[dict[str, Any]]:
        """Yield what its log has new, with what this object says brought up to it."""
        lines = self.worker.events()
        news, self._read = lines[self._read :], len(lines)
        for line in news:
            event, partition = line.get("event"), line.get("partition", -1)
            if event in RESTORED:
                self._restored.add(partition)
                if line["committed_offset"] > line["offset"]:
                    self.replays[partition] = line["offset"], line["committed_offset"]
            elif event == "partition_fresh":
                self._restored.add(partition)
            elif event == "partition_live":
                self._live.add(partition)
            yield line

    def last_words(self) -> str:
        """Return the reason that it gave for its end, or else the last line of its log."""
        said = self.worker.events("stopped_by_error")
        lines = self.worker.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return str(said[-1]["reason"]) if said else next(reversed(lines), "nothing")

    @property
    def seconds(self) -> float:
        """Its age."""
        return time.monotonic() - self.worker.started_at

    @property
    def is_restored(self) -> bool:
        """Tell whether it knows for every partition where to begin."""
        return len(self._restored) == self._partitions

    @property
    def is_live(self) -> bool:
        """Tell whether every partition has arrived where it may publish."""
        return len(self._live) == self._partitions

    @property
    def is_replaying(self) -> bool:
        """Tell whether a partition is on its way to the committed offset."""
        return any(partition not in self._live for partition in self.replays)

    @property
    def replayed(self) -> int:
        """How many offsets it replays or has replayed."""
        return sum(end - start for start, end in self.replays.values())

    @property
    def phase(self) -> Phase:
        """What it is doing."""
        if self.first_after is not None:
            return Phase.PREDICTING
        if self.is_replaying:
            return Phase.REPLAYING
        return Phase.LIVE if self.is_live else Phase.STARTING
