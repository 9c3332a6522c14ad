"""A scripted cluster: one input partition, its outputs and the group's offset, without a broker.

It journals what the worker calls, fails where a test says, and tells each call apart from its effect, so that every
order of events that the real thing might bring can be played.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from structlog.testing import capture_logs

from consumer.broker import Committed, EndOfPartition, InputTopic, OutOfRange, Tail
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.reference import Reference, decode_reference
from consumer.checkpoint.store import CheckpointName
from consumer.learning.model_sections import MODELS
from consumer.record import Record
from consumer.testing.grouping import grouped
from tests.core import model_sections, models_of
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from consumer.broker import Notice, Polled, Position, RebalanceListener
    from consumer.errors import SmartInventoryError
    from consumer.worker import Worker

TOPIC: Final = InputTopic("topic-id", 1, 1_048_588)
OUTPUT: Final = "out"
DEAD_LETTERS: Final = "dead"


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
    """The cluster behind all connections.

    Attributes:
        topic: the input topic; one created anew has another id.
        first: the first offset that the input still holds.
        published: what read_committed readers see of each topic, `outputs` being all values in their order.
        fails: errors to raise by the name of the call, the next one first.
    """

    def __init__(self, records: int) -> None:
        self.records = [event(number) for number in range(records)]
        self.outputs: list[bytes] = []
        self.published: dict[str, list[Record]] = {OUTPUT: [], DEAD_LETTERS: []}
        self.cut_topics: set[str] = set()
        self.committed: Committed | None = None
        self.commits: list[Committed] = []
        self.topic = TOPIC
        self.first = 0
        self.connections: list[ScriptedConnection] = []
        self.fails: dict[str, list[BaseException]] = {}

    def connect(self, listener: RebalanceListener) -> ScriptedConnection:
        """Build the next connection."""
        self.connections.append(ScriptedConnection(self, listener))
        return self.connections[-1]

    def check_topics(self) -> InputTopic:
        """Answer with the one topic."""
        return self.topic


class ScriptedConnection:
    """A connection that keeps a journal and fails where the script says."""

    def __init__(self, log: Log, listener: RebalanceListener) -> None:
        self.log = log
        self.listener = listener
        self.journal: list[str] = []
        self.position: int | None = None
        self.has_gained = False
        self.pending: list[tuple[str, Record]] = []
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

    def poll(self, max_records: int, timeout: float) -> list[Polled]:
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
        if not self.log.first <= self.position <= len(self.log.records):
            self.position = None  # as the real client, which fetches no more until it is told where
            return [OutOfRange(0, 2**63 - 1)]
        polled: list[Record | Notice] = [*self.log.records[self.position : self.position + self.batch]]
        self.position += len(polled)
        if self.position == len(self.log.records):
            polled.append(EndOfPartition(0, self.position))
        return grouped(polled)

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
        del partition
        if not cached:
            self._step("log_range")
        return self.log.first, len(self.log.records)

    def tail(self, topic: str, partition: int) -> Tail:
        del partition
        self._step("tail")
        published = self.log.published[topic]
        is_cut = topic in self.log.cut_topics
        return Tail(published[-1] if published and not is_cut else None, is_cut)

    def begin(self) -> None:
        self._step("begin")

    def produce_many(
        self, topic: str, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        for key, value in zip(keys, values, strict=True):
            self.produce(topic, partition, key, value, None)

    def produce(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any) -> None:
        self._step("produce")
        self.pending.append((topic, Record(partition, 0, 0, key, value, headers)))

    def send_offsets(self, positions: Sequence[Position]) -> None:
        self._step("send_offsets")
        self.offsets = positions

    def commit(self) -> None:
        self._step("commit")
        for topic, record in self.pending:
            self.log.published[topic].append(record)
            self.log.outputs.append(record.value or b"")
        self.pending = []
        for position in self.offsets:
            self.log.committed = Committed(position.offset, position.metadata)
            self.log.commits.append(self.log.committed)

    def abort(self) -> None:
        self._step("abort")
        self.pending = []

    def leave(self) -> None:
        self._step("leave")

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


class Shop:
    """A log on which workers have run, each leaving a checkpoint where it stopped, and the files they left."""

    def __init__(self, new_worker: Callable[..., Worker], directory: Path, stops: Sequence[int] = ()) -> None:
        self.log = Log(0)
        self.directory = directory
        self.new_worker = new_worker
        self.lines: list[Any] = []
        self.worker: Worker
        for records in stops:
            self.grow(records)
            self.run()
        if stops:
            self.keep(*stops)

    def keep(self, *offsets: int) -> None:
        """Remove the checkpoints at all other offsets: how many there are in between is the clock's affair."""
        for path in self.directory.rglob("*.checkpoint"):
            if int(path.name.split("-")[0]) not in offsets:
                path.unlink()

    def grow(self, records: int) -> None:
        """Append events to the log up to so many records."""
        self.log.records += [event(number) for number in range(len(self.log.records), records)]

    def run(self, **how: Any) -> list[bytes]:
        """Run a worker to the log's end and return everything published so far."""
        url = f"file:{self.directory}"
        how = {"checkpoint_interval_seconds": 86_400, "checkpoint_url": url, **how}
        self.worker = self.new_worker(self.log, **how)
        with capture_logs() as self.lines:
            self.worker.run()
        return self.log.outputs

    def refusal(self, kind: type[SmartInventoryError], **how: Any) -> str:
        """Run a worker that must refuse, and return its sentence; nothing may have been committed."""
        before = self.log.committed
        with pytest.raises(kind) as raised:
            self.run(end=1_000, **how)  # never reached: it would leave at once where all is committed
        assert self.log.committed == before
        return str(raised.value)

    def path(self, offset: int) -> Path:
        """The only checkpoint at an offset."""
        (path,) = self.directory.rglob(f"{offset:020d}-*.checkpoint")
        return path

    def spoil(self, *offsets: int) -> None:
        """Cut the checkpoints at these offsets short."""
        for offset in offsets:
            self.path(offset).write_bytes(self.path(offset).read_bytes()[:-9])

    def rewrite(self, offset: int, *, header: dict[str, Any] | None = None, **sections: Any) -> None:
        """Seal a checkpoint again with other content, as its writer would have done, in its former one's stead."""
        path = self.path(offset)
        former, former_sections = unseal(path.read_bytes())
        path.unlink()
        identity = msgspec.structs.replace(former.identity(), **(header or {}))
        new: dict[str, bytes] = {}
        for section, change in sections.items():
            new |= _changed(section, former_sections, change)
        sealed, data = seal(identity, 0, offset, {**former_sections, **new})
        name = CheckpointName("g", "in", 0, offset, sealed.digest)
        DirectoryStore(self.directory).write(name, data)

    def reference(self) -> Reference:
        """What is committed."""
        assert self.log.committed is not None
        return decode_reference(self.log.committed.metadata)

    def commit(self, offset: int, **changed: Any) -> None:
        """Commit, as another tool or another version would."""
        reference = msgspec.structs.replace(self.reference(), **changed)
        self.log.committed = Committed(offset, reference.encode())

    def counted(self, name: str, **labels: str) -> float | None:
        """A counter of the last worker."""
        return self.worker._metrics.registry.get_sample_value(f"smart_inventory_{name}_total", labels)

    def restores(self) -> dict[str, int]:
        """The outcomes that the last worker counted."""
        (metric,) = [
            each for each in self.worker._metrics.registry.collect() if each.name == "smart_inventory_restores"
        ]
        return {
            sample.labels["outcome"]: int(sample.value)
            for sample in metric.samples
            if sample.name.endswith("_total") and sample.value
        }

    def events(self) -> list[str]:
        """The names of the last worker's log lines."""
        return [line["event"] for line in self.lines]

    def line(self, event: str) -> dict[str, Any]:
        """The last worker's only log line of one event."""
        (line,) = [line for line in self.lines if line["event"] == event]
        return dict(line)

    def predictions(self) -> list[dict[str, Any]]:
        """Everything published so far, as plain objects."""
        return [json.loads(output) for output in self.log.outputs]

    def lose_offsets(self) -> None:
        """Let the group's offsets expire."""
        self.log.committed = None

    def twin(self, directory: Path) -> Shop:
        """Return another one with the same past, which goes its own way from here."""
        shutil.copytree(self.directory, directory)
        twin = Shop(self.new_worker, directory)
        twin.grow(len(self.log.records))
        twin.log.outputs = list(self.log.outputs)
        twin.log.published = {topic: list(records) for topic, records in self.log.published.items()}
        twin.log.committed = self.log.committed
        return twin


def _changed(name: str, sections: Mapping[str, bytes], change: Callable[[Any], Any]) -> dict[str, bytes]:
    if name == MODELS:
        return model_sections(change(models_of(sections)))
    return {name: msgspec.msgpack.encode(change(msgspec.msgpack.decode(sections[name])))}
