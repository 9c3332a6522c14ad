"""Committed offsets that the broker holds back are waited for beside the loop, and an answer is never a stale one."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.kafka.errors import is_passing
from consumer.kafka.pending_offsets import PendingOffsets
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD_BACK = KafkaError(KafkaError._TIMED_OUT)
REFUSED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)


class ScriptedConsumer:
    """Answers each call with what the test gives it, and waits for that."""

    def __init__(self) -> None:
        self.asked: queue.Queue[tuple[int, float]] = queue.Queue()
        self.answers: queue.Queue[int | KafkaError] = queue.Queue()
        self.built = 0
        self.closed = 0

    def build(self, _config: dict[str, Any]) -> ScriptedConsumer:
        self.built += 1
        return self

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        (wanted,) = partitions
        self.asked.put((wanted.partition, timeout))
        answer = self.answers.get(timeout=30)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return [TopicPartition(wanted.topic, wanted.partition, answer)]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def consumer() -> ScriptedConsumer:
    """The consumer that asks."""
    return ScriptedConsumer()


@pytest.fixture
def pending(consumer: ScriptedConsumer) -> Iterator[PendingOffsets]:
    """What is tested, over that consumer."""
    offsets = PendingOffsets({}, "in", is_passing, consumer.build)  # type: ignore[arg-type]
    yield offsets
    offsets.forget_all()
    consumer.answers.put(0)  # let a call that is still open end


def taken(pending: PendingOffsets, partition: int) -> TopicPartition | KafkaError:
    wait_until(lambda: partition in pending._answers, 10, "an answer")
    answer = pending.take(partition)
    assert answer is not None
    return answer


def test_it_asks_until_there_is_an_answer(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """The loop goes on meanwhile; calls become longer, for a broker that is slow and holds nothing back."""
    assert not pending.is_asked(3)
    pending.ask(3)
    for _ in range(5):
        consumer.answers.put(HELD_BACK)
    assert pending.take(3) is None
    assert pending.is_asked(3)
    consumer.answers.put(42)
    answer = taken(pending, 3)
    assert isinstance(answer, TopicPartition)
    assert (answer.topic, answer.partition, answer.offset) == ("in", 3, 42)
    calls = [consumer.asked.get(timeout=1) for _ in range(6)]
    assert calls == [(3, 0.5), (3, 1.0), (3, 2.0), (3, 4.0), (3, 5.0), (3, 5.0)]


def test_an_answer_is_given_once(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """Whoever wants to know later asks anew."""
    pending.ask(3)
    consumer.answers.put(42)
    taken(pending, 3)
    assert pending.take(3) is None
    assert not pending.is_asked(3)


def test_a_refusal_is_an_answer(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """No repetition changes it, so the worker must hear of it."""
    pending.ask(3)
    consumer.answers.put(REFUSED)
    assert taken(pending, 3) is REFUSED


def test_what_was_forgotten_meanwhile_is_no_answer(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """A partition that was taken away and given back may have been committed by another in between."""
    pending.ask(3)
    consumer.asked.get(timeout=10)  # the call is under way
    pending.forget([3])
    assert not pending.is_asked(3)
    pending.ask(3)
    consumer.answers.put(42)  # to the first asking
    consumer.asked.get(timeout=10)
    assert pending.take(3) is None
    consumer.answers.put(43)
    answer = taken(pending, 3)
    assert isinstance(answer, TopicPartition)
    assert answer.offset == 43


def test_an_answer_that_nobody_took_is_forgotten_too(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """It was true of another assignment."""
    pending.ask(3)
    consumer.answers.put(42)
    wait_until(lambda: 3 in pending._answers, 10, "an answer")
    pending.forget([3])
    assert pending.take(3) is None
    assert not pending.is_asked(3)


def test_each_partition_has_its_turn(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """One that is held back for long does not keep the others waiting for as long."""
    pending.ask(3)
    consumer.asked.get(timeout=10)
    pending.ask(4)
    consumer.answers.put(HELD_BACK)
    assert consumer.asked.get(timeout=10)[0] == 3
    consumer.answers.put(HELD_BACK)
    assert consumer.asked.get(timeout=10)[0] == 4
    consumer.answers.put(44)
    answer = taken(pending, 4)
    assert isinstance(answer, TopicPartition)
    assert answer.offset == 44


def test_the_consumer_is_closed_when_nothing_is_asked_any_more(
    pending: PendingOffsets, consumer: ScriptedConsumer
) -> None:
    """A takeover is over after seconds: no connection and no thread stays for the next one, which has its own."""
    for number in (1, 2):
        pending.ask(3)
        consumer.answers.put(42)
        taken(pending, 3)
        wait_until(lambda number=number: consumer.closed == number, 10, "the consumer to be closed")  # type: ignore[misc]
        assert (consumer.built, pending._thread) == (number, None)


def test_a_thread_that_failed_is_replaced(pending: PendingOffsets, consumer: ScriptedConsumer) -> None:
    """A consumer that cannot be built leaves nothing asked: the next try of the loop asks again."""

    def broken(_config: dict[str, Any]) -> Any:
        raise KafkaException(HELD_BACK)

    pending._new_consumer = broken
    pending.ask(3)
    wait_until(lambda: pending._thread is None, 10, "the thread to end")
    assert not pending.is_asked(3)
    pending._new_consumer = consumer.build  # type: ignore[assignment]
    pending.ask(3)
    consumer.answers.put(42)
    assert isinstance(taken(pending, 3), TopicPartition)
