"""A Python that is too old: a real one where this machine has it, else one that says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAKE_VERSION = "3.9.18"
_MADE_OF = ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "consumer", "schemas")


def find() -> str | None:
    """Return the newest Python before 3.11 on this machine, None where there is none."""
    for minor in (10, 9, 8):
        places = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")]
        for place in places:
            if place is not None and version(str(place)).startswith(f"3.{minor}."):
                return str(place)
    return None


def fake(directory: Path) -> str:
    """Write a program that takes itself for an old Python, and return its path."""
    path = directory / "python3"
    code = f"import sys; sys.version_info = {tuple(map(int, FAKE_VERSION.split('.')))}; exec(sys.argv[1])"
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "{code}" "$2"\nexit 1\n')
    path.chmod(0o755)
    return str(path)


def version(python: str) -> str:
    """Return which Python it is; nothing where it does not run."""
    code = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def is_real(python: str) -> bool:
    """Tell whether it is a Python at all."""
    done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def copy_of_the_project(directory: Path) -> Path:
    """Copy what it takes to install the project, so that no environment of the checkout is touched."""
    project = directory / "project"
    project.mkdir()
    for name in _MADE_OF:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, project / name)
    return project
