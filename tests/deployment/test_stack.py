"""The stack's services as processes on a real broker that is configured as the stack's is."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]  # re-exported

from consumer.errors import ExitCode
from tests.deployment.stack import RunningStack, running_stack
from tests.kafka import read_all, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """Kafka and topics; the tests below share them, in any order."""
    with running_stack() as running:
        yield running


def test_broker_properties(stack: RunningStack) -> None:
    """The broker has what a single node needs: one copy of everything, topics only by name."""
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    (future,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")]).values()
    found = {name: entry.value for name, entry in future.result(30).items()}
    assert {
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "default.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
    }.items() <= found.items()
    listeners = str(found["advertised.listeners"])
    assert listeners.startswith("HOST://")
    assert f"INSIDE://{stack.bootstrap_servers}" in listeners


def test_topics_again(stack: RunningStack) -> None:
    """A second start of the stack finds its topics and leaves them."""
    again = stack.start("topics")
    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert said.count("exists already") == 3


def test_shop_and_worker(stack: RunningStack) -> None:
    """The shop runs until it is closed; the worker becomes healthy, predicts what is now, and stops in time, clean."""
    environment = stack.environment("worker")
    shop = stack.start("simulator", "--rate=400")
    try:
        with stack.worker() as worker:
            assert stack.healthcheck() != 0  # it has only just started
            wait_until(lambda: stack.healthcheck() == 0, 60, "the worker to be healthy")

            def has_done_enough() -> bool:
                with suppress(OSError):
                    now = worker.metrics()  # the first late event may be long in coming
                    return now.get("predictions_produced_total", 0) >= 1500 and now.get("late_events_total", 0) > 0
                return False

            wait_until(has_done_enough, 60, "1,500 predictions, of late events too")
            seen = worker.metrics()
            shop.send_signal(signal.SIGINT)
            said, _ = shop.communicate(timeout=30)
            assert shop.returncode == ExitCode.INTERRUPTED, said
            assert "interrupted" in said
            began = time.monotonic()
            assert worker.terminate(30) == 0, worker.log.read_text()[-2000:]
            assert time.monotonic() - began < 20
            assert not worker.events("kafka_variables_ignored")
    finally:
        shop.kill()
        shop.communicate()
    # Told as of now, records are fresh: none took a minute. Told by the shop's calendar, they would be years old.
    assert seen['record_e2e_seconds_bucket{le="60.0"}'] == seen["record_e2e_seconds_count"] > 0
    assert seen["late_events_total"] > 0
    assert seen['records_skipped_total{reason="repeat"}'] > 0
    dead = sum(value for name, value in seen.items() if name.startswith("dead_letters_total"))
    assert 0 < dead < 0.05 * seen["records_consumed_total"]
    published = read_all(stack.bootstrap_servers, environment["OUTPUT_TOPIC"])
    assert len(published) == 4
    assert sum(map(len, published.values())) >= seen["predictions_produced_total"]
    assert any((stack.directory / "checkpoints").rglob("*"))


def test_a_shop_that_opens_again(stack: RunningStack) -> None:
    """A restarted simulator sends new events: no repeats, no contradictions of what the first run has sent."""
    for _ in range(2):
        shop = stack.start("simulator", "--rate=100000", "--limit=400", "--repeat-share=0", "--invalid-share=0")
        said, _ = shop.communicate(timeout=60)
        assert shop.returncode == 0, said
    with stack.worker() as worker:
        wait_until(lambda: stack.healthcheck() == 0, 60, "the worker to be healthy")
        wait_until(lambda: worker.metrics()["records_consumed_total"] >= 800, 60, "all events")
        seen = worker.metrics()
        assert worker.terminate(30) == 0
    assert seen['dead_letters_total{reason="conflicting_repeat"}'] == 0
