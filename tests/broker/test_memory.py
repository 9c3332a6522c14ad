"""The instruments of `make show NAME=memory` on a real broker: one small life, looked at from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.memory.life import Life
from benchmarks.memory.runs import enlarge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

pytestmark = [pytest.mark.broker, pytest.mark.deep]


def test_a_state_grows_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    """A model for each item: few, then many, checkpoints under load, a restart that replays nothing."""
    settings = {"MODEL_SCOPE": "item", "SEEN_IDS": "1000", "CHECKPOINT_INTERVAL_SECONDS": "0.3"}
    with Life(broker.bootstrap_servers, tmp_path, 1, time.monotonic() + 150, **settings) as life:
        found = enlarge(life, many=200, warm=20_000, checkpoints=3, lead=60_000, is_accelerated=False)
        assert life.stage.ends(isolation="read_uncommitted") == {0: life.till.end + 1}
    assert (found.few, found.many) == (20, 200)
    assert len(found.load.pauses_ms) >= 3
    assert all(pause > 0 for pause in found.load.pauses_ms)
    assert found.load.least_waiting > 0
    assert found.many_checkpoint > found.few_checkpoint > 0
    assert min(found.few_rest, found.many_rest, found.restored.resident_bytes) > 1 << 20
    assert 0 < found.restored.restore_seconds < found.restored.start_seconds < 60
    assert found.restored.replayed == 0
