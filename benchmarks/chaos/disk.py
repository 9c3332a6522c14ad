"""The disk that checkpoints lie on: small, and at times emptied, rotten, read-only or full."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import random
    from pathlib import Path
    from types import TracebackType

_SIZE_MEGABYTES: Final = 192
_FILLER: Final = "filler"
_PATIENCE_SECONDS: Final = 10.0


class CheckpointDisk:
    """A directory; of root's, a small file system of its own, without which it can be neither read-only nor full."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        release(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE_MEGABYTES}m", "tmpfs", str(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        release(self.path)

    def delete(self) -> int:
        """Delete all checkpoints; return how many there were."""
        number = 0
        for path in self.path.rglob("*.checkpoint"):
            with contextlib.suppress(OSError):
                path.unlink()
                number += 1
        return number

    def corrupt(self, rng: random.Random) -> int:
        """Change one bit in each partition's newest checkpoint; return how many there were."""
        newest = {path.parent: path for path in sorted(self.path.rglob("*.checkpoint"))}
        number = 0
        for path in newest.values():
            with contextlib.suppress(OSError), path.open("r+b") as file:  # it may just have been pruned
                place = rng.randrange(path.stat().st_size)
                file.seek(place)
                (byte,) = file.read(1)
                file.seek(place)
                file.write(bytes([byte ^ 1 << rng.randrange(8)]))
                number += 1
        return number

    def set_read_only(self, is_on: bool) -> bool:
        """Let nothing be written, or let it again; tell whether that was possible."""
        if not self.path.is_mount():
            return False
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _run("mount", "-o", "remount,ro" if is_on else "remount,rw", str(self.path)):
            if time.monotonic() > deadline:  # busy: a checkpoint is just being written
                return False
            time.sleep(0.02)
        return True

    def set_full(self, is_on: bool) -> bool:
        """Fill the disk, or make room again; tell whether that was possible."""
        if not self.path.is_mount():
            return False
        filler = self.path / _FILLER
        if not is_on:
            filler.unlink(missing_ok=True)
            return True
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            for _ in range(_SIZE_MEGABYTES + 1):  # never more: were it unmounted meanwhile, it is everybody's disk
                file.write(bytes(1 << 20))
        return filler.exists()


def release(path: Path) -> None:
    """Unmount what is mounted there, if anything is: a run that was killed leaves it behind."""
    if path.is_mount():
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
