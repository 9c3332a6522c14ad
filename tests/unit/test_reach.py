"""A broker that does not answer: named with the cause, waited for no longer than said, and told meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import KafkaError, Producer

from benchmarks.wrong_uses.elsewhere import web_server
from consumer.errors import BrokerError, SettingsError
from consumer.kafka.reach import Complaints, await_broker
from tests.kafka.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 1.0


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Serve something that gives the same answer to whatever it is asked, and yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def refusal(address: str, **changed: str) -> str:
    """Wait for a broker there in vain and return the sentence."""
    with pytest.raises(BrokerError) as raised:
        await_broker({"bootstrap.servers": address, **changed}, seconds=SECONDS)
    sentence = str(raised.value)
    assert f"KAFKA_BOOTSTRAP_SERVERS={address}" in sentence
    assert sentence.endswith("; start the broker, or mend the address")
    return sentence


def test_a_broker_that_answers() -> None:
    """No time is lost with one that is there: librdkafka's embedded one will do."""
    host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    (broker,) = host.list_topics(timeout=10).brokers.values()
    started = time.monotonic()
    await_broker({"bootstrap.servers": f"{broker.host}:{broker.port}"}, seconds=10)
    assert time.monotonic() - started < 5


def test_nothing_listens() -> None:
    """The commonest one."""
    assert "nothing listens there (connection refused)" in refusal(f"127.0.0.1:{free_port()}")


def test_no_such_host() -> None:
    """A slip of the pen."""
    assert "the host name is not known" in refusal("no-such-host.invalid:9092")


def test_a_web_server() -> None:
    """A wrong port."""
    with web_server() as address:
        assert "does not answer as a Kafka broker does" in refusal(address)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_another_protocol(answer: bytes) -> None:
    """Something else answers at once, or TLS is expected there."""
    with answering(answer) as address:
        sentence = refusal(address)
    assert "something else than a Kafka broker answers there" in sentence
    assert "KAFKA_SECURITY_PROTOCOL" in sentence


def test_the_wait_is_told() -> None:
    """At once, with the cause and the seconds left; not again while neither changes much."""
    told: list[tuple[str, float]] = []
    with pytest.raises(BrokerError):
        await_broker(
            {"bootstrap.servers": f"127.0.0.1:{free_port()}"},
            seconds=2,
            on_wait=lambda cause, left: told.append((cause, left)),
        )
    ((cause, left),) = told
    assert "connection refused" in cause
    assert 0.5 < left < 2


def test_who_is_asked_to_stop_waits_no_longer() -> None:
    """Ctrl-C need not wait for the broker."""
    started = time.monotonic()
    await_broker({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, seconds=60, is_cancelled=lambda: True)
    assert time.monotonic() - started < 10


def test_a_configuration_that_no_client_takes() -> None:
    """It is a setting's fault, not the broker's."""
    with pytest.raises(SettingsError, match=r"ssl\.ca\.location"):
        await_broker({"bootstrap.servers": "x:1", "security.protocol": "ssl", "ssl.ca.location": "/nowhere/ca.pem"})


def test_complaints_keep_what_names_a_cause() -> None:
    """That all brokers are down is no cause; a refusal is kept apart."""
    complaints = Complaints()
    complaints(KafkaError(KafkaError._TRANSPORT, "Connect to ipv4#1.2.3.4:9 failed: Connection refused"))
    complaints(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert complaints.cause() == "nothing listens there (connection refused)"
    assert complaints.refusal is None
    complaints(KafkaError(KafkaError._AUTHENTICATION, "Invalid username or password"))
    assert complaints.refusal is not None
    complaints(KafkaError(KafkaError._TRANSPORT, "something new"))
    assert complaints.cause() == "something new"
