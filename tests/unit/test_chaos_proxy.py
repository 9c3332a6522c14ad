"""The proxy of `make chaos`: it passes everything on, until it is told to cut, slow or leave a connection half-open."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.chaos.proxy import Network
from tests.kafka import wait_until
from tests.kafka.cluster import distinct_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 5.0


class Echo:
    """A server that sends back what comes, and knows whose connection has ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        try:
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        except OSError:
            return

    def _answer(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1_000):
                connection.sendall(data)
        except OSError:
            pass
        finally:
            connection.close()
            self.ended.set()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """The broker's part."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def front() -> int:
    """Where the proxy listens."""
    return distinct_ports(1)[0]


@pytest.fixture
def network(echo: Echo, front: int) -> Iterator[Network]:
    """A network with the echo behind it."""
    with Network([(front, echo.port)]) as network:
        yield network


def connect(front: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", front), SECONDS)
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    return client


def test_it_passes_on_both_ways(network: Network, front: int) -> None:
    """Undisturbed, nobody notices it."""
    with connect(front) as client, connect(front) as other:
        client.sendall(b"x" * 300_000)
        received = 0
        while received < 300_000:
            received += len(client.recv(100_000))
        other.sendall(b"y")
        assert other.recv(10) == b"y"
        assert network.live() == 2


def test_cut_connections_are_reset_on_both_sides(network: Network, front: int, echo: Echo) -> None:
    """Both sides learn of it, and a new connection works."""
    with connect(front) as client:
        assert network.cut(random.Random(1), 1.0) == 1
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        assert echo.ended.wait(SECONDS)
        wait_until(lambda: network.live() == 0, SECONDS, "the connection to be forgotten")
    connect(front).close()


def test_a_share_is_at_least_one(network: Network, front: int) -> None:
    """A small share of few connections hits one; of none, none."""
    assert network.cut(random.Random(1), 0.1) == 0
    clients = [connect(front) for _ in range(4)]
    assert network.cut(random.Random(1), 0.1) == 1
    wait_until(lambda: network.live() == 3, SECONDS, "one to be gone")
    assert network.cut(random.Random(1), 0.7) == 2
    for client in clients:
        client.close()


def test_slow_connections_deliver_late(network: Network, front: int) -> None:
    """Everything comes, each way later; healed, at once again."""
    with connect(front) as client:
        assert network.slow(random.Random(1), 1.0, 0.2) == 1
        began = time.monotonic()
        client.sendall(b"late")
        assert client.recv(10) == b"late"
        assert time.monotonic() - began >= 0.4
        assert network.heal() >= 4
        began = time.monotonic()
        client.sendall(b"soon")
        assert client.recv(10) == b"soon"
        assert time.monotonic() - began < 0.2


def test_a_half_open_connection_is_silent_until_it_is_healed(network: Network, front: int, echo: Echo) -> None:
    """The broker's side has ended, the client's neither answers nor ends; what the client sends is held against it."""
    with connect(front) as client:
        assert network.leave_half_open(random.Random(1), 1.0) == 1
        assert echo.ended.wait(SECONDS)
        assert network.live() == 0
        client.sendall(b"is anybody there?")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        connect(front).close()  # others are served
        assert network.heal() >= len(b"is anybody there?")
        client.settimeout(SECONDS)
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def test_a_client_that_gives_up_was_held_up_too(network: Network, front: int) -> None:
    """What a half-open connection swallowed counts, also where its client has closed it before it is healed."""
    with connect(front) as client:
        assert network.leave_half_open(random.Random(1), 1.0) == 1
        client.sendall(b"nobody")
    wait_until(lambda: network.links() == 0, SECONDS, "the connection to be forgotten")
    assert network.heal() == len(b"nobody")
    assert network.heal() == 0


def test_without_a_broker_clients_are_turned_away(front: int) -> None:
    """While the broker is dead, its proxy takes nobody."""
    (dead,) = distinct_ports(1)
    with Network([(front, dead)]) as network:
        # The reset may come before the connecting is over.
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", front), SECONDS) as client:
            client.recv(10)
        assert network.live() == 0
