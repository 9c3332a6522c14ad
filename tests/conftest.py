"""What all tests share: the broker, and hypothesis without a stopwatch."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.kafka import Broker, find_broker, session_broker
from tests.objects import Endpoint, session_endpoint
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A loaded machine is slow now and then: no example fails for its time, and the seed does not change from run to run.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """Let no test log through what another configured: its streams are closed by then."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A real Kafka broker, the same for all tests; skips without one, and fails in CI."""
    yield from session_broker()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[Endpoint]:
    """A real S3 endpoint, the same for all tests; skips without Java or Maven, and fails in CI."""
    yield from session_endpoint()


@pytest.fixture
def new_stage(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """Make stages on the broker: topics, group and directory of their own; workers are forked, but of `cold` tests."""
    forks = request.node.get_closest_marker("cold") is None

    def make(partitions: int = 2, root: Path | None = None) -> Stage:
        return Stage(broker.bootstrap_servers, tmp_path / "stage", partitions=partitions, root=root, forks=forks)

    return make


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: taken up last, one of them would leave all but one process idle."""
    items.sort(key=lambda item: item.get_closest_marker("broker") is None)


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C count again in processes that pytest-xdist has started, and so in those that tests start."""
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once which broker the tests had, and why."""
    if find_broker.cache_info().currsize:
        terminalreporter.write_line(str(find_broker()))
