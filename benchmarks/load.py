"""Input that keeps flowing, and a reader that watches the output all the while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.errors import ExitCode
from tests.kafka import unique, wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from confluent_kafka import Message

    from tests.stage import Stage

Place: TypeAlias = "tuple[str, int]"
"""A topic and a partition of it."""

_BATCH = 1_000
_BATCH_SECONDS = 0.02  # `consume` uses all of it unless the batch fills up: so exact are the times of arrival
# All else passes: a broker that is frozen or away comes back.
_HOPELESS = {KafkaError._AUTO_OFFSET_RESET, KafkaError.UNKNOWN_TOPIC_OR_PART}  # noqa: SLF001 -- the client's own names


class Feeder:
    """`smart-inventory simulate` in a process of its own, at a steady rate, faults among its events.

    Args:
        stage: whose input topic takes the events.
        rate: events a second.
        seed: of the faults, and of a synthetic shop.
        fault_share: share of invalid events, and of repeated ones.
        source: the real year, or the synthetic shop.
        key_by: what keys a record.
        is_live: give each event the present time, for a shop that would otherwise run ahead of it.
    """

    def __init__(  # noqa: PLR0913 -- the command's own options
        self,
        stage: Stage,
        *,
        rate: int,
        seed: int,
        fault_share: float,
        source: str = "completejourney",
        key_by: str = "store",
        is_live: bool = False,
    ) -> None:
        options = {"--source": source, "--key-by": key_by, "--rate": str(rate), "--seed": str(seed)}
        shares = {"--invalid-share": str(fault_share), "--repeat-share": str(fault_share)}
        arguments = [word for pair in (options | shares).items() for word in pair]
        arguments += ["--live"] if is_live else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "consumer", "simulate", *arguments],
            env={**os.environ, **stage.environment()},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def finish(self) -> None:
        """End the input: everything sent is confirmed when this returns."""
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate(timeout=60)
        if self._process.returncode not in {ExitCode.OK, ExitCode.INTERRUPTED}:  # it may have ended just before
            raise AssertionError(f"simulate ended with {self._process.returncode}: {output}")


class CommittedOffsets:
    """Asks for a group's committed offsets, also while a killed worker's transaction is pending on the next ones."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._consumer = Consumer(
            {
                "bootstrap.servers": stage.bootstrap_servers,
                "group.id": stage.group,
                "isolation.level": "read_uncommitted",
            }
        )

    def now(self) -> dict[int, int]:
        """Return them by partition, 0 where there is none."""
        answers = self._stage.committed_through(self._consumer)
        return {partition: max(0, answer.offset) for partition, answer in answers.items()}

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


class TopicReader:
    """Reads all partitions of some topics from their beginning with read_committed, in a thread, until it is closed.

    Args:
        stage: whose topics they are.
        topics: their names.
        take: called in the thread with each message; what it raises ends the reading and is kept as `failure`.

    Attributes:
        failure: why the reading ended before it was closed; None while all is well.
    """

    def __init__(self, stage: Stage, topics: Sequence[str], take: Callable[[Message], None]) -> None:
        self._stage = stage
        self._wanted = [TopicPartition(topic, number, 0) for topic in topics for number in range(stage.partitions)]
        self._take = take
        self._reached: dict[Place, int] = {}
        self._is_closed = False
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def has_reached(self, ends: dict[Place, int]) -> bool:
        """Tell whether the reader has come to these ends, by topic and partition; markers count as offsets."""
        return all(self._reached.get(place, 0) >= end for place, end in ends.items())

    def ends(self) -> dict[Place, int]:
        """Ask the broker where the topics end now."""
        asking = Consumer({"bootstrap.servers": self._stage.bootstrap_servers, "group.id": unique("ends")})
        try:
            return {
                (wanted.topic, wanted.partition): asking.get_watermark_offsets(wanted, timeout=30)[1]
                for wanted in self._wanted
            }
        finally:
            asking.close()

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._thread.join()

    def _run(self) -> None:
        reader = Consumer(
            {
                "bootstrap.servers": self._stage.bootstrap_servers,
                "group.id": unique("reader"),
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "log_level": 0,  # brokers that go away are what is being watched
            }
        )
        try:
            reader.assign(self._wanted)
            while not self._is_closed:
                for message in reader.consume(_BATCH, _BATCH_SECONDS):
                    self._note(message)
        except Exception as error:  # noqa: BLE001 -- the thread that waits for what is read must hear of it
            self.failure = error
        finally:
            reader.close()

    def _note(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._take(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- the client's own name
            self._reached[message.topic() or "", message.partition() or 0] = message.offset() or 0
        elif error.code() in _HOPELESS:
            raise KafkaException(error)


class Arrival(NamedTuple):
    """One prediction as a read_committed reader saw it.

    Attributes:
        seconds: when, on the monotonic clock.
    """

    seconds: float
    partition: int
    source_offset: int


class OutputReader:
    """Reads the output topic with read_committed, in a thread, and notes when each prediction arrived."""

    def __init__(self, stage: Stage) -> None:
        self.arrivals: list[Arrival] = []
        self._newest = dict.fromkeys(range(stage.partitions), -1)
        self._offsets = CommittedOffsets(stage)
        self._reader = TopicReader(stage, [stage.output], self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()
        self._offsets.close()

    def committed(self) -> dict[int, int]:
        """Return the group's committed offsets now."""
        return self._offsets.now()

    def has_new(self, since: dict[int, int]) -> bool:
        """Tell whether a prediction for a record at or above one of these offsets has arrived."""
        if self._reader.failure is not None:
            raise self._reader.failure
        return any(self._newest[partition] >= offset for partition, offset in since.items())

    def wait_for_new(self, since: dict[int, int], seconds: float) -> float:
        """Wait for such a prediction and return when it arrived."""
        wait_until(lambda: self.has_new(since), seconds, "a new committed prediction")
        return time.monotonic()

    def longest_gap(self, began: float) -> float:
        """Return the longest time without anything new in any one partition from `began`, monotonic, until now."""
        last = dict.fromkeys(self._newest, began)
        longest = 0.0
        for arrival in self.arrivals:
            if arrival.seconds >= began:
                longest = max(longest, arrival.seconds - last[arrival.partition])
                last[arrival.partition] = arrival.seconds
        return longest

    def _take(self, message: Message) -> None:
        value = message.value()
        if value is not None:
            prediction = msgspec.json.decode(value, type=_Source)
            partition, offset = prediction.source_partition, prediction.source_offset
            self.arrivals.append(Arrival(time.monotonic(), partition, offset))
            self._newest[partition] = max(self._newest[partition], offset)


class _Source(msgspec.Struct):
    source_partition: int
    source_offset: int
