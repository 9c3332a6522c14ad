"""A replay that takes long says how far it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import capture_logs

from consumer.assigned import Phase
from consumer.replay_progress import Moment, ReplayLines, ReplayProgress

if TYPE_CHECKING:
    import pytest

    from consumer.replay_progress import ReplayDisplay
    from tests.scripted import Shop


class Replaying:
    """Partitions on their way from an offset to their goal."""

    def __init__(self, display: ReplayDisplay | None = None, /, **goals: int) -> None:
        self.now = 100.0
        self.all = {
            name: Partition(
                partition=number,
                phase=Phase.REPLAYING,
                state=Offset(),
                destination=SimpleNamespace(offset=goal),
            )
            for number, (name, goal) in enumerate(goals.items())
        }
        display = display or ReplayLines(structlog.get_logger())
        self.progress = ReplayProgress(self, display, lambda: self.now)  # type: ignore[arg-type]

    def in_phase(self, phase: Phase) -> list[Any]:
        return [partition for partition in self.all.values() if partition.phase is phase]

    def after(self, seconds: float, **offsets: int) -> list[Any]:
        """Let time and the replays go on; return what is told."""
        self.now += seconds
        for name, offset in offsets.items():
            self.all[name].state.next_offset = offset
        with capture_logs() as lines:
            self.progress.turn()
        return lines

    def arrives(self, name: str) -> None:
        """Let one be live, and some records beyond its goal."""
        self.all[name].phase = Phase.LIVE
        self.all[name].state.next_offset = self.all[name].destination.offset + 7


class Offset:
    """A task, as far as a replay goes."""

    next_offset = 0


class Partition(SimpleNamespace):
    """An assigned partition, which is a key."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # its base has none


class Kept:
    """A display that keeps what it is told."""

    interval = 0.5

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.ends = 0

    def show(self, moment: Moment) -> None:
        self.moments.append(moment)

    def end(self) -> None:
        self.ends += 1


def told(line: Any) -> dict[str, Any]:
    """A line's fields."""
    return {name: value for name, value in line.items() if name not in {"log_level", "event"}}


def test_it_tells_what_is_done_and_what_is_left() -> None:
    """Every 10 s: replayed since the beginning, remaining, the present speed, and the time left by it."""
    replay = Replaying(a=100_000, b=50_000)
    assert replay.after(0, a=0, b=40_000) == []
    assert replay.after(9.9, a=9_000) == []
    (line,) = replay.after(0.1, a=10_000, b=45_000)
    assert line["event"] == "replaying"
    assert told(line) == {
        "partitions": [0, 1],
        "percent": 13,
        "replayed": 15_000,
        "remaining": 95_000,
        "records_per_second": 1_500,
        "seconds_left": 63,
    }
    assert replay.after(5, a=12_000) == []
    (line,) = replay.after(5, a=20_000, b=50_000)
    assert told(line) | {"partitions": []} == {
        "partitions": [],
        "percent": 27,
        "replayed": 30_000,
        "remaining": 80_000,
        "records_per_second": 1_500,
        "seconds_left": 53,
    }


def test_one_that_has_arrived_stays_done() -> None:
    """Up to its goal, whatever it does beyond: a share that fell with each arrival would be no progress."""
    replay = Replaying(a=100_000, b=50_000)
    replay.after(0, a=0, b=0)
    replay.after(10, a=10_000, b=40_000)
    replay.arrives("b")
    (line,) = replay.after(10, a=20_000)
    assert (line["partitions"], line["replayed"], line["remaining"]) == ([0], 70_000, 80_000)
    assert line["records_per_second"] == 2_000


def test_one_that_is_taken_away_is_no_longer_counted() -> None:
    """Another worker has it now."""
    replay = Replaying(a=100_000, b=50_000)
    replay.after(0, a=0, b=0)
    replay.after(10, a=10_000, b=40_000)
    del replay.all["b"]
    (line,) = replay.after(10, a=20_000)
    assert (line["partitions"], line["replayed"], line["remaining"]) == ([0], 20_000, 80_000)
    assert line["records_per_second"] == 1_000


def test_one_that_goes_down_a_rung_has_more_to_do() -> None:
    """It begins again at a lower offset; nothing is done twice as fast for that, and nothing less than not at all."""
    replay = Replaying(a=100)
    replay.after(0, a=50)
    replay.after(10, a=60)
    (line,) = replay.after(10, a=20)
    assert (line["percent"], line["replayed"], line["remaining"], line["seconds_left"]) == (0, 0, 80, None)
    (line,) = replay.after(10, a=60)
    assert (line["percent"], line["replayed"], line["remaining"], line["seconds_left"]) == (50, 40, 40, 10)


def test_where_nothing_moves_no_time_is_promised() -> None:
    """A broker that does not answer, say."""
    replay = Replaying(a=100)
    replay.after(0, a=50)
    (line,) = replay.after(10)
    assert (line["replayed"], line["remaining"], line["seconds_left"]) == (0, 50, None)


def test_the_next_replay_begins_anew() -> None:
    """After a quiet time the clock starts with the next replay."""
    replay = Replaying(a=100)
    replay.after(0, a=0)
    kept = dict(replay.all)
    replay.all.clear()
    assert replay.after(60) == []
    replay.all.update(kept)
    assert replay.after(60, a=10) == []
    (line,) = replay.after(10, a=30)
    assert line["replayed"] == 20


def test_a_display_that_wants_more_gets_more() -> None:
    """As often as it says, with the speed of the last ten seconds; and it hears of the end."""
    kept = Kept()
    replay = Replaying(kept, a=10_000)
    for step in range(60):
        replay.after(0.25, a=25 * step if step < 40 else 1_000)
    assert len(kept.moments) == 29  # 14.75 s
    assert [moment.rate for moment in kept.moments[:19]] == [100] * 19
    assert kept.moments[-1] == Moment([0], 1_000, 9_000, (1_000 - 450) / 10)
    assert kept.ends == 0
    replay.arrives("a")
    replay.after(0.1)
    replay.after(0.1)
    assert kept.ends == 1


def test_all_is_done_only_when_it_is() -> None:
    """99.9% is 99%; of nothing, all is done."""
    assert [Moment([], done, 1_000 - done, 0.0).percent for done in (0, 9, 10, 999, 1_000)] == [0, 0, 1, 99, 100]
    assert Moment([], 0, 0, 0.0).percent == 100


def test_the_loop_asks_while_it_replays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that goes down a rung replays, and gives it the word; when all is live it hears of that, too."""
    asked: list[int] = []

    def turn(progress: ReplayProgress) -> None:
        asked.append(len(progress._assignment.in_phase(Phase.REPLAYING)))

    monkeypatch.setattr(ReplayProgress, "turn", turn)
    shop.spoil(60)
    shop.grow(80)
    shop.run()
    assert 1 in asked
    assert asked[-1] == 0
