"""What a lost worker's open transaction holds back, and what became of it once it was settled.

A `read_committed` reader gets no further than the *last stable offset* of a partition: where the first transaction that
is still open begins. A worker that comes back aborts its own; one that does not leaves it to the broker's time-out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK_AGAIN_SECONDS: Final = 2.0
"""Between two looks: a living worker's transaction is committed by then, and the next one stands further on."""

SETTLED_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.2


class Reach(NamedTuple):
    """How far a partition can be read.

    Attributes:
        stable: the last stable offset, where a `read_committed` reader stops.
        end: where the partition ends.
    """

    topic: str
    partition: int
    stable: int
    end: int

    @property
    def held_back(self) -> int:
        """Records (markers and aborted ones included) that such a reader does not get yet."""
        return self.end - self.stable


class Member(NamedTuple):
    """A living member of the group under one of the instance ids.

    Attributes:
        instance_id: its `INSTANCE_ID`.
        host: where it is.
    """

    instance_id: str
    host: str


class Pending(Protocol):
    """What the broker tells of open transactions, and how one is ended."""

    def reaches(self) -> list[Reach]:
        """Return how far each output and dead-letter partition can be read.

        Raises:
            RetryError: the broker did not answer.
        """

    def offsets_held_back(self) -> list[int]:
        """Return the input partitions whose committed offset an open transaction is about to change.

        Raises:
            RetryError: the broker did not answer.
        """

    def members(self, instance_ids: Sequence[str]) -> list[Member]:
        """Return those of the instance ids that live in the group.

        Raises:
            RetryError: the broker did not answer.
        """

    def settle(self, instance_id: str) -> None:
        """Fence whoever has this identity and abort what it left open.

        Raises:
            RetryError: the broker did not answer in time.
            BrokerError: it refuses this.
        """


class Held(NamedTuple):
    """What stood still between two looks.

    Attributes:
        reaches: partitions of output and dead letters that are held back.
        offsets: input partitions whose committed offset is.
    """

    reaches: list[Reach]
    offsets: list[int]

    def __bool__(self) -> bool:
        return bool(self.reaches or self.offsets)


class Released(NamedTuple):
    """A partition that was held back, before and after.

    Attributes:
        before: as it was.
        after: as it is.
    """

    before: Reach
    after: Reach

    @property
    def is_free(self) -> bool:
        """Whether the last stable offset has moved past what held it."""
        return self.after.stable > self.before.stable


class Settled(NamedTuple):
    """What came of settling.

    Attributes:
        partitions: those that were held back.
        offsets: input partitions whose committed offset is held back still.
    """

    partitions: list[Released]
    offsets: list[int]

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is held back any more."""
        return not self.offsets and all(each.is_free for each in self.partitions)


def look(pending: Pending, sleep: Callable[[float], None] = time.sleep) -> Held:
    """Return what is held back now and was, by the same transaction, `LOOK_AGAIN_SECONDS` ago."""
    first = Held([each for each in pending.reaches() if each.held_back], pending.offsets_held_back())
    if not first:
        return first
    sleep(LOOK_AGAIN_SECONDS)
    former = {(each.topic, each.partition): each.stable for each in first.reaches}
    reaches = [
        each for each in pending.reaches() if each.held_back and former.get((each.topic, each.partition)) == each.stable
    ]
    return Held(reaches, sorted({*first.offsets} & {*pending.offsets_held_back()}))


def settle(
    pending: Pending,
    instance_ids: Sequence[str],
    held: Held,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Settled:
    """End what these identities left open, and wait until the partitions that it held back can be read further.

    The markers of an abort reach the partitions one after the other; what is held back after `SETTLED_SECONDS` is
    another transaction's.
    """
    for instance_id in instance_ids:
        pending.settle(instance_id)
    deadline = clock() + SETTLED_SECONDS
    while True:
        now = {(each.topic, each.partition): each for each in pending.reaches()}
        released = [Released(each, now.get((each.topic, each.partition), each)) for each in held.reaches]
        result = Settled(released, sorted({*held.offsets} & {*pending.offsets_held_back()}))
        if result.is_whole or clock() >= deadline:
            return result
        sleep(_POLL_SECONDS)
