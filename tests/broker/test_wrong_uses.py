"""The ten wrong uses, done on the real broker as `make show NAME=wrong-uses` does them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.demonstrations import wrong_uses
from benchmarks.figures import Report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker


@pytest.mark.broker
@pytest.mark.deep
@pytest.mark.timeout(600)
def test_every_wrong_use_ends_as_documented(broker: Broker, tmp_path: Path) -> None:
    """In time, with its exit code and one sentence that says what to do."""
    report = Report("wrong-uses", seed=wrong_uses.SEED)
    wrong_uses.demonstrate(report, broker, tmp_path)
    assert [ended for ended in report.counts["endings"] if ended["faults"]] == []
    assert report.is_met
