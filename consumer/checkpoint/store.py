"""The seam behind which checkpoints are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from consumer.checkpoint.envelope import Data

Read_co = TypeVar("Read_co", covariant=True)


@dataclass(frozen=True, order=True, slots=True)
class CheckpointName:
    """The name of one immutable checkpoint; whatever the state, another name.

    Attributes:
        group: the consumer group.
        topic: the input topic.
        partition: the input partition.
        offset: the next offset of the state within.
        digest: the checkpoint's digest, hexadecimal.
        place: where in its store it lies, as `CheckpointStore.write` said; no part of the name, but a store that would
            have to search finds it sooner. None where the store needs none, or nobody knows.
    """

    group: str
    topic: str
    partition: int
    offset: int
    digest: str
    place: str | None = field(default=None, compare=False)

    def is_of(self, group: str, topic: str, partition: int) -> bool:
        """Tell whether it is a checkpoint of this partition in this group."""
        return (self.group, self.topic, self.partition) == (group, topic, partition)


MAX_PLACE_CHARACTERS: Final = 32
_PLACE: Final = re.compile(rf"[a-z0-9.:+-]{{1,{MAX_PLACE_CHARACTERS}}}", re.ASCII).fullmatch


def is_place(text: str) -> bool:
    """Tell whether a text may be the place where a checkpoint lies, whatever it leads to."""
    return _PLACE(text) is not None


class StoreError(Exception):
    """The store could not do what was asked: disk full, no permission, not reachable.

    Of a read it says nothing about what the store holds: whoever needs to know asks again.
    """


class UnreachableError(StoreError):
    """The store did not answer, or said that it cannot just now: a start waits for it."""


class UnreadableError(StoreError):
    """The store has answered: the checkpoint, or the place where they lie, is there and cannot be read.

    To ask again would give the same answer.
    """


class CheckpointReads(Protocol[Read_co]):
    """The part of a store that a restore needs; the loop's own may raise `RetryError` while an answer is on its way.

    What is read are a file's bytes, or a checkpoint that was put together (`consumer.checkpoint.joining`).
    """

    def read(self, name: CheckpointName) -> Read_co | None:
        """Return the checkpoint, None where it is absent; a place in the name is a hint, and may be wrong.

        Raises:
            UnreadableError: it is there but cannot be read.
            StoreError: the store cannot be asked.
        """

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of all checkpoints of a partition, lowest offset first.

        Raises:
            UnreadableError: they cannot be listed.
            StoreError: the store cannot be asked.
        """

    def where(self) -> str:
        """Return the place in words that an operator can act on."""


class CheckpointStore(CheckpointReads[bytes], Protocol):
    """Keeps immutable checkpoints by name.

    Methods may block and may be called from several threads at once; one thread alone writes and deletes. All raise
    `StoreError` where the store fails.
    """

    def write(self, name: CheckpointName, data: Data) -> str | None:
        """Keep `data` durably under `name`; when this returns, no crash can lose or tear it.

        Returns:
            The place where it lies, at most `MAX_PLACE_CHARACTERS` of `a-z0-9.:+-`, for the reference to carry; None
            where the name alone is enough to find it.
        """

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return at least the first `length` bytes of a checkpoint, or all of it; None where it is absent.

        Raises:
            StoreError: it is there but cannot be read, or the store cannot be asked.
        """

    def delete(self, name: CheckpointName) -> None:
        """Remove a checkpoint; an absent one is no error."""

    def check(self, group: str, topic: str) -> None:
        """See whether a checkpoint of this group and topic could be written now.

        Raises:
            UnreachableError: that may be otherwise in a moment.
            StoreError: it could not; the sentence says where and why, and what to do.
        """


class Kept(NamedTuple):
    """One checkpoint that lies in a store, as the store itself tells without looking into it.

    Attributes:
        name: what its place says that it is; whether it is that, only its content can tell.
        size: bytes.
        written: when it was written, seconds since 1970; None where the store does not know.
        label: the place in words that an operator can act on, such as a path or a URL.
    """

    name: CheckpointName
    size: int
    written: float | None
    label: str


class ListedStore(CheckpointStore, Protocol):
    """A store that an operator can look into: what `smart-inventory checkpoints` needs beside the worker's part."""

    def kept(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        """Return every checkpoint, those of a group, or those of a group and topic.

        Sorted by group and topic, then partition, offset and digest. Whatever else lies in the store stays out.

        Raises:
            StoreError: the store cannot be listed.
        """
