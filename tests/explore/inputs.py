"""What a schedule's shop sends: partitions of valid, invalid, repeated and late events, some in transactions."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from consumer.checkpoint.joining import JoinedReads
from consumer.checkpoint.reference import decode_reference
from consumer.learning.fingerprint import LearningSettings, OutlookSettings
from consumer.learning.model import ModelScope
from consumer.outlook.policies import Policies
from consumer.settings import Guarantee, Settings
from consumer.simulate.events import ShopEvent
from consumer.simulate.faults import with_faults
from consumer.simulate.synthetic import synthetic_events
from consumer.testing.cluster import SimulatedCluster
from consumer.testing.faults import NoFaults
from consumer.testing.partition_log import Fate
from consumer.testing.process import SimulatedProcess
from consumer.testing.store import Disk, SimulatedStore
from consumer.testing.topic_store import SimulatedTopicStore
from consumer.zones import ZONE_DATA, zone_of
from schemas.tick import encode_tick
from schemas.transaction import Limits
from tests.oracle import Published
from tests.stage import oracle_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumer.checkpoint.store import CheckpointName, CheckpointStore

INPUT: Final = "in"
OUTPUT: Final = "out"
DEAD_LETTERS: Final = "dead"
OUTLOOKS: Final = "outlooks"
ZONE: Final = "America/New_York"
INPUTS: Final = 12
"""How many different inputs there are; making one takes longer than a schedule."""

SEEN_IDS: Final = 40
"""Few, so that identities are forgotten within an input, and a state that lacks them shows."""

ITEM_RETIRE_DAYS: Final = 1
"""As few as can be, so that items leave within an input, and a state that still has them shows."""

BASKETS_PER_DAY: Final = 2.0
"""So few that an input is some days long."""


STORES: Final[dict[str, Callable[[Disk, SimulatedCluster], CheckpointStore]]] = {
    "directory": lambda disk, cluster: SimulatedStore(disk, cluster.faults),
    "topic": SimulatedTopicStore,
}
"""Where checkpoints may be kept."""


class Chunk(NamedTuple):
    """Records that a producer sends together to one partition.

    Attributes:
        fate: of the transaction that they are sent in; None outside of one.
    """

    partition: int
    events: tuple[ShopEvent, ...]
    fate: Fate | None

    def send(self, cluster: SimulatedCluster) -> None:
        """Append them, and the marker of their transaction."""
        log = cluster.log(INPUT, self.partition)
        span = None if self.fate is None else log.open()
        for event in self.events:
            log.append(event.key, event.value, None, event.timestamp_ms, span)
        if span is not None and self.fate is not None:
            log.close(span, self.fate)


class Input(NamedTuple):
    """One input and what must become of it.

    Attributes:
        scope: of the models that are to see it.
        chunks: in the order in which they are sent.
        truth: by partition, what the independent loop says must be published, in offset order.
        ends: by partition, the log's end.
        has_outlook: whether the workers learn an outlook too; then the log has ticks.
    """

    partitions: int
    scope: ModelScope
    chunks: tuple[Chunk, ...]
    truth: dict[int, list[Published]]
    ends: dict[int, int]
    has_outlook: bool


def settings(
    instance: int,
    scope: ModelScope = ModelScope.PARTITION,
    *,
    guarantee: Guarantee = Guarantee.EXACTLY_ONCE,
    has_outlook: bool = False,
) -> Settings:
    """Return the settings of a worker in a schedule: small bounds, so that everything happens often."""
    return Settings(
        consumer_group="g",
        input_topic=INPUT,
        output_topic=OUTPUT,
        dead_letter_topic=DEAD_LETTERS,
        outlook_topic=OUTLOOKS if has_outlook else None,
        store_timezone=ZONE,
        instance_id=f"worker-{instance}",
        processing_guarantee=guarantee,
        model="linear",
        model_scope=scope,
        seen_ids=SEEN_IDS,
        item_retire_days=ITEM_RETIRE_DAYS,
        transaction_max_records=12,
        commit_interval_ms=200,
        checkpoint_interval_seconds=0.5,
        checkpoint_keep=2,
        max_invalid_ratio=1.0,
    )


@cache
def make_input(number: int) -> Input:
    """Return one of the inputs."""
    rng, scope = random.Random(number), list(ModelScope)[number % len(ModelScope)]
    partitions = rng.randint(1, 3)
    events = list(
        with_faults(
            synthetic_events(
                seed=number, stores=3, skus=20, baskets_per_day=BASKETS_PER_DAY, limit=rng.randint(60, 160)
            ),
            invalid_share=0.08,
            repeat_share=0.12,
            late_share=0.05,
            seed=number,
        )
    )
    has_outlook = number % 2 == 1
    if has_outlook:
        for place in sorted(rng.sample(range(1, len(events)), 4), reverse=True):
            events.insert(place, _tick(events[place - 1], rng.choice((1, 26, 60))))
    chunks = []
    while events:
        size = rng.randint(1, 12)
        taken, events = events[:size], events[size:]
        for partition in range(partitions):
            own = tuple(event for event in taken if sum(event.key) % partitions == partition)
            if own:
                chunks.append(Chunk(partition, own, rng.choice((None, None, Fate.COMMITTED, Fate.ABORTED))))
    cluster = SimulatedCluster(partitions)
    for chunk in chunks:
        chunk.send(cluster)
    ends = {number: cluster.log(INPUT, number).end for number in range(partitions)}
    truth = {number: _truth(cluster, number, scope, has_outlook=has_outlook) for number in ends}
    return Input(partitions, scope, tuple(chunks), truth, ends, has_outlook)


def _tick(event: ShopEvent, hours: int) -> ShopEvent:
    """Return a tick right after an event, that says it is so much later."""
    timestamp_ms = event.timestamp_ms + hours * 3_600_000
    moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return ShopEvent(event.key, encode_tick(moment), timestamp_ms, "tick")


Outlooks = dict[int, list[tuple[bytes | None, bytes | None]]]
"""Key and value of each outlook, in order, by partition."""


def undisturbed(number: int, store: str = "directory") -> dict[int, str]:
    """Return the final states, by partition, that a worker which nothing befell leaves behind after an input."""
    return _undisturbed(number, store)[0]


def wanted_outlooks(number: int) -> Outlooks:
    """Return what such a worker says of where the shelves are heading."""
    return _undisturbed(number, "directory")[1]


@cache
def _undisturbed(number: int, store: str) -> tuple[dict[int, str], Outlooks]:
    given = make_input(number)
    cluster, disk = SimulatedCluster(given.partitions), Disk()
    for chunk in given.chunks:
        chunk.send(cluster)
    process = SimulatedProcess(
        cluster, disk, settings(0, given.scope, has_outlook=given.has_outlook), new_store=STORES[store]
    )
    process.start()
    while not has_arrived(cluster, given):
        process.step()
    process.stop()
    while process.worker is not None:
        process.step()
    cluster.advance(60.0)  # the last markers are written
    return final_states(cluster, disk.files), outlooks(cluster)


def outlooks(cluster: SimulatedCluster) -> Outlooks:
    """Return what a read_committed reader sees of the outlooks."""
    return {
        number: [(record.key, record.value) for record in cluster.committed_records(OUTLOOKS, number)]
        for number in range(cluster.partitions)
    }


def has_arrived(cluster: SimulatedCluster, given: Input) -> bool:
    """Tell whether everything is committed and visible."""
    committed = cluster.offsets.committed
    return all(
        number in committed and committed[number].offset == end and cluster.offsets.is_stable(number)
        for number, end in given.ends.items()
    )


def final_states(cluster: SimulatedCluster, files: Mapping[CheckpointName, bytes]) -> dict[int, str]:
    """Return the references of the committed offsets, each with the digest of the whole state that it leads to.

    That is in the place of the checkpoint's own digest, which says as well what that shares with earlier ones.
    """
    disk = Disk()
    disk.files = dict(files)
    reads = JoinedReads(SimulatedStore(disk, NoFaults()))
    return {
        number: _state(reads, number, committed.metadata)
        for number, committed in sorted(cluster.offsets.committed.items())
    }


def _state(reads: JoinedReads, number: int, metadata: str | None) -> str:
    reference = decode_reference(metadata)
    name = reference.checkpoint("g", INPUT, number)
    opened = None if name is None else reads.read(name)
    if opened is None:
        return f"without a checkpoint: {reference}"
    running = blake2b(repr((opened.header.identity(), opened.header.offset)).encode())
    for section, body in sorted(opened.sections.items()):
        running.update(f"{section} {memoryview(body).nbytes} ".encode())
        running.update(body)
    return msgspec.structs.replace(reference, checkpoint_digest=running.hexdigest()[:64]).encode()


def published(cluster: SimulatedCluster, partition: int) -> list[Published]:
    """Return what a read_committed reader sees of a partition, predictions first."""
    seen = []
    for kind, topic in (("prediction", OUTPUT), ("dead_letter", DEAD_LETTERS)):
        for record in cluster.committed_records(topic, partition):
            headers = tuple(record.headers or ())
            seen.append(Published(kind, _source(kind, record.value, headers), record.key, record.value, headers))  # type: ignore[arg-type]  # two literals
    return seen


def _source(kind: str, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]) -> int:
    if kind == "dead_letter":
        return int(dict(headers)["error.offset"] or b"")
    text = value or b""
    return int(text[text.rindex(b":") + 1 : -1])  # the contract's last field is source_offset


def _truth(cluster: SimulatedCluster, partition: int, scope: ModelScope, *, has_outlook: bool) -> list[Published]:
    outlook = OutlookSettings(zone_of(ZONE), ZONE_DATA, Policies()) if has_outlook else None
    learning = LearningSettings(
        "linear", scope, SEEN_IDS, 1_000, Limits(), item_retire_days=ITEM_RETIRE_DAYS, outlook=outlook
    )
    oracle = oracle_of(learning, INPUT, partition)
    fed = (
        oracle.feed((each.offset, each.timestamp_ms, each.key, each.value, each.headers or ()))
        for each in cluster.committed_records(INPUT, partition)
    )
    return [message for message in fed if message is not None]
