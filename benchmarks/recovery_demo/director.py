"""Starts the worker, kills it, starts it again, again and again."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from benchmarks.recovery_demo.board import Phase
from benchmarks.recovery_demo.life import Life
from benchmarks.recovery_demo.plan import Aim

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.load import CommittedOffsets, Feeder, Place
    from benchmarks.recovery_demo.teller import Teller
    from benchmarks.recovery_demo.watcher import Watcher
    from tests.stage import Stage

_START_SECONDS: Final = (0.05, 2.0)  # a worker needs longer to its first prediction, so these hit its start
_STREAM_SECONDS: Final = (0.2, 3.0)
_REPLAY_SECONDS: Final = 0.03  # into a replay, at most: it is short
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.005
_ASK_SECONDS: Final = 0.1


class StuckError(Exception):
    """The demonstration cannot go on; the message is one sentence that says why."""


class Director:
    """Leads the demonstration through its kills.

    Args:
        stage: where the worker works.
        watcher: what the reader sees.
        offsets: asks for the committed offsets.
        feeder: lets the input flow.
        rng: of the moments of the kills.
        teller: who is told what happens.
        settings: the worker's, beyond the stage's.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        stage: Stage,
        *,
        watcher: Watcher,
        offsets: CommittedOffsets,
        feeder: Feeder,
        rng: random.Random,
        teller: Teller,
        settings: Mapping[str, str],
    ) -> None:
        self._stage = stage
        self._watcher = watcher
        self._offsets = offsets
        self._feeder = feeder
        self._rng = rng
        self._teller = teller
        self._tally = teller.tally
        self._settings = settings
        self._is_fed = False
        self._is_stopping = False

    def run(self, aims: list[Aim]) -> None:
        """Do all kills, let the last worker come to the end of the input, and complete the comparison."""
        try:
            for aim in aims:
                self._live_and_die(aim)
            self._live_to_the_end()
        except StuckError as error:
            self._tally.trouble = str(error)
            self._teller.say("trouble", str(error), tone="bad")
        except KeyboardInterrupt:
            self._tally.is_interrupted = True
            self._teller.say("interrupted", "interrupted")
        finally:
            self._teller.update()

    # Lives

    def _live_and_die(self, aim: Aim) -> None:
        life = self._begin()
        with life.worker:
            self._wait_for_the_moment(aim, life)
            wrote_checkpoint = aim is Aim.CHECKPOINT and bool(self._teller.fresh_checkpoints)
            life.worker.kill()
            age = life.seconds
            self._teller.follow(life)  # what it said last
        phase = Phase.CHECKPOINT if wrote_checkpoint else life.phase
        self._tally.kills[phase] += 1
        self._end(life)
        number = self._tally.kills.total()
        replayed = f" {life.replayed:,} records" if phase is Phase.REPLAYING else ""
        text = f"kill {number} of {self._tally.kills_planned}: {phase.value}{replayed}, {age:.1f} s old"
        self._teller.say("kill", text, tone="kill", number=number, phase=phase.name.lower(), age=age)

    def _wait_for_the_moment(self, aim: Aim, life: Life) -> None:
        if aim is Aim.START:
            self._let_pass(life, self._rng.uniform(*_START_SECONDS))
            return
        if aim is Aim.REPLAY:
            self._until(life, lambda: life.is_replaying or life.is_live, "the worker to replay or to be live")
            self._let_pass(life, self._rng.uniform(0, _REPLAY_SECONDS))
            return
        self._wait_for_first(life)
        if aim is Aim.STREAM:
            self._let_pass(life, self._rng.uniform(*_STREAM_SECONDS))
            return
        self._teller.tell_checkpoints()  # those of before; the next one is the moment
        self._until(life, lambda: bool(self._teller.fresh_checkpoints), "the worker to write a checkpoint")

    def _live_to_the_end(self) -> None:
        life = self._begin()
        with life.worker:
            self._wait_for_first(life)
            self._is_fed = True
            self._feeder.finish()
            ends = {place: end for place, end in self._watcher.ends().items() if place[0] == self._stage.input}
            self._teller.say("input_ends", f"the input ends, with {sum(ends.values()):,} records")
            self._until(life, lambda: self._has_committed(ends), "the worker to commit up to the end", _ASK_SECONDS)
            self._is_stopping = True
            process = life.worker.process
            process.send_signal(signal.SIGTERM)
            self._until(life, lambda: process.poll() is not None, "the worker to end after SIGTERM")
            self._end(life)
        all_ends = self._watcher.ends()
        self._until(life, lambda: self._watcher.has_reached(all_ends), "the reader to reach the ends of the topics")
        self._watcher.finish()
        self._teller.say_stopped(process.returncode)

    def _begin(self) -> Life:
        since = self._offsets.now()
        number = self._tally.kills.total() + 1
        self._teller.say("start" if number == 1 else "restart", f"worker {number} starts", number=number)
        return Life(number, self._stage.worker(**self._settings), self._stage.partitions, since)

    def _end(self, life: Life) -> None:
        self._teller.tell_checkpoints()
        if life.replays:
            self._tally.replays.append(life.replayed)

    def _wait_for_first(self, life: Life) -> None:
        """Wait for the life's first new prediction."""
        self._until(life, lambda: self._watcher.has_new(life.since), "a new prediction")
        after = life.first_after = life.seconds
        self._tally.seconds_to_first.append(after)
        text = f"first new prediction seen {after:.2f} s after the {'start' if life.number == 1 else 'restart'}"
        self._teller.say("first_prediction", text, tone="good", seconds_after=after)

    def _has_committed(self, ends: Mapping[Place, int]) -> bool:
        committed = self._offsets.now()
        return all(committed[partition] >= end for (_, partition), end in ends.items())

    # Waiting

    def _let_pass(self, life: Life, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._until(life, lambda: time.monotonic() >= until, "time to pass")

    def _until(self, life: Life, condition: Callable[[], bool], what: str, pause: float = _PAUSE_SECONDS) -> None:
        """Wait, and tell what happens meanwhile.

        Raises:
            StuckError: the wait was in vain.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() >= deadline:
                raise StuckError(f"waited {_PATIENCE_SECONDS:.0f} s for {what}, in vain")
            self._teller.follow(life)
            self._check(life)
            self._teller.update()
            time.sleep(pause)
        self._teller.follow(life)

    def _check(self, life: Life) -> None:
        if self._watcher.failure is not None:
            raise StuckError(f"the reader failed: {self._watcher.failure!r}")
        if not self._is_fed and self._feeder.exit_code is not None:
            raise StuckError(f"the simulated shop ended by itself, with {self._feeder.exit_code}")
        if not self._is_stopping and life.worker.process.poll() is not None:
            code, words = life.worker.process.returncode, life.last_words()
            raise StuckError(f"the worker ended by itself, with {code}, and said last: {words}")
