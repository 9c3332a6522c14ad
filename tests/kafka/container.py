"""Kafka in a Docker container, through testcontainers."""

import os
from collections.abc import Mapping, Sequence
from typing import Self

from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.docker_client import DockerClient

from .broker import Broker, BrokerUnavailableError, free_port, wait_until_ready
from .settings import SINGLE_NODE, environment_name

_PING_SECONDS = 3
_READY_SECONDS = 60
_KAFKA_PORT = 9093  # The port inside of testcontainers' listener for clients.


class ContainerBroker(Broker):
    """A broker in a container that testcontainers' reaper removes if this process cannot.

    The image is testcontainers' own default: its start script is written for that one, and 8.x images refuse it.
    """

    def __init__(self, container: KafkaContainer) -> None:
        """Take a started container."""
        super().__init__(container.get_bootstrap_server())
        self._container = container
        self._handle = container.get_wrapped_container()
        self._owner = os.getpid()
        self._stopped = False

    @classmethod
    def start(
        cls, *, heap_megabytes: int = 512, properties: Mapping[str, str] | None = None, jvm: Sequence[str] = ()
    ) -> Self:
        """Return a new, empty broker that is ready; `properties` win over those of settings.py.

        Raises:
            BrokerError: It did not become ready in 60 s.
            Exception: Whatever testcontainers and Docker raise when an image or a container fails.

        """
        # A fixed port, because Docker would publish another one when the container starts again.
        container = KafkaContainer().with_kraft().with_bind_ports(_KAFKA_PORT, free_port())
        container.with_env("KAFKA_HEAP_OPTS", f"-Xmx{heap_megabytes}m")
        if jvm:
            container.with_env("KAFKA_JVM_PERFORMANCE_OPTS", " ".join(jvm))  # in place of its own choice
        for key, value in {**SINGLE_NODE, **(properties or {})}.items():
            container.with_env(environment_name(key), value)
        try:
            container.start(timeout=_READY_SECONDS)
            broker = cls(container)
            broker._wait_until_ready()
        except BaseException:
            container.stop()
            raise
        return broker

    def freeze(self) -> None:
        """Pause the container."""
        self._handle.reload()
        if self._handle.status != "paused":
            self._handle.pause()

    def thaw(self) -> None:
        """Unpause the container."""
        self._handle.reload()
        if self._handle.status == "paused":
            self._handle.unpause()

    def kill(self) -> None:
        """Kill the container."""
        self.thaw()  # Some engines refuse to kill a paused container.
        if self._handle.status != "exited":
            self._handle.kill()
            self._handle.wait()
        self._handle.reload()

    def restart(self) -> None:
        """Kill the container if it runs, start it with its data volume and wait until it is ready."""
        self.kill()
        self._handle.start()
        self._wait_until_ready()

    def stop(self) -> None:
        """Remove the container with its data volume."""
        if os.getpid() == self._owner and not self._stopped:
            self._stopped = True
            self._container.stop()

    def _wait_until_ready(self) -> None:
        wait_until_ready(self.bootstrap_servers, _READY_SECONDS, check=lambda: None)


def check_daemon() -> None:
    """Return if a Docker daemon answers a ping within 3 s; the `docker` command alone proves nothing.

    Raises:
        BrokerUnavailableError: It does not; the message says how the attempt failed.

    """
    try:
        client = DockerClient(timeout=_PING_SECONDS).client
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, OSError) as error:  # OSError covers the network errors of requests.
        message = f"no Docker daemon answers ({type(error).__name__}: {error})"
        raise BrokerUnavailableError(message) from error
