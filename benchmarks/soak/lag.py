"""When a group has caught up with a topic that goes on growing."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, TopicPartition

from benchmarks.load import CommittedOffsets
from tests.kafka import unique

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from tests.stage import Stage

_PAUSE_SECONDS = 0.02


class CatchUp:
    """Tells whether the lag is 0: whether what is committed is the input as it was a moment ago, in every partition.

    An input that flows is never read to its end, and what a transaction has read counts once it is committed. So "0" is
    this: at one moment, all partitions together had been committed up to where each ended at most `within` seconds
    before.

    Args:
        within: seconds; one commit interval.
    """

    def __init__(self, within: float) -> None:
        self._within = within
        self._ends: deque[tuple[float, Mapping[int, int]]] = deque()

    def note_ends(self, asked_at: float, ends: Mapping[int, int]) -> None:
        """Take where the input ended at `asked_at` or later."""
        self._ends.append((asked_at, dict(ends)))

    def is_reached(self, answered_at: float, committed: Mapping[int, int]) -> bool:
        """Take what was committed at `answered_at` or earlier, and tell whether that is a lag of 0."""
        while self._ends and self._ends[0][0] < answered_at - self._within:
            self._ends.popleft()
        # An input only grows, so the oldest of them is the easiest to have reached.
        return bool(self._ends) and all(committed[number] >= end for number, end in self._ends[0][1].items())


class LagMeter:
    """Asks the broker, through clients that stay connected.

    Args:
        stage: whose group and input topic these are.
    """

    def __init__(self, stage: Stage) -> None:
        self._partitions = [TopicPartition(stage.input, number) for number in range(stage.partitions)]
        self._offsets = CommittedOffsets(stage)
        self._asking = Consumer({"bootstrap.servers": stage.bootstrap_servers, "group.id": unique("ends")})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._offsets.close()
        self._asking.close()

    def ends(self) -> dict[int, int]:
        """Return where the input ends now."""
        return {each.partition: self._asking.get_watermark_offsets(each, timeout=30)[1] for each in self._partitions}

    def seconds_to_zero(self, since: float, within: float, until: float, check: Callable[[], None]) -> float | None:
        """Wait for a lag of 0 and return how long after `since` it was there; None where it was not until `until`.

        Args:
            since: when the lag began, on the monotonic clock.
            within: see `CatchUp`.
            until: when to give up, on the monotonic clock.
            check: called between two looks; raises where waiting is in vain.
        """
        catch_up = CatchUp(within)
        while time.monotonic() < until:
            catch_up.note_ends(time.monotonic(), self.ends())
            committed = self._offsets.now()
            answered_at = time.monotonic()
            if catch_up.is_reached(answered_at, committed):
                return answered_at - since
            check()
            time.sleep(_PAUSE_SECONDS)
        return None
