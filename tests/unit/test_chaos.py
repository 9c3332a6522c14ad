"""The parts of `make chaos`: what is planned, what is measured, what is added up."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos.crew import Crew, Life, Record
from benchmarks.chaos.disk import CheckpointDisk
from benchmarks.chaos.guard import Guard
from benchmarks.chaos.plan import (
    BROKER,
    CLUSTER,
    CONNECTION,
    DISK,
    SINGLE,
    STORE,
    WORKER,
    Kind,
    Track,
    leader_freeze,
    numbers,
    plan_segment,
)
from benchmarks.chaos.recoveries import Recoveries
from benchmarks.chaos.run import Orders, Run, orders_in, rates_of
from benchmarks.chaos.states import FinalState, content_digest, unequal
from benchmarks.chaos.tally import GROUPS, Tally, read_tally, total
from consumer.errors import ExitCode
from tests.core import model_sections
from tests.kafka.cluster import Ports, distinct_ports, node_properties

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def planned(segment: int, segments: int = 10, *, seed: int = 7, minutes: float = 30.0) -> list[Track]:
    counts = numbers(SINGLE, minutes, segment, segments)
    return plan_segment(seed, segment, counts, 60 * minutes / segments, 3)


# The plan


def test_thirty_minutes_hold_what_must_be_shown_with_a_third_to_spare() -> None:
    """The plan's numbers, summed over the segments, reach the demonstration's bounds by construction."""
    counts = Counter[Kind]()
    for segment in range(10):
        counts.update(fault.kind for track in planned(segment) for fault in track.faults)
    # A kill in recovery comes after a kill of its own; who joins leaves again.
    kills = counts[Kind.KILL] + 2 * counts[Kind.KILL_IN_RECOVERY]
    assert kills >= 133
    assert counts[Kind.KILL_IN_RECOVERY] * 3 >= kills
    assert counts[Kind.ZOMBIE] + counts[Kind.REPLACED] >= 27
    assert 2 * counts[Kind.JOIN] >= 40
    assert counts[Kind.BROKER_KILL] >= 13
    assert counts[Kind.BROKER_FREEZE] >= 13
    assert sum(counts[kind] for kind in CONNECTION) >= 67
    assert all(counts[kind] for kind in Kind if kind is not Kind.LEAVE)


@given(
    minutes=st.floats(0.1, 60),
    segments=st.integers(1, 30),
    rates=st.dictionaries(st.sampled_from(Kind), st.floats(0, 9)),
)
def test_segments_share_the_faults_without_remainder(
    minutes: float, segments: int, rates: Mapping[Kind, float]
) -> None:
    """However a run is cut, its segments together have rate times minutes, and none has fewer than none."""
    each = [numbers(rates, minutes, number, segments) for number in range(segments)]
    for kind, rate in rates.items():
        assert abs(sum(counts[kind] for counts in each) - rate * minutes) <= 0.5 + 1e-6
        assert all(counts[kind] >= 0 for counts in each)


def test_a_seed_gives_the_same_plan_again() -> None:
    """A run is repeated by its seed; other seeds and other segments have other plans."""
    assert planned(0) == planned(0)
    assert planned(0) != planned(0, seed=8)
    assert planned(0) != planned(1)


def test_faults_come_in_order_within_their_segment() -> None:
    """No fault is due after the segment's end, or before one that precedes it on its track."""
    for segment in range(10):
        for track in planned(segment):
            moments = [fault.at for fault in track.faults]
            assert moments == sorted(moments)
            assert moments[0] > 0
            assert moments[-1] < 180
            assert all(0 < fault.share <= 1 for fault in track.faults)


def test_a_workers_track_strikes_that_worker() -> None:
    """What is aimed at one worker comes one after the other: no two hands hold it at once."""
    tracks = {track.name: track for track in planned(0)}
    for number in range(3):
        assert {fault.target for fault in tracks[f"worker-{number}"].faults} == {number}
        assert {fault.kind for fault in tracks[f"worker-{number}"].faults} <= set(WORKER)
    assert {fault.kind for fault in tracks["broker"].faults} <= set(BROKER)


def test_a_broker_is_frozen_for_5_to_45_seconds() -> None:
    """Long and short freezes occur; in a cluster none is longer than the others need to elect a leader."""
    freezes = [
        fault
        for seed in range(20)
        for segment in range(10)
        for track in planned(segment, seed=seed)
        for fault in track.faults
        if fault.kind is Kind.BROKER_FREEZE
    ]
    assert 5 <= min(fault.seconds for fault in freezes) < 6
    assert 43 < max(fault.seconds for fault in freezes) <= 45
    assert max(leader_freeze(fault).seconds for fault in freezes) == 20


def test_the_cluster_has_its_brokers_fail_most() -> None:
    """Ten minutes with three brokers roll through all of them more than twice, and freeze leaders."""
    counts = numbers(CLUSTER, 10, 0, 1)
    assert counts[Kind.BROKER_KILL] >= 9
    assert counts[Kind.BROKER_FREEZE] >= 3


def test_a_store_has_its_own_faults() -> None:
    """A directory's disk fills up and rots, a bucket fails to answer; neither has the other's faults."""
    directory, bucket = rates_of(Orders(30, 1)), rates_of(Orders(30, 1, store="s3"))
    assert {kind for kind in directory if kind in STORE} == set(DISK)
    assert {kind for kind in bucket if kind in STORE} == {Kind.STORE}
    assert directory[Kind.KILL] == bucket[Kind.KILL]
    assert rates_of(Orders(10, 1, nodes=3))[Kind.BROKER_KILL] > directory[Kind.BROKER_KILL]


# Recoveries


class Hands:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_recovery_lasts_until_every_partition_has_news() -> None:
    """Predictions for what was there before do not end it, nor do those of other partitions."""
    clock = Hands()
    recoveries = Recoveries(clock)
    clock.now = 10.0
    recoveries.begin(Kind.KILL, {0: 100, 1: 50, 2: 7}, {0, 1})
    clock.now = 11.0
    recoveries.arrived(0, 99)  # read late, but published before
    recoveries.arrived(2, 500)
    recoveries.arrived(1, 50)
    assert recoveries.pending == 1
    clock.now = 13.5
    recoveries.arrived(0, 120)
    assert recoveries.pending == 0
    assert recoveries.seconds() == {"worker killed": [3.5]}


def test_recoveries_overlap() -> None:
    """One prediction may end several, each from its own moment."""
    clock = Hands()
    recoveries = Recoveries(clock)
    recoveries.begin(Kind.CUT, {0: 5}, {0})
    clock.now = 1.0
    recoveries.begin(Kind.ZOMBIE, {0: 6}, {0})
    clock.now = 3.0
    recoveries.arrived(0, 6)
    assert recoveries.seconds() == {"connections cut": [3.0], "worker frozen past its session": [2.0]}


# The tally


def test_a_tally_is_read_back_as_written(tmp_path: Path) -> None:
    """An interrupted run goes on from what it has kept."""
    tally = Tally(faults={"worker killed": 3}, exits={"0": 3}, recoveries={"worker killed": [1.5]}, records=10, equal=9)
    tally.write(tmp_path / "segment-01.json")
    assert read_tally(tmp_path / "segment-01.json") == tally
    assert [path.name for path in tmp_path.iterdir()] == ["segment-01.json"]


def test_segments_add_up() -> None:
    """Counts are summed, the longest replay is the longest, and a finding says where it was made."""
    first = Tally(
        seconds=180,
        faults={"worker killed": 3},
        lost=1,
        longest_replay=9,
        findings=["one lost"],
        records=4,
        full_replays=2,
    )
    second = Tally(seconds=181, faults={"worker killed": 4, "broker killed": 1}, longest_replay=5, records=6)
    summed = total([first, second])
    assert (summed.seconds, summed.records, summed.lost, summed.longest_replay) == (361, 10, 1, 9)
    assert summed.full_replays == 2
    assert summed.number(GROUPS["worker kills"]) == 7
    assert summed.number(GROUPS["broker kills"]) == 1
    assert summed.findings == ["segment 1: one lost"]


@pytest.mark.parametrize("what", ["lost", "doubled", "differing", "unequal_states"])
def test_whatever_must_not_be_is_wrong(what: str) -> None:
    """Each count alone turns a run red."""
    assert Tally().wrong == 0
    tally = Tally()
    setattr(tally, what, 1)
    assert tally.wrong == 1


def test_only_exits_that_a_supervisor_mends_are_right() -> None:
    """A worker that ends with another code than those a restart is the cure for turns a run red."""
    assert Tally(exits={"0": 5, "6": 2, "8": 1, "9": 1, "13": 1}).wrong == 0
    for code in (ExitCode.UNEXPECTED, ExitCode.STATE, ExitCode.LOG_GAP, ExitCode.MODEL, -11):
        assert Tally(exits={str(int(code)): 1}).wrong == 1


def test_a_finding_alone_is_wrong() -> None:
    """What was found has no count of its own, as where the reader failed."""
    assert Tally(findings=["the reader failed"]).wrong == 1


def test_a_run_goes_on_from_its_finished_segments(tmp_path: Path) -> None:
    """Only whole segments count as finished."""
    run = Run(Orders(9.0, seed=1), tmp_path, tmp_path, print)
    assert run.orders.segments == 3
    Tally(records=5).write(tmp_path / "segment-02.json")
    (tmp_path / "segment-03.partial").write_text("{")
    assert list(run.finished()) == [1]
    assert orders_in(tmp_path) is None


def test_workers_end_with_a_run_that_is_killed() -> None:
    """What the guard holds is killed once the guard's input ends, as it does with the run's process."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Guard() as guard:
        guard.watch(worker.pid)
        assert worker.poll() is None
    assert worker.wait(5) == -signal.SIGKILL


def test_a_worker_that_was_removed_is_started_no_more(tmp_path: Path) -> None:
    """Not even by a supervisor that was on its way to it: nobody would ever end that one."""
    started = []

    def spawn(name: str, log: Path) -> Any:  # of a worker, what the crew looks at
        started.append(name)
        log.write_text("")
        return SimpleNamespace(log=log, process=SimpleNamespace(poll=lambda: 0, returncode=0, pid=1))

    crew = Crew([], spawn, tmp_path)
    slot = crew.add("extra")
    crew.remove(slot)
    slot.tend()
    assert started == ["extra"]
    assert crew.all() == []


# Workers' logs


def life_of(tmp_path: Path, text: str) -> Life:
    log = tmp_path / "worker.log"
    log.write_text(text)
    worker: Any = SimpleNamespace(log=log, process=SimpleNamespace(poll=lambda: None, returncode=6, pid=1))
    return Life(worker)


def test_a_life_follows_its_log(tmp_path: Path) -> None:
    """Which partitions are live is known line by line; half a line is left for later."""
    life = life_of(
        tmp_path,
        '{"event":"partitions_gained","partitions":[0,1,2]}\n{"event":"partition_live","partition":0,"offset":3}\n'
        '{"event":"checkpoint_restored","partition":1,"offset":10,"committed_offset":25}\nnot json\n{"event":"partit',
    )
    life.follow()
    assert (life.gained, life.live, life.longest_replay) == ({0, 1, 2}, {0}, 15)
    with life.worker.log.open("a") as log:
        log.write('ion_live","partition":1}\n{"event":"partitions_revoked","partitions":[0]}\n')
    life.follow()
    assert (life.gained, life.live) == ({1, 2}, {1})
    assert life.events["partition_live"] == 2


def test_a_rebuild_gives_everything_back(tmp_path: Path) -> None:
    """A worker that recovers works on nothing until it is live again; of which kind it was is counted."""
    life = life_of(
        tmp_path,
        '{"event":"partition_fresh","partition":0}\n{"event":"recovering","kind":"FencedError","reason":"x"}\n',
    )
    life.follow()
    assert life.live == set()
    assert life.events["recovering: FencedError"] == 1


def test_an_ended_life_is_entered_once(tmp_path: Path) -> None:
    """Supervisor and fault may both find it ended."""
    record, life = Record(), life_of(tmp_path, '{"event":"stopped"}\n')
    life.follow()
    record.enter(life)
    record.enter(life)
    assert record.exits == {6: 1}
    assert record.events == {"stopped": 1}


# Final states

SECTIONS = {"ledger": b"ledger", "progress": b"progress"}


def test_states_are_compared_by_content() -> None:
    """Whether two equal texts are one object says nothing about a state; a weight's last bit does."""
    name = "unit_cost"
    equal = name[:4] + name[4:]
    same, other = model_sections({"s": [name, name]}), model_sections({"s": [name, equal]})
    assert same != other
    assert content_digest({**SECTIONS, **same}) == content_digest({**SECTIONS, **other})
    almost = model_sections({"s": {"intercept": 0.1}}), model_sections({"s": {"intercept": 0.1 + 2**-56}})
    assert content_digest({**SECTIONS, **almost[0]}) != content_digest({**SECTIONS, **almost[1]})
    one, swapped = model_sections({"s": 1, "t": 2}), model_sections({"t": 2, "s": 1})
    assert content_digest({**SECTIONS, **one}) != content_digest({**SECTIONS, **swapped})
    assert content_digest({**SECTIONS, **one}) != content_digest({**SECTIONS, **one, "ledger": b"ledges"})


def test_unequal_states_are_told() -> None:
    """Every partition of the undisturbed group must be there, with the same state."""
    state = FinalState(10, 10, 10, "aa", "bb")
    assert unequal({0: state, 1: state}, {0: state, 1: state}) == []
    assert len(unequal({0: state}, {0: state, 1: state})) == 1
    (told,) = unequal({0: state._replace(chain="ab")}, {0: state})
    assert "partition 0" in told


# The cluster


def test_nodes_know_each_other() -> None:
    """Three nodes replicate everything to each other and write with two; each is reached through its front."""
    ports = [Ports(1, 2, 3, 4), Ports(11, 12, 13, 14), Ports(21, 22, 23, 24)]
    properties = node_properties(1, ports, "/data")
    assert properties["node.id"] == "2"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:4,2@127.0.0.1:14,3@127.0.0.1:24"
    assert "FRONT://127.0.0.1:12" in properties["listeners"]
    assert "FRONT://127.0.0.1:13" in properties["advertised.listeners"]
    assert properties["default.replication.factor"] == "3"
    assert properties["min.insync.replicas"] == properties["transaction.state.log.min.isr"] == "2"
    assert node_properties(0, ports[:1], "/data")["min.insync.replicas"] == "1"


def test_ports_are_distinct() -> None:
    """No two listeners of a cluster share a port."""
    assert len(set(distinct_ports(12))) == 12


# The disk


def test_only_a_disk_of_its_own_is_filled(tmp_path: Path) -> None:
    """A plain directory lies on everybody's disk: it is neither filled nor made read-only."""
    disk = CheckpointDisk(tmp_path)
    assert not disk.set_full(True)
    assert not disk.set_read_only(True)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_deleted_and_corrupted(tmp_path: Path) -> None:
    """Corruption changes one bit of each partition's newest; deletion takes all, and nothing else."""
    files = {
        tmp_path / str(partition) / f"{offset:020}.checkpoint": b"state" for partition in (0, 1) for offset in (1, 2)
    }
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "0" / "other").write_bytes(b"state")
    disk = CheckpointDisk(tmp_path)
    assert disk.corrupt(random.Random(1)) == 2
    changed = [path for path, content in files.items() if path.read_bytes() != content]
    assert [path.name for path in changed] == [f"{2:020}.checkpoint"] * 2
    for path in changed:
        bits = [left ^ right for left, right in zip(path.read_bytes(), b"state", strict=True)]
        assert sum(each.bit_count() for each in bits) == 1
    assert disk.delete() == 4
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["other"]
