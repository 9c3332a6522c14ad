"""`make demo-recovery` on a real broker: zeros where the worker is right, and red where it is not."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.recovery_demo.demonstration import demonstrate
from benchmarks.recovery_demo.views import JsonView
from tests.edits import REPLAY_SKIPPED, edited_copy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

pytestmark = pytest.mark.broker


def test_kills_leave_no_trace(broker: Broker, tmp_path: Path) -> None:
    """Three kills, zeros, exit code 0; each kill and restart was told as it happened."""
    out = io.StringIO()
    summary = demonstrate(broker, tmp_path, kills=3, seed=1, rate=2_000, view=JsonView(out))
    assert summary.verdict == "PASSED: 3 kills, and nothing was lost, doubled or differing."
    assert summary.exit_code == 0
    events = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert events.count("kill") == 3
    assert (events.count("start"), events.count("restart")) == (1, 3)
    for told in ("first_prediction", "replay", "live", "checkpoints", "input_ends", "stopped"):
        assert told in events
    assert events[-1] == "summary"


@pytest.mark.deep
def test_a_worker_that_skips_its_replay_is_seen(broker: Broker, tmp_path: Path) -> None:
    """The counts turn red, while it runs, where a restarted worker predicts from a model that lacks events."""
    root = edited_copy(tmp_path / "mutant", REPLAY_SKIPPED)
    out = io.StringIO()
    summary = demonstrate(broker, tmp_path, kills=3, seed=1, rate=2_000, view=JsonView(out), root=root)
    assert summary.exit_code == 1
    assert summary.snapshot.counts["prediction"].differing > 0
    assert "wrong" in [json.loads(line)["event"] for line in out.getvalue().splitlines()]
