"""One consumer and one producer of the real client, as the worker's `Connection`.

Rules that shape it (docs/guarantees.md): callbacks never raise and only take notes, because an exception inside one
loses the batch being fetched; offsets are given at `incremental_assign`, never by `seek`; nothing is assigned inside a
callback, so a slow restore never holds up the group.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from consumer.broker import Committed, EndOfPartition, OutOfRange, Tail
from consumer.errors import FencedError, RebuildError, RetryError
from consumer.kafka.errors import error_of, is_fenced, is_passing, is_refusal, of_call, of_commit, of_transaction
from consumer.kafka.pending_offsets import PendingOffsets
from consumer.kafka.records import batch_of_messages, record_of, runs_of
from consumer.kafka.repetitions import Repetitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Polled, Position, RebalanceListener
    from consumer.errors import SmartInventoryError
    from consumer.record import Record
    from schemas.dead_letter import Headers

CALL_SECONDS: Final = 10.0
OVERDUE_SECONDS: Final = 3.0
QUEUE_FULL_SECONDS: Final = 30.0
_LETTING_GO_SECONDS: Final = 0.1
_QUIET_POLLS: Final = 3  # a rebalance that was under way may still give something
_UNTIL_EXIT: Final[list[object]] = []
"""Clients that nothing may destroy any more: destroying a consumer closes it."""

_NOWHERE: Final = 2**63 - 1
_GAP_ERRORS: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_TOPIC_GONE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001


class KafkaConnection:
    """Both clients under one identity.

    Args:
        consumer_config: librdkafka's properties of the consumer.
        producer_config: those of the producer.
        input_topic: what the consumer subscribes to.
        is_transactional: exactly_once; else at_least_once.
        listener: hears of rebalances, from within `poll`.
        log: the worker's log.
        repetitions: keeps what the clients complain of again and again from filling it.
    """

    def __init__(  # noqa: PLR0913 -- the two clients' needs, named
        self,
        *,
        consumer_config: Mapping[str, Any],
        producer_config: Mapping[str, Any],
        input_topic: str,
        is_transactional: bool,
        listener: RebalanceListener,
        log: FilteringBoundLogger,
        repetitions: Repetitions | None = None,
    ) -> None:
        self._repetitions = repetitions or Repetitions()
        self._input_topic = input_topic
        self._is_transactional = is_transactional
        self._listener = listener
        self._log = log
        self._started: set[int] = set()
        self._owned: set[int] = set()
        self._is_closed = False
        self._failure: SmartInventoryError | None = None  # noted by a callback, raised by the next poll
        self._undelivered = 0
        self._offsets: list[TopicPartition] = []
        self._pending_offsets = PendingOffsets(_without_membership(consumer_config), input_topic, is_passing)
        self._consumer_config = dict(consumer_config)
        self._consumer = Consumer({**consumer_config, "error_cb": self._on_error})
        self._producer = Producer({**producer_config, "error_cb": self._on_error})
        self._send = self._producer.produce
        self._on_delivery = None if is_transactional else self._on_undelivered
        self._consumer.subscribe(
            [input_topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    # Joining and reading

    def settle(self) -> None:
        """Abort an earlier client's open transaction and fence it."""
        if self._is_transactional:
            self._transactional("init_transactions", lambda: self._producer.init_transactions(CALL_SECONDS))

    def poll(self, max_records: int, timeout: float) -> list[Polled]:
        """Wait for the first record, then take what is queued: `consume(n, t)` would wait all of t for n records.

        A batch's offsets rise, because nothing is assigned or unassigned and assigned again between the two calls.
        """
        self._serve(0)
        polled: list[Polled] = []
        try:
            first = self._consumer.poll(timeout)
            rest = [] if first is None else self._consumer.consume(max_records - 1, 0)
        except KafkaException as exception:  # whatever was fetched is lost, and its offsets will not come again
            raise RebuildError(f"poll: {error_of(exception).str()}") from exception
        if first is not None:  # a message with an empty value is falsy
            for run, error in runs_of([first, *rest]):
                if error is None:
                    polled.append(batch_of_messages(run))
                    continue
                (message,) = run
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    polled.append(EndOfPartition(message.partition(), message.offset()))  # type: ignore[arg-type]
                elif error.code() in _GAP_ERRORS:
                    self._log.warning("offset_out_of_range", partition=message.partition(), reason=error.str())
                    polled.append(OutOfRange(message.partition(), _NOWHERE))  # type: ignore[arg-type]
                else:
                    self._note_consumer_error(error, message.partition())
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return polled

    def start(self, partition: int, offset: int) -> None:
        """Assign at an explicit offset."""
        try:
            self._consumer.incremental_assign([TopicPartition(self._input_topic, partition, offset)])
        except KafkaException as exception:
            raise RebuildError(f"assign partition {partition}: {error_of(exception).str()}") from exception
        self._started.add(partition)

    def stop(self, partitions: Sequence[int]) -> None:
        """Unassign; what was fetched ahead of these is purged with it."""
        stopping = [
            TopicPartition(self._input_topic, partition) for partition in partitions if partition in self._started
        ]
        self._started.difference_update(partitions)
        self._pending_offsets.forget(partitions)
        try:
            self._consumer.incremental_unassign(stopping)
        except KafkaException as exception:
            raise RebuildError(f"unassign partitions: {error_of(exception).str()}") from exception

    def committed(self, partition: int, timeout: float) -> Committed | None:
        """Fetch the committed offset; read_committed makes the broker hold it back while a transaction is pending.

        That of a partition of ours is then asked for beside the loop, and this asks for the answer again and again.
        """
        doing = "read the committed offset"
        if self._pending_offsets.is_asked(partition):
            found = self._pending_offsets.take(partition)
            if found is None:
                raise RetryError(f"{doing}: no answer yet, as while another worker's transaction is pending on it")
            if isinstance(found, KafkaError):
                raise of_call(found, doing)
            return _committed_of(found)
        try:
            (answer,) = self._consumer.committed([TopicPartition(self._input_topic, partition)], timeout=timeout)
        except KafkaException as exception:
            error = error_of(exception)
            if is_passing(error) and partition in self._owned:
                self._pending_offsets.ask(partition)
            raise of_call(error, doing) from exception
        if answer.error is not None:
            raise of_call(answer.error, doing)
        return _committed_of(answer)

    def log_range(self, partition: int, *, cached: bool = False) -> tuple[int, int]:
        """Ask for the watermarks; under read_committed the upper one is the last stable offset."""
        return self._watermarks(self._input_topic, partition, cached=cached)

    def tail(self, topic: str, partition: int) -> Tail:
        """Read back from the end of a topic's partition until something committed is found."""
        low, high = self._watermarks(topic, partition)
        window = 64
        start = high
        while start > low:
            start = max(low, high - window)
            found = self._last_record(topic, partition, start, high)
            if found is not None:
                return Tail(found, is_cut=False)
            window *= 8  # only markers and aborted records there
        return Tail(None, is_cut=low > 0)

    # The transaction

    def begin(self) -> None:
        """Begin a transaction; the broker learns of it with the first record."""
        if self._is_transactional:
            self._transactional("begin_transaction", self._producer.begin_transaction)

    def produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        """Queue one record; where the queue is full, serve the client until it drains."""
        try:
            # A failed delivery fails the transaction: no callback is needed there, which saves 0.5 µs a record.
            self._send(topic, value, key, partition, self._on_delivery, headers=headers)  # type: ignore[arg-type]  # pairs
        except BufferError:
            self._produce_when_drained(topic, partition, key, value, headers)
        except KafkaException as exception:
            raise of_transaction(error_of(exception), f"produce to {topic}") from exception

    def produce_many(
        self, topic: str, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> None:
        """Queue many records; where the queue is full, serve the client until it drains."""
        send, on_delivery = self._send, self._on_delivery
        try:
            for key, value in zip(keys, values, strict=True):
                try:
                    send(topic, value, key, partition, on_delivery)
                except BufferError:
                    self._produce_when_drained(topic, partition, key, value, None)
        except KafkaException as exception:
            raise of_transaction(error_of(exception), f"produce to {topic}") from exception

    def send_offsets(self, positions: Sequence[Position]) -> None:
        """Add the offsets; the group's metadata is fetched freshly, since it is what fences (KIP-447)."""
        offsets = [
            TopicPartition(self._input_topic, position.partition, position.offset, metadata=position.metadata)
            for position in positions
        ]
        if self._is_transactional:
            # Asked for here: in a rebalance callback the consumer answers no other thread before the callback is over.
            group = self._consumer.consumer_group_metadata()
            self._transactional(
                "send_offsets_to_transaction",
                lambda: self._producer.send_offsets_to_transaction(offsets, group, CALL_SECONDS),
            )
            return
        try:
            undelivered = self._producer.flush(CALL_SECONDS)
        except KafkaException as exception:
            raise of_transaction(error_of(exception), "flush") from exception
        if undelivered > 0 or self._undelivered > 0:
            raise RebuildError("flush: not every output was delivered")
        self._offsets = offsets

    def commit(self) -> None:
        """Commit the transaction, or under at_least_once the offsets themselves."""
        if self._is_transactional:
            self._transactional("commit_transaction", lambda: self._producer.commit_transaction(CALL_SECONDS))
            return
        try:
            answers = self._consumer.commit(offsets=self._offsets, asynchronous=False)
        except KafkaException as exception:
            raise of_commit(error_of(exception), "commit offsets") from exception
        failed = [answer.error for answer in answers if answer.error is not None]
        if failed:
            raise of_commit(failed[0], "commit offsets")

    def abort(self) -> None:
        """Abort the open transaction."""
        if self._is_transactional:
            self._transactional("abort_transaction", lambda: self._producer.abort_transaction(CALL_SECONDS))

    # The end

    def discard(self) -> None:
        """Destroy both clients beside the loop: with a broker that hangs, that takes as long as it likes.

        The open transaction is left to `init_transactions` of the next client, which fences this one first.
        """
        self._is_closed = True
        self._pending_offsets.forget_all()
        self._producer.purge(blocking=False)
        clients = [self._producer]
        del self._producer, self._send  # not closed, which would flush and settle: destroyed, when the list is cleared

        def bury() -> None:
            clients.clear()
            if self._let_go():
                self._consumer.close()
            else:
                _UNTIL_EXIT.append(self._consumer)

        threading.Thread(target=bury, name="discard-clients", daemon=True).start()

    def _let_go(self) -> bool:
        """Have the assignment taken away before the close, which would take it away itself and may hang in it.

        librdkafka's issue 4884: a consumer that is closing may no longer answer the unassigning in its rebalance
        callback. The binding waits for that answer with the interpreter's lock held: the whole process stands still.
        Tells whether nothing is assigned any more, so that the close has nothing to call back for.
        """
        deadline = time.monotonic() + CALL_SECONDS
        with contextlib.suppress(KafkaException, RuntimeError):
            self._consumer.unsubscribe()
        quiet_polls = 0
        while quiet_polls < _QUIET_POLLS and time.monotonic() < deadline:
            with contextlib.suppress(KafkaException, RuntimeError):  # its news is of no interest any more
                self._consumer.poll(_LETTING_GO_SECONDS)
            quiet_polls = 0 if self._owned else quiet_polls + 1
        return not self._owned

    def leave(self) -> None:
        """Keep both clients as they are until the process ends, which is at once.

        A consumer's close calls back into Python, and the unassigning there was seen to hang with the interpreter's
        lock held: no log line, no time limit, no signal came through any more. It is of no use either: a static member
        does not leave the group by it, and nothing is committed by it.
        """
        self._is_closed = True
        self._pending_offsets.forget_all()
        _UNTIL_EXIT.append((self._consumer, self._producer))

    def close(self, timeout: float) -> bool:
        """Close the producer and leave; a static member stays in the group until its session times out."""
        self.leave()
        closing = threading.Thread(target=self._producer.close, name="close-producer", daemon=True)
        closing.start()
        closing.join(timeout)
        return not closing.is_alive()

    # Callbacks: they take notes and never raise

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._quietly(lambda: consumer.incremental_assign([]))  # else the binding assigns at the committed offsets
        numbers = [each.partition for each in partitions]
        self._owned.update(numbers)
        self._pending_offsets.forget(numbers)
        if not self._is_closed:
            self._quietly(lambda: self._listener.on_gained(numbers))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        if not self._is_closed:
            self._quietly(lambda: self._listener.on_revoked(numbers))
        self._unassign(consumer, numbers)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        if not self._is_closed:
            self._quietly(lambda: self._listener.on_lost(numbers))
        self._unassign(consumer, numbers)

    def _unassign(self, consumer: Consumer, numbers: list[int]) -> None:
        started = [TopicPartition(self._input_topic, number) for number in numbers if number in self._started]
        self._started.difference_update(numbers)
        self._owned.difference_update(numbers)
        self._pending_offsets.forget(numbers)
        self._quietly(lambda: consumer.incremental_unassign(started))

    def _quietly(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as exception:  # noqa: BLE001 -- whatever it is, raised here it would lose the batch
            self._log.exception("rebalance_callback_failed")
            self._failure = RebuildError(f"a rebalance callback failed: {exception}")

    def _on_error(self, error: KafkaError) -> None:
        if is_refusal(error):
            self._failure = of_call(error, "connect to Kafka")
        elif is_fenced(error):
            self._failure = FencedError(f"a client failed for good: {error.str()}")
        else:
            self._say("kafka_error", error)

    def _on_undelivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._undelivered += 1

    def _note_consumer_error(self, error: KafkaError, partition: int | None) -> None:
        code = error.code()
        if is_refusal(error):
            self._failure = of_call(error, "read the input topic")
        elif is_fenced(error):
            self._failure = FencedError(f"the consumer was fenced: {error.str()}")
        elif code in _TOPIC_GONE:
            self._failure = RebuildError(f"the input topic is not there: {error.str()}")
        else:
            self._say("kafka_consumer_error", error, partition=partition)

    def _say(self, event: str, error: KafkaError, **fields: object) -> None:
        left_out = self._repetitions.left_out((event, error.code()))
        if left_out is not None:
            self._log.warning(event, code=error.name(), reason=error.str(), left_out=left_out, **fields)

    # Calls

    def _transactional(self, name: str, call: Callable[[], object]) -> None:
        """Make a call of the producer's, and wait for it little longer than its own time-out.

        `send_offsets_to_transaction` was seen never to return where its connection was reset just then (librdkafka's
        issue 5456; `make chaos` does that). All the while the group cannot rebalance: it waits for this member to poll.
        The call's thread and its client stay behind, fenced by the next one, until the process ends.
        """
        failures: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except BaseException as failure:  # noqa: BLE001 -- raised again, where it is waited for
                failures.append(failure)

        calling = threading.Thread(target=run, name=name, daemon=True)
        calling.start()
        calling.join(CALL_SECONDS + OVERDUE_SECONDS)
        if calling.is_alive():
            raise RebuildError(f"{name}: no answer after {CALL_SECONDS + OVERDUE_SECONDS:.0f} s, its time-out ignored")
        for failure in failures:
            if isinstance(failure, KafkaException):
                raise of_transaction(error_of(failure), name) from failure
            raise failure

    def _serve(self, seconds: float) -> None:
        """Serve the producer's callbacks. A producer that failed for good, being fenced, raises here, unasked."""
        try:
            self._producer.poll(seconds)
        except KafkaException as exception:
            raise of_transaction(error_of(exception), "serve the producer") from exception

    def _produce_when_drained(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers | None
    ) -> None:
        deadline = time.monotonic() + QUEUE_FULL_SECONDS
        while time.monotonic() < deadline:
            self._serve(0.1)
            try:
                self._send(topic, value, key, partition, self._on_delivery, headers=headers)  # type: ignore[arg-type]
            except BufferError:
                continue
            except KafkaException as exception:
                raise of_transaction(error_of(exception), f"produce to {topic}") from exception
            return
        raise RebuildError(f"produce to {topic}: the client's queue stayed full for {QUEUE_FULL_SECONDS:.0f} s")

    def _watermarks(self, topic: str, partition: int, *, cached: bool = False) -> tuple[int, int]:
        try:
            answer = self._consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=CALL_SECONDS, cached=cached
            )
        except KafkaException as exception:
            raise of_call(error_of(exception), f"read the watermarks of {topic}") from exception
        if answer is None:
            raise RetryError(f"read the watermarks of {topic}: no answer within {CALL_SECONDS:.0f} s")
        return answer

    def _last_record(self, topic: str, partition: int, start: int, end: int) -> Record | None:
        """Return the last committed record of a topic's partition in [start, end)."""
        config = _without_membership(self._consumer_config)
        reader = Consumer({**config, "error_cb": self._on_error})
        found: Record | None = None
        try:
            reader.assign([TopicPartition(topic, partition, start)])
            deadline = time.monotonic() + CALL_SECONDS
            while time.monotonic() < deadline:
                message = reader.poll(0.2)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    found = record_of(message)
                    if found.offset + 1 >= end:
                        return found
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return found
                else:
                    raise of_call(error, f"read the tail of {topic}")
        finally:
            reader.close()
        raise RetryError(f"read the tail of {topic}: no answer within {CALL_SECONDS:.0f} s")


def _committed_of(answer: TopicPartition) -> Committed | None:
    return Committed(answer.offset, answer.metadata) if answer.offset >= 0 else None


def _without_membership(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a consumer that reads beside the worker's own and joins nothing."""
    return {
        name: value
        for name, value in config.items()
        if name not in {"group.instance.id", "partition.assignment.strategy"}
    }
