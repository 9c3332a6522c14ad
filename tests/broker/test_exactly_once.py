"""Exactly once on a real broker: what a read_committed reader sees is what the independent loop says, to the byte."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from benchmarks.shop import LINEAR, real_transactions
from consumer.checkpoint.reference import decode_reference
from consumer.simulate.events import ShopEvent
from tests.edits import (
    CRASH_BEFORE_FIFTH_COMMIT,
    FALSY_MESSAGE,
    OFFSETS_OUTSIDE_THE_TRANSACTION,
    REPLAY_SKIPPED,
    Edit,
    edited_copy,
)
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kafka import Broker
    from tests.stage import Stage

pytestmark = pytest.mark.broker

SMALL_TRANSACTIONS = {"TRANSACTION_MAX_RECORDS": "500", "COMMIT_INTERVAL_MS": "50"}


def assert_true(stage: Stage) -> None:
    """Hold what was published to the independent loop."""
    assert stage.differences(stage.truth(LINEAR)) == []


def survive_a_crash(stage: Stage, root: Path, crash_root: Path) -> None:
    """A worker dies between its offsets and its commit; the next one, from `root`, ends the work."""
    stage.send(real_transactions(9_000, seed=3))
    stage.root = crash_root
    with stage.worker("worker-0", "--stop-at-end", **SMALL_TRANSACTIONS) as worker:
        assert worker.wait() == -signal.SIGKILL
    stage.root = root
    stage.run_to_end(**SMALL_TRANSACTIONS)
    assert_true(stage)


def see_an_empty_value(stage: Stage) -> None:
    """The only record has an empty value: falsy as a message, and still a dead letter."""
    stage.send([ShopEvent(b"330", b"", 1_700_000_000_000, "invalid:empty_value")])
    stage.run_to_end()
    assert_true(stage)


def test_real_transactions_byte_identical(new_stage: Callable[..., Stage]) -> None:
    """Predictions and dead letters of a real shop's events, faults among them, equal the independent loop's."""
    stage = new_stage(partitions=4)
    stage.send(real_transactions(20_000, seed=1))
    stage.run_to_end()
    truth = stage.truth(LINEAR)
    assert truth.counts["dead_letters"] > 0
    assert truth.counts["repeats"] > 0
    assert stage.differences(truth) == []


def test_next_start_replays_nothing(new_stage: Callable[..., Stage]) -> None:
    """After a stop, every committed offset refers to a checkpoint at that very offset."""
    stage = new_stage()
    stage.send(real_transactions(5_000, seed=2))
    stage.run_to_end()
    for answer in stage.committed().values():
        assert decode_reference(answer.metadata).checkpoint_offset == answer.offset
    with stage.worker() as again:
        wait_until(lambda: len(again.events("partition_live")) == 2, 30, "both partitions to be live")
        assert all(line["offset"] == line["committed_offset"] for line in again.events("checkpoint_restored"))
        assert again.terminate() == 0


def test_crash_between_offsets_and_commit(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Kill -9 with the offsets in the open transaction: nothing of it is seen, and all of it is done again."""
    stage = new_stage()
    survive_a_crash(stage, stage.root, edited_copy(tmp_path / "crash", CRASH_BEFORE_FIFTH_COMMIT))


@pytest.mark.parametrize(
    "mutation", [OFFSETS_OUTSIDE_THE_TRANSACTION, REPLAY_SKIPPED], ids=["offsets-outside", "replay-skipped"]
)
def test_mutation_is_seen_by_the_crash_test(new_stage: Callable[..., Stage], tmp_path: Path, mutation: Edit) -> None:
    """The crash test turns red when offsets are committed outside the transaction, and when the replay is skipped."""
    stage = new_stage()
    root = edited_copy(tmp_path / "mutant", mutation)
    crash_root = edited_copy(tmp_path / "crash", mutation, CRASH_BEFORE_FIFTH_COMMIT)
    with pytest.raises(AssertionError, match=r"offset \d+: (missing|prediction value)"):
        survive_a_crash(stage, root, crash_root)


def test_empty_value_alone(new_stage: Callable[..., Stage]) -> None:
    """A message with an empty value is falsy in the client; it must not be lost for that."""
    see_an_empty_value(new_stage(partitions=1))


def test_mutation_is_seen_by_the_empty_value_test(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """The empty-value test turns red when a message is tested for truth instead of for None."""
    stage = new_stage(partitions=1, root=edited_copy(tmp_path / "mutant", FALSY_MESSAGE))
    with pytest.raises(AssertionError, match="missing dead_letter"):
        see_an_empty_value(stage)


def test_kill_9_in_mid_stream(new_stage: Callable[..., Stage]) -> None:
    """Workers killed while they process leave no trace in what readers see."""
    stage = new_stage()
    stage.send(real_transactions(30_000, seed=4))
    settings = {**SMALL_TRANSACTIONS, "CHECKPOINT_INTERVAL_SECONDS": "0.1"}

    def committed() -> int:
        return sum(max(0, answer.offset) for answer in stage.committed().values())

    for target in (2_000, 6_000):
        with stage.worker(**settings) as worker:
            wait_until(lambda at_least=target: committed() > at_least, 30, "some commits")  # type: ignore[misc]
            worker.kill()
    stage.run_to_end(**settings)
    assert_true(stage)


def test_two_workers_share_and_one_leaves(new_stage: Callable[..., Stage]) -> None:
    """Partitions move between live workers, and from a killed one to the other, without a trace."""
    stage = new_stage(partitions=4)
    stage.send(real_transactions(5_000, seed=5))
    with stage.worker("a") as first:
        wait_until(lambda: first.events("partition_fresh"), 30, "the first worker to begin")
        with stage.worker("b") as second:
            wait_until(lambda: second.events("partition_live"), 30, "the second worker to take a partition over")
            stage.send(real_transactions(8_000, seed=6))
            second.kill()
        stage.wait_until_done(60)
        assert first.terminate() == 0
    # The killed worker's open transaction holds back readers until the coordinator times it out.
    truth = stage.truth(LINEAR)
    wait_until(lambda: not stage.differences(truth), 60, "readers to see what the independent loop says")


def test_broker_frozen_past_every_time_out(new_stage: Callable[..., Stage], broker: Broker) -> None:
    """Calls that time out leave in doubt what the coordinator did; the rebuilt worker publishes nothing twice."""
    if not broker.controllable:
        pytest.skip("an external broker cannot be frozen")
    stage = new_stage()
    stage.send(real_transactions(5_000, seed=7))
    with stage.worker(**SMALL_TRANSACTIONS) as worker:
        wait_until(lambda: worker.events("partition_fresh"), 30, "the worker to begin")
        broker.freeze()
        try:
            stage_events = real_transactions(5_000, seed=7)
            time.sleep(13)  # past the calls' 10 s: the time-out itself is what is tested
        finally:
            broker.thaw()
        stage.send(stage_events)
        stage.wait_until_done(90)
        assert worker.terminate() == 0
    assert_true(stage)


def test_transactional_input(new_stage: Callable[..., Stage]) -> None:
    """Markers and aborted records take offsets; the group still reaches the end, and aborted events teach nothing."""
    stage = new_stage(partitions=1)
    producer = Producer({"bootstrap.servers": stage.bootstrap_servers, "transactional.id": stage.input})
    producer.init_transactions(30)
    events = list(real_transactions(300, seed=8))
    for number in range(3):
        producer.begin_transaction()
        for event in events[number * 100 : number * 100 + 100]:
            producer.produce(stage.input, event.value, event.key, 0, timestamp=event.timestamp_ms)
        if number == 1:
            producer.flush(30)
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    stage.run_to_end()
    truth = stage.truth(LINEAR)
    assert truth.counts["records"] == 200
    assert stage.differences(truth) == []
    (answer,) = stage.committed().values()
    assert answer.offset == 303  # 300 records and 3 markers


def test_at_least_once_repeats_byte_identically(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Under at_least_once a crash may repeat outputs, but only byte for byte, and it loses none."""
    stage = new_stage(partitions=1)
    stage.send(real_transactions(12_000, seed=9))
    settings = {**SMALL_TRANSACTIONS, "PROCESSING_GUARANTEE": "at_least_once"}
    stage.root, root = edited_copy(tmp_path / "crash", CRASH_BEFORE_FIFTH_COMMIT), stage.root
    with stage.worker("worker-0", "--stop-at-end", **settings) as worker:
        assert worker.wait() == -signal.SIGKILL
    stage.root = root
    stage.run_to_end(**settings)
    truth = stage.truth(LINEAR)
    published = stage.published()[0]
    assert set(published) == set(truth.published[0])
    assert len(published) > len(truth.published[0])
