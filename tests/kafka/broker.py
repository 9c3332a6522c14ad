"""A Kafka broker under test, and what a test may do to it."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import SystemRandom
from types import TracebackType
from typing import NoReturn, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .deadline import DeadlineExceededError, wait_until

# Below the ports that Linux hands to outgoing connections (32768 and up): while the broker is dead, a client that
# retries 127.0.0.1:<port> from that range can connect to itself and then hold the port against the restart.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 100


class BrokerError(RuntimeError):
    """A broker did not do what it was asked: start, answer in time, freeze."""


class BrokerUnavailableError(BrokerError):
    """This machine lacks something that the broker needs; the message names it."""


class BrokerControlError(BrokerError):
    """A fault was asked of a broker that these tests did not start and so must not touch."""


class Broker(ABC):
    """One running broker; a context manager that stops it at the end.

    Instances are handed out ready: `bootstrap_servers` answers, and every partition has a leader. All methods block
    until their effect is there, and may be called from any thread, one at a time.
    """

    #: Whether the four faults below work; false for a broker that was there before the tests.
    controllable: bool = True

    def __init__(self, bootstrap_servers: str) -> None:
        """Take the address that clients are to use; it stays the same for the broker's whole life."""
        self.bootstrap_servers = bootstrap_servers

    @abstractmethod
    def freeze(self) -> None:
        """Stop the broker's execution as a long pause of the machine would: connections stay open, nothing answers."""

    @abstractmethod
    def thaw(self) -> None:
        """Let a frozen broker run on; harmless if it is not frozen.

        Returns at once: whoever needs it to answer waits for that.
        """

    @abstractmethod
    def kill(self) -> None:
        """End the broker without a shutdown, frozen or not; its data and its address are kept for `restart`.

        Not a power cut: what the broker wrote survives in the operating system's cache, flushed or not.
        """

    @abstractmethod
    def restart(self) -> None:
        """Start the broker again on its address and data, and wait until it is ready; one still running is killed."""

    @abstractmethod
    def stop(self) -> None:
        """End the broker for good and delete its data; harmless if already stopped."""

    def __enter__(self) -> Self:
        """Return the broker itself, running already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the broker."""
        self.stop()


class ExternalBroker(Broker):
    """A broker that was running before the tests and outlives them."""

    controllable = False

    def freeze(self) -> None:
        """Refuse."""
        self._refuse("freeze")

    def thaw(self) -> None:
        """Refuse."""
        self._refuse("thaw")

    def kill(self) -> None:
        """Refuse."""
        self._refuse("kill")

    def restart(self) -> None:
        """Refuse."""
        self._refuse("restart")

    def stop(self) -> None:
        """Do nothing: whoever started the broker stops it."""

    def _refuse(self, control: str) -> NoReturn:
        message = (
            f"will not {control} the broker at {self.bootstrap_servers}: the tests did not start it. "
            "Unset KAFKA_BOOTSTRAP_SERVERS to let them start their own, or skip tests where not broker.controllable."
        )
        raise BrokerControlError(message)


def wait_until_ready(bootstrap_servers: str, deadline_seconds: float, *, check: Callable[[], object]) -> None:
    """Wait until a broker is listed at `bootstrap_servers` and every partition has a leader.

    `check` is called between attempts and raises when waiting on is pointless, as after the death of the process.

    Raises:
        BrokerError: The deadline passed.

    """
    # Refused connections are expected here, so librdkafka's log of them is off and its back-off is short.
    admin = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 100,
        },
    )

    def ready() -> bool:
        check()
        try:
            metadata = admin.list_topics(timeout=1)
        except KafkaException:
            return False
        topics = metadata.topics.values()
        return bool(metadata.brokers) and all(
            partition.leader >= 0 for topic in topics for partition in topic.partitions.values()
        )

    try:
        wait_until(ready, deadline_seconds, f"a broker at {bootstrap_servers} with leaders for all partitions")
    except DeadlineExceededError as error:
        raise BrokerError(str(error)) from error


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens now.

    Raises:
        BrokerError: No free port was found in 100 random attempts.

    """
    randomness = SystemRandom()  # Not `random`: a seeded test run must not give two runs the same ports.
    for _ in range(_PORT_ATTEMPTS):
        port = randomness.choice(_PORTS)
        with socket.socket() as probe:
            # As the broker does: a port with old connections in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = f"no free TCP port among {_PORT_ATTEMPTS} tried from {_PORTS.start} to {_PORTS.stop - 1}"
    raise BrokerError(message)
