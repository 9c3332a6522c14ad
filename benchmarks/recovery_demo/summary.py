"""How it ended, in words: what was shown and what was not."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.recovery_demo.comparison import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.recovery_demo.board import Snapshot, Tally

OK: Final = 0
FAILED: Final = 1
INTERRUPTED: Final = 130

SHOWN: Final = (
    "MODEL=linear, exactly once, one worker on one machine: each time it was killed (SIGKILL), a read_committed reader "
    "went on to see, record by record and to the byte, what an independent loop over the same input says "
    "(tests/oracle.py; it shares no code with the worker)."
)
NOT_SHOWN: Final = (
    "several machines or brokers, and the loss of one, of its disk or its power; several workers and rebalances (make "
    "show NAME=rebalance); lost or damaged checkpoints (NAME=ladder); other models (NAME=guarded); that no input or "
    "timing exists that would break it."
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of the demonstration.

    Attributes:
        tally: what has happened.
        snapshot: how it stands at the end.
        seed: of kills and events.
    """

    tally: Tally
    snapshot: Snapshot
    seed: int

    @property
    def shortcomings(self) -> list[str]:
        """Why it did not succeed; empty if it did."""
        return list(self._shortcomings())

    def _shortcomings(self) -> Iterator[str]:
        counts = self.snapshot.counts
        total = self._total()
        if total.wrong:
            yield f"{total.lost:,} lost, {total.doubled:,} doubled, {total.differing:,} differing"
        if self.tally.trouble is not None:
            yield self.tally.trouble
        kills = self.tally.kills.total()
        if kills != self.tally.kills_planned:
            yield f"{kills} of {self.tally.kills_planned} kills were done"
        if self.tally.trouble is not None:
            return  # whatever else is missing is missing for that
        if self.tally.exit_code != 0:
            yield f"the last worker was asked to stop and ended with {self.tally.exit_code}"
        for kind, compared in counts.items():
            if not compared.equal:
                yield f"not one {kind.replace('_', ' ')} was seen and right"
        if not self.snapshot.repeats:
            yield "no event was repeated"

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        if self.tally.is_interrupted and not self._total().wrong:
            return INTERRUPTED
        return FAILED if self.shortcomings else OK

    @property
    def verdict(self) -> str:
        """One sentence."""
        kills = self.tally.kills.total()
        if self.tally.is_interrupted and not self._total().wrong:
            return f"NO VERDICT: interrupted after {kills} of {self.tally.kills_planned} kills, nothing wrong so far."
        if self.shortcomings:
            return f"FAILED: {'; '.join(self.shortcomings)}."
        return f"PASSED: {kills} kills, and nothing was lost, doubled or differing."

    def lines(self) -> list[tuple[str, str]]:
        """Return what was measured, as pairs of a name and what there is to say."""
        snapshot, tally = self.snapshot, self.tally
        predictions, letters = snapshot.counts["prediction"], snapshot.counts["dead_letter"]
        total = self._total()
        phases = ", ".join(f"{number} {phase.value}" for phase, number in tally.kills.most_common())
        compared = f"{predictions.equal:,} predictions and {letters.equal:,} dead letters equal to the byte, for "
        compared += f"{snapshot.records:,} records ({snapshot.repeats:,} of them repeats, which publish nothing)"
        lines = [
            ("compared", compared),
            ("wrong", f"{total.lost:,} lost, {total.doubled:,} doubled, {total.differing:,} differing"),
            ("kills", f"{tally.kills.total()} of {tally.kills_planned}: {phases}" if phases else "none"),
        ]
        if first := tally.seconds_to_first:
            text = f"{_counted(len(first), 'start')} lived to a new prediction, seen {statistics.median(first):.1f} s "
            lines.append(("starts", f"{text}after the start in the median, {max(first):.1f} s at most"))
        text = "no start had anything to replay"
        if replays := tally.replays:
            text = f"{_counted(len(replays), 'start')} replayed {sum(replays):,} records, {max(replays):,} at most"
        lines.append(("replays", text))
        lines.append(("checkpoints", f"{tally.checkpoints:,} written"))
        lines.append(("took", f"{snapshot.seconds:.0f} s, seed {self.seed}"))
        return lines

    def reach(self) -> list[tuple[str, str]]:
        """Return what was shown and what was not, likewise."""
        return [("shown", SHOWN), ("not shown", NOT_SHOWN)] if self.exit_code == OK else []

    def text(self) -> str:
        """Return it for a pipe."""
        pairs = self.lines() + self.reach()
        return "\n".join([self.verdict, *(f"  {name + ':':<13}{text}" for name, text in pairs)])

    def facts(self) -> dict[str, Any]:
        """Return it for machines."""
        tally, snapshot = self.tally, self.snapshot
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "shortcomings": self.shortcomings,
            "kills": tally.kills.total(),
            "kills_planned": tally.kills_planned,
            "kills_by_phase": {phase.name.lower(): number for phase, number in tally.kills.items()},
            "counts": {kind: asdict(counts) for kind, counts in snapshot.counts.items()},
            "records": snapshot.records,
            "repeats": snapshot.repeats,
            "seconds_to_first": tally.seconds_to_first,
            "replays": tally.replays,
            "checkpoints": tally.checkpoints,
            "seed": self.seed,
            "shown": SHOWN if self.exit_code == OK else None,
            "not_shown": NOT_SHOWN,
        }

    def _total(self) -> Counts:
        both = self.snapshot.counts.values()
        return Counts(
            sum(c.equal for c in both),
            sum(c.lost for c in both),
            sum(c.doubled for c in both),
            sum(c.differing for c in both),
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
