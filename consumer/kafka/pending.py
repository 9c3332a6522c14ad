"""Open transactions on a real broker, as far as its client can see and end them.

The client has no call that lists transactions. What it has tells as much: the last stable offset against the end of a
partition, and whether the broker calls a committed offset unstable. `init_transactions` under an identity fences its
producer and aborts what that left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # exported, though not by the stubs

from consumer.errors import BrokerError, RetryError
from consumer.kafka.broker import transactional_id
from consumer.kafka.errors import error_of, of_call, of_configuration
from consumer.kafka.topics import ADMIN_SECONDS, admin_client, cluster_of
from consumer.settlement import Member, Reach

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumer.kafka.topics import TopicNames

_ERRORS_ONLY: Final = 3
_OFFSETS_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 30.0
_NO_GROUP: Final = frozenset({KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID})


class KafkaPending:
    """The open transactions of a group's workers.

    Args:
        config: librdkafka's properties common to all clients.
        names: the worker's topics.
        group: the consumer group.
    """

    def __init__(self, config: Mapping[str, Any], names: TopicNames, group: str) -> None:
        self._config = {"log_level": _ERRORS_ONLY, **config}  # what it tries again is nobody's concern
        self._names = names
        self._group = group
        self._admin = admin_client(self._config)

    def reaches(self) -> list[Reach]:
        """Ask for the end of each partition twice: as a `read_committed` reader sees it, and as it is."""
        topics = cluster_of(self._config).topics
        places = [
            Place(name, number)
            for name in (self._names.output, self._names.dead_letters)
            if name in topics
            for number in sorted(topics[name].partitions)
        ]
        stable = self._ends(places, IsolationLevel.READ_COMMITTED)  # first: what ends later is not held back by it
        ends = self._ends(places, IsolationLevel.READ_UNCOMMITTED)
        return [Reach(topic, number, stable[topic, number], end) for (topic, number), end in ends.items()]

    def offsets_held_back(self) -> list[int]:
        """Ask for the group's stable offsets: the broker refuses those that an open transaction has in hand."""
        topic = cluster_of(self._config).topics.get(self._names.input)
        numbers = sorted(topic.partitions) if topic is not None else []
        return [number for number in numbers if not self._is_stable(number)]

    def members(self, instance_ids: Sequence[str]) -> list[Member]:
        """Describe the group; a static member that was killed stays in it for the session time-out."""
        (future,) = self._admin.describe_consumer_groups([self._group], request_timeout=ADMIN_SECONDS).values()
        try:
            described = future.result(2 * ADMIN_SECONDS)
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() in _NO_GROUP:
                return []
            raise of_call(error, f"describe group {self._group}") from exception
        return [
            Member(member.group_instance_id, member.host)
            for member in described.members
            if member.group_instance_id in instance_ids
        ]

    def settle(self, instance_id: str) -> None:
        """Take the identity's place as its next producer would: that aborts and fences; nothing is ever sent."""
        identity = transactional_id(self._group, instance_id)
        doing = f"settle transactional id {identity}"
        config = {
            "transaction.timeout.ms": 10_000,
            **self._config,
            "transactional.id": identity,
            "enable.idempotence": True,
        }
        config["message.timeout.ms"] = config["transaction.timeout.ms"]  # librdkafka wants it no longer than that
        try:
            producer = Producer(config)
        except KafkaException as exception:
            raise of_configuration(exception) from exception
        try:
            producer.init_transactions(_SETTLE_SECONDS)
        except KafkaException as exception:
            error = error_of(exception)
            sorted_error = of_call(error, doing)
            if isinstance(sorted_error, (BrokerError, RetryError)):
                raise sorted_error from exception
            raise RetryError(f"{doing}: {error.str()}; say it again") from exception

    def _ends(self, places: Sequence[Place], isolation: IsolationLevel) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        asked = self._admin.list_offsets(
            {place: OffsetSpec.latest() for place in places},  # type: ignore[no-untyped-call]
            isolation_level=isolation,
            request_timeout=ADMIN_SECONDS,
        )
        ends = {}
        for place, future in asked.items():
            try:
                ends[place.topic, place.partition] = future.result(2 * ADMIN_SECONDS).offset
            except KafkaException as exception:
                raise of_call(error_of(exception), f"read the ends of {place.topic}") from exception
        return ends

    def _is_stable(self, number: int) -> bool:
        asked = ConsumerGroupTopicPartitions(self._group, [Place(self._names.input, number)])
        (future,) = self._admin.list_consumer_group_offsets(
            [asked], require_stable=True, request_timeout=_OFFSETS_SECONDS
        ).values()
        try:
            (answer,) = future.result(2 * ADMIN_SECONDS).topic_partitions
            error = answer.error
        except KafkaException as exception:
            error = error_of(exception)
        if error is None or error.code() in _NO_GROUP:
            return True
        if error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return False
        raise of_call(error, f"read the offsets of group {self._group}")
