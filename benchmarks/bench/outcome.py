"""What a benchmark found: its rounds, and their summary in medians and spreads."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.bench.calibration import QUIET_SHARE, Calibration, far_off
from benchmarks.bench.roster import BARE, Kind
from benchmarks.bench.rounds import Round  # noqa: TC001 -- msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.bench.arena import Run
    from benchmarks.bench.roster import Contender

LEAST_ROUNDS: Final = 3
"""A median of fewer is no figure to claim."""

DEFAULT_EVENTS: Final = 500_000
"""A worker's start and its last commit weigh about a tenth in a run of so many."""


class Spread(msgspec.Struct, frozen=True):
    """One measure over the rounds."""

    median: float
    lowest: float
    highest: float


class Row(msgspec.Struct, frozen=True):
    """One contender's summary.

    Attributes:
        name: in the rounds.
        label: for readers.
        kind: ours, a limit or a peer.
        rate: input events a second.
        ratio: its rate to the bare loop's in the same round.
        cpu_us: microseconds of CPU of its process, an event.
        peak_mb: the most memory that its process held, in 10^6 bytes.
    """

    name: str
    label: str
    kind: Kind
    rate: Spread
    ratio: Spread
    cpu_us: Spread
    peak_mb: Spread


class Outcome(msgspec.Struct, frozen=True):
    """A whole run, as it is written to JSON.

    Attributes:
        provenance: commit, machine, versions, start and duration.
        broker: what kind of broker it was.
        seed: of the order in each round.
        events: valid events in the input, and so outputs of each contender that publishes and takes all of them.
        partitions: of each topic.
        at_start: the machine before the broker was started.
        calibrations: one before each round and one at the end.
        rounds: all of them.
        left_out: contenders that could not take part, with the reason.
        peers: the versions in each peer's environment.
        far_off: rounds, counted from 0, beside a calibration far below the best.
        rows: the summary of the rounds that are not far off.
    """

    provenance: dict[str, Any]
    broker: str
    seed: int
    events: int
    partitions: int
    at_start: Calibration
    calibrations: list[Calibration]
    rounds: list[Round]
    left_out: dict[str, str]
    peers: dict[str, dict[str, str]]
    far_off: list[int]
    rows: list[Row]

    def doubts(self) -> list[str]:
        """Return why these figures are not to be claimed; nothing where they are."""
        found = [] if self.at_start.is_quiet else [not_quiet(self.at_start)]
        kept = len(self.rounds) - len(self.far_off)
        if kept < LEAST_ROUNDS:
            found.append(f"{kept} of {len(self.rounds)} rounds were undisturbed, expected at least {LEAST_ROUNDS}")
        if self.events < DEFAULT_EVENTS:
            found.append(f"{self.events:,} events, expected at least {DEFAULT_EVENTS:,}: a run's start weighs too much")
        found += [f"left out: {reason}" for reason in self.left_out.values()]
        return found


def not_quiet(calibration: Calibration) -> str:
    """Say what was found of a machine that is not quiet."""
    return (
        f"the machine was not quiet: its cores gave a spin loop {calibration.share:.0%} of their time, expected at "
        f"least {QUIET_SHARE:.0%} (load average {calibration.load:.1f})"
    )


def summary(contenders: Iterable[Contender], rounds: Sequence[Round]) -> list[Row]:
    """Return each contender's medians and spreads over these rounds."""

    def spread(contender: Contender, measure: Callable[[Round, Run], float]) -> Spread:
        values = [measure(each, each.runs[contender.name]) for each in rounds]
        return Spread(statistics.median(values), min(values), max(values))

    return [
        Row(
            contender.name,
            contender.label,
            contender.kind,
            rate=spread(contender, lambda _round, run: run.rate),
            ratio=spread(contender, lambda each, run: run.rate / each.runs[BARE.name].rate),
            cpu_us=spread(contender, lambda _round, run: run.cpu_us),
            peak_mb=spread(contender, lambda _round, run: run.peak_bytes / 1e6),
        )
        for contender in contenders
    ]


def kept_rounds(rounds: Sequence[Round], calibrations: list[Calibration]) -> tuple[list[Round], list[int]]:
    """Return the rounds that count, and the numbers of those that lie far off; all count where all lie far off."""
    off = far_off(calibrations)
    kept = [each for number, each in enumerate(rounds) if number not in off]
    return (kept or list(rounds)), off
