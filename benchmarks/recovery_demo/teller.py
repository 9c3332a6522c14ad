"""Tells a view what happens: what the worker's log says, what the comparison finds, and how it stands."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.recovery_demo.board import Moment, Phase, Rate, Snapshot, Tally
from benchmarks.recovery_demo.life import RESTORED
from benchmarks.recovery_demo.plan import share_done

if TYPE_CHECKING:
    from benchmarks.recovery_demo.board import Tone
    from benchmarks.recovery_demo.comparison import Comparison
    from benchmarks.recovery_demo.life import Life
    from benchmarks.recovery_demo.plan import Aim
    from benchmarks.recovery_demo.views import View

_GATHER_SECONDS: Final = 0.4  # checkpoints of several partitions that are told in one line
_MOST_FINDINGS: Final = 8
_TOLD_OTHERWISE: Final = RESTORED | {"stopped_by_error"}
_STATES: Final = {
    Phase.STARTING: "starts",
    Phase.REPLAYING: "replays",
    Phase.LIVE: "is live",
    Phase.PREDICTING: "predicts",
    Phase.CHECKPOINT: "predicts",
}


class Teller:
    """Keeps the tally and tells a view.

    Args:
        view: who is told.
        aims: of the kills.
        comparison: what the reader has found.

    Attributes:
        tally: what has happened so far.
        fresh_checkpoints: by partition, the offsets of checkpoints that were written and are not told yet.
    """

    def __init__(self, view: View, aims: list[Aim], comparison: Comparison) -> None:
        self.tally = Tally(kills_planned=len(aims))
        self.fresh_checkpoints: dict[int, int] = {}
        self._view = view
        self._aims = aims
        self._comparison = comparison
        self._began = time.monotonic()
        self._state = ""
        self._findings_told = 0
        self._gathering_since = 0.0
        self._record_rate, self._seen_rate = Rate(), Rate()

    def say(self, event: str, text: str, *, tone: Tone = "plain", **facts: Any) -> None:  # noqa: ANN401 -- as JSON has it
        """Tell one thing."""
        self._view.show(Moment(time.monotonic() - self._began, event, text, facts, tone))

    def follow(self, life: Life) -> None:
        """Tell what a worker's log has new."""
        was_restored, was_live = life.is_restored, life.is_live
        for line in life.follow():  # with "logger" it is librdkafka's, which has much to say of what passes
            event = line.get("event")
            if event == "checkpoint_written":
                self._note_checkpoint(line["partition"], line["offset"])
            elif line.get("level") in {"error", "warning"} and event not in _TOLD_OTHERWISE and "logger" not in line:
                text = f"worker {life.number} says {event}: {line.get('reason', '')}"
                self.say("worker_log", text.removesuffix(": "), line=line)
        if life.is_restored and not was_restored and life.replays:
            self._tell_replay(life)
        if life.is_live and not was_live:
            self.say("live", f"all partitions live {life.seconds:.2f} s after the start", seconds_after=life.seconds)
        if self.fresh_checkpoints and time.monotonic() - self._gathering_since > _GATHER_SECONDS:
            self.tell_checkpoints()
        self._state = f"worker {life.number} {_STATES[life.phase]}"

    def tell_checkpoints(self) -> None:
        """Tell of the checkpoints that were written since this was last told."""
        if self.fresh_checkpoints:
            offsets = dict(sorted(self.fresh_checkpoints.items()))
            self.fresh_checkpoints.clear()
            text = ", ".join(f"{number}: {offset:,}" for number, offset in offsets.items())
            self.say("checkpoints", f"checkpoints, of partition {text}", offsets=offsets)

    def say_stopped(self, code: int) -> None:
        """Tell that the last worker, asked to stop, has ended."""
        self.tally.exit_code = code
        self._state = f"the last worker ended with {code}"
        self.say("stopped", f"the worker was asked to stop, and ended with {code}", exit_code=code)

    def update(self) -> None:
        """Tell the first things that were found wrong, and how it stands."""
        for text in self._comparison.findings[self._findings_told :]:
            self._findings_told += 1
            if self._findings_told <= _MOST_FINDINGS:
                self.say("wrong", f"WRONG, {text}", tone="bad")
            elif self._findings_told == _MOST_FINDINGS + 1:
                self.say("wrong", "WRONG: more is wrong, and from here on only counted", tone="bad")
        self._view.update(self.snapshot())

    def snapshot(self) -> Snapshot:
        """Return how it stands."""
        seconds = time.monotonic() - self._began
        comparison, kills = self._comparison, self.tally.kills.total()
        is_over = self.tally.exit_code is not None
        done = 1.0 if is_over else share_done(self._aims, kills)
        return Snapshot(
            seconds=seconds,
            seconds_left=None if is_over or not kills else seconds / done - seconds,
            share_done=done,
            kills=kills,
            kills_planned=len(self._aims),
            state=self._state,
            checkpoints=dict(sorted(self.tally.newest_checkpoints.items())),
            records=comparison.records,
            repeats=comparison.repeats,
            records_per_second=self._record_rate.update(seconds, comparison.records),
            seen_per_second=self._seen_rate.update(seconds, comparison.seen),
            lag=comparison.waiting,
            counts={kind: replace(counts) for kind, counts in comparison.counts.items()},
        )

    def _tell_replay(self, life: Life) -> None:
        ranges = dict(sorted(life.replays.items()))
        text = ", ".join(f"{number}: {start:,} to {end:,}" for number, (start, end) in ranges.items())
        text = f"replays {life.replayed:,} records, of partition {text}"
        self.say("replay", text, records=life.replayed, ranges=ranges)

    def _note_checkpoint(self, partition: int, offset: int) -> None:
        if not self.fresh_checkpoints:
            self._gathering_since = time.monotonic()
        self.fresh_checkpoints[partition] = self.tally.newest_checkpoints[partition] = offset
        self.tally.checkpoints += 1
