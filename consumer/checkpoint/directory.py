"""Checkpoints in a directory: `CHECKPOINT_URL=file:path`, for one host or a shared volume."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.paths import component, folder_of, name_at, path_of, stated_in
from consumer.checkpoint.store import CheckpointName, Kept, StoreError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.checkpoint.envelope import Data

_REMEDIES: Final = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "raise the quota, or make room",
    errno.EACCES: f"let the worker's user ({os.geteuid()}) write there",
    errno.EPERM: f"let the worker's user ({os.geteuid()}) write there",
    errno.EROFS: "mount it writable",
    errno.ENOTDIR: "a file stands where a directory is expected",
    errno.EEXIST: "a file stands where a directory is expected",
}

_TEMPORARY: Final = re.compile(r"\d{20}-[0-9a-f]{16,64}\.\d+\.tmp", re.ASCII).fullmatch
_ABANDONED_SECONDS: Final = 3600.0

_TRIAL_BYTES: Final = 65_536


class DirectoryStore:
    """One file a checkpoint: `<group>/<topic>/<partition>/<offset, 20 digits>-<digest>.checkpoint`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: CheckpointName, data: Data) -> None:
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
        folder = self._root / folder_of(group, topic)
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
        return self._root / path_of(name)

    def kept(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        """Return every checkpoint's file, or those of a group, or those of a group and topic, in order.

        Raises:
            StoreError: the directory cannot be listed.
        """
        folders = [component(group) if group is not None else "*", component(topic) if topic is not None else "*"]
        try:
            found = [self.kept_at(path) for path in self._root.glob("/".join([*folders, "*", "*"]))]
        except OSError as error:
            raise UnreadableError(f"cannot list {self._root}: {error.strerror or error}") from error
        return sorted(each for each in found if each is not None)

    def kept_at(self, path: Path) -> Kept | None:
        """Say what a path is by its folders; None for what is no checkpoint's or was pruned meanwhile."""
        try:
            name = name_at(path.absolute().relative_to(self._root.absolute()).as_posix())
            status = path.stat()
        except (ValueError, FileNotFoundError):
            return None
        return None if name is None else Kept(name, status.st_size, status.st_mtime, str(path))

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the file's bytes, None where there is no such file."""
        path = self.path(name)
        return _read(path, path.read_bytes)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the file's first bytes, None where there is no such file."""
        path = self.path(name)

        def beginning() -> bytes:
            with path.open("rb") as file:
                return file.read(length)

        return _read(path, beginning)

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """List the partition's folder; files of other names are none of ours and stay out."""
        folder = self._root / folder_of(group, topic, partition)
        try:
            files = sorted(entry.name for entry in folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnreadableError(f"cannot list {folder}: {error.strerror or error}") from error
        stated = (stated_in(file) for file in files)
        return [CheckpointName(group, topic, partition, *each) for each in stated if each]

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


def _read(path: Path, read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"cannot read {path}: {error.strerror or error}") from error


def _reason(error: OSError) -> str:
    """Return the system's words, and what it takes to have them go away."""
    remedy = _REMEDIES.get(error.errno or 0)
    return (error.strerror or str(error)) + (f"; {remedy}" if remedy else "")


def _remove_abandoned(folder: Path) -> None:
    latest = time.time() - _ABANDONED_SECONDS
    for entry in folder.iterdir():
        if _TEMPORARY(entry.name) and entry.stat().st_mtime < latest:
            entry.unlink(missing_ok=True)


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
