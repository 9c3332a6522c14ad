"""The worker's loop against a scripted connection: what is called in which order, and what follows from each error."""

from __future__ import annotations

from itertools import count, pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from structlog.testing import capture_logs

from consumer import accelerator
from consumer.assigned import Phase
from consumer.checkpoint.reference import decode_reference
from consumer.errors import AbortError, FencedError, NameClashError, RebuildError, RetryError
from consumer.learning.task import PartitionTask
from consumer.metrics import PREFIX
from tests.scripted import Log, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.broker import RebalanceListener
    from consumer.learning.task import TaskSnapshot
    from consumer.worker import Worker
    from tests.scripted import ScriptedConnection


def test_a_fresh_partition_commits_before_it_reads(new_worker: Callable[..., Worker]) -> None:
    """The start offset, with metadata that names no checkpoint, is committed before anything is fetched."""
    log = Log(5)
    new_worker(log).run()
    journal = log.connections[0].journal
    assert journal.index("commit") < journal.index("start") < journal.index("produce")


def test_commit_follows_offsets_in_every_transaction(new_worker: Callable[..., Worker]) -> None:
    """No commit without a successful send_offsets directly before it."""
    log = Log(95)
    new_worker(log).run()
    journal = log.connections[0].journal
    commits = [index for index, name in enumerate(journal) if name == "commit"]
    assert len(commits) > 4
    assert all(journal[index - 1] == "send_offsets" for index in commits)


def test_what_a_restart_predicts_first_is_committed_at_once(new_worker: Callable[..., Worker]) -> None:
    """Readers have waited through the start already; later transactions fill up before they are committed."""
    log = Log(33)
    new_worker(log).run()
    log.records = Log(93).records
    new_worker(log).run()
    journal = log.connections[-1].journal
    # Batches have 10 records, and a transaction is due with 20: the first one is not waited for, the next ones are.
    ends = [index for index, name in enumerate(journal) if name == "commit"]
    produced = [journal[start:end].count("produce") for start, end in pairwise([0, *ends])]
    assert produced[:3] == [10, 20, 20]


@pytest.mark.parametrize(("records", "loads"), [(59, 0), (60, 1)])
def test_machine_code_is_loaded_before_the_first_record_of_a_backlog(
    new_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch, records: int, loads: int
) -> None:
    """A start with less to do does not pay for it."""
    monkeypatch.setattr(accelerator, "_WORTH_BACKLOG", 60)
    log = Log(records)
    published_before: list[int] = []

    def load(_log: object) -> None:
        published_before.append(len(log.outputs))

    worker = new_worker(log)
    worker._accelerator = accelerator.Accelerator(load, None)  # type: ignore[arg-type]  # no log is written here
    worker.run()
    assert published_before == [0] * loads


def test_a_stop_leaves_a_checkpoint_at_the_committed_offset(new_worker: Callable[..., Worker]) -> None:
    """After a stop the reference's checkpoint stands at the committed offset; the next start publishes nothing."""
    log = Log(33)
    new_worker(log).run()
    assert log.committed is not None
    assert decode_reference(log.committed.metadata).checkpoint_offset == log.committed.offset == 33
    published = list(log.outputs)
    new_worker(log).run()
    assert log.outputs == published


@pytest.mark.parametrize("failing", ["produce", "send_offsets", "commit", "poll", "begin", "committed", "start"])
@pytest.mark.parametrize("after", [0, 2, 5])
def test_doubt_rebuilds_and_changes_nothing(
    new_worker: Callable[..., Worker], truth: Callable[[int], list[bytes]], failing: str, after: int
) -> None:
    """Wherever a call leaves doubt, both clients are thrown away, and what is published stays as it would have been."""
    expected = truth(60)
    log = Log(60)
    worker = new_worker(log)
    connect = log.connect

    def connect_and_arm(listener: RebalanceListener) -> ScriptedConnection:
        connection = connect(listener)
        if len(log.connections) == 1:
            step, calls = connection._step, [0]

            def counted(name: str) -> None:
                step(name)
                if name == failing:
                    calls[0] += 1
                    if calls[0] == after + 1:
                        raise RebuildError("a time-out")

            connection._step = counted  # type: ignore[method-assign]
        return connection

    log.connect = connect_and_arm  # type: ignore[method-assign]
    worker.run()
    assert log.outputs == expected
    first = log.connections[0].journal
    if len(log.connections) > 1:
        assert first[-1] == "discard"
        assert "abort" not in first
        assert log.connections[1].journal[0] == "settle"


@pytest.mark.parametrize("failing", ["produce", "send_offsets", "commit"])
def test_an_abort_keeps_the_clients(
    new_worker: Callable[..., Worker], truth: Callable[[int], list[bytes]], failing: str
) -> None:
    """Where the broker asks for an abort, the transaction is aborted and the tasks restored with the same clients."""
    expected = truth(40)
    log = Log(40)
    worker = new_worker(log)
    log.fails[failing] = []
    connection = log.connect(worker)
    log.fails[failing] = [AbortError("asked for")] if failing == "produce" else []
    if failing != "produce":
        connection.before_poll = lambda: log.fails[failing].append(AbortError("asked for"))
    worker.run(connection)
    assert log.outputs == expected
    assert len(log.connections) == 1
    assert "abort" in connection.journal
    after = connection.journal[connection.journal.index("abort") :]
    assert after.index("stop") < after.index("committed") < after.index("start")


def test_a_failing_abort_rebuilds(new_worker: Callable[..., Worker], truth: Callable[[int], list[bytes]]) -> None:
    """An abort that itself fails leaves doubt: the clients go."""
    expected = truth(40)
    log = Log(40)
    log.fails = {"produce": [AbortError("asked for")], "abort": [RebuildError("time-out")]}
    new_worker(log).run()
    assert log.outputs == expected
    assert len(log.connections) == 2


def test_revocation_commits_and_drops(new_worker: Callable[..., Worker]) -> None:
    """What was done for a partition is committed before it goes to another worker."""
    log = Log(15)
    worker = new_worker(log)
    connection = log.connect(worker)
    worker._use(connection)
    while not connection.pending:
        worker._turn()
    connection.before_poll = lambda: worker.on_revoked([0])
    worker._turn()
    assert connection.pending == []
    assert len(log.outputs) == 10
    assert log.committed is not None
    assert log.committed.offset == 10
    assert len(worker._assignment) == 0


def test_a_failed_commit_in_revocation_recovers(new_worker: Callable[..., Worker]) -> None:
    """A rebalance callback raises nothing; the failure comes up after the poll."""
    log = Log(15)
    worker = new_worker(log)
    connection = log.connect(worker)
    worker._use(connection)
    while not connection.pending:
        worker._turn()
    log.fails["send_offsets"] = [RebuildError("time-out")]
    connection.before_poll = lambda: worker.on_revoked([0])
    with pytest.raises(RebuildError):
        worker._turn()
    assert log.outputs == []


def test_lost_partitions_abort(new_worker: Callable[..., Worker]) -> None:
    """Outputs for partitions that are another worker's now are never committed."""
    log = Log(15)
    worker = new_worker(log)
    connection = log.connect(worker)
    worker._use(connection)
    while not connection.pending:
        worker._turn()
    connection.before_poll = lambda: worker.on_lost([0])
    with pytest.raises(AbortError) as raised:
        worker._turn()
    assert worker._recover(raised.value)
    assert connection.pending == []
    assert log.outputs == []
    assert log.committed is not None
    assert log.committed.offset == 0


def test_fenced_twice_within_a_minute_stops(new_worker: Callable[..., Worker]) -> None:
    """A second fencing within a minute names the clash instead of fighting on."""
    log = Log(40)
    log.fails["commit"] = [FencedError("by another"), FencedError("by another")]
    with pytest.raises(NameClashError, match="INSTANCE_ID"):
        new_worker(log).run()


def test_a_pending_offset_is_waited_for(new_worker: Callable[..., Worker], truth: Callable[[int], list[bytes]]) -> None:
    """While a lost worker's transaction is pending, reading the committed offset is tried again and again."""
    expected = truth(10)
    log = Log(10)
    log.fails["committed"] = [RetryError("unstable"), RetryError("unstable")]
    new_worker(log).run()
    assert log.outputs == expected
    assert log.connections[0].journal.count("committed") == 3


def test_stale_records_are_not_applied(new_worker: Callable[..., Worker]) -> None:
    """Records of partitions that are not running, or below the next offset, are dropped."""
    log = Log(10)
    worker = new_worker(log)
    worker._use(log.connect(worker))
    while not worker._assignment.in_phase(Phase.LIVE):
        worker._turn()
    worker._process([msgspec.structs.replace(event(3), partition=7)])
    (assigned,) = worker._assignment
    worker._process([event(0), event(1), event(0), event(1), event(2)])
    assert assigned.state.records_applied == 3


def test_checkpoints_are_pruned_only_below_the_kept_references(
    new_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """With `CHECKPOINT_KEEP=2`, files go only after more references than that were confirmed, the oldest first."""
    log = Log(400)
    worker = new_worker(log, checkpoint_interval_seconds=0.001, checkpoint_keep=2)
    worker.run()
    assert log.committed is not None
    reference = decode_reference(log.committed.metadata)
    left = sorted(int(path.name.split("-")[0]) for path in tmp_path.rglob("*.checkpoint"))
    assert reference.checkpoint_offset == left[-1] == 400
    assert len(left) >= 2


def test_each_pause_for_a_snapshot_is_told(new_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has each one in milliseconds, the histogram all of them in seconds: the loop stood still so long."""
    worker = new_worker(Log(95), checkpoint_interval_seconds=0.001)
    pauses = count(3)
    snapshot = PartitionTask.begin_snapshot

    def slow_snapshot(task: PartitionTask) -> TaskSnapshot:
        worker._clock.now += next(pauses) / 1000  # type: ignore[attr-defined]  # a clock that is set by hand
        return snapshot(task)

    monkeypatch.setattr(PartitionTask, "begin_snapshot", slow_snapshot)
    with capture_logs() as lines:
        worker.run()
    told = [line["pause_ms"] for line in lines if line["event"] == "checkpoint_written"]
    assert len(told) > 1
    assert told == [20 + 3 + number for number in range(len(told))]  # the clock moves 10 ms each time it is asked
    registry = worker._metrics.registry
    name = f"{PREFIX}checkpoint_pause_seconds"
    assert registry.get_sample_value(f"{name}_count") == len(told)
    assert registry.get_sample_value(f"{name}_sum") == pytest.approx(sum(told) / 1000)
