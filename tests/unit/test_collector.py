"""The collector of cycles and the models: set aside as they come, looked at again once most have gone."""

from __future__ import annotations

import gc

import pytest

from consumer.collector import Collector


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the collector, which does none of it."""
    made: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: made.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: made.append("unfreeze"))
    return made


def test_models_are_set_aside_as_they_come(calls: list[str]) -> None:
    """Each thousand once; a few that leave change nothing, a partition that goes does."""
    collector = Collector()
    told = []
    for models in (0, 999, 1_000, 1_001, 1_999, 2_000, 1_500, 2_999, 5_000, 2_400, 2_400, 100, 1_000):
        before = len(calls)
        collector.settle(models)
        told.append((models, calls[before:]))
    assert [each for each in told if each[1]] == [
        (1_000, ["freeze"]),
        (2_000, ["freeze"]),
        (5_000, ["freeze"]),
        (2_400, ["unfreeze", "freeze"]),
        (100, ["unfreeze"]),
        (1_000, ["freeze"]),
    ]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_pause_ends_as_it_began(calls: list[str], *, is_enabled: bool) -> None:
    """Whatever is raised within; one that was off stays off."""
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        seen: list[bool] = []
        with pytest.raises(IndexError), Collector().pausing():
            seen.append(gc.isenabled() or seen[0])
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert calls == []
