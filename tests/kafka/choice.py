"""Which broker the tests run against, and why."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from .apache import ApacheBroker
from .broker import Broker, BrokerControlError, BrokerUnavailableError, ExternalBroker, wait_until_ready
from .jars import Installation, find_installation

Kind = Literal["external", "container", "apache", "unavailable"]

_EXTERNAL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """The broker that this machine offers.

    Attributes:
        kind: `external` (from the environment), `container`, `apache` (a Java process) or `unavailable`.
        reason: One line: why this one, and what was missing for those before it.
        bootstrap_servers: The address of an external broker.
        installation: What an Apache broker runs from.

    """

    kind: Kind
    reason: str
    bootstrap_servers: str | None = None
    installation: Installation | None = None

    @property
    def available(self) -> bool:
        """Whether `start` can give a broker."""
        return self.kind != "unavailable"

    def start(
        self, *, heap_megabytes: int = 512, properties: Mapping[str, str] | None = None, jvm: Sequence[str] = ()
    ) -> Broker:
        """Return a ready broker, a new one on each call unless it is external, which takes none of these.

        Raises:
            BrokerUnavailableError: There is none on this machine.
            BrokerError: It did not become ready, or properties were given for an external broker.

        """
        if self.bootstrap_servers is not None:
            if properties:
                message = f"cannot set {sorted(properties)} on the external broker at {self.bootstrap_servers}"
                raise BrokerControlError(message)
            wait_until_ready(self.bootstrap_servers, _EXTERNAL_SECONDS, check=lambda: None)
            return ExternalBroker(self.bootstrap_servers)
        if self.kind == "container":
            from .container import ContainerBroker  # noqa: PLC0415 (see choose_broker)

            return ContainerBroker.start(heap_megabytes=heap_megabytes, properties=properties, jvm=jvm)
        if self.installation is not None:
            return ApacheBroker.start(self.installation, heap_megabytes=heap_megabytes, properties=properties, jvm=jvm)
        raise BrokerUnavailableError(self.reason)

    def __str__(self) -> str:
        """Return the one line that a test report shows."""
        return f"Kafka broker: {self.kind} ({self.reason})"


def choose_broker(environment: Mapping[str, str]) -> BrokerChoice:
    """Return the first that is there: the environment's broker, a Docker daemon, Java with Kafka's jars.

    Takes up to 3 s for a Docker host that does not answer, and on a machine's first run the download of the jars.
    """
    if address := environment.get("KAFKA_BOOTSTRAP_SERVERS"):
        return BrokerChoice("external", f"KAFKA_BOOTSTRAP_SERVERS is {address}", bootstrap_servers=address)
    missing = ["KAFKA_BOOTSTRAP_SERVERS is not set"]
    try:
        # Here and not above: testcontainers may be absent, and importing it costs a second that others need not pay.
        from .container import check_daemon  # noqa: PLC0415

        check_daemon()
        return BrokerChoice("container", _line("a Docker daemon answers", missing))
    except ImportError as error:
        missing.append(f"testcontainers cannot be imported: {error}")
    except BrokerUnavailableError as error:
        missing.append(str(error))
    try:
        installation = find_installation()
    except BrokerUnavailableError as error:
        return BrokerChoice("unavailable", _line(str(error), missing))
    found = f"Kafka {installation.version} on Java {installation.java_version}"
    return BrokerChoice("apache", _line(found, missing), installation=installation)


@cache
def find_broker() -> BrokerChoice:
    """Return `choose_broker` of this process's environment, found and printed to standard error once."""
    choice = choose_broker(os.environ)
    sys.stderr.write(f"{choice}\n")
    return choice


def _line(why: str, missing: list[str]) -> str:
    return " ".join("; ".join([why, *missing]).split())  # Exceptions bring line breaks.
