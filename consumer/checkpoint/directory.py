"""Checkpoints in a directory: `CHECKPOINT_URL=file:path`, for one host or a shared volume."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from consumer.checkpoint.store import CheckpointName, StoreError

if TYPE_CHECKING:
    from pathlib import Path

_REMEDIES: Final = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "raise the quota, or make room",
    errno.EACCES: f"let the worker's user ({os.geteuid()}) write there",
    errno.EPERM: f"let the worker's user ({os.geteuid()}) write there",
    errno.EROFS: "mount it writable",
    errno.ENOTDIR: "a file stands where a directory is expected",
    errno.EEXIST: "a file stands where a directory is expected",
}

_FILE_NAME: Final = re.compile(r"(\d{20})-([0-9a-f]{16,64})\.checkpoint", re.ASCII).fullmatch
_TEMPORARY: Final = re.compile(r"\d{20}-[0-9a-f]{16,64}\.\d+\.tmp", re.ASCII).fullmatch
_ABANDONED_SECONDS: Final = 3600.0

_TRIAL_BYTES: Final = 65_536
_LONGEST_NAME: Final = 200
_KEPT_CHARACTERS: Final = 100


class DirectoryStore:
    """One file a checkpoint: `<group>/<topic>/<partition>/<offset, 20 digits>-<digest>.checkpoint`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: CheckpointName, data: bytes) -> None:
        """Write a temporary file, fsync it, rename it, fsync the directory: a crash leaves the whole file or none."""
        path = self.path(name)
        folder = path.parent
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            _make_durable_folder(folder)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            _fsync_folder(folder)
        except OSError as error:
            raise StoreError(f"cannot write a checkpoint below {self._root}: {_reason(error)}") from error

    def check(self, group: str, topic: str) -> None:
        """See whether a checkpoint of this group and topic could be written now, by writing something of a page.

        Raises:
            StoreError: it could not.
        """
        folder = self._root / _safe(group) / _safe(topic)
        trial = folder / f"trial.{os.getpid()}.tmp"
        try:
            _make_durable_folder(folder)
            try:
                with trial.open("wb") as file:
                    file.write(bytes(_TRIAL_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                trial.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._root.absolute()}: {_reason(error)}") from error

    def path(self, name: CheckpointName) -> Path:
        """Return where the file of a checkpoint is, or would be."""
        return self._folder(name.group, name.topic, name.partition) / _file_name(name)

    def paths(self, group: str | None = None, topic: str | None = None) -> list[Path]:
        """Return every checkpoint's file, or those of a group, or those of a group and topic, in order.

        Raises:
            StoreError: the directory cannot be listed.
        """
        folders = [_safe(group) if group is not None else "*", _safe(topic) if topic is not None else "*", "*", "*"]
        try:
            found = [path for path in self._root.glob("/".join(folders)) if _FILE_NAME(path.name)]
        except OSError as error:
            raise StoreError(f"cannot list {self._root}: {error.strerror or error}") from error
        return sorted(found, key=lambda path: (path.parts[:-2], _number(path.parts[-2]), path.name))

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the file's bytes, None where there is no such file."""
        path = self.path(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List the partition's folder; files of other names are none of ours and stay out."""
        folder = self._folder(group, topic, partition)
        try:
            files = sorted(entry.name for entry in folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"cannot list {folder}: {error.strerror or error}") from error
        matches = (_FILE_NAME(file) for file in files)
        return [CheckpointName(group, topic, partition, int(found[1]), found[2]) for found in matches if found]

    def delete(self, name: CheckpointName) -> None:
        """Unlink the file, and temporary files beside it that a killed worker left over an hour ago."""
        path = self.path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot delete {path}: {error.strerror or error}") from error
        with contextlib.suppress(OSError):  # they cost only space, and the next time finds them again
            _remove_abandoned(path.parent)

    def where(self) -> str:
        """Name the directory."""
        return f"directory {self._root.absolute()}"

    def _folder(self, group: str, topic: str, partition: int) -> Path:
        return self._root / _safe(group) / _safe(topic) / str(partition)


def _reason(error: OSError) -> str:
    """Return the system's words, and what it takes to have them go away."""
    remedy = _REMEDIES.get(error.errno or 0)
    return (error.strerror or str(error)) + (f"; {remedy}" if remedy else "")


def _remove_abandoned(folder: Path) -> None:
    latest = time.time() - _ABANDONED_SECONDS
    for entry in folder.iterdir():
        if _TEMPORARY(entry.name) and entry.stat().st_mtime < latest:
            entry.unlink(missing_ok=True)


def stated_in(file_name: str) -> tuple[int, str] | None:
    """Return the offset and the digest that a checkpoint's file name states, None where it is no such name."""
    found = _FILE_NAME(file_name)
    return (int(found[1]), found[2]) if found else None


def _number(text: str) -> tuple[int, str]:
    """Sort partitions as numbers; a folder of another name comes last."""
    return (int(text), text) if text.isascii() and text.isdigit() else (2**63, text)


def _file_name(name: CheckpointName) -> str:
    return f"{name.offset:020d}-{name.digest}.checkpoint"


def _safe(text: str) -> str:
    """Percent-encode a name for one path component; dots too, so that no group is called `..`.

    File systems take 255 bytes: what would be longer keeps its beginning, to be recognised, and ends in its hash. The
    tilde before it never comes out of the encoding, so no other name reads the same.
    """
    encoded = quote(text, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(encoded) <= _LONGEST_NAME:
        return encoded
    return f"{encoded[:_KEPT_CHARACTERS]}~{blake2b(text.encode(), digest_size=16).hexdigest()}"


def _make_durable_folder(folder: Path) -> None:
    """Create the folder and its parents so that a crash cannot lose an entry of a new one."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _fsync_folder(new.parent)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
