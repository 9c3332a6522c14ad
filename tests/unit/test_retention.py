"""Retention while checkpoints fail: the worker stops while a restart can still replay, and never once it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumer.assigned import Phase
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.store import StoreError
from consumer.errors import CheckpointsError, RetryError
from consumer.retention import RetentionWatch
from tests.scripted import ScriptedConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumer.checkpoint.envelope import Data
    from consumer.checkpoint.store import CheckpointName
    from tests.scripted import Shop


class Retention:
    """A disk that is full, and a log whose start moves whenever the worker asks for it."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, starts: list[int | Exception]) -> None:
        self.shop = shop
        self.starts: Iterator[int | Exception] = iter(starts)
        self.asked = 0
        self.when_asked: Callable[[int], None] = lambda _asked: None
        monkeypatch.setattr(ScriptedConnection, "log_range", self._log_range)
        self.is_full = True
        write = DirectoryStore.write

        def on_this_disk(store: DirectoryStore, name: CheckpointName, data: Data) -> None:
            if self.is_full:
                raise StoreError("cannot write a checkpoint: No space left on device")
            write(store, name, data)

        monkeypatch.setattr(DirectoryStore, "write", on_this_disk)

    def _log_range(self, _partition: int, *, cached: bool = False) -> tuple[int, int]:
        log = self.shop.log
        if not cached and self.shop.worker._assignment.in_phase(Phase.LIVE):
            self.asked += 1
            start = next(self.starts)
            self.when_asked(self.asked)
            if isinstance(start, Exception):
                raise start
            log.first = start
        return log.first, len(log.records)


def test_the_worker_stops_before_retention_takes_what_a_restart_needs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, truth: Callable[[int], list[bytes]]
) -> None:
    """Seen to move by 25, the log's start may pass the checkpoint at 60 with its next step: the restart still works."""
    shop.grow(80)
    retention = Retention(shop, monkeypatch, [0, 25, 50])
    with pytest.raises(CheckpointsError) as raised:
        shop.run(end=1_000, checkpoint_interval_seconds=1)
    assert retention.asked == 3
    reason = str(raised.value)
    assert "would replay from offset 60" in reason
    assert "has reached offset 50" in reason
    assert "No space left on device" in reason
    assert "raise the input topic's retention" in reason

    monkeypatch.undo()
    shop.grow(100)
    assert shop.run() == truth(100)
    assert shop.restores() == {"checkpoint": 1}


def test_too_late_to_stop_it_goes_on_and_a_checkpoint_saves_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, truth: Callable[[int], list[bytes]]
) -> None:
    """Once the records are gone, a stop loses the state: it says so once and goes on, and a checkpoint saves it."""
    expected = truth(80)
    shop.grow(80)
    retention = Retention(shop, monkeypatch, [0, 70, 70, 70])

    def heal(asked: int) -> None:
        if asked == 4:
            retention.is_full = False
            shop.worker.stop()

    retention.when_asked = heal
    assert shop.run(end=1_000, checkpoint_interval_seconds=1) == expected
    assert shop.line("replay_impossible") == {
        "event": "replay_impossible",
        "log_level": "error",
        "partition": 0,
        "needed": 60,
        "log_start": 70,
    }
    assert shop.reference().checkpoint_offset == 80


def test_nothing_is_asked_while_checkpoints_succeed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A healthy store costs the broker no question, and a broker that does not answer is asked again."""
    shop.grow(80)
    retention = Retention(shop, monkeypatch, [])
    retention.is_full = False
    shop.run(checkpoint_interval_seconds=1)
    assert retention.asked == 0

    shop.grow(100)
    retention.is_full = True
    retention.starts = iter([RetryError("no answer"), 0, 0])
    retention.when_asked = lambda asked: shop.worker.stop() if asked == 3 else None
    shop.run(end=1_000, checkpoint_interval_seconds=1)
    assert retention.asked == 3
    assert "retry" in shop.events()


def test_the_watch_judges_by_the_largest_step() -> None:
    """No step, no judgement; a small step after a large one does not calm it; what is gone is no longer near."""
    watch = RetentionWatch()
    assert not watch.is_next_step_too_far(10)
    assert not watch.has_passed(10)
    for start, near, gone in ((0, False, False), (0, False, False), (30, False, False), (31, False, False)):
        watch.note(start)
        assert (watch.is_next_step_too_far(100), watch.has_passed(100)) == (near, gone)
    watch.note(70)
    assert watch.is_next_step_too_far(100)
    watch.note(101)
    assert (watch.is_next_step_too_far(100), watch.has_passed(100)) == (False, True)
