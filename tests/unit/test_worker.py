"""The worker's loop against a scripted connection: what is called in which order, and what follows from each error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from consumer.assembly import build_worker
from consumer.assigned import Phase
from consumer.broker import Committed, EndOfPartition, InputTopic
from consumer.checkpoint.reference import decode_reference
from consumer.errors import AbortError, FencedError, LogGapError, NameClashError, RebuildError, RetryError, StateError
from consumer.health import Health
from consumer.metrics import Metrics
from consumer.record import Record
from consumer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from consumer.broker import Position, RebalanceListener
    from consumer.worker import Worker

TOPIC = InputTopic("topic-id", 1, 1_048_588)


def event(number: int, level: int = 5) -> Record:
    """One valid record at an offset of partition 0."""
    value = {
        "transaction_id": str(number),
        "store_id": "s",
        "sku": "k",
        "quantity": -1,
        "occurred_at": f"2024-05-01T10:{number // 60 % 60:02}:{number % 60:02}Z",
        "new_stock_level": level,
    }
    return Record(0, number, 1_800_000_000_000, b"s", msgspec.json.encode(value))


class Log:
    """The cluster behind all connections: one input partition, its outputs, and the group's offset."""

    def __init__(self, records: int) -> None:
        self.records = [event(number) for number in range(records)]
        self.outputs: list[bytes] = []
        self.committed: Committed | None = None
        self.first = 0
        self.connections: list[ScriptedConnection] = []
        self.fails: dict[str, list[Exception]] = {}

    def connect(self, listener: RebalanceListener) -> ScriptedConnection:
        """Build the next connection."""
        self.connections.append(ScriptedConnection(self, listener))
        return self.connections[-1]

    def check_topics(self) -> InputTopic:
        """Answer with the one topic."""
        return TOPIC


class ScriptedConnection:
    """A connection that keeps a journal and fails where the script says."""

    def __init__(self, log: Log, listener: RebalanceListener) -> None:
        self.log = log
        self.listener = listener
        self.journal: list[str] = []
        self.position: int | None = None
        self.has_gained = False
        self.pending: list[bytes] = []
        self.offsets: Sequence[Position] = ()
        self.batch = 10
        self.before_poll: Callable[[], None] | None = None

    def _step(self, name: str) -> None:
        self.journal.append(name)
        if self.log.fails.get(name):
            raise self.log.fails[name].pop(0)

    def settle(self) -> None:
        self._step("settle")
        self.pending = []

    def poll(self, max_records: int, timeout: float) -> list[Record | EndOfPartition]:
        del max_records, timeout
        self._step("poll")
        if not self.has_gained:
            self.has_gained = True
            self.listener.on_gained([0])
            return []
        if self.before_poll is not None:
            before, self.before_poll = self.before_poll, None
            before()
        if self.position is None:
            return []
        polled: list[Record | EndOfPartition] = [*self.log.records[self.position : self.position + self.batch]]
        self.position += len(polled)
        if self.position == len(self.log.records):
            polled.append(EndOfPartition(0, self.position))
        return polled

    def start(self, partition: int, offset: int) -> None:
        self._step("start")
        assert partition == 0
        self.position = offset

    def stop(self, partitions: Sequence[int]) -> None:
        self._step("stop")
        assert list(partitions) in ([0], [])
        self.position = None

    def committed(self, partition: int, timeout: float) -> Committed | None:
        del partition, timeout
        self._step("committed")
        return self.log.committed

    def log_range(self, partition: int, *, cached: bool = False) -> tuple[int, int]:
        del partition, cached
        return self.log.first, len(self.log.records)

    def last_published(self, partition: int) -> int | None:
        del partition
        return len(self.log.outputs) - 1 if self.log.outputs else None

    def begin(self) -> None:
        self._step("begin")

    def produce(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any) -> None:
        del topic, partition, key, headers
        self._step("produce")
        self.pending.append(value or b"")

    def send_offsets(self, positions: Sequence[Position]) -> None:
        self._step("send_offsets")
        self.offsets = positions

    def commit(self) -> None:
        self._step("commit")
        self.log.outputs += self.pending
        self.pending = []
        for position in self.offsets:
            self.log.committed = Committed(position.offset, position.metadata)

    def abort(self) -> None:
        self._step("abort")
        self.pending = []

    def discard(self) -> None:
        self._step("discard")

    def close(self, timeout: float) -> bool:
        self._step("close")
        return timeout > 0


class Clock:
    """A clock that moves a little whenever it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def new_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Worker]:
    """Make workers on a log; their checkpoints go to one directory."""
    monkeypatch.setattr("consumer.worker._REBUILD_PAUSE_SECONDS", (0.0,))

    def make(log: Log, *, end: int | None = None, **changed: Any) -> Worker:
        values = {"checkpoint_url": f"file:{tmp_path / 'checkpoints'}", "transaction_max_records": 20, **changed}
        worker = build_worker(
            Settings(consumer_group="g", input_topic="in", output_topic="out", **values),
            broker=log,
            topic=TOPIC,
            health=Health(Clock()),
            metrics=Metrics(),
            log=structlog.get_logger(),
            hash_seed="0",
            stop_at_end=True,
            skips=(),
        )
        if end is not None:
            assert worker._end is not None
            worker._end._offsets = {0: end}  # else it would leave at once where everything is committed
        worker._clock = worker._assignment._clock = worker._checkpointing._clock = Clock()
        worker._committed_at = 0.0
        return worker

    return make


@pytest.fixture
def truth(new_worker: Callable[..., Worker], tmp_path: Path) -> Callable[[int], list[bytes]]:
    """What an undisturbed worker publishes for so many records."""

    def publish(records: int) -> list[bytes]:
        log = Log(records)
        new_worker(log, checkpoint_url=f"file:{tmp_path / 'truth'}").run()
        return log.outputs

    return publish


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


def test_replay_that_differs_falls_a_rung(new_worker: Callable[..., Worker], tmp_path: Path) -> None:
    """A checkpoint whose replay arrives at another digest is not believed: the log is replayed from its beginning."""
    log = Log(30)
    worker = new_worker(log, checkpoint_interval_seconds=0.001)
    connection = log.connect(worker)
    worker._use(connection)
    while log.committed is None or decode_reference(log.committed.metadata).checkpoint_offset is None:
        worker._turn()
    reference = decode_reference(log.committed.metadata)
    assert list(tmp_path.rglob("*.checkpoint"))
    # Take the offset on by one commit whose digest no honest replay reaches.
    forged = msgspec.structs.replace(reference, chain="0" * 16)
    offset = log.committed.offset
    log.committed = Committed(offset, forged.encode())
    with pytest.raises(StateError, match="replaying partition 0 from its first offset 0"):
        new_worker(log, end=31).run()


def test_replay_below_the_log_start_stops(new_worker: Callable[..., Worker], tmp_path: Path) -> None:
    """Without a checkpoint and with the first records gone, there is no honest state to go on with."""
    log = Log(30)
    new_worker(log).run()
    for path in tmp_path.rglob("*.checkpoint"):
        path.unlink()
    log.first = 3
    with pytest.raises(LogGapError, match="begins at 3"):
        new_worker(log, end=31).run()


def test_a_log_that_ends_below_the_committed_offset_stops(new_worker: Callable[..., Worker], tmp_path: Path) -> None:
    """A log that lost its end (an unclean election) is noticed while replaying."""
    log = Log(30)
    new_worker(log).run()
    for path in tmp_path.rglob("*.checkpoint"):
        path.unlink()
    del log.records[20:]
    worker = new_worker(log, end=31)
    with pytest.raises(LogGapError, match="ends at offset 20, below the committed offset 30"):
        worker.run()


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
