"""Where a segment's workers keep their checkpoints, and whether they may do without one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Self

from benchmarks.chaos.disk import CheckpointDisk
from benchmarks.chaos.plan import DISK, Kind
from consumer.checkpoint.bucket import Bucket
from consumer.checkpoint.bucket_store import BucketStore
from consumer.checkpoint.directory import DirectoryStore
from consumer.settings import Settings
from consumer.stores import open_store
from tests.kafka import create_topics, unique
from tests.objects import Endpoint, FaultProxy, Mode
from tests.objects.s3proxy import s3_installation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from consumer.checkpoint.store import CheckpointReads
    from tests.stage import Stage


STORES: Final[Mapping[str, Collection[Kind]]] = {"file": DISK, "kafka": (), "s3": (Kind.STORE,)}
"""What can be a store, and which faults of one can happen to it."""


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

    @contextmanager
    def failing(self, rng: random.Random) -> Iterator[Callable[[], int]]:
        """Let it fail for a while; yields what tells how often it was asked meanwhile."""
        raise NotImplementedError(rng)
        yield

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Return the workers' settings beyond the stage's."""

    @abstractmethod
    def reads(self) -> CheckpointReads[bytes]:
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

    def reads(self) -> CheckpointReads[bytes]:
        """Return it."""
        return DirectoryStore(self.disk.path)


class TopicPlace(Place):
    """A compacted topic of the brokers that everything else lies on: their faults are its faults.

    Args:
        stage: whose workers it is for.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._topic = unique("chaos-checkpoints")

    def __enter__(self) -> Self:
        config = {
            "cleanup.policy": "compact",
            "max.message.bytes": "1048588",
            "min.cleanable.dirty.ratio": "0.2",
            "segment.ms": "60000",  # so short that it is compacted while it is used
        }
        create_topics(self._stage.bootstrap_servers, {self._topic: self._stage.partitions}, config)
        return self

    def settings(self) -> Mapping[str, str]:
        """Return its address."""
        return {"CHECKPOINT_URL": f"kafka:{self._topic}"}

    def reads(self) -> CheckpointReads[bytes]:
        """Return it."""
        settings = Settings(checkpoint_url=f"kafka:{self._topic}")
        return open_store(settings, lambda: {"bootstrap.servers": self._stage.bootstrap_servers})


class BucketPlace(Place):
    """A bucket of a real S3 endpoint, behind a proxy: what it does not hold, workers do not go on without."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        endpoint = Endpoint(s3_installation())
        self._stack.callback(endpoint.stop)
        endpoint.start()
        self._bucket = endpoint.new_bucket()
        self._endpoint = endpoint
        self._proxy = self._stack.enter_context(FaultProxy(endpoint.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextmanager
    def failing(self, rng: random.Random) -> Iterator[Callable[[], int]]:
        """Let requests be answered 503, late or never, or be cut."""
        before = len(self._proxy.requests)
        self._proxy.mode = rng.choice([mode for mode in Mode if mode is not Mode.GOOD])
        try:
            yield lambda: len(self._proxy.requests) - before
        finally:
            self._proxy.mode = Mode.GOOD

    def settings(self) -> Mapping[str, str]:
        """Return its address, and who may use it."""
        return {"CHECKPOINT_URL": f"s3://{self._bucket}", **self._endpoint.environment(self._proxy.port)}

    def reads(self) -> CheckpointReads[bytes]:
        """Return it, without the proxy."""
        os.environ.update(self._endpoint.environment())
        return BucketStore(Bucket("s3", self._bucket))


def open_place(store: str, stage: Stage) -> Place:
    """Return the place of a segment.

    Args:
        store: one of `STORES`.
        stage: whose workers it is for.
    """
    if store == "file":
        return DirectoryPlace(stage.directory / "checkpoints")
    if store == "kafka":
        return TopicPlace(stage)
    if store == "s3":
        return BucketPlace()
    raise ValueError(f"expected one of {[*STORES]} as the store, got {store!r}")
