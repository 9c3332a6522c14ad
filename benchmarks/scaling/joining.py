"""A second worker joins while input flows: how long until the work is shared, and how long any partition waited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.load import Feeder, OutputReader
from benchmarks.scaling.shares import are_shared
from benchmarks.scaling.turn import MODEL, PARTITIONS
from tests.kafka import wait_until
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

RATE: Final = 5_000
_READY_SECONDS: Final = 120.0
_ALONE_SECONDS: Final = 5.0


class Joining(msgspec.Struct, frozen=True):
    """What one joining took.

    Attributes:
        seconds: from the second worker's start until both had half of the partitions and each had a new prediction.
        longest_gap: the longest time without a new prediction in any one partition meanwhile.
        gap_before: likewise, while the first worker was alone.
        exit_codes: of both.
    """

    seconds: float
    longest_gap: float
    gap_before: float
    exit_codes: list[int]


def join(bootstrap_servers: str, directory: Path, *, seed: int) -> Joining:
    """Let a worker work, then another one join it."""
    stage = Stage(bootstrap_servers, directory, partitions=PARTITIONS, prefix="scale")
    feeder = Feeder(stage, rate=RATE, seed=seed, fault_share=0.0, source="synthetic", key_by="item", is_live=True)
    with OutputReader(stage) as reader, feeder, stage.worker("a", MODEL=MODEL) as first:
        wait_until(lambda: are_shared(first.events(), 1, PARTITIONS), _READY_SECONDS, "the first worker to begin")
        _wait_for_all(reader)
        alone = time.monotonic()
        time.sleep(_ALONE_SECONDS)
        gap_before = reader.longest_gap(alone)
        began = time.monotonic()
        with stage.worker("b", MODEL=MODEL) as second:
            wait_until(
                lambda: are_shared([*first.events(), *second.events()], 2, PARTITIONS),
                _READY_SECONDS,
                "both workers to have half of the partitions",
            )
            _wait_for_all(reader)
            seconds = time.monotonic() - began
            gap = reader.longest_gap(began)
            feeder.finish()
            stage.wait_until_done(_READY_SECONDS)
            codes = [second.terminate(), first.terminate()]
    return Joining(seconds, gap, gap_before, codes)


def _wait_for_all(reader: OutputReader) -> None:
    """Wait until every partition has a prediction for an event that is not committed yet."""
    since = reader.committed()
    wait_until(
        lambda: all(reader.has_new({number: offset}) for number, offset in since.items()),
        _READY_SECONDS,
        "every partition to go on",
    )
