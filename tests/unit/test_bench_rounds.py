"""The benchmark's rounds: everybody's turn in each, an order drawn from a seed, and how quiet the machine was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.bench import ROOT
from benchmarks.bench.calibration import Calibration, calibrate, far_off
from benchmarks.bench.outcome import DEFAULT_EVENTS
from benchmarks.bench.roster import BARE, CONTENDERS, LINEAR
from benchmarks.bench.rounds import TimeLeft, run_rounds
from benchmarks.bench.stopwatch import Stopwatch, peak_bytes
from benchmarks.bench.verification import VerificationError
from tests.canned_bench import BUSY, QUIET, outcome, round_at, run_at

if TYPE_CHECKING:
    from benchmarks.bench.arena import Run
    from benchmarks.bench.roster import Contender


class Silent:
    """A watcher who remembers the order."""

    def __init__(self) -> None:
        self.order: list[tuple[int, str]] = []

    def begins(self, number: int, contender: Contender, seconds_left: float | None) -> None:
        assert (seconds_left is None) is (not self.order)
        self.order.append((number, contender.name))

    def ended(self, number: int, contender: Contender, run: Run) -> None:
        assert self.order[-1] == (number, contender.name)
        assert run.events == DEFAULT_EVENTS


def ordered(seed: int) -> list[tuple[int, str]]:
    """The turns of four rounds."""
    watcher = Silent()
    rounds, calibrations = run_rounds(
        CONTENDERS, lambda _: run_at(1000), rounds=4, seed=seed, watcher=watcher, calibration=lambda: QUIET
    )
    assert [name for each in rounds for name in each.runs] == [name for _, name in watcher.order]
    assert len(calibrations) == 5
    return watcher.order


def test_everybody_has_one_turn_in_each_round() -> None:
    """Alternating: what the machine does to one it does to all, and nobody always follows the same one."""
    order = ordered(seed=1)
    turns = Counter(order)
    assert set(turns.values()) == {1}
    assert len(turns) == 4 * len(CONTENDERS)
    assert [number for number, _ in order] == sorted(number for number, _ in order)
    assert len({tuple(name for each, name in order if each == number) for number in range(4)}) > 1


def test_the_order_is_the_seeds() -> None:
    """A run can be repeated as it was."""
    assert ordered(seed=1) == ordered(seed=1) != ordered(seed=2)


def test_a_failed_check_ends_the_run() -> None:
    """No round is kept once a contender did other work."""

    def turn(contender: Contender) -> Run:
        if contender is LINEAR:
            raise VerificationError("it lost one")
        return run_at(1000)

    with pytest.raises(VerificationError, match="it lost one"):
        run_rounds(CONTENDERS, turn, rounds=2, seed=1, watcher=Silent(), calibration=lambda: QUIET)


def test_the_time_left_goes_by_what_was_measured() -> None:
    """Each turn like its contender's last one; one that nobody has seen yet like the mean of the others."""
    left = TimeLeft(["slow", "fast", "new", "slow", "fast", "new"])
    assert left.seconds() is None
    left.add("slow", 10.0)
    assert left.seconds() == pytest.approx(5 * 10.0)
    left.add("fast", 2.0)
    assert left.seconds() == pytest.approx(10.0 + 2.0 + 2 * 6.0)
    left.add("new", 1.0)
    assert left.seconds() == pytest.approx(13.0)


# How quiet it was


@pytest.mark.parametrize(
    ("rates", "off"),
    [
        ((100, 100, 100, 100), []),
        ((100, 90.1, 100, 95), []),
        ((100, 89, 100, 100), [0, 1]),
        ((100, 100, 100, 50), [2]),
        ((50, 100, 100, 100), [0]),
        ((50, 100, 50, 100), [0, 1, 2]),
    ],
)
def test_the_rounds_beside_a_slow_calibration_lie_far_off(rates: tuple[float, ...], off: list[int]) -> None:
    """More than a tenth below the run's best: the round before and the one after it are flagged, and no other."""
    assert far_off([Calibration(rate=rate, share=1.0, load=0.0) for rate in rates]) == off


def test_a_flagged_round_is_left_out_of_the_medians() -> None:
    """It stays among the rounds, with its calibrations; what a disturbed machine did is no figure of anyone's."""
    steady, disturbed = round_at(1.0), round_at(0.1)
    found = outcome([steady, disturbed, steady, steady], [QUIET, QUIET, BUSY, QUIET, QUIET])
    assert found.far_off == [1, 2]
    assert len(found.rounds) == 4
    assert {row.name: row.rate.lowest for row in found.rows}["bare"] == pytest.approx(100_000)
    assert found.doubts() == ["2 of 4 rounds were undisturbed, expected at least 3"]


def test_where_every_round_is_flagged_the_table_still_has_them() -> None:
    """A quick look on a busy machine shows something; it is not claimed."""
    found = outcome([round_at(1.0)], [BUSY, QUIET])
    assert found.far_off == [0]
    assert found.rows[0].rate.median == pytest.approx(100_000)
    assert found.doubts()


@pytest.mark.parametrize(("share", "is_quiet"), [(1.0, True), (0.95, True), (0.949, False), (0.5, False)])
def test_a_machine_is_quiet_where_nothing_takes_its_cores(share: float, is_quiet: bool) -> None:
    """One busy process on two cores takes a third of two spin loops' time."""
    assert Calibration(rate=1.0, share=share, load=9.0).is_quiet is is_quiet


def test_a_calibration_spins_on_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates add up over the cores; a share is one of all of their time."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = calibrate(0.05)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    three = calibrate(0.05)
    assert one.rate > 0
    assert three.rate > 0
    assert 0 < one.share <= 1.05
    assert 0 < three.share <= 1.05


def test_the_share_falls_when_loops_outnumber_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four loops a core get a quarter of it each, as beside three other busy processes: that is seen."""
    loops = 4 * (os.cpu_count() or 1)
    monkeypatch.setattr("os.cpu_count", lambda: loops)
    assert not calibrate(0.3).is_quiet


# The contender's side


def test_the_stopwatch_reports_one_span(capsys: pytest.CaptureFixture[str]) -> None:
    """From the first start to the stop, in wall-clock and CPU seconds of this process."""
    stopwatch = Stopwatch()
    stopwatch.start()
    began = stopwatch._began
    sum(range(300_000))
    stopwatch.start()
    assert stopwatch._began == began
    stopwatch.stop(events=7)
    report = json.loads(capsys.readouterr().out)
    assert report["events"] == 7
    assert 0 < report["cpu_seconds"] <= report["seconds"] * 1.5
    assert report["peak_bytes"] > 10_000_000


def test_a_stopwatch_that_never_started_reports_nothing() -> None:
    """A contender that saw no event has no rate."""
    with pytest.raises(RuntimeError, match="never started"):
        Stopwatch().stop(events=0)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has this trap, and VmHWM out of it")
def test_a_small_process_looks_small_beside_a_large_parent() -> None:
    """Linux counts the parent's memory into a child's `ru_maxrss`: the harness holds the input, contenders do not."""
    held = bytearray(300_000_000)
    code = "from benchmarks.bench.stopwatch import peak_bytes; print(peak_bytes())"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert peak_bytes() > len(held) > 2 * int(child.stdout)


# The summary


def test_medians_spreads_and_ratios() -> None:
    """The ratio is to the bare loop of the same round: a slow minute that hits both leaves it as it is."""
    found = {row.name: row for row in outcome([round_at(1.0), round_at(0.5), round_at(0.9)]).rows}
    worker = found[LINEAR.name]
    assert (worker.rate.median, worker.rate.lowest, worker.rate.highest) == pytest.approx((54_000, 30_000, 60_000))
    assert (worker.ratio.median, worker.ratio.lowest, worker.ratio.highest) == pytest.approx((0.6, 0.6, 0.6))
    assert (worker.cpu_us.median, worker.cpu_us.lowest) == pytest.approx((1e6 / 54_000, 1e6 / 60_000))
    assert worker.peak_mb.median == pytest.approx(200)
    assert found[BARE.name].ratio.median == 1.0


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"at_start": BUSY}, "the machine was not quiet: its cores gave a spin loop 50% of their time"),
        ({"events": DEFAULT_EVENTS - 1}, "499,999 events, expected at least 500,000"),
        ({"left_out": {"bytewax": "bytewax could not be installed: no wheel"}}, "left out: bytewax could not be"),
    ],
)
def test_what_may_not_be_claimed_says_why(changed: dict[str, Any], doubt: str) -> None:
    """A figure measured under load, over too little, or without everybody is not written into the repository."""
    assert outcome().doubts() == []
    (found,) = outcome(**changed).doubts()
    assert found.startswith(doubt)
