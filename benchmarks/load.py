"""Input that keeps flowing, and a reader that watches the output all the while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, TopicPartition

from benchmarks.shop import FAULT_SHARE
from tests.kafka import unique, wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from types import TracebackType

    from tests.stage import Stage


class Feeder:
    """`smart-inventory simulate` in a process of its own: the real year at a steady rate, faults among it."""

    def __init__(self, stage: Stage, *, rate: int, seed: int) -> None:
        share = str(FAULT_SHARE)
        options = {"--source": "completejourney", "--rate": str(rate), "--seed": str(seed)}
        shares = {"--invalid-share": share, "--repeat-share": share}
        arguments = [word for pair in (options | shares).items() for word in pair]
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

    def finish(self) -> None:
        """End the input: everything sent is confirmed when this returns."""
        self._process.send_signal(signal.SIGINT)
        output, _ = self._process.communicate(timeout=60)
        if self._process.returncode != 0:
            raise AssertionError(f"simulate ended with {self._process.returncode}: {output}")


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
        self._stage = stage
        self.arrivals: list[Arrival] = []
        self._is_done = False
        self._newest = dict.fromkeys(range(stage.partitions), -1)
        self._offsets = Consumer(
            {
                "bootstrap.servers": stage.bootstrap_servers,
                "group.id": stage.group,
                # The last committed offset, also while a killed worker's transaction is pending on the next one.
                "isolation.level": "read_uncommitted",
            }
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_done = True
        self._thread.join()
        self._offsets.close()

    def committed(self) -> dict[int, int]:
        """Return the group's committed offsets now."""
        answers = self._stage.committed_through(self._offsets)
        return {partition: max(0, answer.offset) for partition, answer in answers.items()}

    def has_new(self, since: dict[int, int]) -> bool:
        """Tell whether a prediction for a record at or above one of these offsets has arrived."""
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

    def _read(self) -> None:
        reader = Consumer(
            {
                "bootstrap.servers": self._stage.bootstrap_servers,
                "group.id": unique("reader"),
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        reader.assign([TopicPartition(self._stage.output, number, 0) for number in range(self._stage.partitions)])
        while not self._is_done:
            for message in reader.consume(500, 0.05):
                value = message.value()
                if message.error() is None and value is not None:
                    prediction = msgspec.json.decode(value, type=_Source)
                    partition, offset = prediction.source_partition, prediction.source_offset
                    self.arrivals.append(Arrival(time.monotonic(), partition, offset))
                    self._newest[partition] = max(self._newest[partition], offset)
        reader.close()


class _Source(msgspec.Struct):
    source_partition: int
    source_offset: int
