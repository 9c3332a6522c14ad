"""A state large enough that its checkpoints share shards, and workers killed between any two of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.shop import LINEAR, real_transactions
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import read_header
from consumer.checkpoint.reference import decode_reference
from consumer.checkpoint.throttle import Throttle
from consumer.kafka.checkpoint_topic import CheckpointTopic
from consumer.kafka.topics import TopicNames, create_topics
from tests.kafka import unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.store import CheckpointStore
    from tests.stage import Stage

pytestmark = pytest.mark.broker

EVENTS: Final = 50_000
"""Whose identities alone are more than 1 MiB."""

KILLS: Final = 2


@pytest.mark.timeout(400)  # three workers one after the other, each of which imports River
@pytest.mark.parametrize("kind", ["file", "kafka"])
def test_a_worker_killed_between_increments_goes_on(new_stage: Callable[..., Stage], kind: str) -> None:
    """It restores a checkpoint from several files, replays a little, and readers see what they must."""
    stage = new_stage(partitions=1)
    settings = {"CHECKPOINT_INTERVAL_SECONDS": "0.3", "CHECKPOINT_SIGNING_KEY": "correct horse", "CHECKPOINT_KEEP": "2"}
    store: CheckpointStore = DirectoryStore(stage.directory / "checkpoints")
    if kind == "kafka":
        names = TopicNames(*(unique(f"shards-{each}") for each in ("in", "out", "dead", "checkpoints")))
        config = {"bootstrap.servers": stage.bootstrap_servers}
        create_topics(config, names, partitions=1, replication_factor=1, retention_ms=-1)
        assert names.checkpoints is not None
        settings["CHECKPOINT_URL"] = f"kafka:{names.checkpoints}"
        store = CheckpointTopic(config, "shards", names.checkpoints, Throttle(10**9))
    stage.send(real_transactions(EVENTS, seed=0))
    seeds = count(1)
    restored: list[int] = []
    for _ in range(KILLS):
        with stage.worker(**settings) as worker:
            wait_until(lambda worker=worker: worker.events("partition_live"), 60, "the partition")  # type: ignore[misc]
            restored += [line["offset"] for line in worker.events("checkpoint_restored")]
            stage.wait_until_done(120)
            while not has_parents(stage, store):
                stage.send(real_transactions(200, seed=next(seeds)))
                stage.wait_until_done(60)
            worker.kill()
            assert not worker.events("checkpoint_failed")
            assert not worker.events("replay_from_first")
    stage.send(real_transactions(500, seed=next(seeds)))
    last = stage.run_to_end(**settings)
    restored += [line["offset"] for line in last.events("checkpoint_restored")]
    assert len(restored) == KILLS
    assert restored[0] > EVENTS // 2
    assert stage.differences(stage.truth(LINEAR)) == []


def has_parents(stage: Stage, store: CheckpointStore) -> bool:
    """Tell whether the committed offset refers to a checkpoint that shares shards with earlier ones."""
    name = decode_reference(stage.committed()[0].metadata).checkpoint(stage.group, stage.input, 0)
    beginning = None if name is None else store.read_beginning(name, 10**6)
    return beginning is not None and len(read_header(beginning).parents) > 0
