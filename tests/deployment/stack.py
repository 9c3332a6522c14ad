"""The stack of docker-compose.yml as plain processes: the same environments and commands, only addresses replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.deployment.compose_file import services
from tests.kafka import BrokerUnavailableError
from tests.kafka.apache import ApacheBroker
from tests.kafka.broker import free_port
from tests.kafka.jars import Installation, find_installation
from tests.stage import ROOT, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETUP_SECONDS: Final = 60
_HEAP_MEGABYTES: Final = 512
_LOGGING: Final = """\
Configuration:
  Appenders: {Console: {name: STDOUT}}
  Loggers: {Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}}
"""


class StackKafka(ApacheBroker):
    """A broker with the properties of the `kafka` service and no others."""

    @classmethod
    def of_the_stack(cls, installation: Installation) -> StackKafka:
        """Return it, running. The image's own class makes its properties of the environment, and formats its storage.

        Raises:
            BrokerError: it did not become ready.
        """
        directory = Path(tempfile.mkdtemp(prefix="kafka-stack-"))
        inside, host, controller = free_port(), free_port(), free_port()
        broker = cls(installation, directory, inside, _HEAP_MEGABYTES)
        replaced = {
            "kafka:19092": f"127.0.0.1:{inside}",
            "localhost:9092": f"127.0.0.1:{host}",
            ":19092": f":{inside}",
            ":9092": f":{host}",
            ":9093": f":{controller}",
            "/var/lib/kafka/data": str(directory / "data"),
        }
        try:
            _docker_setup(installation, directory, environment("kafka", replaced))
            broker._launch()
        except BaseException:
            broker.stop()
            raise
        return broker


def _docker_setup(installation: Installation, directory: Path, kafka_environment: dict[str, str]) -> None:
    """Run what the image's start script runs: kafka.docker.KafkaDockerWrapper, on the names that it expects."""
    for name in ("default", "mounted"):
        (directory / name).mkdir()
        for file in ("log4j2.yaml", "tools-log4j2.yaml"):
            (directory / name / file).write_text(_LOGGING)
    (directory / "default" / "server.properties").touch()
    folders = ["-D", "default", "-M", "mounted", "-F", "."]
    done = subprocess.run(
        [installation.java, "-cp", f"{installation.jars}/*", "kafka.docker.KafkaDockerWrapper", "setup", *folders],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **kafka_environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SETUP_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def environment(name: str, replaced: dict[str, str]) -> dict[str, str]:
    """Return a service's environment with texts replaced, each at its first fit in the given order."""
    return {variable: _replace(value, replaced) for variable, value in services()[name]["environment"].items()}


def _replace(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


class RunningStack:
    """Kafka with its topics, and what it takes to start the other services."""

    def __init__(self, broker: ApacheBroker, directory: Path) -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        self.metrics_port = free_port()
        self.directory = directory
        self._replaced = {
            "kafka:19092": broker.bootstrap_servers,
            "8000": str(self.metrics_port),
            "/var/lib/smart-inventory": str(directory),
        }

    def environment(self, name: str) -> dict[str, str]:
        """Return one of our services' environment."""
        return environment(name, self._replaced)

    def start(self, name: str, *more: str) -> subprocess.Popen[str]:
        """Start one of our services' command, with more words at its end."""
        words = [str(word) for word in services()[name]["command"]]
        return subprocess.Popen(
            [sys.executable, "-m", "consumer", *words, *more],
            cwd=ROOT,
            env={**os.environ, **self.environment(name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def worker(self) -> WorkerProcess:
        """Start the worker."""
        assert services()["worker"]["command"] == ["run"]  # which a WorkerProcess runs
        return WorkerProcess(self.environment("worker"), self.directory / "worker.log")

    def healthcheck(self) -> int:
        """Run the worker's health check and return its exit code."""
        check: list[Any] = services()["worker"]["healthcheck"]["test"]
        assert check[:2] == ["CMD", "python"]
        words = [_replace(word, self._replaced) for word in check[2:]]
        return subprocess.run([sys.executable, *words], capture_output=True, check=False, timeout=30).returncode


@contextmanager
def running_stack() -> Iterator[RunningStack]:
    """Start the stack's Kafka and create its topics; skip without Java and Maven, but fail in CI."""
    try:
        installation = find_installation()
    except BrokerUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    with ExitStack() as stack:
        broker = stack.enter_context(StackKafka.of_the_stack(installation))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stack-")))
        running = RunningStack(broker, directory)
        topics = running.start("topics")
        said, _ = topics.communicate(timeout=60)
        assert topics.returncode == 0, said
        assert said.count(": created") == 3, said
        yield running
