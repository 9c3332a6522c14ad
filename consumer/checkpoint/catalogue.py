"""Checkpoints as an operator meets them: found, described without unpickling, and verified; in whatever store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import (
    BEGINNING_BYTES,
    EnvelopeError,
    is_signed_with,
    read_header,
    read_prefix,
    signed,
    unseal,
)
from consumer.checkpoint.joining import MissingCheckpointError, opened
from consumer.checkpoint.paths import path_of, stated_in
from consumer.checkpoint.store import Kept, StoreError, UnreadableError
from consumer.checkpoint.unpickling import decode_sections
from consumer.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.envelope import Data, File, Header
    from consumer.checkpoint.store import CheckpointName, ListedStore
    from consumer.checkpoint.unpickling import Admitted

_PLACE: Final = re.compile(r"(\d{1,9})(?::(\d{1,19}))?", re.ASCII).fullmatch
_MOST_SHOWN: Final = 3


class LooseFile(NamedTuple):
    """A file that an operator named and that is none of the store's: a copy, say."""

    path: Path

    @property
    def label(self) -> str:
        """The path."""
        return str(self.path)


class Described(NamedTuple):
    """One checkpoint, and what can be said of it without believing anything in it.

    Attributes:
        label: where it is.
        size: bytes.
        written: when it was last changed, seconds since 1970; None where the store does not know.
        header: None where it cannot be read.
        problem: why not.
    """

    label: str
    size: int
    written: float | None
    is_signed: bool
    header: Header | None
    problem: str


class Catalogue:
    """The checkpoints of one store.

    Args:
        store: the store of `CHECKPOINT_URL`.
        group: the consumer group.
        topic: the input topic.
    """

    def __init__(self, store: ListedStore, group: str, topic: str) -> None:
        self._store = store
        self._group = group
        self._topic = topic

    def kept(self, *, of_all_groups: bool = False) -> list[Kept]:
        """Return the checkpoints of the group and topic, or all that there are; by partition, lowest offset first.

        Raises:
            StateError: there is none, or the store cannot be listed.
        """
        found = self._list() if of_all_groups else self._list(self._group, self._topic)
        if not found:
            whose = "" if of_all_groups else f" of group {self._group} and topic {self._topic}"
            hint = "CHECKPOINT_URL" if of_all_groups else "CHECKPOINT_URL, CONSUMER_GROUP and INPUT_TOPIC, or use --all"
            raise StateError(f"expected checkpoints{whose} in the {self._store.where()}; found none: look at {hint}")
        return found

    def find(self, which: str) -> Kept | LooseFile:
        """Return what an operator named: a file, a label, a partition (its newest), or PARTITION:OFFSET.

        Raises:
            StateError: there is none, or several.
        """
        place = _PLACE(which)
        if place is None or Path(which).is_file():
            return self._labelled(which)
        partition, offset = int(place[1]), None if place[2] is None else int(place[2])
        found = [each for each in self._list(self._group, self._topic) if each.name.partition == partition]
        if offset is not None:
            found = [each for each in found if each.name.offset == offset]
        newest = [each for each in found if each.name.offset == found[-1].name.offset]
        if not newest:
            at = "" if offset is None else f" at offset {offset}"
            raise StateError(
                f"expected a checkpoint of partition {partition}{at} of group {self._group} in the "
                f"{self._store.where()}; found none: `smart-inventory checkpoints list` shows what there is"
            )
        if len(newest) > 1:
            shown = ", ".join(each.label for each in newest[:_MOST_SHOWN])
            raise StateError(f"expected one checkpoint at {which}; found {len(newest)}: name one of the files {shown}")
        return newest[0]

    def describe(self, found: Kept | LooseFile) -> Described:
        """Return what a checkpoint says of itself, or why it cannot be read; a running worker may prune meanwhile."""
        label = found.label
        try:
            size, written, beginning = self._beginning(found)
            is_signed, header = read_prefix(beginning).is_signed, read_header(beginning)
        except (StoreError, EnvelopeError) as error:
            size, written = (found.size, found.written) if isinstance(found, Kept) else (0, None)
            return Described(label, size, written, is_signed=False, header=None, problem=str(error))
        return Described(label, size, written, is_signed, header, "")

    def verify(self, found: Kept | LooseFile, admitted: Admitted, key: bytes | None) -> tuple[Header, dict[str, Any]]:
        """Return header and decoded state of what may be used: whole, signed as it must be, and harmless.

        Raises:
            EnvelopeError: it or a parent is damaged, not signed with the key, or another one than its name or its place
                says.
            UnsafePickleError: it names what is not admitted.
            StoreError: it or a parent cannot be read, or is missing.
        """
        return self._verified(found, self._read(found), admitted, lambda data: unseal(data, key))

    def sign(self, kept: Kept, admitted: Admitted, *, previous: bytes | None, key: bytes) -> bool:
        """Sign a checkpoint that may be used with another key; its content, hence its name, stays.

        Args:
            kept: a checkpoint of this catalogue; its parents may be signed anew already, or not yet.
            admitted: what it may name.
            previous: the key that it is signed with, None where it is not signed.
            key: the key to sign it with.

        Returns:
            Whether that was needed: False for one that is signed with `key` already.

        Raises:
            EnvelopeError: as for `verify`.
            UnsafePickleError: as for `verify`.
            StoreError: as for `verify`, or it cannot be written.
        """
        data = self._read(kept)
        if is_signed_with(data, key):
            return False
        self._verified(kept, data, admitted, lambda each: unseal(each, key if is_signed_with(each, key) else previous))
        self._store.write(kept.name, signed(data, key))
        return True

    def _verified(
        self, found: Kept | LooseFile, data: bytes, admitted: Admitted, unsealed: Callable[[Data], File]
    ) -> tuple[Header, dict[str, Any]]:
        file = unsealed(data)
        header = file.header
        stated = (found.name.offset, found.name.digest) if isinstance(found, Kept) else stated_in(found.path.name)
        if stated is not None and stated != (header.offset, header.digest):
            raise EnvelopeError(
                f"its name says offset {stated[0]} and digest {stated[1]:.12}, its header offset {header.offset} and "
                f"digest {header.digest:.12}: it was renamed"
            )
        if isinstance(found, Kept) and path_of(found.name) != path_of(header.name()):
            raise EnvelopeError(f"it is a checkpoint of {header.group}/{header.topic}/{header.partition}: it was moved")
        try:
            whole = opened(file, lambda name: self._read_parent(found, name), unsealed)
        except MissingCheckpointError as error:
            raise UnreadableError(str(error)) from error
        return header, decode_sections(whole.sections, admitted)

    def _read_parent(self, child: Kept | LooseFile, name: CheckpointName) -> bytes | None:
        """Return a parent's file: of a loose one, first of all what was copied together with it."""
        if isinstance(child, LooseFile):
            beside = child.path.with_name(path_of(name).rpartition("/")[2])
            if beside.is_file():
                return self._read(LooseFile(beside))
        return self._store.read(name)

    def _list(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        try:
            return self._store.kept(group, topic)
        except StoreError as error:
            raise StateError(f"{error}; make it readable, or change CHECKPOINT_URL") from error

    def _labelled(self, which: str) -> Kept | LooseFile:
        """Return any file, or the store's own checkpoint of that label, which must be what its place says."""
        path = Path(which)
        if path.is_file():
            own = self._store.kept_at(path) if isinstance(self._store, DirectoryStore) else None
            return LooseFile(path) if own is None else own
        if "/" in which:  # it may be a label: whose it is, who gives it need not say
            for each in self._list():
                if each.label == which:
                    return each
        raise StateError(f"expected a file, PARTITION or PARTITION:OFFSET, such as 0:1200; found {which!r}")

    def _beginning(self, found: Kept | LooseFile) -> tuple[int, float | None, bytes]:
        if isinstance(found, Kept):
            beginning = self._store.read_beginning(found.name, BEGINNING_BYTES)
            if beginning is None:
                raise StoreError("it is not there any more")
            return found.size, found.written, beginning
        try:
            status = found.path.stat()
            with found.path.open("rb") as file:
                return status.st_size, status.st_mtime, file.read(BEGINNING_BYTES)
        except OSError as error:
            raise StoreError(str(error.strerror or error)) from error

    def _read(self, found: Kept | LooseFile) -> bytes:
        if isinstance(found, Kept):
            data = self._store.read(found.name)
            if data is None:
                raise StoreError("it is not there any more")
            return data
        try:
            return found.path.read_bytes()
        except OSError as error:
            raise StoreError(f"cannot read {found.path}: {error.strerror or error}") from error
