"""A transactional call that ignores its time-out is not waited for: the clients are given up, and the loop goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException

from consumer.errors import AbortError, FencedError, RebuildError
from consumer.kafka import connection
from consumer.kafka.connection import KafkaConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


class Producer:
    """Does in each call what the test wants."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.init_transactions = self.commit_transaction = self.abort_transaction = lambda _seconds: act()
        self.send_offsets_to_transaction = lambda _offsets, _group, _seconds: act()
        self.poll = self.flush = lambda _seconds: act()
        self.produce = cast("Any", None)


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What hangs until the test is over."""
    over = threading.Event()
    yield over
    over.set()


def connected(act: Callable[[], object], *, is_transactional: bool = True) -> KafkaConnection:
    made = KafkaConnection(
        consumer_config={**NOWHERE, "group.id": "g"},
        producer_config=NOWHERE,
        input_topic="in",
        is_transactional=is_transactional,
        listener=cast("Any", None),
        log=structlog.get_logger(),
    )
    made._producer = cast("Any", Producer(act))
    return made


CALLS: list[Callable[[KafkaConnection], None]] = [
    lambda it: it.settle(),
    lambda it: it.send_offsets([]),
    lambda it: it.commit(),
    lambda it: it.abort(),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_without_end_is_given_up(
    call: Callable[[KafkaConnection], None], hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the broker will do is in doubt, as after any time-out: the clients are built anew."""
    monkeypatch.setattr(connection, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(connection, "OVERDUE_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(RebuildError, match="its time-out ignored"):
        call(connected(hanging.wait))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(KafkaError._TIMED_OUT), RebuildError),
        (KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "m", False, False, True), AbortError),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), FencedError),
    ],
)
def test_an_answer_is_what_it_was(
    call: Callable[[KafkaConnection], None], error: KafkaError, expected: type[Exception]
) -> None:
    """A call that ends says what it says, sorted by what is to be done."""

    def fail() -> None:
        raise KafkaException(error)

    with pytest.raises(expected) as raised:
        call(connected(fail))
    assert type(raised.value) is expected


def test_a_mistake_of_ours_is_raised_as_it_is() -> None:
    """An exception that is not Kafka's does not get lost on the other thread."""

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connected(fail).commit()


FENCED = KafkaError(KafkaError._FENCED, "by a newer instance", True)
"""As the client raised it out of `poll` under `make chaos`: its error callback does, for every fatal error."""


def fenced() -> None:
    raise KafkaException(FENCED)


def test_a_producer_that_was_fenced_between_two_calls() -> None:
    """It says so where its callbacks are served; that is what any call of it would have said."""
    with pytest.raises(FencedError, match="newer instance"):
        connected(fenced).poll(1, 0)


def test_a_producer_that_was_fenced_while_its_queue_was_full() -> None:
    """The wait for the queue serves callbacks, too."""

    def full(*_arguments: object, **_headers: object) -> None:
        raise BufferError

    made = connected(fenced)
    made._send = cast("Any", full)
    with pytest.raises(FencedError, match="newer instance"):
        made.produce("out", 0, b"k", b"v", None)


def test_a_producer_that_failed_for_good_before_the_offsets() -> None:
    """Under at_least_once the outputs are flushed before the offsets, and the flush serves callbacks."""
    with pytest.raises(FencedError, match="newer instance"):
        connected(fenced, is_transactional=False).send_offsets([])
