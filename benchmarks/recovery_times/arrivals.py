"""What a read_committed reader sees, and when: the clock of the restarts and takeovers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

import msgspec

from benchmarks.load import TopicReader
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from confluent_kafka import Message

    from tests.stage import Stage


class Arrivals:
    """Reads a stage's output in a thread.

    Args:
        stage: whose output it is.

    Attributes:
        out_of_turn: predictions that did not come after the one before them, twice or in the wrong order.
        seen: all predictions.
    """

    def __init__(self, stage: Stage) -> None:
        self.out_of_turn = 0
        self.seen = 0
        self._newest = dict.fromkeys(range(stage.partitions), -1)
        self._last_at = dict.fromkeys(range(stage.partitions), time.monotonic())
        self._longest_gap: dict[int, float] = {}
        self._marks: dict[int, int] = {}
        self._reached_at: dict[int, float] = {}
        self._lock = threading.Lock()
        self._reader = TopicReader(stage, [stage.output], self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()

    def mark(self, offsets: Mapping[int, int]) -> None:
        """From now on, wait in these partitions for a prediction for an input record at or above its offset.

        Gaps are measured from now on, too.
        """
        with self._lock:
            self._marks = dict(offsets)
            self._reached_at = {}
            now = time.monotonic()
            self._last_at = dict.fromkeys(self._last_at, now)
            self._longest_gap = dict.fromkeys(self._last_at, 0.0)

    def wait_for(self, partitions: Collection[int], seconds: float) -> dict[int, float]:
        """Wait until all of these marks have been reached; return when each was, on the monotonic clock."""

        def reached() -> dict[int, float]:
            self._check()
            with self._lock:
                found = {number: at for number, at in self._reached_at.items() if number in partitions}
            return found if len(found) == len(partitions) else {}

        return wait_until(reached, seconds, f"a new committed prediction in each of partitions {sorted(partitions)}")

    def wait_for_any(self, seconds: float) -> float:
        """Wait until one of the marks has been reached; return when the first was."""

        def reached() -> dict[int, float]:
            self._check()
            with self._lock:
                return dict(self._reached_at)

        return min(wait_until(reached, seconds, "a new committed prediction").values())

    def longest_gap(self, partitions: Collection[int]) -> float:
        """Return the longest time since the mark in which nothing new came in one of these partitions."""
        with self._lock:
            now = time.monotonic()
            return max(max(self._longest_gap[number], now - self._last_at[number]) for number in partitions)

    def _check(self) -> None:
        if self._reader.failure is not None:
            raise self._reader.failure

    def _take(self, message: Message) -> None:
        place = msgspec.json.decode(message.value() or b"", type=_Place)
        self.note(place.source_partition, place.source_offset, time.monotonic())

    def note(self, partition: int, offset: int, at: float) -> None:
        """Take one prediction."""
        with self._lock:
            self.seen += 1
            self.out_of_turn += offset <= self._newest[partition]
            self._newest[partition] = max(self._newest[partition], offset)
            gap = at - self._last_at[partition]
            self._longest_gap[partition] = max(self._longest_gap.get(partition, 0.0), gap)
            self._last_at[partition] = at
            if partition in self._marks and offset >= self._marks[partition]:
                self._reached_at.setdefault(partition, at)


class _Place(msgspec.Struct):
    source_partition: int
    source_offset: int
