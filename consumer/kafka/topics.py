"""The topics: created as the worker needs them, and checked before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]  # re-exported without saying so

from consumer.broker import InputTopic
from consumer.errors import BrokerError, RetryError, TopicsError
from consumer.kafka.chunks import CHUNK_BYTES, CHUNK_HEADROOM_BYTES
from consumer.kafka.errors import CHECKPOINT_RIGHTS, error_of, is_refusal, of_call, of_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from confluent_kafka.admin import ClusterMetadata, TopicDescription  # type: ignore[attr-defined]  # likewise

ADMIN_SECONDS: Final = 15.0
INPUT_MESSAGE_BYTES: Final = 1_048_588
"""Apache Kafka's own default for max.message.bytes."""

OUTPUT_HEADROOM_BYTES: Final = 65_536
"""A dead letter carries its original and headers; a prediction, the ids: both may be larger than the input."""


LEAST_CHECKPOINT_BYTES: Final = CHUNK_BYTES + CHUNK_HEADROOM_BYTES
"""What the checkpoint topic's max.message.bytes must be at least."""

_CHECKPOINT_CONFIG: Final = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(INPUT_MESSAGE_BYTES),
    # The newest segment is never compacted: the defaults, 1 GiB or 7 days, would let that much pile up in a partition.
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(3_600_000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(3_600_000),
}


class TopicNames(NamedTuple):
    """The worker's topics.

    Attributes:
        checkpoints: None where checkpoints are not kept in Kafka.
        outlooks: None where none are published.
    """

    input: str
    output: str
    dead_letters: str
    checkpoints: str | None = None
    outlooks: str | None = None

    def all(self) -> list[str]:
        """Return those that there must be."""
        return [name for name in self if name is not None]

    def variable(self, name: str) -> str:
        """Return the environment variable that a topic's name comes from."""
        return ("INPUT_TOPIC", "OUTPUT_TOPIC", "DEAD_LETTER_TOPIC", "CHECKPOINT_URL", "OUTLOOK_TOPIC")[self.index(name)]


def admin_client(config: Mapping[str, Any]) -> AdminClient:
    """Return a client for questions about topics and groups.

    Raises:
        SettingsError: it cannot be built from these properties.
    """
    try:
        return AdminClient(dict(config))
    except KafkaException as exception:
        raise of_configuration(exception) from exception


def cluster_of(config: Mapping[str, Any]) -> ClusterMetadata:
    """Return what the cluster says of itself and all its topics: asking for one by name lets some brokers create it.

    Raises:
        BrokerError: the broker refuses this client.
        RetryError: it could not be reached.
    """
    try:
        return admin_client(config).list_topics(timeout=ADMIN_SECONDS)
    except KafkaException as exception:
        error = error_of(exception)
        if is_refusal(error):
            raise of_call(error, "ask the cluster who it is") from exception
        raise _unreachable(error) from exception


def create_topics(
    config: Mapping[str, Any], names: TopicNames, *, partitions: int, replication_factor: int, retention_ms: int
) -> dict[str, bool]:
    """Create the topics that do not exist yet; return for each whether it was created.

    The input keeps its records for `retention_ms`, -1 for ever: with event times of the past, the broker's default
    of 7 days would delete them within minutes, and the log is what the model is a function of.

    Raises:
        TopicsError: the broker refused one.
        BrokerError: the broker refuses this client.
        RetryError: it could not be reached.
    """
    admin = admin_client(config)
    larger = str(INPUT_MESSAGE_BYTES + OUTPUT_HEADROOM_BYTES)
    wanted = {
        names.input: {"retention.ms": str(retention_ms), "max.message.bytes": str(INPUT_MESSAGE_BYTES)},
        names.output: {"max.message.bytes": larger},
        names.dead_letters: {"max.message.bytes": larger, "retention.ms": str(retention_ms)},
    }
    if names.checkpoints is not None:
        wanted[names.checkpoints] = dict(_CHECKPOINT_CONFIG)
    if names.outlooks is not None:
        wanted[names.outlooks] = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2"}
    topics = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication_factor, config=topic_config)
        for name, topic_config in wanted.items()
    ]
    created = {}
    for name, future in admin.create_topics(
        topics, operation_timeout=ADMIN_SECONDS, request_timeout=ADMIN_SECONDS
    ).items():
        try:
            future.result(ADMIN_SECONDS)
            created[name] = True
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                created[name] = False
            elif is_refusal(error):
                raise of_call(error, f"create topic {name}") from exception
            elif error.code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT}:  # noqa: SLF001
                raise _unreachable(error) from exception
            else:
                raise TopicsError(f"topic {name} was not created: {error.str()}") from exception
        except TimeoutError as exception:
            raise _no_answer() from exception
    return created


def check_topics(config: Mapping[str, Any], names: TopicNames) -> InputTopic:
    """Check that the topics fit their purposes and return what the worker must know of the input.

    Raises:
        TopicsError: one is missing, another has fewer partitions than the input, an output takes records no larger than
            its, the input is compacted, or the checkpoint topic is not.
        BrokerError: the broker refuses this client.
        RetryError: it could not be reached.
    """
    admin = admin_client(config)
    described = _described(admin, names.all(), names.variable)
    for name, operation in (
        (names.input, AclOperation.READ),
        (names.output, AclOperation.WRITE),
        (names.dead_letters, AclOperation.WRITE),
        *(((names.outlooks, AclOperation.WRITE),) if names.outlooks is not None else ()),
    ):
        _check_allowed(described[name], operation, names.variable(name))
    partitions = {name: len(topic.partitions) for name, topic in described.items()}
    check_partitions(partitions, names)
    configuration = _configuration(admin, names.input)
    policy = configuration["cleanup.policy"]
    if "compact" in policy:
        raise TopicsError(
            f"topic {names.input} has cleanup.policy={policy}; expected delete: a compacted topic is no log of events"
        )
    largest = int(configuration["max.message.bytes"])
    for name in (names.output, names.dead_letters):
        found = int(_configuration(admin, name)["max.message.bytes"])
        if found < largest + OUTPUT_HEADROOM_BYTES:
            raise TopicsError(
                f"topic {name} has max.message.bytes={found}; expected at least {largest + OUTPUT_HEADROOM_BYTES}, 64 "
                f"KiB more than {names.input}: a dead letter carries its original and the headers that say why"
            )
    if names.outlooks is not None:
        policy = _configuration(admin, names.outlooks)["cleanup.policy"]
        if "compact" not in policy:
            raise TopicsError(
                f"topic {names.outlooks} (OUTLOOK_TOPIC) has cleanup.policy={policy}; expected compact: it is read "
                "as a table, the latest outlook of each item, and retention would delete those of quiet items"
            )
    if names.checkpoints is not None:
        _check_checkpoints(admin, described[names.checkpoints])
    return InputTopic(str(described[names.input].topic_id), partitions[names.input], largest)


def check_checkpoint_topic(config: Mapping[str, Any], name: str) -> None:
    """Check the checkpoint topic by itself.

    Raises:
        TopicsError: it is missing, is not compacted, or takes no record as large as a chunk.
        BrokerError: the broker refuses this client, or lets it not read and write there.
        RetryError: it could not be reached.
    """
    admin = admin_client(config)
    _check_checkpoints(admin, _described(admin, [name], lambda _: "CHECKPOINT_URL")[name])


def partitions_of(config: Mapping[str, Any], name: str) -> int:
    """Return how many partitions a topic has.

    Raises:
        TopicsError: it does not exist.
        BrokerError: the broker refuses this client.
        RetryError: it could not be reached.
    """
    return len(_described(admin_client(config), [name], lambda _: "CHECKPOINT_URL")[name].partitions)


def check_partitions(partitions: Mapping[str, int], names: TopicNames) -> None:
    """Check that each output, and the checkpoint topic, has as many partitions as the input, or more.

    Args:
        partitions: number by topic.
        names: the worker's topics.

    Raises:
        TopicsError: one has fewer.
    """
    for name in names.all():
        if partitions[name] < partitions[names.input]:
            what = "checkpoints" if name == names.checkpoints else "outputs"
            raise TopicsError(
                f"topic {name} has {partitions[name]} partitions; expected at least the {partitions[names.input]} of "
                f"{names.input}: {what} go to the partition of the input's number, so add partitions to it"
            )


def _check_checkpoints(admin: AdminClient, topic: TopicDescription) -> None:
    for operation in (AclOperation.READ, AclOperation.WRITE):
        _check_allowed(topic, operation, "CHECKPOINT_URL")
    configuration = _configuration(admin, topic.name)
    policy = configuration["cleanup.policy"]
    if policy != "compact":
        raise TopicsError(
            f"topic {topic.name} (CHECKPOINT_URL) has cleanup.policy={policy}; expected compact: retention would "
            "delete checkpoints that are still needed"
        )
    largest = int(configuration["max.message.bytes"])
    if largest < LEAST_CHECKPOINT_BYTES:
        raise TopicsError(
            f"topic {topic.name} (CHECKPOINT_URL) has max.message.bytes={largest}; expected at least "
            f"{LEAST_CHECKPOINT_BYTES}, which a chunk of a checkpoint takes"
        )


def _check_allowed(topic: TopicDescription, operation: AclOperation, variable: str) -> None:
    """Refuse a topic whose ACLs forbid what is needed: else it would be found out later, some day."""
    allowed = topic.authorized_operations
    if allowed and operation not in allowed:
        needed = CHECKPOINT_RIGHTS if variable == "CHECKPOINT_URL" else "that"
        raise BrokerError(
            f"topic {topic.name} ({variable}): the broker's ACLs do not let this worker's user "
            f"{operation.name.capitalize()}; grant it {needed} (docs/operations.md has all that it needs)"
        )


def _described(admin: AdminClient, names: Sequence[str], variable: Callable[[str], str]) -> dict[str, TopicDescription]:
    described: dict[str, TopicDescription] = {}
    futures = admin.describe_topics(
        TopicCollection(list(names)), request_timeout=ADMIN_SECONDS, include_authorized_operations=True
    )
    for name, future in futures.items():
        try:
            described[name] = future.result(ADMIN_SECONDS)
        except KafkaException as exception:
            error = error_of(exception)
            if is_refusal(error):
                raise of_call(error, f"describe topic {name}") from exception
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicsError(
                    f"topic {name} ({variable(name)}) does not exist; create it with `smart-inventory topics "
                    "create`, or mend the name"
                ) from exception
            raise _unreachable(error) from exception
        except TimeoutError as exception:
            raise _no_answer() from exception
    return described


def _configuration(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    (future,) = admin.describe_configs([resource], request_timeout=ADMIN_SECONDS).values()
    try:
        return {name: str(entry.value) for name, entry in future.result(ADMIN_SECONDS).items()}
    except KafkaException as exception:
        raise of_call(error_of(exception), f"read the configuration of topic {topic}") from exception
    except TimeoutError as exception:
        raise _no_answer() from exception


def _no_answer() -> RetryError:
    return RetryError(f"the broker did not answer within {ADMIN_SECONDS:.0f} s; check KAFKA_BOOTSTRAP_SERVERS")


def _unreachable(error: KafkaError) -> RetryError:
    return RetryError(f"the broker could not be reached ({error.str()}); check KAFKA_BOOTSTRAP_SERVERS and the network")
