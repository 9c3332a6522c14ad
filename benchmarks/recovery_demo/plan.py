"""When the worker is killed: which moments are aimed at, in an order that the seed gives."""

from __future__ import annotations

from enum import Enum
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random


class Aim(Enum):
    """A moment that a kill is aimed at. It may miss, as a worker is quick: the phase that it hit is what counts."""

    START = "start"
    REPLAY = "replay"
    CHECKPOINT = "checkpoint"
    STREAM = "stream"


SECONDS: Final = {Aim.START: 1.1, Aim.REPLAY: 2.3, Aim.CHECKPOINT: 3.8, Aim.STREAM: 4.0}
"""What a life of each aim takes, in about; scaled by what it did take, it gives the time left."""

_PATTERN: Final = (Aim.START, Aim.REPLAY, Aim.STREAM, Aim.CHECKPOINT, Aim.STREAM)


def plan(kills: int, rng: random.Random) -> list[Aim]:
    """Return the aims of all kills in order; the first is in mid-stream, so that there is something to come back to."""
    aims = list(islice(cycle(_PATTERN), kills - 1))
    rng.shuffle(aims)
    return [Aim.STREAM, *aims]


def share_done(aims: list[Aim], done: int) -> float:
    """Return which share of the work is done after so many kills, the last life without a kill included."""
    weights = [SECONDS[aim] for aim in aims] + [SECONDS[Aim.STREAM]]
    return sum(weights[:done]) / sum(weights)
