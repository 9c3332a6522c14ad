"""Topics for a test: made, named apart from those of all other tests, and read to the end."""

import time
import uuid
from collections.abc import Mapping
from typing import Literal

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # Re-exported by `admin`, but not for type checkers.

from .deadline import DeadlineExceededError, wait_until

__all__ = ["Isolation", "create_topics", "read_all", "unique", "wait_until", "wait_until_stable"]

Isolation = Literal["read_committed", "read_uncommitted"]

_BATCH = 1000
_BATCH_SECONDS = 0.05  # `consume` uses all of it unless the batch fills up, so it is what an empty topic costs.
_CREATION_SECONDS = 30.0
_AS_THE_BROKER_SAYS = -1  # one replica on one node, three on three


def unique(prefix: str) -> str:
    """Return a name for a topic, group or transactional id that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def create_topics(
    bootstrap_servers: str,
    partitions: Mapping[str, int],
    config: Mapping[str, str] | None = None,
) -> None:
    """Create the topics, each with its number of partitions and all with `config`, and wait for their leaders.

    Raises:
        KafkaException: The broker refused one, as for a name that exists or a setting it does not know.
        DeadlineExceededError: The leaders were not there in 30 s.

    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    topics = [
        NewTopic(name, num_partitions=count, replication_factor=_AS_THE_BROKER_SAYS, config=dict(config or {}))
        for name, count in partitions.items()
    ]
    for created in admin.create_topics(topics).values():
        created.result(timeout=_CREATION_SECONDS)

    def led() -> bool:
        known = admin.list_topics(timeout=_CREATION_SECONDS).topics
        return all(
            name in known
            and len(known[name].partitions) == count
            and all(partition.leader >= 0 for partition in known[name].partitions.values())
            for name, count in partitions.items()
        )

    wait_until(led, _CREATION_SECONDS, f"leaders for the partitions of {sorted(partitions)}")


def read_all(
    bootstrap_servers: str,
    topic: str,
    *,
    isolation: Isolation = "read_committed",
    deadline_seconds: float = 30.0,
) -> dict[int, list[Message]]:
    """Return the records of every partition, in offset order, from the first up to the end at the time of reading.

    Every partition has a key, also without records. With `read_committed` the end is the last stable offset: records
    behind a transaction that is still open are not returned, committed or not.

    Raises:
        KafkaException: The topic does not exist, or the broker refuses the reading or does not answer at all.
        DeadlineExceededError: An end was not reached in time; the message says which and the last passing error.

    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique("read-all"),  # librdkafka wants one; nothing is committed to it.
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 10,  # Default 500: how long the broker holds back the answer that there is no more.
            # Beginning means the log's start; an offset that retention deleted meanwhile is an error, not a skip.
            "auto.offset.reset": "error",
        },
    )
    try:
        return _drain(consumer, topic, deadline_seconds)
    finally:
        consumer.close()


def wait_until_stable(bootstrap_servers: str, topic: str, *, deadline_seconds: float = 30.0) -> bool:
    """Wait until no transaction is pending in a topic: a commit is confirmed before its markers are in every partition.

    Returns whether that came true in time; where a killed producer left a transaction open, it does not.
    """
    committed, appended = (
        Consumer({"bootstrap.servers": bootstrap_servers, "group.id": unique("stable"), "isolation.level": isolation})
        for isolation in ("read_committed", "read_uncommitted")
    )
    try:
        partitions = committed.list_topics(topic, timeout=deadline_seconds).topics[topic].partitions

        def is_stable() -> bool:
            asked = [TopicPartition(topic, partition) for partition in partitions]
            ends = [
                [client.get_watermark_offsets(each, timeout=deadline_seconds)[1] for each in asked]
                for client in (committed, appended)
            ]
            return ends[0] == ends[1]

        wait_until(is_stable, deadline_seconds, f"the transactions in {topic} to end")
    except DeadlineExceededError:
        return False
    else:
        return True
    finally:
        committed.close()
        appended.close()


def _drain(consumer: Consumer, topic: str, deadline_seconds: float) -> dict[int, list[Message]]:
    deadline = time.monotonic() + deadline_seconds
    described = consumer.list_topics(topic, timeout=deadline_seconds).topics[topic]
    if described.error is not None:
        raise KafkaException(described.error)
    records: dict[int, list[Message]] = {partition: [] for partition in sorted(described.partitions)}
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in records])
    pending = set(records)
    passing: KafkaError | None = None
    while pending:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            read = {partition: len(records[partition]) for partition in sorted(pending)}
            message = (
                f"waited {deadline_seconds:g} s for the ends of {topic}; still unreached, with the records "
                f"read so far: {read}; last passing error: {passing}"
            )
            raise DeadlineExceededError(message)
        for record in consumer.consume(_BATCH, timeout=min(remaining, _BATCH_SECONDS)):
            partition, error = record.partition(), record.error()
            if error is None and partition in pending:
                records[partition].append(record)
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                pending.discard(partition)
            elif error is not None and error.retriable():
                passing = error
            elif error is not None:
                raise KafkaException(error)
    return records
