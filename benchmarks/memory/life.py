"""One worker's life, looked at from outside: what it has consumed, what it takes, and what its log says."""

from __future__ import annotations

import contextlib
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec

from benchmarks.memory.till import Till
from benchmarks.recovery_times.story import steps
from benchmarks.usage import usage
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from benchmarks.memory.books import Order
    from tests.stage import WorkerProcess

LOOK_SECONDS: Final = 0.25
REST_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 480.0
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 120.0
CONSUMED: Final = "records_consumed_total"
STILL: Final = "loop_still_seconds"


class Look(NamedTuple):
    """A worker at one moment.

    Attributes:
        seconds: on the monotonic clock.
        consumed: records that it has applied, since its start.
        resident_bytes: its memory that is in RAM.
    """

    seconds: float
    consumed: int
    resident_bytes: int


class Restored(msgspec.Struct, frozen=True):
    """How long a start took.

    Attributes:
        restore_seconds: from the partition's being assigned to its being live.
        start_seconds: from the process's start to the partition's being live; imports and joining are in it.
        replayed: offsets between the checkpoint and what was committed.
        resident_bytes: at rest afterwards.
    """

    restore_seconds: float
    start_seconds: float
    replayed: int
    resident_bytes: int


class Life:
    """A worker on one partition of its own, and the till that fills it; a context manager that ends both.

    Args:
        bootstrap_servers: the broker.
        directory: for checkpoints and the log.
        seed: of the events.
        ends_by: nothing is waited for beyond it, on the monotonic clock.
        settings: the worker's.

    Attributes:
        metrics: as last scraped.
        longest_still: the longest `loop_still_seconds` that was scraped; may be set back to 0.
    """

    def __init__(self, bootstrap_servers: str, directory: Path, seed: int, ends_by: float, **settings: str) -> None:
        self.stage = Stage(bootstrap_servers, directory, partitions=1, prefix="memory")
        self.till = Till(self.stage, seed, ends_by)
        self.ends_by = ends_by
        self._settings = settings
        self._worker: WorkerProcess | None = None
        self.metrics: Mapping[str, float] = {}
        self.longest_still = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.kill()
        self.till.__exit__(kind, error, traceback)
        self.stage.delete_topics()

    @property
    def worker(self) -> WorkerProcess:
        """The worker, once it was started."""
        if self._worker is None:
            raise AssertionError("no worker was started")
        return self._worker

    def begin(self, *orders: Order) -> None:
        """Let these events lie on the broker, then start the worker."""
        self.till.give(*orders)
        self.till.wait()
        self._worker = self.stage.worker(**self._settings)

    def look(self) -> Look:
        """Look once. A worker that is too busy to answer has consumed what it said last."""
        if self.worker.process.poll() is not None:
            words = self.worker.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise AssertionError(f"the worker ended by itself, with {self.worker.process.returncode}: {words}")
        resident_bytes = usage(self.worker.process.pid).resident_bytes
        with contextlib.suppress(OSError):
            self.metrics = self.worker.metrics()
        self.longest_still = max(self.longest_still, self.metrics.get(STILL, 0.0))
        return Look(time.monotonic(), int(self.metrics.get(CONSUMED, 0)), resident_bytes)

    def watch(self, is_done: Callable[[Look], bool], what: str, seconds: float = PATIENCE_SECONDS) -> list[Look]:
        """Look again and again until that is so.

        Raises:
            AssertionError: it was not in time, or the worker ended.
        """
        began = time.monotonic()
        deadline = min(began + seconds, self.ends_by)
        looks = [self.look()]
        while not is_done(looks[-1]):
            if time.monotonic() > deadline:
                waited = time.monotonic() - began
                raise AssertionError(f"waited {waited:.0f} s for {what}; the last look was {looks[-1]}")
            time.sleep(LOOK_SECONDS)
            looks.append(self.look())
        return looks

    def warm_up(self, records: int, *, is_accelerated: bool = True) -> Look:
        """Wait until so many records are consumed and machine code is loaded, where the worker loads any."""

        def is_warm(look: Look) -> bool:
            if self.worker.events("not_accelerated"):
                raise AssertionError(f"no machine code: {self.worker.events('not_accelerated')}")
            return look.consumed >= records and (not is_accelerated or bool(self.worker.events("accelerated")))

        return self.watch(is_warm, f"{records} records, and machine code where there is any")[-1]

    def rest(self) -> int:
        """Let the worker consume all that was sent and write its last checkpoint; return its resident bytes then."""
        self.till.wait()
        self.watch(lambda look: look.consumed >= self.till.sent, f"{self.till.sent} records")
        self.watch(lambda _look: bool(self.checkpoints(self.till.end)), "a checkpoint of all records")
        end = time.monotonic() + REST_SECONDS
        return round(median(look.resident_bytes for look in self.watch(lambda look: look.seconds > end, "a rest")))

    def restart(self) -> Restored:
        """Stop the worker as an operator does, and start it again.

        Raises:
            AssertionError: it did not stop well, or restored no checkpoint.
        """
        code = self.worker.terminate(_STOP_SECONDS)
        if code != 0:
            raise AssertionError(f"the worker ended with {code}: {self.worker.log.read_text()[-2000:]}")
        started_at = time.time()
        self._worker = self.stage.worker(**self._settings)
        self.watch(lambda _look: bool(self.worker.events("partition_live")), "the partition to be live", _START_SECONDS)
        end = time.monotonic() + REST_SECONDS
        resident = [look.resident_bytes for look in self.watch(lambda look: look.seconds > end, "a rest")]
        return restored(self.worker.events(), started_at, round(median(resident)))

    def checkpoints(self, first_offset: int) -> list[dict[str, Any]]:
        """Return the log lines of the checkpoints that were taken from an offset on."""
        return [line for line in self.worker.events("checkpoint_written") if line["offset"] >= first_offset]


def restored(lines: list[dict[str, Any]], started_at: float, resident_bytes: int) -> Restored:
    """Return how long a start took.

    Args:
        lines: of the worker's log.
        started_at: when its process was started, in seconds since 1970.
        resident_bytes: at rest afterwards.

    Raises:
        AssertionError: it is not live by restoring the checkpoint that the committed offset refers to.
    """
    found = [line for line in lines if line.get("event") == "checkpoint_restored"]
    at = steps(lines, started_at)
    if len(found) != 1 or "live" not in at:
        raise AssertionError(f"expected one restored checkpoint and a live partition, got {found} and {at}")
    replayed = found[0]["committed_offset"] - found[0]["offset"]
    return Restored(round(at["live"] - at["joined"], 3), at["live"], replayed, resident_bytes)


def oldest_bound(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the lowest bucket of `transaction_seconds` that has every transaction between two scrapes.

    Infinite where the highest bucket does not have them all.
    """
    prefix, suffix = 'transaction_seconds_bucket{le="', '"}'
    buckets = {
        float(name.removeprefix(prefix).removesuffix(suffix)): value - before.get(name, 0.0)
        for name, value in after.items()
        if name.startswith(prefix)
    }
    return min((bound for bound, number in buckets.items() if number == buckets[float("inf")]), default=float("inf"))
