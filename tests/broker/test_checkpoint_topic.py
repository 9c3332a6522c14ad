"""Checkpoints in Kafka: a worker that has lost its machine goes on where it was, and nothing else is ever believed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from benchmarks.shop import LINEAR, real_transactions
from benchmarks.wrong_uses.permissions import PASSWORD, grant_all_but, login
from consumer.checkpoint.reference import decode_reference
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.throttle import Throttle
from consumer.errors import ExitCode
from consumer.kafka import partition_reader
from consumer.kafka.checkpoint_topic import CheckpointTopic
from consumer.kafka.chunks import CHUNK_BYTES, split
from tests.kafka import create_topics, find_broker, read_all, unique, wait_until
from tests.kafka.apache import ApacheBroker
from tests.stage import ROOT, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.kafka import Broker
    from tests.stage import WorkerProcess

pytestmark = pytest.mark.broker

COMPACTED: Final = {"cleanup.policy": "compact"}
CONTENT: Final = b"".join(number.to_bytes(4, "big") for number in range(3 * CHUNK_BYTES // 4))
USER: Final = "till"


def name(offset: int = 42, digest: str = "ab") -> CheckpointName:
    """Return a checkpoint's name in partition 0."""
    return CheckpointName("group", "topic", 0, offset, digest * 32)


def new_topic(servers: str, partitions: int = 1, **config: str) -> str:
    """Create a checkpoint topic."""
    topic = unique("checkpoints")
    create_topics(
        servers, {topic: partitions}, COMPACTED | {key.replace("_", "."): value for key, value in config.items()}
    )
    return topic


def store_of(servers: str, topic: str, **properties: str) -> CheckpointTopic:
    """Open a topic."""
    config = {"bootstrap.servers": servers, **{key.replace("_", "."): value for key, value in properties.items()}}
    return CheckpointTopic(config, "group", topic, Throttle(10**9))


@pytest.fixture(scope="module")
def own_broker() -> Iterator[ApacheBroker]:
    """A broker with a user whom ACLs bind, and a cleaner that is in a hurry."""
    installation = find_broker().installation
    if installation is None:
        pytest.skip("the test starts a Java broker of its own")
    with ApacheBroker.start(
        installation,
        users={USER: PASSWORD},
        properties={"log.cleaner.backoff.ms": "100", "log.segment.delete.delay.ms": "100"},
    ) as broker:
        yield broker


# A worker over it


@pytest.mark.timeout(400)  # three workers one after the other, each of which imports River
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_worker_killed_with_its_machine_goes_on(new_stage: Callable[..., Stage], guarantee: str) -> None:
    """Killed -9 again and again, nothing on its disk: it replays a little, and readers see what they must."""
    stage = new_stage(partitions=2)
    topic = new_topic(stage.bootstrap_servers, 2)
    settings = {
        "CHECKPOINT_URL": f"kafka:{topic}",
        "CHECKPOINT_SIGNING_KEY": "correct horse",
        "CHECKPOINT_INTERVAL_SECONDS": "0.2",
        "PROCESSING_GUARANTEE": guarantee,
        "TRANSACTION_MAX_RECORDS": "500",
    }
    starts: list[dict[int, int]] = []
    for seed in range(2):
        stage.send(real_transactions(6_000, seed=seed))
        with stage.worker(**settings) as worker:
            wait_until(lambda worker=worker: len(worker.events("partition_live")) == 2, 60, "both partitions")  # type: ignore[misc]
            starts.append({line["partition"]: line["offset"] for line in worker.events("checkpoint_restored")})
            stage.wait_until_done(60)
            wait_until(lambda: has_moved(stage, starts[-1]), 60, "a reference to a newer checkpoint in each partition")
            worker.kill()
            assert not worker.events("replay_from_first")
            assert not worker.events("checkpoint_failed")
    stage.send(real_transactions(500, seed=9))
    last = stage.run_to_end(**settings)
    starts.append({line["partition"]: line["offset"] for line in last.events("checkpoint_restored")})
    assert starts[0] == {}
    assert all(sorted(each) == [0, 1] for each in starts[1:]), starts
    assert all(0 < before[number] < after[number] for before, after in pairwise(starts[1:]) for number in (0, 1))
    truth = stage.truth(LINEAR)
    if guarantee == "exactly_once":
        assert stage.differences(truth) == []
    else:
        assert {number: set(each) for number, each in stage.published().items()} == {
            number: set(each) for number, each in truth.published.items()
        }
    assert not (stage.directory / "checkpoints").exists()


def has_moved(stage: Stage, since: Mapping[int, int]) -> bool:
    """Tell whether each committed offset refers to a checkpoint above the one that was restored."""
    offsets = {number: decode_reference(each.metadata).checkpoint_offset for number, each in stage.committed().items()}
    return all((offset or 0) > since.get(number, 0) for number, offset in offsets.items())


def test_what_is_superseded_is_pruned(new_stage: Callable[..., Stage]) -> None:
    """Only `CHECKPOINT_KEEP` checkpoints are left of a partition, and the commands find and verify them."""
    stage = new_stage(partitions=1)
    topic = new_topic(stage.bootstrap_servers)
    settings = {"CHECKPOINT_URL": f"kafka:{topic}", "CHECKPOINT_INTERVAL_SECONDS": "0.1", "CHECKPOINT_KEEP": "2"}
    store = store_of(stage.bootstrap_servers, topic)
    seen: set[int] = set()

    def listed_offsets() -> list[int]:
        offsets = [each.offset for each in store.names(stage.group, stage.input, 0)]
        seen.update(offsets)
        return offsets

    with stage.worker(**settings) as worker:
        for seed in range(4):
            stage.send(real_transactions(1_000, seed=seed))
            stage.wait_until_done(60)
            wait_until(lambda: listed_offsets()[-1:] == [stage.committed()[0].offset], 30, "a checkpoint at the end")
        # Those kept, and one whose successor is not confirmed yet.
        wait_until(lambda: len(listed_offsets()) <= 3, 30, "superseded ones to be pruned")
        assert worker.terminate() == 0
    assert len(seen) > 3
    names = store.names(stage.group, stage.input, 0)
    listed = command(stage.environment(**settings), "checkpoints", "list", "--json")
    assert [line["offset"] for line in json.loads(listed)] == [each.offset for each in names]
    assert " yes " in command(stage.environment(**settings), "checkpoints", "verify", "0")


def command(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a command that must succeed, and return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": "", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# A topic that will not do


def stopped(worker: WorkerProcess, code: ExitCode) -> str:
    """Wait for the worker's end with this exit code and return its one sentence."""
    with worker:
        assert worker.wait(60) == code, worker.log.read_text()[-2000:]
        (line,) = worker.events("stopped_by_error")
        return str(line["reason"])


@pytest.mark.parametrize(
    ("partitions", "config", "expected"),
    [
        (1, {}, "has 1 partitions; expected at least the 2"),
        (2, {"cleanup_policy": "delete"}, "(CHECKPOINT_URL) has cleanup.policy=delete; expected compact"),
        (2, {"cleanup_policy": "compact,delete"}, "expected compact: retention would delete"),
        (2, {"max_message_bytes": "500000"}, "has max.message.bytes=500000; expected at least 540672"),
    ],
)
def test_a_topic_that_will_not_do_is_refused(
    new_stage: Callable[..., Stage], partitions: int, config: dict[str, str], expected: str
) -> None:
    """At the start, with what was expected and what came, and not some day when a checkpoint is needed."""
    stage = new_stage(partitions=2)
    topic = new_topic(stage.bootstrap_servers, partitions, **config)
    reason = stopped(stage.worker(CHECKPOINT_URL=f"kafka:{topic}"), ExitCode.TOPICS)
    assert topic in reason
    assert expected in reason
    if "partitions" not in expected:
        with pytest.raises(StoreError, match=f"topic {topic} at .*: .*expected"):
            store_of(stage.bootstrap_servers, topic).check("group", "topic")


def test_a_missing_topic_is_named_and_created_by_the_command(new_stage: Callable[..., Stage]) -> None:
    """`topics create` makes it as the worker needs it."""
    stage = new_stage(partitions=2)
    topic = unique("checkpoints")
    settings = {"CHECKPOINT_URL": f"kafka:{topic}"}
    reason = stopped(stage.worker(**settings), ExitCode.TOPICS)
    assert f"topic {topic} (CHECKPOINT_URL) does not exist; create it with `smart-inventory topics create`" in reason
    store = store_of(stage.bootstrap_servers, topic, message_timeout_ms="2000")
    with pytest.raises(StoreError, match=f"write to topic {topic}: "):
        store.write(name(), CONTENT)
    for call in (
        lambda: store.check("group", "topic"),
        lambda: store.read(name()),
        lambda: store.names("group", "topic", 0),
        store.kept,
    ):
        with pytest.raises(StoreError, match="topics create"):
            call()
    created = command(stage.environment(**settings), "topics", "create", "--partitions", "2")
    assert f"{topic}: created" in created
    stage.send(real_transactions(500, seed=1))
    stage.run_to_end(**settings)


@pytest.mark.parametrize("lacking", [AclOperation.READ, AclOperation.WRITE])
def test_what_the_acls_forbid_is_named(own_broker: ApacheBroker, tmp_path: Path, lacking: AclOperation) -> None:
    """A user who may not read or write there is refused at the start, by the operation's name, and later as well."""
    servers = own_broker.bootstrap_servers
    stage = Stage(servers, tmp_path / "stage", partitions=1)
    topic = new_topic(servers)
    environment = stage.environment(CHECKPOINT_URL=f"kafka:{topic}")
    grant_all_but(servers, USER, environment, ("nothing", AclOperation.READ))
    assert own_broker.sasl_servers is not None
    credentials = login(own_broker.sasl_servers, USER)
    needed = (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    grant(servers, topic, [operation for operation in needed if operation != lacking])
    reason = stopped(stage.worker(**{**environment, **credentials}), ExitCode.BROKER)
    assert f"topic {topic} (CHECKPOINT_URL): the broker's ACLs do not let this worker's user" in reason
    assert lacking.name.capitalize() in reason
    assert "Read, Write, Describe and DescribeConfigs on the topic of CHECKPOINT_URL" in reason

    properties = {
        variable.removeprefix("KAFKA_").lower(): value
        for variable, value in credentials.items()
        if variable != "KAFKA_BOOTSTRAP_SERVERS"
    }
    store = store_of(own_broker.sasl_servers, topic, **properties)
    store._readers._group = stage.group
    calls: list[Callable[[], object]] = [lambda: store.check("g", "t")]
    if lacking is AclOperation.WRITE:
        calls.append(lambda: store.write(name(), CONTENT))
        assert store.read(name()) is None
    else:
        store_of(servers, topic).write(name(), b"state")
        calls += [lambda: store.read(name()), lambda: store.names("group", "topic", 0)]
        store.write(name(), CONTENT)
    for call in calls:
        with pytest.raises(
            StoreError, match="Read, Write, Describe and DescribeConfigs on the topic of CHECKPOINT_URL"
        ):
            call()
    grant(servers, topic, [lacking])
    wait_until(lambda: _is_written(store), 20, "the ACL to count")
    stage.send(real_transactions(500, seed=1))
    with stage.worker("worker-0", "--stop-at-end", **{**environment, **credentials}) as worker:
        assert worker.wait(60) == 0, worker.log.read_text()[-2000:]


def _is_written(store: CheckpointTopic) -> bool:
    try:
        store.write(name(43), CONTENT)
        return store.read(name(43)) == CONTENT
    except StoreError:
        return False


def grant(servers: str, topic: str, operations: list[AclOperation]) -> None:
    """Let the user do this with a topic."""
    bindings = [
        AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]
    admin = AdminClient({"bootstrap.servers": servers})
    for granted in admin.create_acls(bindings).values():
        granted.result(30)


# A broker that fails


def test_a_frozen_broker_costs_a_bounded_time(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither writing nor reading nor listing waits for ever; all work again, by the same store, once it answers."""
    if not broker.controllable:
        pytest.skip("an external broker cannot be frozen")
    monkeypatch.setattr(partition_reader, "CALL_SECONDS", 2.0)
    store = store_of(broker.bootstrap_servers, new_topic(broker.bootstrap_servers), message_timeout_ms="2000")
    place = store.write(name(1), CONTENT)
    assert store.names("group", "topic", 0) == [name(1)]
    broker.freeze()
    try:
        for call, seconds in (
            (lambda: store.write(name(2), CONTENT), 8),
            (lambda: store.read(replace(name(1), place=place)), 8),
            (lambda: store.names("group", "topic", 0), 8),
            (lambda: store.delete(name(1)), 8),
        ):
            started = time.monotonic()
            with pytest.raises(StoreError):
                call()
            assert time.monotonic() - started < seconds
    finally:
        broker.thaw()
    wait_until(lambda: _is_written(store), 30, "the broker to answer")
    assert store.read(replace(name(1), place=place)) == CONTENT
    assert name(43) in store.names("group", "topic", 0)
    store.delete(name(1))
    assert store_of(broker.bootstrap_servers, store._topic).read(replace(name(1), place=place)) is None


def test_half_of_a_checkpoint_is_none(broker: Broker) -> None:
    """Chunks of a writer that died are not listed and not read; another writer's whole ones between them are."""
    topic = new_topic(broker.bootstrap_servers)
    store, zombie = (store_of(broker.bootstrap_servers, topic) for _ in range(2))
    chunks = [(key.encode(), chunk) for key, chunk in split(name(7), CONTENT)]
    zombie._writer.send(0, chunks[:1])
    place = store.write(name(7, "cd"), CONTENT)
    zombie._writer.send(0, chunks[2:])
    for each in (store, zombie, store_of(broker.bootstrap_servers, topic)):
        assert each.read(name(7)) is None
        assert each.names("group", "topic", 0) == [name(7, "cd")]
        assert each.read(replace(name(7, "cd"), place=place)) == CONTENT
    zombie._writer.send(0, chunks[1:2])  # it thaws and goes on: whole after all, out of order
    assert store.names("group", "topic", 0) == [name(7), name(7, "cd")]
    assert [store.read(each) for each in store.names("group", "topic", 0)] == [CONTENT, CONTENT]


# Compaction


def test_compaction_takes_nothing_that_counts(own_broker: ApacheBroker) -> None:
    """Once the cleaner has run, what is left is found by its place and by its name, and what was deleted is not."""
    servers = own_broker.bootstrap_servers
    hurry = {"segment_ms": "200", "min_cleanable_dirty_ratio": "0.01", "delete_retention_ms": "100"}
    topic = new_topic(servers, 1, **hurry)
    store = store_of(servers, topic)
    places = {}
    for offset in range(12):
        places[name(offset)] = store.write(name(offset), CONTENT + bytes([offset]))
        if offset not in {3, 9}:
            store.delete(name(offset))
    store.write(name(9), CONTENT + bytes([9]))  # the same chunks again: the former ones may go

    def records() -> int:
        store.write(name(1_000), b"rolls the segment")
        return len(read_all(servers, topic)[0])

    wait_until(lambda: records() <= 15, 60, "the cleaner to have run")
    for each in (store, store_of(servers, topic)):
        assert each.names("group", "topic", 0) == [name(3), name(9), name(1_000)]
        for offset in range(12):
            expected = CONTENT + bytes([offset]) if offset in {3, 9} else None
            assert each.read(replace(name(offset), place=places[name(offset)])) == expected
            assert each.read(name(offset)) == expected
