"""The reader: it sees input and answers as they come, and compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from benchmarks.load import TopicReader
from benchmarks.recovery_demo.comparison import Comparison
from tests.messages import dead_letter, input_record, prediction

if TYPE_CHECKING:
    from types import TracebackType

    from confluent_kafka import Message

    from benchmarks.load import Place
    from consumer.learning.fingerprint import LearningSettings
    from tests.stage import Stage


class Watcher:
    """Reads a stage's three topics with read_committed and compares them while they grow.

    Args:
        stage: whose topics they are.
        learning: the settings that predictions depend on.

    Attributes:
        comparison: what it has found so far.
    """

    def __init__(self, stage: Stage, learning: LearningSettings) -> None:
        self.comparison = Comparison({number: stage.oracle(learning, number) for number in range(stage.partitions)})
        self._input, self._output = stage.input, stage.output
        self._reader = TopicReader(stage, [stage.input, stage.output, stage.dead_letters], self._take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reader.close()

    @property
    def failure(self) -> Exception | None:
        """Why the comparing ended by itself; None while all is well."""
        return self._reader.failure

    def has_new(self, since: dict[int, int]) -> bool:
        """Tell whether a prediction for a record at or above one of these offsets, by partition, was seen."""
        return any(self.comparison.newest[partition] >= offset for partition, offset in since.items())

    def ends(self) -> dict[Place, int]:
        """Ask where the three topics end now, by topic and partition."""
        return self._reader.ends()

    def has_reached(self, ends: dict[Place, int]) -> bool:
        """Tell whether everything below these ends was read."""
        return self._reader.has_reached(ends)

    def finish(self) -> None:
        """Stop reading, and count as lost what has not come."""
        self._reader.close()
        self.comparison.finish()

    def _take(self, message: Message) -> None:
        partition = message.partition()
        if partition is None:
            raise AssertionError("a fetched message has a partition")
        if message.topic() == self._input:
            self.comparison.feed(partition, input_record(message))
            return
        is_prediction = message.topic() == self._output
        try:
            published = prediction(message) if is_prediction else dead_letter(message)
        except (ValueError, KeyError, TypeError) as error:
            self.comparison.see_unreadable(partition, "prediction" if is_prediction else "dead_letter", repr(error))
        else:
            self.comparison.see(partition, published)
