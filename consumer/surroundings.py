"""What a worker takes from the world beside Kafka and the store: time, a background for checkpoints, machine code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.accelerator import load_beside
from consumer.checkpoint.background_reads import BackgroundReads
from consumer.checkpoint.lineage import USUAL
from consumer.checkpoint.writer import BackgroundWriter
from consumer.checkpointing import USUAL_PACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from structlog.typing import FilteringBoundLogger

    from consumer.checkpoint.joining import Opened
    from consumer.checkpoint.lineage import Sharing
    from consumer.checkpoint.store import CheckpointReads
    from consumer.checkpoint.writer import Sealing, Writer
    from consumer.checkpointing import Pace
    from consumer.replay_progress import ReplayDisplay


class Surroundings(NamedTuple):
    """The real ones by default; a simulation brings its own.

    Attributes:
        clock: monotonic, in seconds.
        sleep: waits that many seconds.
        new_writer: what makes checkpoints durable, and when.
        reads_of: how the loop reads checkpoints.
        pace: how fast the loop takes snapshots of many models.
        accelerate: begins to load machine code for the models, beside the loop.
        replays: where replays are shown; None is the log.
        sharing: when a checkpoint shares shards with earlier ones.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    new_writer: Callable[[Sealing], Writer] = BackgroundWriter
    reads_of: Callable[[CheckpointReads[Opened]], CheckpointReads[Opened]] = BackgroundReads
    pace: Pace = USUAL_PACE
    accelerate: Callable[[FilteringBoundLogger], Thread | None] = load_beside
    replays: ReplayDisplay | None = None
    sharing: Sharing = USUAL


REAL: Final = Surroundings()
