"""A topic read from an offset to its present end, outside any group: for commands that look and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumer.errors import BrokerError, LogGapError, RetryError, TopicsError
from consumer.kafka.errors import error_of, is_refusal, of_call, of_configuration
from consumer.kafka.records import record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from confluent_kafka import Message

    from consumer.errors import SmartInventoryError
    from consumer.record import Record

CALL_SECONDS: Final = 10.0
STALL_SECONDS: Final = 30.0
_BATCH: Final = 1_000
_POLL_SECONDS: Final = 0.2
_GONE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001


class Range(NamedTuple):
    """The offsets that a partition holds: from `low` on, up to but without `high`."""

    low: int
    high: int


def lone_consumer(
    properties: Mapping[str, Any], group: str, isolation: str, on_error: Callable[[KafkaError], None]
) -> Consumer:
    """Return a consumer that joins no group and commits nothing, and hears of each partition's end.

    Args:
        properties: librdkafka's.
        group: named to the broker, which wants one: the worker's own, so that no ACL has to be added.
        isolation: `read_committed` or `read_uncommitted`.
        on_error: its error callback.

    Raises:
        SettingsError: the client refuses its configuration.
    """
    owned = {
        "group.id": group,
        "isolation.level": isolation,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "error_cb": on_error,
    }
    try:
        return Consumer({**properties, **owned})
    except KafkaException as exception:
        raise of_configuration(exception) from exception


class KafkaLog:
    """Reads partitions one after another; joins no group and commits nothing.

    Args:
        config: librdkafka's properties common to all clients, `bootstrap.servers` among them.
        group: named to the broker, which wants one: the worker's own, so that no ACL has to be added.
        isolation: `read_committed`, or `read_uncommitted` to see past transactions that are still open.
    """

    def __init__(self, config: Mapping[str, str], group: str, isolation: str = "read_committed") -> None:
        self._where = config["bootstrap.servers"]
        self._failure: SmartInventoryError | None = None  # noted by a callback, which never raises
        self._last_error = ""
        properties: dict[str, Any] = {
            "log_level": 0,  # what matters comes as an error; librdkafka's own lines would go to standard error
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 20,
            **config,
        }
        self._consumer = lone_consumer(properties, group, isolation, self._on_error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._consumer.close()

    def ranges(self, topic: str) -> dict[int, Range]:
        """Return what each partition of a topic holds now, lowest partition first.

        Raises:
            TopicsError: the topic does not exist.
            BrokerError: no broker answered, or it refuses this client.
            RetryError: a partition could not be asked.
        """
        try:  # of all topics: asking for one by name lets some brokers create it
            topics = self._consumer.list_topics(timeout=CALL_SECONDS).topics
        except KafkaException as exception:
            raise self._failure or self._no_answer(CALL_SECONDS, error_of(exception).str()) from exception
        if topic not in topics:
            raise TopicsError(
                f"topic {topic} does not exist at {self._where}, or may not be seen; create it with "
                "`smart-inventory topics create`"
            )
        return {partition: self._range(topic, partition) for partition in sorted(topics[topic].partitions)}

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """Return an offset before which every record is older than this; None where all are."""
        asked = TopicPartition(topic, partition, max(0, timestamp_ms))
        try:
            (answer,) = self._consumer.offsets_for_times([asked], timeout=CALL_SECONDS)
        except KafkaException as exception:
            raise of_call(error_of(exception), f"find a time in {topic}") from exception
        if answer.error is not None:
            raise of_call(answer.error, f"find a time in {topic}")
        return answer.offset if answer.offset >= 0 else None

    def records(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the partition's records from `start` up to but without `end`, in offset order.

        Raises:
            LogGapError: retention deleted the record that comes next.
            BrokerError: the broker refuses this client, or nothing came for `STALL_SECONDS`.
            RetryError: another error.
        """
        if start >= end:
            return
        for message in self._messages(topic, partition, start):
            record = record_of(message)
            if record.offset < end:
                yield record
            if record.offset >= end - 1:
                return

    def _messages(self, topic: str, partition: int, start: int) -> Iterator[Message]:
        """Yield messages from an offset to the partition's end as it then is."""
        self._consumer.assign([TopicPartition(topic, partition, start)])
        idle = 0.0  # only waiting counts: a reader's own time (a pager, a prompt) is no stall
        while idle < STALL_SECONDS:
            first = self._consumer.poll(_POLL_SECONDS)
            idle += _POLL_SECONDS
            if self._failure is not None:
                raise self._failure
            for message in () if first is None else (first, *self._consumer.consume(_BATCH, 0)):
                error = message.error()
                if error is None:
                    idle = 0.0
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
                elif error.retriable():
                    self._last_error = error.str()
                else:
                    raise _of_reading(error, topic, partition)
        raise self._no_answer(STALL_SECONDS, f"{topic}, partition {partition}; {self._last_error}")

    def _range(self, topic: str, partition: int) -> Range:
        try:
            answer = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)
        except KafkaException as exception:
            raise of_call(error_of(exception), f"read the watermarks of {topic}") from exception
        if answer is None:
            raise RetryError(f"read the watermarks of {topic}: no answer within {CALL_SECONDS:.0f} s")
        return Range(*answer)

    def _on_error(self, error: KafkaError) -> None:
        if is_refusal(error):
            self._failure = of_call(error, "connect to Kafka")
        else:
            self._last_error = error.str()

    def _no_answer(self, seconds: float, detail: str) -> BrokerError:
        return BrokerError(f"no broker answered at {self._where} within {seconds:.0f} s: {detail}")


def _of_reading(error: KafkaError, topic: str, partition: int) -> SmartInventoryError:
    if error.code() in _GONE:
        return LogGapError(
            f"partition {partition} of {topic} no longer holds the record that comes next ({error.str()}): retention "
            "deleted it while it was being read; run the command again"
        )
    return of_call(error, f"read partition {partition} of {topic}")
