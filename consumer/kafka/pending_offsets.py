"""Committed offsets that the broker holds back: asked for beside the loop.

Where a worker died, its open transaction is pending on the offsets of its partitions until the coordinator aborts it,
20 s later at most by default. The client's call waits as long for the answer. Whoever takes the partitions over has
others that go on meanwhile, and a transaction of its own that must not time out: it cannot wait with them.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumer.kafka.errors import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import KafkaError

_FIRST_CALL_SECONDS: Final = 0.5
_LONGEST_CALL_SECONDS: Final = 5.0


class PendingOffsets:
    """Asks in a thread, through a consumer of its own that joins nothing, for as long as something is asked for.

    Args:
        config: the properties of a consumer of the group, without `group.instance.id`; `isolation.level` is
            read_committed, without which the broker would answer with what it had before the pending transaction.
        topic: whose offsets these are.
        is_passing: whether asking again may help after this error.
        new_consumer: builds the consumer; another one is for tests.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        is_passing: Callable[[KafkaError], bool],
        new_consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._config = dict(config)
        self._topic = topic
        self._is_passing = is_passing
        self._new_consumer = new_consumer
        self._lock = threading.Lock()
        self._wanted: dict[int, object] = {}  # by partition, what tells one asking from the next
        self._answers: dict[int, TopicPartition | KafkaError] = {}
        self._thread: threading.Thread | None = None

    def ask(self, partition: int) -> None:
        """Begin to ask; harmless where that is under way."""
        with self._lock:
            if partition in self._wanted or partition in self._answers:
                return
            self._wanted[partition] = object()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pending-offsets", daemon=True)
                self._thread.start()

    def is_asked(self, partition: int) -> bool:
        """Tell whether `ask` was called since the last answer was taken or forgotten."""
        with self._lock:
            return partition in self._wanted or partition in self._answers

    def take(self, partition: int) -> TopicPartition | KafkaError | None:
        """Return the answer, once; None while there is none."""
        with self._lock:
            return self._answers.pop(partition, None)

    def forget(self, partitions: Iterable[int]) -> None:
        """Ask no longer, and keep no answer: somebody else may commit there from now on."""
        with self._lock:
            for partition in partitions:
                self._wanted.pop(partition, None)
                self._answers.pop(partition, None)

    def forget_all(self) -> None:
        """Ask for nothing any more; the thread ends after its present call."""
        with self._lock:
            self._wanted.clear()
            self._answers.clear()

    def _run(self) -> None:
        try:
            with contextlib.suppress(KafkaException):  # the loop's own calls say what is wrong
                consumer = self._new_consumer(self._config)
                try:
                    self._ask_while_wanted(consumer)
                finally:
                    consumer.close()
        finally:
            with self._lock:
                if self._thread is threading.current_thread():  # it failed: whoever asks again starts another
                    self._thread = None
                    self._wanted.clear()

    def _ask_while_wanted(self, consumer: Consumer) -> None:
        seconds = _FIRST_CALL_SECONDS
        while True:
            with self._lock:
                asked = list(self._wanted.items())
                if not asked:
                    self._thread = None
                    return
            for partition, asking in asked:
                self._ask(consumer, partition, asking, seconds)
            seconds = min(2 * seconds, _LONGEST_CALL_SECONDS)

    def _ask(self, consumer: Consumer, partition: int, asking: object, seconds: float) -> None:
        """Ask once, and keep what is an answer if it is still wanted."""
        with self._lock:
            if self._wanted.get(partition) is not asking:
                return
        try:
            (answer,) = consumer.committed([TopicPartition(self._topic, partition)], timeout=seconds)
            error = answer.error
        except KafkaException as exception:
            error = error_of(exception)
        if error is not None and self._is_passing(error):
            return
        with self._lock:
            if self._wanted.get(partition) is asking:
                del self._wanted[partition]
                self._answers[partition] = answer if error is None else error
