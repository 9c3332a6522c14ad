"""What a process uses at a moment, as Linux tells it in /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """A process at one moment.

    Attributes:
        resident_bytes: its memory that is in RAM (VmRSS).
        open_files: its file descriptors: files, sockets, pipes.
        threads: its threads.
    """

    resident_bytes: int
    open_files: int
    threads: int


def usage(process_id: int) -> Usage:
    """Return what a process uses now.

    Raises:
        ProcessLookupError: there is no such process, or it has ended and nobody has waited for it yet.
        PermissionError: it is another user's.
    """
    process = Path("/proc", str(process_id))
    try:
        status = (process / "status").read_text(encoding="ascii", errors="replace").splitlines()
        open_files = len(os.listdir(process / "fd"))  # noqa: PTH208 -- names are enough, and cheaper
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {process_id} is gone") from error
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    if "VmRSS" not in fields:
        raise ProcessLookupError(f"process {process_id} has ended")
    return Usage(int(fields["VmRSS"].split()[0]) * 1024, open_files, int(fields["Threads"]))


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time that a process has used so far, its own and the kernel's for it.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        stat = Path("/proc", str(process_id), "stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {process_id} is gone") from error
    fields = stat.rpartition(")")[2].split()  # its name comes before, and may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(samples: list[Usage]) -> Usage:
    """Return the highest of each over some samples.

    Raises:
        ValueError: there is none.
    """
    if not samples:
        raise ValueError("expected samples, got none")
    return Usage(*map(max, zip(*samples, strict=True)))
