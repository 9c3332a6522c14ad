"""The image, built and run by Podman on a base of one's own: for machines that reach no image registry.

What stands in for `python:3.11-slim` is a minimal Debian 12 with Debian's Python of the same minor version, by
debootstrap. Everything else is real: the Dockerfile, its context, the container's limits.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CACHE: Final = ROOT / ".cache" / "image"
_PACKAGES: Final = "ca-certificates,python3,python3-venv"
_BASE: Final = """\
FROM scratch
ADD base.tar /
RUN ln -s /usr/bin/python3 /usr/local/bin/python
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
# As many open files and processes as any user may have: without a word, Podman asks for more than a sandbox grants.
_CONTAINERS_CONF: Final = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
CONFINED: Final = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp", "--network", "host"),  # noqa: S108 -- a mount point
)
"""What docker-compose.yml says of our services, but for the network: the tests' broker is on this machine's own."""


class Podman:
    """Podman with its own storage, and the built image."""

    IMAGE: Final = "localhost/smart-inventory:test"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "containers.conf").write_text(_CONTAINERS_CONF)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(directory / "containers.conf")}
        self._command = [
            *("podman", "--root", str(directory / "storage"), "--runroot", str(directory / "run")),
            *("--storage-driver", "vfs"),
        ]

    def __call__(self, *words: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a podman command."""
        return subprocess.run(
            [*self._command, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def run(
        self, *words: str, options: Sequence[str] = (), entrypoint: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the image confined, until it ends."""
        instead = () if entrypoint is None else ("--entrypoint", entrypoint)
        return self("run", "--rm", *CONFINED, *options, *instead, self.IMAGE, *words)

    def build(self) -> None:
        """Build base and image."""
        context = self._directory / "base"
        context.mkdir()
        shutil.copy(_base_tar(), context / "base.tar")
        (context / "Dockerfile").write_text(_BASE)
        self._build(context, f"docker.io/library/{_base_image()}")
        # The machine's certificates and its pip settings, for packages to be fetched as outside.
        shared = [path for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
        self._build(ROOT, self.IMAGE, *(word for path in shared for word in ("--volume", f"{path}:{path}:ro")))

    def _build(self, context: Path, tag: str, *options: str) -> None:
        flags = ["--isolation", "chroot", "--pull=never", "--layers=false"]
        done = self("build", *flags, *options, "--tag", tag, str(context), seconds=600)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _base_image() -> str:
    (name,) = re.findall(r"^FROM (\S+:\S+) AS base$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert name.startswith("python:3.11."), "another Python than the one of the stand-in"
    assert name.endswith("-slim-bookworm"), "another Debian than the one of the stand-in"
    return str(name)


def _base_tar() -> Path:
    tar = _CACHE / "base.tar"
    if not tar.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        partial = tar.with_suffix(".partial.tar")
        _bootstrap(partial)
        partial.rename(tar)
    return tar


def _bootstrap(tar: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="base-") as root:
        for command in (
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", root],
            ["tar", "--create", "--file", str(tar), "--directory", root, "."],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
            assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


@contextmanager
def built_image() -> Iterator[Podman]:
    """Build the image; skip where this machine cannot."""
    missing = [name for name in ("podman", "runc", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        lacking = ", ".join(missing) or "root"
        pytest.skip(f"needs root, and Debian's packages podman, runc and debootstrap; missing: {lacking}")
    with tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as directory:
        podman = Podman(Path(directory))
        podman.build()
        yield podman
