"""What a worker takes from the world beside Kafka and the store: time, a background for checkpoints, machine code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.accelerator import load_beside
from consumer.checkpoint.background_reads import BackgroundReads
from consumer.checkpoint.writer import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from structlog.typing import FilteringBoundLogger

    from consumer.checkpoint.store import CheckpointReads, CheckpointStore
    from consumer.checkpoint.writer import Sealing, Writer
    from consumer.replay_progress import ReplayDisplay


class Surroundings(NamedTuple):
    """The real ones by default; a simulation brings its own.

    Attributes:
        clock: monotonic, in seconds.
        sleep: waits that many seconds.
        new_writer: what makes checkpoints durable, and when.
        reads_of: how the loop reads a store.
        accelerate: begins to load machine code for the models, beside the loop.
        replays: where replays are shown; None is the log.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    new_writer: Callable[[Sealing], Writer] = BackgroundWriter
    reads_of: Callable[[CheckpointStore], CheckpointReads] = BackgroundReads
    accelerate: Callable[[FilteringBoundLogger], Thread | None] = load_beside
    replays: ReplayDisplay | None = None


REAL: Final = Surroundings()
