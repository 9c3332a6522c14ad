"""kill -9 around and inside the closes of days: each outlook is there once, to the byte, in the same order."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure, Report
from consumer.learning.fingerprint import LearningSettings, OutlookSettings, fingerprint
from consumer.learning.model import ModelScope
from consumer.learning.task import PartitionTask
from consumer.model_choice import model_kind
from consumer.outlook.policies import Policies
from consumer.record import Record
from consumer.settings import Settings
from consumer.simulate.completejourney import completejourney_events
from consumer.simulate.events import ShopEvent
from consumer.zones import ZONE_DATA, zone_of
from schemas.tick import encode_tick
from schemas.transaction import Limits
from tests.kafka import wait_until
from tests.kafka.topics import create_topics, read_all, unique, wait_until_stable
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kafka import Broker

SEED: Final = 20261130
EVENTS: Final = 120_000
PARTITIONS: Final = 2
KILLS: Final = 25
ZONE: Final = "America/New_York"
POLICIES: Final = '{"default": {"lead_time_days": 3, "service_level": 0.95}}'
_TICK_EVERY: Final = 20_000
_HOUR_MS: Final = 3_600_000

Outlooks = list[tuple[bytes | None, bytes | None]]


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Kill, restart, and compare with one task that read the log once, record by record, in plain Python."""
    rng = random.Random(SEED)
    directory.mkdir(exist_ok=True)
    policies = directory / "policies.json"
    policies.write_text(POLICIES)
    stage = Stage(broker.bootstrap_servers, directory / "stage", partitions=PARTITIONS, prefix="outlook-exact")
    stage.send(_shop())
    topic = unique("outlook-exact")
    create_topics(
        stage.bootstrap_servers, {topic: PARTITIONS}, {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1.0"}
    )
    variables = {
        "OUTLOOK_TOPIC": topic,
        "STORE_TIMEZONE": ZONE,
        "POLICIES_FILE": str(policies),
        "MODEL": "guarded",
        "CHECKPOINT_INTERVAL_SECONDS": "1",
        "TRANSACTION_MAX_RECORDS": "1000",
    }
    killed_at = _kill(stage, variables, rng)
    stage.run_to_end("worker-0", 300, **variables)

    truth, open_at = _truth(stage, killed_at)
    wait_until_stable(stage.bootstrap_servers, topic)
    found = read_all(stage.bootstrap_servers, topic, deadline_seconds=300)
    seen = {number: [(message.key(), message.value()) for message in found[number]] for number in range(PARTITIONS)}
    expected = sum(map(len, truth.values()))
    differing = sum(
        one != other
        for number in range(PARTITIONS)
        for one, other in itertools.zip_longest(truth[number], seen[number])
    )
    days = {json.loads(value)["as_of"] for part in truth.values() for _, value in part if value is not None}
    report.add(Figure("events", EVENTS, ">", 0))
    report.add(Figure("kill -9", KILLS, ">=", KILLS))
    report.add(Figure("of them, with a day's close under way in some partition", open_at, ">=", KILLS // 2))
    report.add(Figure("days closed", len(days), ">=", 14))
    report.add(Figure("outlooks", expected, ">", 0))
    report.add(Figure("outlooks that differ from the undisturbed task's, to the byte and in order", differing, "=", 0))
    report.add(Figure("days closed by an event dated 2099", sum(day > "2018" for day in days), "=", 0))
    stage.send(_shop(5))
    policies.write_text(POLICIES.replace("3", "4", 1))
    refused = stage.worker("worker-0", "--stop-at-end", **variables)
    report.add(Figure("exit code with another policies file", refused.wait(), "=", 4))
    said = "POLICIES_FILE" in refused.log.read_text()
    report.add(Figure("the refusal names POLICIES_FILE", said, "=", 1))


def _shop(limit: int = EVENTS) -> Iterator[ShopEvent]:
    """The real retail year's beginning, a tick here and there, and one till whose clock stands at 2099."""
    for number, event in enumerate(completejourney_events(key_by="item", limit=limit)):
        yield event
        if number % _TICK_EVERY == _TICK_EVERY - 1:
            yield ShopEvent(event.key, encode_tick(_moment(event.timestamp_ms)), event.timestamp_ms, "tick")
        if number == limit // 2 and event.value is not None:
            wrong = json.loads(event.value) | {"transaction_id": "of-2099", "occurred_at": "2099-06-01T12:00:00Z"}
            yield ShopEvent(event.key, json.dumps(wrong).encode(), event.timestamp_ms + _HOUR_MS, "invalid:future")


def _moment(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _kill(stage: Stage, variables: dict[str, str], rng: random.Random) -> list[dict[int, int]]:
    """Kill a worker at random moments of the log; return how far each partition was committed then."""
    total = sum(stage.ends().values())
    places = sorted(rng.randrange(1, total) for _ in range(KILLS))
    killed_at = []
    for number, place in enumerate(places, start=1):
        with stage.worker(**variables) as worker:
            wait_until(lambda place=place: _done(stage) >= place, 120, "the worker to come so far")  # type: ignore[misc]
            worker.kill()
        killed_at.append({part: max(each.offset, 0) for part, each in stage.committed().items()})
        print(f"  kill {number} of {KILLS}, after {sum(killed_at[-1].values()):,} of {total:,} records", flush=True)
    return killed_at


def _done(stage: Stage) -> int:
    return sum(max(each.offset, 0) for each in stage.committed().values())


def _truth(stage: Stage, killed_at: list[dict[int, int]]) -> tuple[dict[int, Outlooks], int]:
    """Return what an undisturbed task says, and at how many of the kills a day's close was under way."""
    settings = Settings()
    learning = LearningSettings(
        "guarded",
        ModelScope.PARTITION,
        settings.seen_ids,
        settings.invalid_window_records,
        Limits(),
        outlook=OutlookSettings(zone_of(ZONE), ZONE_DATA, Policies(POLICIES.encode())),
    )
    kind = model_kind("guarded")
    truth: dict[int, Outlooks] = {}
    is_open = [False] * len(killed_at)
    for partition, messages in stage.inputs(seconds=300).items():
        task = PartitionTask(
            topic=stage.input,
            partition=partition,
            first_offset=0,
            settings=learning,
            model_id=fingerprint(learning, kind.parameters).model_id,
            model_kind=kind,
            partitions=PARTITIONS,
            find_machine=lambda: None,
        )
        said: Outlooks = []
        kills = {at[partition]: number for number, at in enumerate(killed_at)}
        for message in messages:
            task.process(
                Record(
                    partition,
                    message.offset() or 0,
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers(),  # type: ignore[arg-type]  # pairs
                )
            )
            if task.next_offset in kills:
                said += zip(*task.take_outlooks(), strict=True)
                is_open[kills[task.next_offset]] |= task.is_closing
        said += zip(*task.take_outlooks(), strict=True)
        truth[partition] = said
    return truth, sum(is_open)
