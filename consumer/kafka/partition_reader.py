"""Reading a partition of the checkpoint topic up to the end that its leader gives at that moment.

Chunks are written outside of transactions, so that end is the high watermark, and no marker has to be waited for.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.checkpoint.store import StoreError
from consumer.kafka.errors import error_of, of_checkpoints
from consumer.kafka.log import Range, lone_consumer
from consumer.kafka.reach import Complaints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

CALL_SECONDS: Final = 10.0
"""How long the broker may take for a partition's end, and between two batches of records."""

_POLL_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 0.1
_BATCH: Final = 64
_IDLE_READERS: Final = 2


class PartitionReader:
    """One consumer that joins no group and commits nothing; after an error it is of no use.

    Args:
        config: librdkafka's properties common to all clients.
        group: named to the broker, which wants one: the worker's own, so that no ACL has to be added.
        topic: the checkpoint topic.

    Raises:
        SettingsError: the client refuses its configuration.
    """

    def __init__(self, config: Mapping[str, str], group: str, topic: str) -> None:
        self._topic = topic
        self._complaints = Complaints()
        properties: dict[str, Any] = {
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 20,
            "fetch.message.max.bytes": 4_194_304,
            "queued.max.messages.kbytes": 16_384,
            **config,
            "log_level": 0,  # what matters comes as an error
        }
        self._consumer = lone_consumer(properties, group, "read_uncommitted", self._complaints)

    def range(self, partition: int) -> Range:
        """Return what the partition holds now: its first offset, and the high watermark.

        While a leader is being elected, or has not yet heard from its followers how far it may show its log, there is
        no answer; that is waited for, and never taken for an end.

        Raises:
            StoreError: no broker told in time, or it refuses this client.
        """
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            left = deadline - time.monotonic()
            try:
                answer = self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, partition), timeout=max(_RETRY_SECONDS, left)
                )
            except KafkaException as exception:
                error = error_of(exception)
                if not _is_passing(error) or left <= 0:
                    raise self._failed(error, partition) from exception
            else:
                if answer is not None:
                    return Range(*answer)
                if left <= 0:
                    raise self._stalled(partition)
            time.sleep(_RETRY_SECONDS)

    def records(self, partition: int, start: int, end: int) -> Iterator[Message]:
        """Yield the records of a partition from `start` up to but without `end`, in offset order.

        Raises:
            StoreError: nothing came for `CALL_SECONDS`, or the broker refuses this client.
        """
        if start >= end:
            return
        try:
            self._consumer.assign([TopicPartition(self._topic, partition, start)])
            yield from self._assigned(partition, end)
        except KafkaException as exception:
            raise self._failed(error_of(exception), partition) from exception
        finally:
            with contextlib.suppress(KafkaException, RuntimeError):  # a failed one is thrown away
                self._consumer.unassign()

    def _assigned(self, partition: int, end: int) -> Iterator[Message]:
        heard_at = time.monotonic()
        while time.monotonic() - heard_at < CALL_SECONDS:
            first = self._consumer.poll(_POLL_SECONDS)
            for message in () if first is None else (first, *self._consumer.consume(_BATCH, 0)):
                error = message.error()
                if error is None:
                    offset: int = message.offset()  # type: ignore[assignment]  # one that was consumed has it
                    if offset >= end:
                        return
                    yield message
                    heard_at = time.monotonic()
                    if offset == end - 1:
                        return
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    if message.offset() >= end:  # type: ignore[operator]  # likewise; below it, a new leader lags
                        return
                elif not _is_passing(error):
                    raise self._failed(error, partition)
        raise self._stalled(partition)

    def close(self) -> None:
        """Let go of it, beside the caller: whatever the broker does, nobody waits for that."""
        threading.Thread(target=self._consumer.close, name="close-checkpoint-reader", daemon=True).start()

    def _failed(self, error: KafkaError, partition: int) -> StoreError:
        return of_checkpoints(self._complaints.refusal or error, f"read partition {partition} of topic {self._topic}")

    def _stalled(self, partition: int) -> StoreError:
        return StoreError(
            f"read partition {partition} of topic {self._topic}: nothing came for {CALL_SECONDS:.0f} s"
            + ("" if self._complaints.last is None else f" ({self._complaints.last.str()})")
        )


class Readers:
    """Readers to borrow, from several threads; few are kept, those that failed are not.

    Args:
        config: as for `PartitionReader`.
        group: likewise.
        topic: likewise.
    """

    def __init__(self, config: Mapping[str, str], group: str, topic: str) -> None:
        self._config = config
        self._group = group
        self._topic = topic
        self._idle: deque[PartitionReader] = deque()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[PartitionReader]:
        """Lend a reader for as long as the block runs; with an error in it, it is thrown away."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = PartitionReader(self._config, self._group, self._topic)
        try:
            yield reader
        except BaseException:
            reader.close()
            raise
        if len(self._idle) < _IDLE_READERS:
            self._idle.append(reader)
        else:
            reader.close()

    def renew(self) -> None:
        """Throw away those that are kept: what they believe of the cluster may be out of date."""
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return


def _is_passing(error: KafkaError) -> bool:
    """Tell whether the same question may have an answer soon: a leader is being elected, or a broker is away."""
    return error.retriable() or error.code() in _PASSING


_PASSING: Final = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._WAIT_COORD,  # noqa: SLF001
    }
)
