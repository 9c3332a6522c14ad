"""What befalls a group and its checkpoints in real life, done on purpose: bit rot, tools, time, and hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.reference import Reference, decode_reference
from consumer.checkpoint.store import CheckpointName
from tests.core import model_sections, models_of
from tests.kafka import create_topics, wait_until
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stage import Stage

_SECONDS = 30.0
RETENTION = {"retention.ms": "-1"}


def checkpoints(stage: Stage) -> list[Path]:
    """Return the checkpoints of partition 0, the newest first."""
    folder = stage.directory / "checkpoints"
    return sorted(folder.rglob("0/*.checkpoint"), key=lambda path: path.name, reverse=True)


def flip(path: Path) -> None:
    """Change one bit in the middle of the state."""
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def reseal(
    stage: Stage,
    path: Path,
    *,
    key: bytes | None = None,
    header: Callable[[Any], dict[str, Any]] = lambda _: {},
    models: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> CheckpointName:
    """Put a changed checkpoint in a file's stead, whole in itself: digest, name and signature fit its content.

    Args:
        stage: whose checkpoint it is.
        path: the file.
        key: the key that signed it, and signs the new one.
        header: from the former header, what to change of the identity in it.
        models: from the former states of its models, the new ones.
    """
    former, bodies = unseal(path.read_bytes(), key)
    identity = msgspec.structs.replace(former.identity(), **header(former))
    changed = {} if models is None else model_sections(models(models_of(bodies)))
    sealed, data = seal(identity, former.partition, former.offset, {**bodies, **changed}, key)
    name = CheckpointName(former.group, former.topic, former.partition, former.offset, sealed.digest)
    path.unlink()
    DirectoryStore(stage.directory / "checkpoints").write(name, data)
    return name


def heavier(models: dict[str, Any]) -> dict[str, Any]:
    """Return models of MODEL=linear, each a hair off."""
    for pipeline, _ in models.values():
        regression = pipeline["lin_reg"]
        regression.intercept = regression.intercept * (1 + 1e-9) + 1e-9
    return models


class _Foreign:
    """Pickled, it is a call of a function that no model has any business with."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os  # noqa: PLC0415 -- named by the pickle, like any attacker's

        return os.system, ("true",)


def foreign(_models: dict[str, Any]) -> dict[str, Any]:
    """Return models whose pickle calls a foreign function when it is read."""
    return {"": (_Foreign(), 1)}


def reference(stage: Stage) -> Reference:
    """Return what partition 0's committed offset says."""
    return decode_reference(stage.committed()[0].metadata)


def commit_as_another_tool(stage: Stage, offset: int, metadata: str | None) -> None:
    """Commit an offset of partition 0 the way a reset tool does: from outside, the group being empty."""
    tool = Consumer({"bootstrap.servers": stage.bootstrap_servers, "group.id": stage.group})
    place = TopicPartition(stage.input, 0, offset)
    if metadata is not None:
        place = TopicPartition(stage.input, 0, offset, metadata=metadata)

    def committed() -> bool:
        try:
            tool.commit(offsets=[place], asynchronous=False)
        except KafkaException:  # refused while the former member's session lasts
            return False
        return True

    wait_until(committed, _SECONDS, "the empty group to take an offset")
    tool.close()


def refer_to(stage: Stage, name: CheckpointName, **changed: Any) -> None:
    """Let the committed offset refer to another checkpoint."""
    (answer,) = (stage.committed()[0],)
    renamed = msgspec.structs.replace(
        decode_reference(answer.metadata), checkpoint_offset=name.offset, checkpoint_digest=name.digest, **changed
    )
    commit_as_another_tool(stage, answer.offset, renamed.encode())


def delete_group(stage: Stage) -> None:
    """Delete the group and its offsets, as their expiry does."""
    admin = AdminClient({"bootstrap.servers": stage.bootstrap_servers})

    def deleted() -> bool:
        try:
            for future in admin.delete_consumer_groups([stage.group]).values():
                future.result(_SECONDS)
        except KafkaException:  # refused while the former member's session lasts
            return False
        return True

    wait_until(deleted, _SECONDS, "the empty group to be deleted")


def delete_records(stage: Stage, below: int) -> None:
    """Delete the records of partition 0 below an offset, as retention does."""
    admin = AdminClient({"bootstrap.servers": stage.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(stage.input, 0, below)]).values():
        future.result(_SECONDS)


def recreate_input(stage: Stage) -> None:
    """Delete the input topic and create it anew under the same name."""
    admin = AdminClient({"bootstrap.servers": stage.bootstrap_servers})
    for future in admin.delete_topics([stage.input]).values():
        future.result(_SECONDS)

    def recreated() -> bool:
        try:
            create_topics(stage.bootstrap_servers, {stage.input: stage.partitions}, RETENTION)
        except KafkaException:  # the deletion takes a moment
            return False
        return True

    wait_until(recreated, _SECONDS, "the topic to be created anew")
