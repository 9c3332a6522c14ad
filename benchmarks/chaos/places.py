"""Where a segment's workers keep their checkpoints, and whether they may do without one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Self

from benchmarks.chaos.disk import CheckpointDisk
from consumer.checkpoint.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from consumer.checkpoint.store import CheckpointReads
    from tests.stage import Stage


STORES: Final = ("file",)


class Place(ABC):
    """A store for checkpoints; a context manager that ends with it.

    Attributes:
        flags: what workers are started with.
        disk: what disk faults strike, None where there is no disk.
    """

    flags: Sequence[str] = ()
    disk: CheckpointDisk | None = None

    def __enter__(self) -> Self:
        """Make it ready."""
        return self

    def __exit__(  # noqa: B027 -- not every place has something to take away
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take it away."""

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Return the workers' settings beyond the stage's."""

    @abstractmethod
    def reads(self) -> CheckpointReads:
        """Return the store, to be read from here."""


class DirectoryPlace(Place):
    """One directory that all workers share, on a disk that fails: they may go on without what is lost."""

    flags = ("--rebuild",)

    def __init__(self, path: Path) -> None:
        self.disk: CheckpointDisk = CheckpointDisk(path)

    def __enter__(self) -> Self:
        self.disk.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disk.__exit__(kind, error, traceback)

    def settings(self) -> Mapping[str, str]:
        """Return its address."""
        return {"CHECKPOINT_URL": f"file:{self.disk.path}"}

    def reads(self) -> CheckpointReads:
        """Return it."""
        return DirectoryStore(self.disk.path)


def open_place(store: str, stage: Stage) -> Place:
    """Return the place of a segment.

    Args:
        store: one of `STORES`.
        stage: whose workers it is for.
    """
    if store == "file":
        return DirectoryPlace(stage.directory / "checkpoints")
    raise ValueError(f"expected one of {STORES} as the store, got {store!r}")
