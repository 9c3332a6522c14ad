"""The read_committed reader of a run: it holds what it reads to the independent truth, and knows what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.recovery_demo.watcher import Watcher

if TYPE_CHECKING:
    from confluent_kafka import Message

    from benchmarks.chaos.recoveries import Recoveries
    from consumer.learning.fingerprint import LearningSettings
    from tests.stage import Stage


class Onlooker(Watcher):
    """Reads and compares all the while, and tells `recoveries` of each prediction.

    Attributes:
        ends: by partition, the offset at which the input's next event will come, as far as it has read.
        predictions: how many it has read.
    """

    def __init__(self, stage: Stage, learning: LearningSettings, recoveries: Recoveries) -> None:
        self.input_ends = dict.fromkeys(range(stage.partitions), 0)
        self.predictions = 0
        self._recoveries = recoveries
        super().__init__(stage, learning)  # its thread reads from here on

    def _take(self, message: Message) -> None:
        super()._take(message)
        partition, offset = message.partition() or 0, message.offset() or 0
        if message.topic() == self._input:
            self.input_ends[partition] = offset + 1
        elif message.topic() == self._output:
            self.predictions += 1
            self._recoveries.arrived(partition, self.comparison.newest[partition])
