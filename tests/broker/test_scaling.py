"""The instruments of scaling on a real broker: a backlog that appears at once, and workers that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.scaling.backlog import Backlog
from benchmarks.scaling.turn import Track
from benchmarks.shop import valid_transactions
from tests.kafka import read_all, wait_until_stable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kafka import Broker
    from tests.stage import Stage

pytestmark = pytest.mark.broker


def test_a_backlog_is_read_once_it_is_released(new_stage: Callable[..., Stage]) -> None:
    """Not before, however long the workers wait; then all of it."""
    stage = new_stage()
    backlog = Backlog(stage.bootstrap_servers, stage.input)
    backlog.add(valid_transactions(500))
    assert sum(map(len, read_all(stage.bootstrap_servers, stage.input).values())) == 0
    backlog.release()
    wait_until_stable(stage.bootstrap_servers, stage.input)
    assert sum(map(len, read_all(stage.bootstrap_servers, stage.input).values())) == 500


@pytest.mark.deep
def test_one_and_two_workers_do_the_same_work(broker: Broker, tmp_path: Path) -> None:
    """Each event has one prediction, the same whoever made it; the span and the cores are measured."""
    track = Track(broker.bootstrap_servers, tmp_path, list(valid_transactions(2_000)))
    for workers in (1, 2):
        found = track.turn(workers)
        assert (found.workers, found.events) == (workers, 1_600)
        assert 0 < found.seconds < 60
        assert 0 < found.workers_cpu < 60
