"""What a segment has shown, kept in a file of its own; and what all segments of a run have shown together."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.chaos.plan import BROKER, CONNECTION, MEMBERSHIP, STORE, Kind
from consumer.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MENDED_BY_A_RESTART: Final = frozenset(
    {
        ExitCode.OK,
        ExitCode.FENCED,
        ExitCode.SHUTDOWN_TIMEOUT,
        ExitCode.CHECKPOINTS,
        ExitCode.BROKER,
        ExitCode.STUCK,
    }
)
"""How a worker may end in a run; of all else a restart is no cure, or it is a fault of the software."""

KILLS: Final = (Kind.KILL, Kind.KILL_IN_RECOVERY)
ZOMBIES: Final = (Kind.ZOMBIE, Kind.REPLACED)
GROUPS: Final = {
    "worker kills": KILLS,
    "zombies": ZOMBIES,
    "membership changes": MEMBERSHIP,
    "broker kills": (BROKER[0],),
    "broker freezes": (BROKER[1],),
    "connection faults": CONNECTION,
    "checkpoint store faults": STORE,
}


class Tally(msgspec.Struct, kw_only=True):
    """One segment, or several added up.

    Attributes:
        seconds: how long faults came.
        faults: how many of each kind were seen to have an effect.
        without_effect: and how many were not.
        exits: how workers ended that were not killed, by exit code.
        events: lines of the workers' logs, by their name; for `recovering`, by its kind too.
        longest_replay: the most records that a restored checkpoint had to have replayed after it.
        full_replays: partitions that had to replay everything, though each had had a checkpoint before.
        recoveries: seconds by kind of fault.
        records: what the input held.
        equal: outputs seen once, in their place, equal to the byte.
        lost: not seen.
        doubled: seen again.
        differing: seen with other bytes, or elsewhere.
        states: final states compared with those of an undisturbed worker.
        unequal_states: those that differ.
        findings: a sentence for whatever was wrong.
    """

    seconds: float = 0.0
    faults: dict[str, int] = {}
    without_effect: dict[str, int] = {}
    exits: dict[str, int] = {}
    events: dict[str, int] = {}
    longest_replay: int = 0
    full_replays: int = 0
    recoveries: dict[str, list[float]] = {}
    records: int = 0
    equal: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    states: int = 0
    unequal_states: int = 0
    findings: list[str] = []

    @property
    def odd_exits(self) -> int:
        """How many workers ended as none may."""
        return sum(number for code, number in self.exits.items() if int(code) not in MENDED_BY_A_RESTART)

    @property
    def wrong(self) -> int:
        """How much of what must not be there is."""
        unequal = self.lost + self.doubled + self.differing + self.unequal_states + self.odd_exits
        return max(unequal, len(self.findings))

    def number(self, kinds: Iterable[Kind]) -> int:
        """Return how many faults of these kinds had an effect."""
        return sum(self.faults.get(kind.value, 0) for kind in kinds)

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all, through a crash of the machine too."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def read_tally(path: Path) -> Tally:
    """Read back a finished segment.

    Raises:
        msgspec.DecodeError: the file is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Tally)


def total(tallies: Iterable[Tally]) -> Tally:
    """Return all segments as one; a finding says which it comes from."""
    summed = Tally()
    counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
    recoveries: defaultdict[str, list[float]] = defaultdict(list)
    findings: list[str] = []
    for number, tally in enumerate(tallies):
        for name in ("faults", "without_effect", "exits", "events"):
            counters[name].update(getattr(tally, name))
        for kind, seconds in tally.recoveries.items():
            recoveries[kind].extend(seconds)
        for name in (
            "seconds",
            "records",
            "equal",
            "lost",
            "doubled",
            "differing",
            "states",
            "unequal_states",
            "full_replays",
        ):
            setattr(summed, name, getattr(summed, name) + getattr(tally, name))
        summed.longest_replay = max(summed.longest_replay, tally.longest_replay)
        findings.extend(f"segment {number + 1}: {text}" for text in tally.findings)
    for name in ("faults", "without_effect", "exits", "events"):
        setattr(summed, name, dict(sorted(counters[name].items())))
    summed.recoveries, summed.findings = dict(recoveries), findings
    return summed
