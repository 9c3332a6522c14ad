"""docker-compose.yml without an engine: the specification's schema, and each value held to who must understand it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
import typer
from structlog.testing import capture_logs

from consumer import settings
from consumer.cli import app
from consumer.run import client_properties
from consumer.settings import Settings, check_for_run
from tests.deployment.compose_file import OURS, PATH, mebibytes, project, seconds, services, variables
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WORKERS: Final = ("worker", "cli")
MEASURED_MEBIBYTES: Final = 93
"""What a container with a worker took (97 MB) a few seconds after its start on the shop's first events."""


def _schema_check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_specifications_schema() -> None:
    """The file is one that the Compose specification allows."""
    done = _schema_check(PATH)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_would_see_an_error(tmp_path: Path) -> None:
    """A key that Compose does not know is found."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(PATH.read_text().replace("stop_grace_period", "stop_grace_periods"))
    done = _schema_check(wrong)
    assert done.returncode == 1
    assert "stop_grace_periods" in done.stdout


def test_only_simple_variables() -> None:
    """Every `$` is one of `${NAME:-default}`: the form that these tests can follow, and that never fails to start."""
    assert "$" not in str(project())
    assert {"KAFKA_HOST_PORT", "WORKER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "RATE"} <= set(variables())


def test_references_exist() -> None:
    """Dependencies, volumes and mounted files are there, and each dependency can become what is waited for."""
    whole = project()
    for name, service in whole["services"].items():
        needed = service.get("depends_on", {})
        for other in needed:
            assert other in whole["services"], f"{name} depends on {other}"
            condition = needed[other]["condition"] if isinstance(needed, dict) else "service_started"
            if condition == "service_healthy":
                assert "healthcheck" in whole["services"][other], f"{name} waits for the health of {other}"
            if condition == "service_completed_successfully":
                assert whole["services"][other].get("restart", "no") == "no", f"{other} would never have completed"
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
            else:
                assert source in whole["volumes"], f"{name} mounts {source}"
    mounted = {mount.split(":")[0] for each in whole["services"].values() for mount in each.get("volumes", ())}
    assert set(whole["volumes"]) <= mounted


def test_images_are_pinned() -> None:
    """Each image has a whole version as its tag, ours the package's."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in services().items():
        image, _, tag = service["image"].rpartition(":")
        assert image, f"{name}: {service['image']} has no tag"
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), f"{name}: {tag}"
        assert name not in OURS or (image, tag) == ("smart-inventory", version)
    assert f'org.opencontainers.image.version="{version}"' in (ROOT / "Dockerfile").read_text()


def test_the_brokers_of_tests_and_stack_are_one() -> None:
    """What the tests prove of Kafka, they prove of the stack's version."""
    pom = (ROOT / "tests" / "kafka" / "pom.xml").read_text()
    assert f"<kafka.version>{services()['kafka']['image'].rpartition(':')[2]}</kafka.version>" in pom


def test_nothing_is_open_to_the_network() -> None:
    """No password guards these ports, so they are bound to this machine; each can be moved."""
    for name, service in services().items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"
    moved = services({"KAFKA_HOST_PORT": "1", "WORKER_PORT": "2", "PROMETHEUS_PORT": "3", "GRAFANA_PORT": "4"})
    ports = {name: port.split(":")[1] for name, service in moved.items() for port in service.get("ports", ())}
    assert ports == {"kafka": "1", "worker": "2", "prometheus": "3", "grafana": "4"}
    assert "HOST://localhost:1," in moved["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_no_secrets() -> None:
    """No password or key stands in the file; what could hold one is empty unless it is set outside."""
    secret = re.compile(r"password|secret|_key|token|credential", re.IGNORECASE)
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            assert not secret.search(name) or not value, name


@pytest.mark.parametrize("name", sorted(services()))
def test_every_service_is_confined(name: str) -> None:
    """No capabilities, no way to new ones, bounded memory and logs; ours with a root that cannot be written."""
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert mebibytes(service["mem_limit"]) > 0
    assert service["logging"] == {"driver": "local"}
    assert "privileged" not in service
    assert "user" not in service  # each image's own, none of which is root
    if name in OURS:
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108 -- a mount point


def test_the_worker_has_time_to_stop() -> None:
    """The engine kills later than the worker would give up by itself; restarts are wanted after every end."""
    worker = services()["worker"]
    assert seconds(worker["stop_grace_period"]) > _loaded(worker, pytest.MonkeyPatch()).shutdown_seconds
    assert worker["restart"] == "unless-stopped"
    assert worker.get("stop_signal", "SIGTERM") == "SIGTERM"
    assert mebibytes(worker["mem_limit"]) >= 5 * MEASURED_MEBIBYTES  # more items, models and load


def test_checkpoints_are_on_a_volume() -> None:
    """What CHECKPOINT_URL names outlives the container, and an instance's name too."""
    for name in WORKERS:
        service = services()[name]
        assert service["environment"]["CHECKPOINT_URL"] == "file:/var/lib/smart-inventory/checkpoints"
        assert "checkpoints:/var/lib/smart-inventory/checkpoints" in service["volumes"]
        assert service["environment"]["INSTANCE_ID"] == "worker-0"


@pytest.mark.parametrize("name", OURS)
def test_the_environment_is_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is a setting or a property that librdkafka knows, and all of them load."""
    service = services()[name]
    known = {field.upper() for field in Settings.model_fields}
    assert all(variable in known or variable.startswith("KAFKA_") for variable in service["environment"])
    assert all(isinstance(value, str) for value in service["environment"].values())
    loaded = _loaded(service, monkeypatch)
    if name in WORKERS:
        check_for_run(loaded)
    log = structlog.get_logger()
    with capture_logs() as lines:
        properties = client_properties(loaded, service["environment"], log)
    assert not lines, "librdkafka does not know a property"
    assert properties["bootstrap.servers"] == "kafka:19092"


def test_a_key_from_outside_reaches_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset signing key is none, not an empty one."""
    assert _loaded(services()["worker"], monkeypatch).signing_key() is None
    assert _loaded(services({"CHECKPOINT_SIGNING_KEY": "k"})["worker"], monkeypatch).signing_key() == b"k"


@pytest.mark.parametrize("name", ["topics", "simulator", "worker"])
def test_the_command_is_understood(name: str) -> None:
    """The command line has this command, and takes these options with these values."""
    context = _parsed([str(word) for word in services()[name]["command"]])
    expected: dict[str, dict[str, Any]] = {
        "topics": {"partitions": 4, "retention_ms": 7 * 86_400_000},
        "simulator": {"source": "synthetic", "limit": None, "rate": 20.0, "live": True, "invalid_share": 0.01},
        "worker": {"workers": 1, "stop_at_end": False},
    }
    assert expected[name].items() <= context.params.items()


def test_an_unknown_option_would_be_seen() -> None:
    """Parsing is strict."""
    with pytest.raises(Exception, match="--no-such-option"):
        _parsed(["simulate", "--no-such-option"])


def test_faults_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop's invalid events are far from those that stop the worker."""
    share = _parsed([str(word) for word in services()["simulator"]["command"]]).params["invalid_share"]
    assert 0 < share <= _loaded(services()["worker"], monkeypatch).max_invalid_ratio / 10


def _loaded(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith("KAFKA_") or variable.lower() in Settings.model_fields:
                patch.delenv(variable)
        for variable, value in service["environment"].items():
            patch.setenv(variable, value)
        return settings.load()


def _parsed(words: list[str]) -> Any:
    command: Any = typer.main.get_command(app)
    context = None
    while words and hasattr(command, "resolve_command"):
        context = command.make_context(command.name, words[:1], parent=context, resilient_parsing=True)
        name, command, words = command.resolve_command(context, words)
    return command.make_context(name, words, parent=context)
