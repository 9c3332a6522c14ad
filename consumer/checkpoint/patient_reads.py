"""Reads that wait for a store which cannot be asked: unreachable is not missing.

Whoever takes no answer for "it is not there" goes a rung down the recovery ladder, or begins a partition anew, and
republishes what is published: for a store that was away for a moment. So only what a store answers counts. As long as
it cannot be asked, a restore waits, for a bounded time; then the worker ends and its supervisor tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.joining import MissingCheckpointError
from consumer.checkpoint.store import StoreError, UnreadableError
from consumer.errors import CheckpointsError, RetryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from consumer.checkpoint.store import CheckpointName, CheckpointReads
    from consumer.metrics import Metrics

T = TypeVar("T")
Read = TypeVar("Read")

PATIENCE_SECONDS: Final = 60.0
"""How long a restore waits for a store: a fail-over or a restart of one takes less; then a supervisor starts us."""

_PAUSE_SECONDS: Final = 1.0


class PatientReads(Generic[Read]):
    """Another store's reads, with `RetryError` in the place of `StoreError` until the patience is at its end.

    Args:
        store: the store; its calls may raise `RetryError` themselves while an answer is on its way.
        clock: monotonic, in seconds.
        patience: how long the store may go without an answer, in seconds.
    """

    def __init__(
        self,
        store: CheckpointReads[Read],
        *,
        clock: Callable[[], float],
        metrics: Metrics,
        log: FilteringBoundLogger,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._patience = patience
        self._since: float | None = None
        self._ask_at = 0.0

    def read(self, name: CheckpointName) -> Read | None:
        """Return the checkpoint, None where the store says that it is absent.

        Raises:
            RetryError: the store has not answered yet.
            UnreadableError: it is there but cannot be read.
            MissingCheckpointError: as the store's own `read`.
            EnvelopeError: as the store's own `read`.
            CheckpointsError: the store could not be asked for too long.
        """
        return self._ask(lambda: self._store.read(name))

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of all checkpoints of a partition, lowest offset first.

        Raises:
            RetryError: the store has not answered yet.
            UnreadableError: they cannot be listed.
            CheckpointsError: the store could not be asked for too long.
        """
        return self._ask(lambda: self._store.names(group, topic, partition))

    def where(self) -> str:
        """Name the store."""
        return self._store.where()

    def _ask(self, call: Callable[[], T]) -> T:
        if self._since is not None and self._clock() < self._ask_at:
            raise self._waits()
        try:
            answer = call()
        except (UnreadableError, MissingCheckpointError, EnvelopeError):
            self._note_answer()
            raise
        except StoreError as error:
            raise self._without_answer(error) from error
        self._note_answer()
        return answer

    def _without_answer(self, error: StoreError) -> RetryError | CheckpointsError:
        now = self._clock()
        self._ask_at = now + _PAUSE_SECONDS
        if self._since is None:
            self._since = now
            self._metrics.gauge("checkpoint_store_unreachable", 1)
            self._log.warning(
                "store_unreachable", store=self.where(), reason=str(error), seconds_left=round(self._patience)
            )
        if now - self._since >= self._patience:
            return CheckpointsError(
                f"the {self.where()} could not be asked for {now - self._since:.0f} s: {error}. Which checkpoints it "
                "holds is unknown, so nothing was restored, rebuilt or begun anew; make it reachable, or mend "
                "CHECKPOINT_URL or its credentials, and start again"
            )
        return self._waits()

    def _note_answer(self) -> None:
        if self._since is not None:
            self._log.info("store_reachable", store=self.where(), seconds=round(self._clock() - self._since, 1))
            self._metrics.gauge("checkpoint_store_unreachable", 0)
            self._since = None

    def _waits(self) -> RetryError:
        return RetryError(f"the {self.where()} cannot be asked")
