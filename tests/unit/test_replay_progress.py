"""A replay that takes long says how far it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import capture_logs

from consumer.assigned import Phase
from consumer.replay_progress import ReplayProgress

if TYPE_CHECKING:
    import pytest

    from tests.scripted import Shop


class Replaying:
    """Partitions on their way from an offset to their goal."""

    def __init__(self, **goals: int) -> None:
        self.now = 100.0
        self.all = {
            name: Partition(partition=number, state=Offset(), destination=SimpleNamespace(offset=goal))
            for number, (name, goal) in enumerate(goals.items())
        }
        self.progress = ReplayProgress(self, structlog.get_logger(), lambda: self.now)  # type: ignore[arg-type]

    def in_phase(self, _: object) -> list[Any]:
        return list(self.all.values())

    def after(self, seconds: float, **offsets: int) -> list[Any]:
        """Let time and the replays go on; return what is told."""
        self.now += seconds
        for name, offset in offsets.items():
            self.all[name].state.next_offset = offset
        with capture_logs() as lines:
            self.progress.turn()
        return lines


class Offset:
    """A task, as far as a replay goes."""

    next_offset = 0


class Partition(SimpleNamespace):
    """An assigned partition, which is a key."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # its base has none


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
        "replayed": 15_000,
        "remaining": 95_000,
        "records_per_second": 1_500,
        "seconds_left": 63,
    }
    assert replay.after(5, a=12_000) == []
    (line,) = replay.after(5, a=20_000, b=50_000)
    assert told(line) | {"partitions": []} == {
        "partitions": [],
        "replayed": 30_000,
        "remaining": 80_000,
        "records_per_second": 1_500,
        "seconds_left": 53,
    }


def test_one_that_is_live_is_no_longer_counted() -> None:
    """What is left is what the others have left."""
    replay = Replaying(a=100_000, b=50_000)
    replay.after(0, a=0, b=0)
    replay.after(10, a=10_000, b=50_000)
    del replay.all["b"]
    (line,) = replay.after(10, a=20_000)
    assert (line["partitions"], line["replayed"], line["remaining"]) == ([0], 20_000, 80_000)
    assert line["records_per_second"] == 1_000


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


def test_the_loop_asks_while_it_replays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that goes down a rung replays, and gives it the word; one that need not, hardly does."""
    asked: list[int] = []

    def turn(progress: ReplayProgress) -> None:
        asked.append(len(progress._assignment.in_phase(Phase.REPLAYING)))

    monkeypatch.setattr(ReplayProgress, "turn", turn)
    shop.spoil(60)
    shop.grow(80)
    shop.run()
    assert 1 in asked
