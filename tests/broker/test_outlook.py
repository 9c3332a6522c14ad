"""The outlook over a real broker: kill -9 around and inside the closes of days changes no outlook."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from consumer.cli import app
from consumer.simulate.synthetic import synthetic_events
from tests.kafka import wait_until
from tests.kafka.topics import create_topics, read_all, unique, wait_until_stable
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

pytestmark = pytest.mark.broker
PARTITIONS = 2
EVENTS = 6_000


def outlooks(stage: Stage, topic: str) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    wait_until_stable(stage.bootstrap_servers, topic)
    found = read_all(stage.bootstrap_servers, topic, deadline_seconds=60)
    return {number: [(message.key(), message.value()) for message in found[number]] for number in range(PARTITIONS)}


def outlook_topic(stage: Stage) -> str:
    topic = unique("outlook")
    create_topics(
        stage.bootstrap_servers, {topic: PARTITIONS}, {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1.0"}
    )
    return topic


@pytest.fixture
def stage(broker: Broker, tmp_path: Path) -> Stage:
    """A shop of some weeks, a few minutes to the day."""
    made = Stage(broker.bootstrap_servers, tmp_path, partitions=PARTITIONS, prefix="outlook", forks=True)
    made.send(synthetic_events(seed=11, stores=4, skus=40, baskets_per_day=40.0, key_by="item", limit=EVENTS))
    return made


def test_kills_change_no_outlook(stage: Stage) -> None:
    """To the byte and in the same order, and the predictions beside them are what they are without one."""
    undisturbed = outlook_topic(stage)
    variables: dict[str, str] = {"STORE_TIMEZONE": "Europe/Berlin", "MODEL": "guarded"}
    stage.run_to_end(OUTLOOK_TOPIC=undisturbed, **variables)
    truth = outlooks(stage, undisturbed)
    days = {json.loads(value)["as_of"] for part in truth.values() for _, value in part if value}
    assert len(days) >= 10

    stage.renew_group()
    killed, rng, kills = outlook_topic(stage), random.Random(3), 0
    variables |= {"OUTLOOK_TOPIC": killed, "CHECKPOINT_INTERVAL_SECONDS": "0.2", "TRANSACTION_MAX_RECORDS": "150"}
    ends = stage.ends()
    while kills < 6:
        with stage.worker(**variables) as worker:
            began = sum(max(each.offset, 0) for each in stage.committed().values())
            wait_until(
                lambda began=began: (
                    sum(max(each.offset, 0) for each in stage.committed().values())  # type: ignore[misc]
                    > min(began + rng.randint(1, 900), sum(ends.values()) - 1)
                ),
                60,
                "some records to be committed",
            )
            worker.kill()
            kills += 1
    stage.run_to_end(**variables)
    assert outlooks(stage, killed) == truth


def test_another_policies_file_is_refused(stage: Stage, tmp_path: Path) -> None:
    topic, policies = outlook_topic(stage), tmp_path / "policies.json"
    policies.write_text('{"default": {"lead_time_days": 3}}')
    variables = {"OUTLOOK_TOPIC": topic, "POLICIES_FILE": str(policies)}
    stage.run_to_end(**variables)
    stage.send(synthetic_events(seed=12, stores=1, skus=3, limit=50))
    policies.write_text('{"default": {"lead_time_days": 4}}')
    worker = stage.worker("worker-0", "--stop-at-end", **variables)
    assert worker.wait() == 4
    assert "POLICIES_FILE" in worker.log.read_text()
    policies.write_text('{"default": {"lead_time_days": "soon"}}')
    worker = stage.worker("worker-0", "--stop-at-end", **variables)
    assert worker.wait() == 2
    assert "lead_time_days" in worker.log.read_text()


def test_a_tick_closes_the_day_of_a_quiet_shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = outlook_topic(stage)
    stage.run_to_end(OUTLOOK_TOPIC=topic)
    before = outlooks(stage, topic)
    for name, value in stage.environment(OUTLOOK_TOPIC=topic).items():
        monkeypatch.setenv(name, value)
    ran = CliRunner().invoke(app, ["tick", "--json"])
    assert ran.exit_code == 0, ran.output
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told["partitions"] == PARTITIONS
    stage.run_to_end(OUTLOOK_TOPIC=topic)
    after = outlooks(stage, topic)
    for number in range(PARTITIONS):
        new = after[number][len(before[number]) :]
        assert {json.loads(value)["as_of"] for _, value in new if value} <= {
            told["tick"][:10],
            _day_before(told["tick"]),
        }
        assert len(new) > 10


def _day_before(moment: str) -> str:
    from datetime import date, timedelta  # noqa: PLC0415

    return (date.fromisoformat(moment[:10]) - timedelta(days=1)).isoformat()


def test_a_topic_that_forgets_is_refused(stage: Stage) -> None:
    topic = unique("outlook")
    create_topics(stage.bootstrap_servers, {topic: PARTITIONS}, {"retention.ms": "-1"})
    worker = stage.worker("worker-0", "--stop-at-end", OUTLOOK_TOPIC=topic)
    assert worker.wait() == 3
    assert "expected compact" in worker.log.read_text()
