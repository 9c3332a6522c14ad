"""The peers' environments, each below `.cache/` with the pinned versions of its own file here; never in `.venv`."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bench import CACHE

_STAMP: Final = "installed.txt"


class PeerUnavailableError(Exception):
    """A peer's environment could not be made, as without a wheel for this Python or without a package index."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender from elsewhere, with an environment of its own.

    Attributes:
        name: of its requirements here and of its environment.
        package: whose version is the peer's.
        cache: the folder of all peers' environments.
    """

    name: str
    package: str
    cache: Path = CACHE / "peers"

    @property
    def requirements(self) -> Path:
        """The pinned versions."""
        return Path(__file__).parent / f"{self.name}.txt"

    @property
    def version(self) -> str:
        """The pinned version of the peer itself."""
        return self.pins()[self.package]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.cache / self.name / "bin" / "python"

    def pins(self) -> dict[str, str]:
        """Return the pinned versions by package."""
        lines = self.requirements.read_text(encoding="utf-8").splitlines()
        return dict(line.split("==") for line in lines if line and not line.startswith("#"))

    def prepare(self) -> None:
        """Make the environment, unless it is there with these versions for this Python.

        Raises:
            PeerUnavailableError: it could not be made.
        """
        wanted = f"{sys.version}\n{self.requirements.read_text(encoding='utf-8')}"
        stamp = self.cache / self.name / _STAMP
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        venv.create(self.cache / self.name, clear=True, with_pip=True, symlinks=True)
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps")
        command = [str(self.python), "-m", "pip", "install", *options, "--requirement", str(self.requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = " ".join(done.stderr.split())[-300:]
            raise PeerUnavailableError(f"{self.name} {self.version} could not be installed: {reason}")
        stamp.write_text(wanted, encoding="utf-8")


BYTEWAX: Final = Peer("bytewax", "bytewax")
QUIX: Final = Peer("quix", "quixstreams")
FAUST: Final = Peer("faust", "faust-streaming")
