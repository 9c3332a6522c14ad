"""One setting's turn: a worker, a sender and a reader, each a process of its own, on topics of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.latency.helper import Helper
from benchmarks.latency.matching import match
from benchmarks.latency.reader import FINISH, Seen, read
from benchmarks.latency.sender import Load, Sent, send
from benchmarks.latency.setting import Setting  # noqa: TC001 -- msgspec reads the annotation
from benchmarks.percentiles import percentile
from benchmarks.usage import cpu_seconds
from tests.kafka import wait_until
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

PARTITIONS: Final = 4
WARM_UP_SECONDS: Final = 5.0
MODEL: Final = "guarded"  # the default, said because a stage has another
_READY_SECONDS: Final = 120.0
_DONE_SECONDS: Final = 120.0
_SETTLE_SECONDS: Final = 1.0


class Turn(msgspec.Struct, frozen=True):
    """What one turn found; times in milliseconds.

    Attributes:
        setting: whose turn it was.
        events: all that were sent, warm-up included.
        measured: those of them that were sent after the warm-up.
        p50: time from an event's being given to the client until a read_committed reader had its prediction.
        p99: likewise.
        p999: likewise, 99.9%.
        longest: the longest.
        lost: events without a prediction.
        doubled: predictions beyond the first of their event.
        unknown: predictions for no event.
        sent_rate: events a second that were sent.
        behind_p99: by how much the sender was later than due.
        behind_longest: likewise, the longest.
        worker_cpu: cores that the worker used.
    """

    setting: Setting
    events: int
    measured: int
    p50: float
    p99: float
    p999: float
    longest: float
    lost: int
    doubled: int
    unknown: int
    sent_rate: float
    behind_p99: float
    behind_longest: float
    worker_cpu: float


def take_turn(bootstrap_servers: str, directory: Path, setting: Setting, *, seconds: float, seed: int) -> Turn:
    """Let one worker answer a steady input and return how long that took.

    Args:
        bootstrap_servers: the broker.
        directory: for checkpoints and the worker's log; new.
        setting: what to measure.
        seconds: of input that are measured, after the warm-up.
        seed: of the shop.

    Raises:
        HelperError: the sender or the reader failed.
        AssertionError: the worker ended by itself, or did not end well.
    """
    stage = Stage(bootstrap_servers, directory, partitions=PARTITIONS, prefix="latency")
    events = round(setting.rate * (WARM_UP_SECONDS + seconds))
    load = Load(bootstrap_servers, stage.input, PARTITIONS, setting.rate, events, seed)
    try:
        with (
            Helper("reader", read, bootstrap_servers, stage.output, PARTITIONS) as reader,
            Helper("sender", send, load) as sender,
            stage.worker(MODEL=MODEL, **setting.variables()) as worker,
        ):
            reader.answer(_READY_SECONDS)
            sender.answer(_READY_SECONDS)
            wait_until(
                lambda: len(worker.events("partition_fresh")) == PARTITIONS or worker.process.poll() is not None,
                _READY_SECONDS,
                "the worker to have its partitions",
            )
            used = cpu_seconds(worker.process.pid)
            sender.tell("go")
            sent: Sent = sender.answer(_READY_SECONDS + events / setting.rate)
            used = cpu_seconds(worker.process.pid) - used
            time.sleep(_SETTLE_SECONDS)  # what is on its way arrives before anybody asks the broker for offsets
            stage.wait_until_done(_DONE_SECONDS)
            code = worker.terminate()
            if code != 0:
                raise AssertionError(f"the worker ended with {code}: {worker.log.read_text()[-2000:]}")
            reader.tell(FINISH)
            seen: dict[int, Seen] = reader.answer(_DONE_SECONDS)
    finally:
        stage.delete_topics()
    return judged(setting, sent, seen, used)


def judged(setting: Setting, sent: Sent, seen: dict[int, Seen], cpu: float) -> Turn:
    """Return what a turn found.

    Args:
        setting: whose turn it was.
        sent: what was sent.
        seen: what was read, by partition.
        cpu: seconds of CPU that the worker used meanwhile.

    Raises:
        AssertionError: nothing of what was to be measured was read.
    """
    found = match(sent.at, seen, sent.began + WARM_UP_SECONDS)
    if not found.seconds:
        raise AssertionError(f"{setting.label}: none of {found.measured:,} events has a prediction that was read")
    behind = sent.behind[round(setting.rate * WARM_UP_SECONDS) :]
    ordered = sorted(found.seconds)
    return Turn(
        setting=setting,
        events=len(sent.behind),
        measured=found.measured,
        p50=percentile(ordered, 50) * 1000,
        p99=percentile(ordered, 99) * 1000,
        p999=percentile(ordered, 99.9) * 1000,
        longest=ordered[-1] * 1000,
        lost=found.lost,
        doubled=found.doubled,
        unknown=found.unknown,
        sent_rate=len(sent.behind) / (sent.ended - sent.began),
        behind_p99=percentile(behind, 99) * 1000,
        behind_longest=max(behind) * 1000,
        worker_cpu=cpu / (sent.ended - sent.began),
    )
