"""A worker to try things on, without a broker: feed events, read what it publishes, kill it, go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from consumer.broker import Committed
from consumer.checkpoint.reference import decode_reference
from consumer.permissions import NONE_GIVEN, Permissions
from consumer.settings import Settings, check_for_run
from consumer.testing.cluster import SimulatedCluster
from consumer.testing.process import SimulatedProcess
from consumer.testing.store import Disk
from schemas.routing import home_partition

if TYPE_CHECKING:
    from types import TracebackType

    from consumer.record import Record

_MOST_TURNS: Final = 1_000_000
_NOW_MS: Final = 1_800_000_000_000


class DeadLetter(msgspec.Struct, frozen=True):
    """A refused event.

    Attributes:
        reason: a word of the contract's vocabulary.
        message: what is wrong, in one sentence.
        partition: where it was sent.
        offset: likewise.
        value: what was sent.
    """

    reason: str
    message: str
    partition: int
    offset: int
    value: bytes | None


class WorkerTestDriver:
    """The real worker over a simulated Kafka: nothing to install, nothing to wait for.

    What it does is what `smart-inventory run` does, but for the network and the disk. Time is simulated: it passes only
    while the worker works or waits.

        with WorkerTestDriver(model="my_models:forest") as shop:
            shop.send(transaction_id="1", store_id="330", sku="milk", quantity=-1, occurred_at="2026-01-02T09:00:00Z")
            (prediction,) = shop.run()
            shop.kill()  # as by kill -9; the next run restores the model and goes on

    Args:
        partitions: of each topic.
        permissions: as `run --rebuild` and the like would give them.
        settings: the worker's settings by their names in lower case, such as `model` and `model_scope`.

    Raises:
        SettingsError: a setting, or the model that it names, is refused.
    """

    def __init__(self, *, partitions: int = 1, permissions: Permissions = NONE_GIVEN, **settings: Any) -> None:  # noqa: ANN401 -- what the settings take
        defaults: dict[str, Any] = {"kafka_bootstrap_servers": "simulated:0", "instance_id": "driver"}
        loaded = Settings(**{**defaults, **settings})
        check_for_run(loaded)
        self._settings = loaded
        self._partitions = partitions
        self._cluster = SimulatedCluster(partitions)
        self._disk = Disk()
        self._process = SimulatedProcess(self._cluster, self._disk, loaded, permissions=permissions)
        self._read = dict.fromkeys(
            [
                (topic, number)
                for topic in (loaded.output_topic, loaded.dead_letter_topic)
                for number in range(partitions)
            ],
            0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._process.worker is not None:
            self.stop()

    def send(self, **event: Any) -> int:  # noqa: ANN401 -- what an event may hold, wrong values included
        """Send one event by its fields, as a till would; return its offset.

        It is keyed by its store and lies in the partition that murmur2 gives, as the contract has it.
        """
        key = str(event.get("store_id", "")).encode()
        return self.send_raw(msgspec.json.encode(event), key=key)

    def send_raw(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int = _NOW_MS,
    ) -> int:
        """Send any bytes; return the record's offset.

        Args:
            value: None is a tombstone.
            key: the record's key.
            partition: where it goes; by default where its key does.
            timestamp_ms: its Kafka timestamp; late in time by default, so that no event is ahead of it.
        """
        if partition is None:
            partition = home_partition(key or b"", self._partitions)
        return self._cluster.send(self._settings.input_topic, partition, value, key=key, timestamp_ms=timestamp_ms)

    def run(self) -> list[dict[str, Any]]:
        """Let the worker process everything that was sent, and return the new predictions, partition by partition.

        A worker is started where none runs: after `kill` or `stop` it restores its state first.

        Raises:
            StopError: the worker has stopped; the message says why, and what to do.
        """
        for _ in range(_MOST_TURNS):
            if self._process.worker is None:
                self._process.start()
            if self._is_done():
                break
            self._process.step()
            if self._process.error is not None:
                raise self._process.error
        else:
            raise AssertionError(f"the worker got nowhere in {_MOST_TURNS} turns: {self.log[-5:]}")
        self._cluster.advance(3.0)  # until the last marker is written
        return [msgspec.json.decode(record.value or b"") for record in self._new(self._settings.output_topic)]

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters that have come since the last call."""
        letters = []
        for record in self._new(self._settings.dead_letter_topic):
            headers = {
                name: (value or b"").decode() for name, value in record.headers or () if name.startswith("error.")
            }
            letters.append(
                DeadLetter(
                    headers["error.reason"],
                    headers["error.message"],
                    int(headers["error.partition"]),
                    int(headers["error.offset"]),
                    record.value,
                )
            )
        return letters

    def kill(self) -> None:
        """End the worker as kill -9 does; what it had not committed is processed again by the next one."""
        if self._process.worker is not None:
            self._process.kill()

    def stop(self) -> None:
        """Ask the worker to leave, as SIGTERM does: it commits, and writes a checkpoint where it stands.

        Raises:
            StopError: it stopped with an error instead.
        """
        self._process.stop()
        while self._process.worker is not None:
            self._process.step()
        if self._process.error is not None:
            raise self._process.error
        self._cluster.advance(3.0)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        self._cluster.advance(seconds)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What workers have logged so far."""
        return self._process.log

    @property
    def checkpoints(self) -> list[int]:
        """The offsets of the checkpoints that the committed offsets refer to, by partition; -1 where there is none."""
        found = [self._cluster.offsets.committed.get(number, Committed(0, None)) for number in range(self._partitions)]
        references = [None if each.metadata is None else decode_reference(each.metadata) for each in found]
        return [-1 if each is None or each.checkpoint_offset is None else each.checkpoint_offset for each in references]

    def _is_done(self) -> bool:
        worker, offsets = self._process.worker, self._cluster.offsets
        ends = {number: self._cluster.log(self._settings.input_topic, number).end for number in range(self._partitions)}
        committed = {number: each.offset for number, each in offsets.committed.items() if offsets.is_stable(number)}
        return worker is not None and worker.is_settled and committed == ends

    def _new(self, topic: str) -> list[Record]:
        records: list[Record] = []
        for number in range(self._partitions):
            new = list(self._cluster.log(topic, number).committed(self._read[topic, number]))
            if new:
                self._read[topic, number] = new[-1].offset + 1
            records += new
        return records
