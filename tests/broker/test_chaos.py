"""`make chaos` on brokers of its own: zeros where the worker is right, red where it is not, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.chaos.plan import Fault, Kind, Track
from benchmarks.chaos.segment import Scenario, Segment
from tests.edits import REPLAY_SKIPPED, edited_copy
from tests.kafka import BrokerUnavailableError, wait_until
from tests.kafka.jars import Installation, find_installation
from tests.stage import ROOT

if TYPE_CHECKING:
    from benchmarks.chaos.tally import Tally

pytestmark = [pytest.mark.broker, pytest.mark.deep, pytest.mark.timeout(300)]

KILLS = [
    Track("worker-0", [Fault(1.0, Kind.KILL, 0.5, 0.5, 0), Fault(8.0, Kind.KILL, 0.5, 0.5, 0)]),
    Track("worker-1", [Fault(4.0, Kind.KILL_IN_RECOVERY, 0.5, 0.5, 1)]),
]
OTHERS = [
    Track("worker-2", [Fault(2.0, Kind.ZOMBIE, 0.5, 0.5, 2)]),
    Track("group", [Fault(0.5, Kind.JOIN, 4.0, 0.5, 0)]),
    Track("connections", [Fault(6.0, Kind.CUT, 0.5, 1.0, 0), Fault(25.0, Kind.HALF_OPEN, 6.0, 1.0, 0)]),
    Track("disk", [Fault(5.0, Kind.DELETED, 0.5, 0.5, 1)]),
    Track("broker", [Fault(10.0, Kind.BROKER_KILL, 0.5, 0.5, 0)]),
]


@pytest.fixture(scope="module")
def installation() -> Installation:
    """What brokers run from; without it these tests skip, and fail in CI."""
    try:
        return find_installation()
    except BrokerUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def burn(installation: Installation, directory: Path, tracks: list[Track], **changed: Any) -> Tally:
    scenario = Scenario(seed=1, nodes=1, rate=1_000, seconds=15.0, **changed)
    return Segment(scenario, 0, tracks, directory=directory / "run", installation=installation, say=print).run()


def test_faults_leave_no_trace(installation: Installation, tmp_path: Path) -> None:
    """One of each sort, felt; every output is there once and right, and so are the final states."""
    tally = burn(installation, tmp_path, KILLS + OTHERS)
    assert (tally.findings, tally.wrong) == ([], 0)
    assert tally.equal > 10_000
    assert tally.states == 6
    for kind in (Kind.ZOMBIE, Kind.JOIN, Kind.LEAVE, Kind.CUT, Kind.DELETED, Kind.BROKER_KILL):
        assert tally.faults.get(kind.value) == 1, tally
    # On a busy machine the workers are still away when it comes, and it strikes connections that carry nothing.
    assert (tally.faults | tally.without_effect).get(Kind.HALF_OPEN.value) == 1, tally
    assert tally.number((Kind.KILL, Kind.KILL_IN_RECOVERY)) >= 3
    assert set(tally.recoveries) >= {kind.value for kind in (Kind.KILL, Kind.ZOMBIE, Kind.LEAVE, Kind.BROKER_KILL)}


def test_a_worker_that_skips_its_replay_is_seen(installation: Installation, tmp_path: Path) -> None:
    """A worker that goes on from a checkpoint without what came after it turns the run red."""
    root = edited_copy(tmp_path / "mutant", REPLAY_SKIPPED)
    tally = burn(installation, tmp_path, KILLS, root=root, patience=20.0)
    assert tally.differing > 0
    assert tally.wrong > 0
    assert any("differs in value" in finding for finding in tally.findings)


def test_told_to_stop_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM in the middle of a run ends brokers, workers and the shop, and unmounts what was mounted."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--minutes", "1", "--seed", "1"]
    environment = {**os.environ, "CHAOS_TEST": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with (tmp_path / "out").open("w+") as out:
        run = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: "input flows" in (tmp_path / "out").read_text(), 120, "the run to be under way")
            assert len(children(tmp_path)) >= 5  # a broker, three workers, a shop
            run.send_signal(signal.SIGTERM)
            assert run.wait(90) == 130
        finally:
            run.kill()
    wait_until(lambda: not children(tmp_path), 10, "everything to be gone")
    told = (tmp_path / "out").read_text()
    assert "interrupted; 0 of 1 segments are done" in told
    place = told.split("kept in ", 1)[1].split(";", 1)[0]
    assert place not in Path("/proc/mounts").read_text()


def children(mark: Path) -> list[str]:
    """Return the processes whose environment names a directory, zombies left out."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(mark).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
