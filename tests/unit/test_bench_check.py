"""`make bench-check`: ratios against recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.bench.check import LEAST_SHARE, WATCHED, main, ratios_of, report
from tests.canned_bench import RATES, round_at

if TYPE_CHECKING:
    from pathlib import Path


def test_ratios_are_those_within_a_round() -> None:
    """A round in which the machine was slow counts like any other."""
    ratios = ratios_of([round_at(1.0), round_at(0.1), round_at(3.0)])
    assert ratios == {each.name: pytest.approx(RATES[each.name] / RATES["bare"]) for each in WATCHED}


@pytest.mark.parametrize(("share", "code"), [(1.3, 0), (LEAST_SHARE + 0.01, 0), (LEAST_SHARE - 0.01, 1)])
def test_a_fifth_slower_is_red(share: float, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ratio is printed beside what was recorded and what it must be."""
    recorded = {each.name: 1.0 for each in WATCHED}
    ratios = recorded | {WATCHED[-1].name: share}
    assert report(ratios, recorded) == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(WATCHED)
    assert lines[-1].endswith("SLOWER" if code else "ok")


def test_nothing_recorded_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that records."""
    monkeypatch.setattr("benchmarks.bench.check.RECORDED", tmp_path / "none.json")
    assert main([]) == 2
    assert "RECORD=1" in capsys.readouterr().err
