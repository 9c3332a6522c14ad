"""Checkpoint files as an operator meets them: found, described without unpickling, and verified."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consumer.checkpoint.directory import DirectoryStore, stated_in
from consumer.checkpoint.envelope import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    EnvelopeError,
    is_signed_with,
    read_header,
    read_prefix,
    signed,
    unseal,
)
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.unpickling import decode_sections
from consumer.errors import StateError

if TYPE_CHECKING:
    from consumer.checkpoint.envelope import Header
    from consumer.checkpoint.unpickling import Admitted

_PLACE: Final = re.compile(r"(\d{1,9})(?::(\d{1,19}))?", re.ASCII).fullmatch
_MOST_SHOWN: Final = 3


class Described(NamedTuple):
    """One file, and what can be said of it without believing anything in it.

    Attributes:
        size: bytes.
        written: when it was last changed, seconds since 1970.
        header: None where it cannot be read.
        problem: why not.
    """

    path: Path
    size: int
    written: float
    is_signed: bool
    header: Header | None
    problem: str


class Catalogue:
    """The checkpoint files of one directory.

    Args:
        root: the directory of `CHECKPOINT_URL`.
        group: the consumer group.
        topic: the input topic.
    """

    def __init__(self, root: Path, group: str, topic: str) -> None:
        self._root = root
        self._store = DirectoryStore(root)
        self._group = group
        self._topic = topic

    def paths(self, *, of_all_groups: bool = False) -> list[Path]:
        """Return the files of the group and topic, or all that there are; by partition, lowest offset first.

        Raises:
            StateError: there is none, or the directory cannot be listed.
        """
        try:
            found = self._store.paths() if of_all_groups else self._store.paths(self._group, self._topic)
        except StoreError as error:
            raise StateError(f"{error}; make it readable, or change CHECKPOINT_URL") from error
        if not found:
            whose = "" if of_all_groups else f" of group {self._group} and topic {self._topic}"
            hint = "CHECKPOINT_URL" if of_all_groups else "CHECKPOINT_URL, CONSUMER_GROUP and INPUT_TOPIC, or use --all"
            raise StateError(f"expected checkpoints{whose} in the {self._store.where()}; found none: look at {hint}")
        return found

    def path(self, which: str) -> Path:
        """Return the file that an operator named: a path, a partition (its newest), or PARTITION:OFFSET.

        Raises:
            StateError: there is none, or several.
        """
        place = _PLACE(which)
        if Path(which).is_file():
            return Path(which)
        if place is None:
            raise StateError(f"expected a file, PARTITION or PARTITION:OFFSET, such as 0:1200; found {which!r}")
        partition, offset = int(place[1]), None if place[2] is None else int(place[2])
        try:
            names = self._store.names(self._group, self._topic, partition)
        except StoreError as error:
            raise StateError(f"{error}; make it readable, or change CHECKPOINT_URL") from error
        if offset is not None:
            names = [name for name in names if name.offset == offset]
        newest = [self._store.path(name) for name in names if name.offset == names[-1].offset]
        if not newest:
            at = "" if offset is None else f" at offset {offset}"
            raise StateError(
                f"expected a checkpoint of partition {partition}{at} of group {self._group} in the "
                f"{self._store.where()}; found none: `smart-inventory checkpoints list` shows what there is"
            )
        if len(newest) > 1:
            shown = ", ".join(str(path) for path in newest[:_MOST_SHOWN])
            raise StateError(f"expected one checkpoint at {which}; found {len(newest)}: name one of the files {shown}")
        return newest[0]

    def verify(self, path: Path, admitted: Admitted, key: bytes | None) -> tuple[Header, dict[str, Any]]:
        """Return header and decoded state of a file that may be used: whole, signed as it must be, and harmless.

        Raises:
            EnvelopeError: it is damaged, not signed with the key, or another one than its name or its folder says.
            UnsafePickleError: it names what is not admitted.
            StoreError: it cannot be read.
        """
        return self._verify(path, _read(path), admitted, key)

    def sign(self, path: Path, admitted: Admitted, *, previous: bytes | None, key: bytes) -> bool:
        """Sign a file that may be used with another key; its content, hence its name, stays.

        Args:
            path: a file of this catalogue.
            admitted: what it may name.
            previous: the key that it is signed with, None where it is not signed.
            key: the key to sign it with.

        Returns:
            Whether that was needed: False for a file that is signed with `key` already.

        Raises:
            EnvelopeError: as for `verify`.
            UnsafePickleError: as for `verify`.
            StoreError: it cannot be read or written.
        """
        data = _read(path)
        if is_signed_with(data, key):
            return False
        header, _ = self._verify(path, data, admitted, previous)
        name = CheckpointName(header.group, header.topic, header.partition, header.offset, header.digest)
        self._store.write(name, signed(data, key))
        return True

    def _verify(self, path: Path, data: bytes, admitted: Admitted, key: bytes | None) -> tuple[Header, dict[str, Any]]:
        header, sections = unseal(data, key)
        stated = stated_in(path.name)
        if stated is not None and stated != (header.offset, header.digest):
            raise EnvelopeError(
                f"its name says offset {stated[0]} and digest {stated[1]:.12}, its header offset {header.offset} and "
                f"digest {header.digest:.12}: it was renamed"
            )
        name = CheckpointName(header.group, header.topic, header.partition, header.offset, header.digest)
        if stated is not None and self._root in path.parents and path != self._store.path(name):
            raise EnvelopeError(f"it is a checkpoint of {header.group}/{header.topic}/{header.partition}: it was moved")
        return header, decode_sections(sections, admitted)


def describe(path: Path) -> Described:
    """Return what a file says of itself, or why it cannot be read; a running worker may have pruned it meanwhile."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            beginning = file.read(PREFIX_BYTES + MAX_HEADER_BYTES)
    except OSError as error:
        return Described(path, 0, 0.0, is_signed=False, header=None, problem=str(error.strerror or error))
    try:
        is_signed, header, problem = read_prefix(beginning).is_signed, read_header(beginning), ""
    except EnvelopeError as error:
        is_signed, header, problem = False, None, str(error)
    return Described(path, status.st_size, status.st_mtime, is_signed, header, problem)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
