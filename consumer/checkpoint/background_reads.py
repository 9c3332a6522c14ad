"""Reading checkpoints beside the loop, which must go on polling and committing while a far-away store answers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from consumer.errors import RetryError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from consumer.checkpoint.store import CheckpointName, CheckpointReads

T = TypeVar("T")
Read = TypeVar("Read")

PATIENCE_SECONDS: Final = 0.2
"""How long one call may keep the loop waiting: most reads are done by then, and the open transaction is not late."""

_KEPT_SECONDS: Final = 5.0
"""An answer that nobody came back for: its partition went away. Asked for again later, it might be another one."""


class BackgroundReads(Generic[Read]):
    """Another store whose reads are answered by `RetryError` until they are done.

    Only for the loop: who writes and prunes is beside it already, and uses the store itself.

    Args:
        store: the store; its `read` and `names` may block for as long as they like.
        patience: how long a call waits before it raises, in seconds.
    """

    def __init__(self, store: CheckpointReads[Read], patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._patience = patience
        self._under_way: dict[Hashable, _Answer[Any]] = {}

    def read(self, name: CheckpointName) -> Read | None:
        """Return the checkpoint, None where it is absent.

        Raises:
            RetryError: it is still being read; the next call for it goes on waiting.
            Exception: as the store's own `read`.
        """
        return self._ask(name, lambda: self._store.read(name), f"the checkpoint at offset {name.offset}")

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of all checkpoints of a partition, lowest offset first.

        Raises:
            RetryError: they are still being listed; the next call for them goes on waiting.
            StoreError: as the store's own `names`.
        """
        return self._ask(
            (group, topic, partition),
            lambda: self._store.names(group, topic, partition),
            f"the list of checkpoints of partition {partition}",
        )

    def where(self) -> str:
        """Name the store."""
        return self._store.where()

    def _ask(self, key: Hashable, call: Callable[[], T], what: str) -> T:
        now = time.monotonic()
        forgotten = [each for each, answer in self._under_way.items() if answer.is_stale(now)]
        for each in forgotten:
            del self._under_way[each]
        answer: _Answer[T] = self._under_way.get(key) or _Answer(call)
        self._under_way[key] = answer
        if not answer.is_there(self._patience):
            raise RetryError(f"{what} is being read from the {self._store.where()}")
        del self._under_way[key]
        return answer.result()


class _Answer(Generic[T]):
    """One call in a thread of its own; a daemon, so that a store that hangs keeps no process alive."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._done = threading.Event()
        self._done_at = float("inf")
        self._error: Exception | None = None
        self._value: T
        threading.Thread(target=self._run, name="read-checkpoint", daemon=True).start()

    def is_there(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def is_stale(self, now: float) -> bool:
        return now - self._done_at > _KEPT_SECONDS

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._call()
        except Exception as error:  # noqa: BLE001 -- it is raised where the answer is taken
            self._error = error
        self._done_at = time.monotonic()
        self._done.set()
