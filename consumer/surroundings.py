"""What a worker takes from the world beside Kafka and the store: time, and a background to write checkpoints in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.checkpoint.writer import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.checkpoint.writer import Sealing, Writer


class Surroundings(NamedTuple):
    """The real ones by default; a simulation brings its own.

    Attributes:
        clock: monotonic, in seconds.
        sleep: waits that many seconds.
        new_writer: what makes checkpoints durable, and when.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    new_writer: Callable[[Sealing], Writer] = BackgroundWriter


REAL: Final = Surroundings()
