"""librdkafka's embedded broker: recognised, what it cannot answer said once, and no real one taken for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from confluent_kafka import Producer
from structlog.testing import capture_logs

from consumer.errors import SettingsError, TopicsError
from consumer.kafka.broker import ClientIdentity, KafkaBroker
from consumer.kafka.embedded import embedded_topic, is_embedded
from consumer.kafka.topics import TopicNames, cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = TopicNames("in", "out", "dead")


def cluster(cluster_id: str | None, controller: int, **partitions: int) -> Any:
    """What a broker answers: itself as number 1, and topics."""
    topics = {name: SimpleNamespace(partitions=dict.fromkeys(range(number))) for name, number in partitions.items()}
    return SimpleNamespace(cluster_id=cluster_id, controller_id=controller, brokers={1: None}, topics=topics)


@pytest.fixture
def address() -> Iterator[str]:
    """An embedded broker with the three topics."""
    host = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = host.list_topics(timeout=5).brokers.values()
    for name in NAMES:
        host.list_topics(name, timeout=5)
    yield f"{broker.host}:{broker.port}"
    del host


def kafka(address: str, names: TopicNames = NAMES, *, is_transactional: bool = False) -> KafkaBroker:
    config = {"bootstrap.servers": address, "log_level": "0"}
    identity = ClientIdentity("g", "i")
    return KafkaBroker(config, names, identity, is_transactional=is_transactional, log=structlog.get_logger())


def test_at_least_once_starts_on_it_and_one_warning_names_what_was_not_checked(address: str) -> None:
    """A start asks four things that it does not answer; the topics are checked again at each rebuild, quietly."""
    broker = kafka(address)
    with capture_logs() as logged:
        topics = [broker.check_topics() for _ in range(3)]
    (warning,) = logged
    assert (warning["event"], warning["log_level"]) == ("embedded_broker", "warning")
    assert warning["unchecked"] == ["topic id", "permissions", "cleanup.policy", "max.message.bytes"]
    assert topics[0].partitions == 4
    assert len(set(topics)) == 1


def test_another_embedded_cluster_is_another_log(address: str) -> None:
    """The topic id is unknown; the cluster's stands for it, so no state is taken for that of another log."""
    other = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = other.list_topics(timeout=5).brokers.values()
    for name in NAMES:
        other.list_topics(name, timeout=5)
    ids = {kafka(each).check_topics().topic_id for each in (address, f"{broker.host}:{broker.port}")}
    assert len(ids) == 2
    assert all(each.startswith("mockCluster") for each in ids)


def test_exactly_once_is_refused_with_what_to_do(address: str) -> None:
    """It answers transactional calls but does not store their offsets: a promise that nobody keeps."""
    with (
        capture_logs() as logged,
        pytest.raises(SettingsError, match=r"expected a real Kafka.*or set PROCESSING_GUARANTEE=at_least_once"),
    ):
        kafka(address, is_transactional=True).check_topics()
    assert logged == []


def test_what_it_can_answer_is_checked(address: str) -> None:
    """A missing topic is missed there too."""
    with pytest.raises(TopicsError, match="topic nowhere does not exist"):
        kafka(address, TopicNames("in", "nowhere", "dead")).check_topics()


def test_an_output_with_fewer_partitions_is_refused_there_too() -> None:
    """Outputs go to the partition of the input's number."""
    answer = cluster("mockCluster1f", 0, **{"in": 4, "out": 4, "dead": 3})
    with pytest.raises(TopicsError, match="dead has 3 partitions; expected at least the 4 of in"):
        embedded_topic(answer, NAMES, is_transactional=False)


@pytest.mark.parametrize(
    ("cluster_id", "controller"),
    [
        ("5L6g3nShT-eMCtK--X86sw", 1),
        ("5L6g3nShT-eMCtK--X86sw", -1),  # an election is under way
        ("mockCluster1f", 1),  # named so by somebody
        ("mockCluster1f-of-ours", -1),
        ("Not-a-mockCluster1f", -1),
        (None, -1),  # a broker too old to have an id
    ],
)
def test_no_real_cluster_is_taken_for_it(cluster_id: str | None, controller: int) -> None:
    """A real one is asked everything, whatever state it is in."""
    assert not is_embedded(cluster(cluster_id, controller))


def test_the_real_thing_is_recognised(address: str) -> None:
    """As this version of librdkafka answers."""
    assert is_embedded(cluster_of({"bootstrap.servers": address, "log_level": "0"}))
