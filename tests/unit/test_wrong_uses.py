"""The judge of `make show NAME=wrong-uses`: each kind of bad ending is called one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.wrong_uses import elsewhere, old_python
from benchmarks.wrong_uses.saying import Ending, Use, documented, ending, faults, run
from consumer.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

USE: Final = Use("x", 8, 10, ("CHECKPOINT_URL",), ("make room", "mount it"))
SAID: Final = "smart-inventory: CHECKPOINT_URL=file:x: no space; make room\n"
REASON: Final = SAID.removeprefix("smart-inventory: ").strip()


def judged(**changed: Any) -> list[str]:
    """What is wrong with an ending that is good but for this."""
    line = json.dumps({"event": "stopped_by_error", "reason": REASON})
    return faults(Ending(**{"use": USE, "code": 8, "out": line + "\n", "error": SAID, "seconds": 1.0, **changed}))


def test_a_good_ending() -> None:
    """Nothing to say; without a log too, as of `make`."""
    assert judged() == []
    assert judged(out="") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"code": None}, "did not end by itself"),
        ({"seconds": 11.0}, "did not end by itself within 10 s"),
        ({"code": 9}, "exit code 9; expected 8"),
        ({"use": Use("x", 99, 10, (), ("make room",)), "code": 99}, "exit code 99"),
        ({"error": SAID * 2}, "2 final sentences"),
        ({"error": ""}, "0 final sentences"),
        ({"error": SAID.replace("CHECKPOINT_URL", "it")}, "does not name CHECKPOINT_URL"),
        ({"error": SAID.replace("; make room", "")}, "does not say what to do"),
        ({"error": f"Traceback (most recent call last):\n{SAID}"}, "a traceback"),
        ({"out": '{"event": "stopped_by_error", "reason": "another"}\n'}, "does not say what standard error says"),
    ],
)
def test_a_bad_ending(changed: dict[str, Any], said: str) -> None:
    """Each of these would annoy a tired operator."""
    assert any(said in fault for fault in judged(**changed))


def test_exit_codes_are_those_of_the_operators_table() -> None:
    """The judge reads the documentation, not the code."""
    assert documented() == {str(code.value) for code in ExitCode}


def test_a_process_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """And called what it is."""
    use = Use("x", 0, -29, (), ("",))
    ended = ending(use, run([sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path), time.monotonic())
    assert ended.code is None
    assert any("did not end by itself" in fault for fault in ended.faults)


def make(project: Path, python: str) -> str:
    """Run `make show` with that Python, which must be refused, and return what it said."""
    command = ["/usr/bin/env", "make", f"PYTHON={python}", "show"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert not (project / ".venv").exists()
    return done.stderr


def test_the_fake_python_is_too_old_for_make(tmp_path: Path) -> None:
    """Where no old one is installed, one that takes itself for it meets the same check, and nothing is made."""
    python = old_python.fake(tmp_path)
    said = make(old_python.copy_of_the_project(tmp_path), python)
    expected = f"smart-inventory: expected Python 3.11 or newer as {python}, found {old_python.FAKE_VERSION}; "
    assert said.startswith(expected + "set PYTHON= to a newer one\n")


def test_make_without_a_python(tmp_path: Path) -> None:
    """The same where the name is wrong."""
    said = make(old_python.copy_of_the_project(tmp_path), "python-of-nowhere")
    assert said.startswith("smart-inventory: expected Python 3.11 or newer as python-of-nowhere, found no such")


@pytest.mark.skipif(not elsewhere.can_mount(), reason="this user may not mount a disk of their own")
def test_disks_of_their_own(tmp_path: Path) -> None:
    """A full and a read-only one, seen by nobody else."""
    write = [sys.executable, "-c", f"open({str(tmp_path / 'x')!r}, 'wb', 0).write(bytes(4096))"]
    for command, error in (
        (elsewhere.on_disk_of(str(tmp_path), "64k", write, filled=True), "No space left on device"),
        (elsewhere.on_read_only(str(tmp_path), write), "Read-only file system"),
        (elsewhere.on_disk_of(str(tmp_path), "64k", write), ""),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert error in done.stderr
        assert bool(done.returncode) is bool(error)
    assert list(tmp_path.iterdir()) == []
