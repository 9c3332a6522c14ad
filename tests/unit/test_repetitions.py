"""What the client says again and again: one line of a kind, and how many were left out."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError

from consumer.kafka.broker import ClientIdentity, KafkaBroker
from consumer.kafka.connection import KafkaConnection
from consumer.kafka.repetitions import QUIET_SECONDS, LineFilter, Repetitions
from consumer.kafka.topics import TopicNames


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_of_a_kind_passes() -> None:
    """The first, and the next after a while, which says how many there were between; each kind by itself."""
    clock = Clock()
    repetitions = Repetitions(clock)
    assert [repetitions.left_out("down") for _ in range(4)] == [0, None, None, None]
    assert repetitions.left_out("refused") == 0
    clock.now += QUIET_SECONDS
    assert repetitions.left_out("down") == 3
    assert repetitions.left_out("down") is None
    clock.now += 2 * QUIET_SECONDS
    assert repetitions.left_out("down") == 1


def line(facility: str, text: str, level: int = logging.ERROR) -> logging.LogRecord:
    """Return a line as the binding hands librdkafka's to a logger."""
    return logging.LogRecord("librdkafka", level, "", 0, "%s [%s] %s", (facility, "rdkafka#producer-3", text), None)


def test_librdkafkas_lines() -> None:
    """A kind is level and facility, whichever client says it; a line after others that were left out counts them."""
    clock = Clock()
    passes = LineFilter(Repetitions(clock)).filter
    assert passes(line("FAIL", "127.0.0.1:1: Connect failed"))
    assert not passes(line("FAIL", "127.0.0.1:2: Connect failed"))
    assert passes(line("FAIL", "127.0.0.1:2: Connect failed", logging.INFO))
    assert passes(line("MAXPOLL", "too long"))
    clock.now += QUIET_SECONDS
    told = line("FAIL", "127.0.0.1:1: Connect failed")
    assert passes(told)
    assert told.getMessage() == "FAIL [rdkafka#producer-3] 127.0.0.1:1: Connect failed (and 1 more FAIL lines before)"


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append({"event": event, **fields})


def test_new_connections_know_what_was_said() -> None:
    """A worker that builds its clients anew every second does not begin to complain anew."""
    log = Log()
    broker = KafkaBroker(
        {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"},
        TopicNames("in", "out", "dead"),
        ClientIdentity("g", "i"),
        is_transactional=False,
        log=log,  # type: ignore[arg-type]  # what it uses of it
    )
    for _ in range(3):
        connection = broker.connect(None)  # type: ignore[arg-type]  # nothing is assigned
        assert isinstance(connection, KafkaConnection)
        connection._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        connection.leave()
    assert len([each for each in log.lines if each.get("code") == "_ALL_BROKERS_DOWN"]) == 1
    assert len([each for each in logging.getLogger("librdkafka").filters if isinstance(each, LineFilter)]) == 1
