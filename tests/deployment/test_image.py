"""The Dockerfile, linted, built and run: by whom, from what, with which rights, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from consumer.errors import ExitCode
from tests.deployment.container import CONFINED, Podman, built_image
from tests.deployment.stack import running_stack
from tests.kafka import wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)  # the build: 34 to 74 s on two idle cores, several times that on busy ones

SITE: Final = "/opt/smart-inventory/lib/python3.11/site-packages"
VOLUME: Final = ("--volume", "checkpoints:/var/lib/smart-inventory/checkpoints")
_UNCHECKED_HASH: Final = 1
"""The flags in a .pyc file's second word: made from a hash of the source, which is not checked."""


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """The built image."""
    with built_image() as built:
        yield built


def test_lint() -> None:
    """Hadolint has nothing to say."""
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_is_listed_enters_the_build() -> None:
    """`.dockerignore` shuts everything out, then lets in what the Dockerfile copies, and nothing else."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    admitted = {line.removeprefix("!").rstrip("/") for line in lines if line.startswith("!")}
    copies = [line.split()[1:-1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    assert admitted == {name for names in copies for name in names if not name.startswith(("--", "/"))}


@pytest.mark.deep
def test_what_the_image_says(podman: Podman) -> None:
    """A numbered user, the exec form, the signal, and labels that fit the package."""
    (described,) = json.loads(podman("image", "inspect", Podman.IMAGE).stdout)
    config = described["Config"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["smart-inventory"]
    assert config["Cmd"] == ["run"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


@pytest.mark.deep
def test_commands(podman: Podman) -> None:
    """The entry point runs with a root that cannot be written and no home, and says its exit codes."""
    version = podman.run("--version")
    assert version.stdout.startswith("smart-inventory "), version.stderr
    shown = podman.run("config", options=("--env", "COLUMNS=200"))
    assert "file:/var/lib/smart-inventory/checkpoints" in shown.stdout, shown.stdout + shown.stderr
    assert podman.run().returncode == ExitCode.USAGE  # no brokers are named
    nowhere = ("--env", "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1", "--env", "METRICS_PORT=0")
    without_volume = podman.run(options=nowhere)
    assert without_volume.returncode == ExitCode.CHECKPOINTS, without_volume.stdout
    assert "mount it writable" in without_volume.stderr
    unreachable = podman.run(options=(*nowhere, *VOLUME))
    assert unreachable.returncode == ExitCode.BROKER, unreachable.stdout + unreachable.stderr


@pytest.mark.deep
def test_rights_and_contents(podman: Podman) -> None:
    """No rights, nothing to build with, no tests; bytecode is there and is not asked for its source."""
    script = f"""
import json, os, pathlib, shutil, struct
site = pathlib.Path("{SITE}")
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
def refused(path):
    try: pathlib.Path(path).touch()
    except OSError: return True
    return False
sources = [path for name in ("consumer", "schemas") for path in (site / name).rglob("*.py")]
compiled = [path.parent / "__pycache__" / f"{{path.stem}}.cpython-311.pyc" for path in sources]
state = os.stat("/var/lib/smart-inventory/checkpoints")
print(json.dumps({{
    "ids": [os.getuid(), os.getgid()], "pid": os.getpid(),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new": status["NoNewPrivs"].strip(),
    "refused": [refused(path) for path in ("/x", str(site / "x.py"), "/var/lib/smart-inventory/x")],
    "tmp": refused("/tmp/x"),
    "checkpoints": [state.st_uid, state.st_gid, oct(state.st_mode)[-3:]],
    "tools": [tool for tool in ("cc", "gcc", "make", "git") if shutil.which(tool)],
    "own_pip": (site / "pip").exists(), "tests": (site / "tests").exists(),
    "sources": len(sources),
    "flags": sorted({{struct.unpack("<4xI", path.read_bytes()[:8])[0] for path in compiled}}),
}}))
"""
    done = podman.run("-c", script, entrypoint="python")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("sources") == len([*(ROOT / "consumer").rglob("*.py"), *(ROOT / "schemas").rglob("*.py")])
    assert found == {
        "ids": [10001, 10001],
        "pid": 1,
        "capabilities": [0, 0, 0],
        "no_new": "1",
        "refused": [True, True, True],
        "tmp": False,
        "checkpoints": [10001, 10001, "700"],
        "tools": [],
        "own_pip": False,
        "tests": False,
        "flags": [_UNCHECKED_HASH],
    }


@pytest.mark.deep
@pytest.mark.broker
def test_a_worker_in_a_container(podman: Podman) -> None:
    """As process 1 it works, is healthy, writes checkpoints to its volume, and leaves with 0 when told to stop."""
    with running_stack() as stack:
        shop = stack.start("simulator", "--rate=200", "--limit=600")
        environment = stack.environment("worker") | {
            "CHECKPOINT_URL": "file:/var/lib/smart-inventory/checkpoints",
        }
        variables = [word for pair in environment.items() for word in ("--env", "=".join(pair))]
        name = "worker-under-test"
        started = podman("run", "--detach", "--name", name, *CONFINED, *variables, *VOLUME, Podman.IMAGE)
        assert started.returncode == 0, started.stderr
        try:
            wait_until(lambda: stack.healthcheck() == 0, 60, "the worker to be healthy")
            shop.communicate(timeout=60)
            stopped = podman("stop", "--time", "30", name)
            assert stopped.returncode == 0, stopped.stderr
            log = podman("logs", name).stdout
            state = podman("inspect", name, "--format", "{{.State.ExitCode}}").stdout.strip()
        finally:
            podman("rm", "--force", name)
        assert state == "0", log[-2000:]
        assert '"pid": 1' in log
        assert '"event": "checkpoint_written"' in log
        kept = podman.run("checkpoints", "list", options=(*variables, *VOLUME))
        assert kept.returncode == 0, kept.stderr
