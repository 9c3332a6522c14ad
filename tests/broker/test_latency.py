"""The latency's instruments on a real broker: each event sent has one prediction that was read, after it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.latency import turn
from benchmarks.latency.setting import Setting
from benchmarks.latency.turn import take_turn
from consumer.settings import Guarantee

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("guarantee", list(Guarantee))
def test_a_short_turn(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarantee: Guarantee) -> None:
    """Every event is answered once, and none before it was sent."""
    monkeypatch.setattr(turn, "WARM_UP_SECONDS", 0.5)
    setting = Setting(200, guarantee, 50 if guarantee is Guarantee.EXACTLY_ONCE else None)
    found = take_turn(broker.bootstrap_servers, tmp_path, setting, seconds=1.0, seed=1)
    assert found.events == 300
    assert 0 < found.measured < 300
    assert (found.lost, found.doubled, found.unknown) == (0, 0, 0)
    assert 0 < found.p50 <= found.p99 <= found.p999 <= found.longest < 60_000
