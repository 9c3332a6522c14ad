"""Kafka's errors, sorted by what is to be done: in doubt, always the rebuild way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.broker import Position
from consumer.errors import (
    AbortError,
    BrokerError,
    FencedError,
    RebuildError,
    RecoverableError,
    RetryError,
    SmartInventoryError,
    StopError,
    TopicsError,
)
from consumer.kafka.broker import ClientIdentity, KafkaBroker
from consumer.kafka.errors import error_of, is_refusal, of_call, of_transaction
from consumer.kafka.topics import TopicNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumer.kafka.connection import KafkaConnection

REFUSED: Final = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
)
FENCED: Final = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID,
)
IN_DOUBT: Final = (
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._STATE,
    KafkaError._CONFLICT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.UNKNOWN,
    KafkaError._INVALID_ARG,
)
ABORTABLE: Final = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
)
ANY_CODE: Final = sorted({*REFUSED, *FENCED, *IN_DOUBT, *ABORTABLE, KafkaError._FATAL, KafkaError.MSG_SIZE_TOO_LARGE})
FLAGS: Final = tuple((fatal, retriable, abort) for fatal in (0, 1) for retriable in (0, 1) for abort in (0, 1))


def error(code: int, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaError:
    """An error as the client makes them."""
    return KafkaError(code, "as the broker said", fatal, retriable, abort)


def kind(sorted_error: SmartInventoryError) -> type[SmartInventoryError]:
    """Its exact class: a subclass is treated otherwise."""
    return type(sorted_error)


def named(code: int) -> str:
    """The code's name, for test ids."""
    return error(code).name()


# Rule 1: a transactional call


@pytest.mark.parametrize("code", IN_DOUBT, ids=named)
def test_what_is_not_classified_is_in_doubt(code: int) -> None:
    """A time-out or any other error of a transactional call rebuilds the clients, even one marked retriable."""
    assert kind(of_transaction(error(code), "commit_transaction")) is RebuildError
    assert kind(of_transaction(error(code, retriable=True), "commit_transaction")) is RebuildError


@pytest.mark.parametrize("code", ABORTABLE, ids=named)
def test_only_an_error_that_asks_for_it_is_aborted(code: int) -> None:
    """The abort is tried exactly where the error says that it settles the transaction."""
    assert kind(of_transaction(error(code, abort=True), "send_offsets_to_transaction")) is AbortError
    assert kind(of_transaction(error(code), "send_offsets_to_transaction")) is RebuildError


@pytest.mark.parametrize("code", FENCED, ids=named)
def test_fencing_is_never_aborted(code: int) -> None:
    """A fenced producer's transaction is another's to settle, even where the error asks for an abort."""
    assert kind(of_transaction(error(code), "begin_transaction")) is FencedError
    assert kind(of_transaction(error(code, abort=True), "begin_transaction")) is FencedError
    assert kind(of_transaction(error(code, fatal=True), "begin_transaction")) is FencedError


@pytest.mark.parametrize("code", [KafkaError._FATAL, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER], ids=named)
def test_a_fatal_error_rebuilds(code: int) -> None:
    """A client that failed for good is thrown away."""
    assert issubclass(kind(of_transaction(error(code, fatal=True), "commit_transaction")), RebuildError)


@pytest.mark.parametrize("code", REFUSED, ids=named)
def test_a_refusal_stops(code: int) -> None:
    """What credentials or ACLs do not allow, no repetition changes: the sentence names the settings to look at."""
    for sort in (of_call, of_transaction):
        for flags in ({}, {"abort": True}, {"fatal": True}, {"retriable": True}):
            refused = sort(error(code, **flags), "init_transactions")
            assert kind(refused) is BrokerError
            assert ("have the broker's ACLs grant" in str(refused)) is ("AUTHORIZATION" in named(code))
            assert ("check KAFKA_SASL_USERNAME" in str(refused)) is ("AUTHORIZATION" not in named(code))
            assert named(code) in str(refused)
    assert is_refusal(error(code))


def test_a_record_too_large_stops_with_the_remedy() -> None:
    """Repeating it would fail for ever; the topics' limits are the operator's."""
    stop = of_transaction(error(KafkaError.MSG_SIZE_TOO_LARGE, abort=True), "produce to out")
    assert kind(stop) is TopicsError
    assert "max.message.bytes" in str(stop)
    assert "KAFKA_MESSAGE_MAX_BYTES" in str(stop)


@pytest.mark.parametrize("code", ANY_CODE, ids=named)
def test_no_transactional_error_is_merely_repeated(code: int) -> None:
    """Whatever its flags, an error of a transactional call loses the transaction or stops the worker."""
    for fatal, retriable, abort in FLAGS:
        sorted_error = of_transaction(
            error(code, fatal=bool(fatal), retriable=bool(retriable), abort=bool(abort)), "commit_transaction"
        )
        assert isinstance(sorted_error, (RecoverableError, StopError))
        assert not isinstance(sorted_error, RetryError)


# Other calls


@pytest.mark.parametrize("code", IN_DOUBT, ids=named)
def test_another_call_is_tried_again(code: int) -> None:
    """Reading a committed offset or a watermark changes nothing: it is simply asked again."""
    assert kind(of_call(error(code), "read the committed offset")) is RetryError
    assert kind(of_call(error(code, retriable=True), "read the committed offset")) is RetryError


@pytest.mark.parametrize("code", FENCED, ids=named)
def test_another_call_may_find_out_the_fencing(code: int) -> None:
    """Asked again, a fenced client says the same for ever."""
    assert kind(of_call(error(code), "read the committed offset")) is FencedError


@pytest.mark.parametrize("code", [*IN_DOUBT, KafkaError._FATAL], ids=named)
def test_a_fatal_flag_rebuilds_whatever_the_code(code: int) -> None:
    """Any fatal flag means that this client will never work again (rule 17)."""
    assert kind(of_call(error(code, fatal=True), "read the committed offset")) is FencedError


def test_the_fatal_code_is_fatal_without_its_flag() -> None:
    """A fenced static member's consumed error has code _FATAL, but `fatal()` is False (rule 17)."""
    assert kind(of_call(error(KafkaError._FATAL), "read the committed offset")) is FencedError


@pytest.mark.parametrize("sort", [of_call, of_transaction])
def test_every_sentence_says_what_was_done_and_why(sort: Callable[[KafkaError, str], SmartInventoryError]) -> None:
    """A log line tells the call and the broker's own words."""
    for code in ANY_CODE:
        text = str(sort(error(code), "commit_transaction"))
        assert text.startswith("commit_transaction: ")
        assert "as the broker said" in text or code == KafkaError.MSG_SIZE_TOO_LARGE


def test_the_error_of_an_exception() -> None:
    """The client wraps each error in an exception."""
    wrapped = error(KafkaError._TIMED_OUT)
    assert error_of(KafkaException(wrapped)) is wrapped


# What a connection makes of them; its clients are real and find no broker


class Listener:
    """Hears nothing."""

    def on_gained(self, partitions: Sequence[int]) -> None: ...

    def on_revoked(self, partitions: Sequence[int]) -> None: ...

    def on_lost(self, partitions: Sequence[int]) -> None: ...


def connection(*, is_transactional: bool) -> KafkaConnection:
    """A connection to nowhere."""
    broker = KafkaBroker(
        {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"},
        TopicNames("in", "out", "dead"),
        ClientIdentity("group", "instance"),
        is_transactional=is_transactional,
        log=structlog.wrap_logger(
            structlog.PrintLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        ),
    )
    return broker.connect(Listener())


@pytest.fixture
def nowhere(caplog: pytest.LogCaptureFixture) -> Iterator[KafkaConnection]:
    """A transactional connection to nowhere."""
    caplog.set_level(logging.CRITICAL + 1, "librdkafka")
    made = connection(is_transactional=True)
    yield made
    made.discard()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._FATAL, FencedError),
        (KafkaError.FENCED_INSTANCE_ID, FencedError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, RebuildError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, BrokerError),
    ],
)
def test_consumed_errors(nowhere: KafkaConnection, code: int, expected: type[SmartInventoryError]) -> None:
    """An error among the messages is raised by the poll that met it, though its fatal flag is not set; once."""
    nowhere._note_consumer_error(error(code), 3)
    with pytest.raises(expected) as caught:
        nowhere.poll(1, 0)
    assert kind(caught.value) is expected
    assert nowhere.poll(1, 0) == []


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._MAX_POLL_EXCEEDED])
def test_passing_consumed_errors_are_only_logged(nowhere: KafkaConnection, code: int) -> None:
    """What the client mends by itself loses nothing and stops nothing."""
    nowhere._note_consumer_error(error(code), 3)
    nowhere._on_error(error(code))
    assert nowhere.poll(1, 0) == []


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        (error(KafkaError._FATAL), FencedError),
        (error(KafkaError._TRANSPORT, fatal=True), FencedError),
        (error(KafkaError._AUTHENTICATION), BrokerError),
    ],
)
def test_errors_of_a_client_as_a_whole(
    nowhere: KafkaConnection, noted: KafkaError, expected: type[SmartInventoryError]
) -> None:
    """The client's error callback never raises: the next poll does."""
    nowhere._on_error(noted)
    with pytest.raises(expected):
        nowhere.poll(1, 0)


def test_a_failing_callback_loses_no_batch(nowhere: KafkaConnection) -> None:
    """An exception inside a rebalance callback would lose the batch being fetched: it is raised by the poll instead."""

    def failing() -> None:
        raise ValueError("in the listener")

    nowhere._quietly(failing)
    with pytest.raises(RebuildError, match="in the listener"):
        nowhere.poll(1, 0)


class RefusingConsumer:
    """A consumer whose commits fail with one error."""

    def __init__(self, refusal: KafkaError) -> None:
        self._refusal = refusal

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        """Fail."""
        assert offsets
        assert not asynchronous
        raise KafkaException(self._refusal)

    def close(self) -> None:
        """Do nothing."""


def commit_at_least_once(refusal: KafkaError) -> SmartInventoryError:
    """The error of a commit under at_least_once that the broker answered with this one."""
    made: Any = connection(is_transactional=False)
    own, made._consumer = made._consumer, RefusingConsumer(refusal)
    try:
        made.send_offsets([Position(0, 5, "{}")])
        with pytest.raises(SmartInventoryError) as caught:
            made.commit()
        return caught.value
    finally:
        made._consumer = own
        made.discard()


@pytest.mark.parametrize(
    "code", [KafkaError._TIMED_OUT, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.UNKNOWN_MEMBER_ID]
)
def test_a_failed_commit_of_offsets_is_in_doubt(code: int) -> None:
    """Under at_least_once, too: what the broker did with the offsets is only known after reading them back."""
    assert issubclass(kind(commit_at_least_once(error(code))), RebuildError)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(KafkaError.FENCED_INSTANCE_ID, FencedError), (KafkaError.GROUP_AUTHORIZATION_FAILED, BrokerError)],
)
def test_a_commit_of_offsets_may_be_fenced_or_refused(code: int, expected: type[SmartInventoryError]) -> None:
    """Fencing counts towards the name clash (rule 17), and a refusal stops instead of rebuilding for ever."""
    assert kind(commit_at_least_once(error(code))) is expected
