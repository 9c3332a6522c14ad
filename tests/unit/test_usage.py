"""Memory and open files of a process are what /proc says of it, and an ended process has none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.usage import Usage, cpu_seconds, peak, usage
from tests.kafka import wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_open_files_are_counted(tmp_path: Path) -> None:
    """Five more open files are five more."""
    before = usage(os.getpid()).open_files
    opened = [(tmp_path / str(number)).open("w") for number in range(5)]
    assert usage(os.getpid()).open_files == before + 5
    for each in opened:
        each.close()


def test_memory_is_resident_memory_in_bytes() -> None:
    """64 MiB that are written to are 64 MiB more, or nearly; in a process that has no other memory to give back."""
    code = (
        "import os; from benchmarks.usage import usage; before = usage(os.getpid()).resident_bytes; "
        "held = bytearray(b'1') * (64 << 20); print(usage(os.getpid()).resident_bytes - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert 0.9 * (64 << 20) < int(done.stdout) < 1.2 * (64 << 20)


def test_threads_are_counted() -> None:
    """One more thread is one more."""
    before = usage(os.getpid()).threads
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert usage(os.getpid()).threads == before + 1
    done.set()
    thread.join()


def test_cpu_time_is_that_of_the_process() -> None:
    """It goes on while the process works, not while it sleeps."""
    before, own = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.2:
        pass
    worked = cpu_seconds(os.getpid()) - before
    assert 0.15 < worked < 0.5
    sleeping = subprocess.Popen(["/bin/sleep", "10"])
    assert cpu_seconds(sleeping.pid) < 0.2
    sleeping.kill()
    sleeping.wait()
    with pytest.raises(ProcessLookupError):
        cpu_seconds(sleeping.pid)


def test_an_ended_process_uses_nothing() -> None:
    """Neither one that nobody has waited for yet nor one that is gone is mistaken for a small one."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])

    def is_zombie() -> bool:
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 -- as a shell would
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"

    wait_until(is_zombie, 10, "the process to end")
    with pytest.raises(ProcessLookupError):
        usage(process.pid)
    process.wait()
    with pytest.raises(ProcessLookupError, match="is gone"):
        usage(process.pid)


def test_the_peak_is_of_each_kind() -> None:
    """The highest memory and the most files need not be of one moment."""
    assert peak([Usage(1, 9, 3), Usage(5, 2, 4)]) == Usage(5, 9, 4)
    with pytest.raises(ValueError, match="got none"):
        peak([])
