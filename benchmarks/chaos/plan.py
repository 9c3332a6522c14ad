"""What goes wrong in a run, when and to whom: drawn from a seed, in numbers that are known before it starts."""

from __future__ import annotations

import math
import random
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """A kind of fault, by what the report calls it."""

    KILL = "worker killed"
    KILL_IN_RECOVERY = "worker killed while it recovers"
    TERMINATE = "worker told to stop"
    ZOMBIE = "worker frozen past its session"
    REPLACED = "worker frozen, another of its name started"
    JOIN = "worker added"
    LEAVE = "worker removed"
    BROKER_KILL = "broker killed"
    BROKER_FREEZE = "broker frozen"
    CUT = "connections cut"
    SLOW = "connections slowed"
    HALF_OPEN = "connections half-open"
    DELETED = "checkpoints deleted"
    CORRUPTED = "checkpoints corrupted"
    READ_ONLY = "checkpoint directory read-only"
    FULL = "checkpoint directory full"
    STORE = "checkpoint store failing"


WORKER: Final = (Kind.KILL, Kind.KILL_IN_RECOVERY, Kind.TERMINATE, Kind.ZOMBIE, Kind.REPLACED)
MEMBERSHIP: Final = (Kind.JOIN, Kind.LEAVE)
BROKER: Final = (Kind.BROKER_KILL, Kind.BROKER_FREEZE)
CONNECTION: Final = (Kind.CUT, Kind.SLOW, Kind.HALF_OPEN)
DISK: Final = (Kind.DELETED, Kind.CORRUPTED, Kind.READ_ONLY, Kind.FULL)
STORE: Final = (*DISK, Kind.STORE)

SINGLE: Final[Mapping[Kind, float]] = {
    Kind.KILL: 1.5,
    Kind.KILL_IN_RECOVERY: 1.7,  # each after a kill of its own, so that all in all a third hits a recovery
    Kind.TERMINATE: 0.7,
    Kind.ZOMBIE: 0.7,
    Kind.REPLACED: 0.3,
    Kind.JOIN: 0.7,  # each is followed by the leaving of the same worker
    Kind.BROKER_KILL: 0.45,
    Kind.BROKER_FREEZE: 0.45,
    Kind.CUT: 1.0,
    Kind.SLOW: 0.7,
    Kind.HALF_OPEN: 0.7,
    Kind.DELETED: 0.2,
    Kind.CORRUPTED: 0.2,
    Kind.READ_ONLY: 0.2,
    Kind.FULL: 0.2,
    Kind.STORE: 0.8,
}
"""Faults a minute with one broker; in 30 minutes a third more than what must be shown, as some may have no effect."""

CLUSTER: Final[Mapping[Kind, float]] = {
    Kind.KILL: 0.6,
    Kind.KILL_IN_RECOVERY: 0.4,
    Kind.TERMINATE: 0.3,
    Kind.ZOMBIE: 0.4,
    Kind.JOIN: 0.3,
    Kind.BROKER_KILL: 1.0,
    Kind.BROKER_FREEZE: 0.6,
    Kind.CUT: 0.5,
    Kind.SLOW: 0.3,
    Kind.HALF_OPEN: 0.3,
}
"""Faults a minute with three brokers, where it is the brokers' turn: they are killed in turns, their leaders frozen."""

LONGEST_BROKER_FREEZE: Final = 45.0
_SHORTEST_BROKER_FREEZE: Final = 5.0
_LONGEST_LEADER_FREEZE: Final = 20.0  # the others have elected another one long before
_STAY_SECONDS: Final = 12.0
_SPANS: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.KILL_IN_RECOVERY: (0.1, 2.4),  # after the start: before, while and after River is imported, and in the replay
    Kind.ZOMBIE: (0.5, 4.0),  # beyond the moment at which the group gives it up
    Kind.REPLACED: (0.0, 3.0),
    Kind.JOIN: (_STAY_SECONDS, _STAY_SECONDS * 1.5),  # from its first live partition to its leaving
    Kind.SLOW: (4.0, 12.0),
    Kind.HALF_OPEN: (3.0, 25.0),
    Kind.READ_ONLY: (5.0, 10.0),
    Kind.FULL: (5.0, 10.0),
    Kind.STORE: (3.0, 15.0),
}


class Fault(NamedTuple):
    """One fault.

    Attributes:
        at: seconds from the beginning of its segment; later where what comes before it takes longer.
        kind: what it is.
        seconds: how long it lasts, or how far into what it must hit.
        share: of what is there to be hit, above 0 up to 1.
        target: number of the worker or broker that it hits, counted modulo how many there are.
    """

    at: float
    kind: Kind
    seconds: float
    share: float
    target: int


class Track(NamedTuple):
    """Faults that come one after the other; those of other tracks come at the same time."""

    name: str
    faults: Sequence[Fault]


def numbers(rates: Mapping[Kind, float], minutes: float, segment: int, segments: int) -> dict[Kind, int]:
    """Return how many faults of each kind a segment has, so that all segments together have rate times minutes."""

    def until(rate: float, done: int) -> int:
        return math.floor(rate * minutes * done / segments + 0.5)

    return {kind: until(rate, segment + 1) - until(rate, segment) for kind, rate in rates.items()}


def plan_segment(seed: int, segment: int, counts: Mapping[Kind, int], seconds: float, workers: int) -> list[Track]:
    """Return a segment's tracks: one for each worker, and one each for who joins, brokers, connections and the store.

    Args:
        seed: of the run.
        segment: its number, from 0.
        counts: how many faults of each kind.
        seconds: how long it burns.
        workers: how many there are.
    """
    rng = random.Random(f"{seed}/{segment}")
    kinds = [kind for kind in WORKER for _ in range(counts.get(kind, 0))]
    rng.shuffle(kinds)
    shares = [(f"worker-{number}", kinds[number::workers], number) for number in range(workers)]
    tracks = [Track(name, _spread(rng, dealt, seconds, number)) for name, dealt, number in shares]
    for name, group in (("group", (Kind.JOIN,)), ("broker", BROKER), ("connections", CONNECTION), ("store", STORE)):
        dealt = [kind for kind in group for _ in range(counts.get(kind, 0))]
        rng.shuffle(dealt)
        tracks.append(Track(name, _spread(rng, dealt, seconds, None)))
    return [track for track in tracks if track.faults]


def _spread(rng: random.Random, kinds: Sequence[Kind], seconds: float, target: int | None) -> list[Fault]:
    """Give each kind a moment in its own part of the time."""
    part = seconds / max(1, len(kinds))
    return [
        Fault(
            at=round((number + rng.uniform(0.05, 0.75)) * part, 2),
            kind=kind,
            seconds=round(_duration(rng, kind), 2),
            share=round(rng.uniform(0.1, 1.0), 2),
            target=rng.randrange(1_000) if target is None else target,
        )
        for number, kind in enumerate(kinds)
    ]


def _duration(rng: random.Random, kind: Kind) -> float:
    if kind is Kind.BROKER_FREEZE:  # more short ones than long ones: while it lasts, nothing else can be seen
        return _SHORTEST_BROKER_FREEZE + (LONGEST_BROKER_FREEZE - _SHORTEST_BROKER_FREEZE) * rng.random() ** 2
    return rng.uniform(*_SPANS.get(kind, (0.0, 1.0)))


def leader_freeze(fault: Fault) -> Fault:
    """Return a freeze no longer than a cluster needs to go on without that broker."""
    return fault._replace(seconds=min(fault.seconds, _LONGEST_LEADER_FREEZE))
