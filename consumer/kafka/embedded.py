"""librdkafka's own broker, embedded in a client for trying things out: recognised, and what it cannot answer named.

It keeps records, offsets and groups in the memory of the process that hosts it. It has no controller, so whatever an
admin client asks runs into its time-out, and it does not store the offsets of a transaction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from consumer.broker import InputTopic
from consumer.errors import SettingsError, TopicsError
from consumer.kafka.topics import INPUT_MESSAGE_BYTES, check_partitions

if TYPE_CHECKING:
    from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined]  # re-exported without saying so

    from consumer.kafka.topics import TopicNames

UNCHECKED: Final = ("topic id", "permissions", "cleanup.policy", "max.message.bytes")
"""What the start asks a broker that an embedded one cannot answer."""

_CLUSTER_ID: Final = re.compile(r"mockCluster[0-9a-f]+").fullmatch


def is_embedded(cluster: ClusterMetadata) -> bool:
    """Tell whether this is librdkafka's embedded broker: by the id that it gives its cluster, and no controller.

    Both, so that no real one is taken for it: not one whose controller is being elected, nor one with such an id.
    """
    return _CLUSTER_ID(str(cluster.cluster_id)) is not None and cluster.controller_id not in cluster.brokers


def embedded_topic(cluster: ClusterMetadata, names: TopicNames, *, is_transactional: bool) -> InputTopic:
    """Check what an embedded broker can answer, and return what the worker must know of the input.

    In place of the topic's id stands the cluster's: another embedded cluster is another log, and within one no topic
    is ever deleted.

    Args:
        cluster: the answer to a request for all topics.
        names: the worker's topics.
        is_transactional: exactly_once.

    Raises:
        SettingsError: exactly_once was asked of it.
        TopicsError: a topic is missing, or an output has fewer partitions than the input.
    """
    if is_transactional:
        raise SettingsError(
            "PROCESSING_GUARANTEE=exactly_once: expected a real Kafka at KAFKA_BOOTSTRAP_SERVERS, found librdkafka's "
            "embedded broker, which does not store the offsets of a transaction; name a real one, or set "
            "PROCESSING_GUARANTEE=at_least_once to try things out"
        )
    for name in names.all():
        if name not in cluster.topics:
            raise TopicsError(
                f"topic {name} does not exist; the embedded broker creates it when a producer asks for it by name"
            )
    partitions = {name: len(cluster.topics[name].partitions) for name in names.all()}
    check_partitions(partitions, names)
    return InputTopic(str(cluster.cluster_id), partitions[names.input], INPUT_MESSAGE_BYTES)
