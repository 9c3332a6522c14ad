"""What a soak has found, minute by minute, and the figures that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.figures import Figure
from benchmarks.percentiles import percentiles
from benchmarks.soak.flatness import flatness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LEAST_RATE: Final = 4_900
MEMORY_FACTOR: Final = 1.05
MEMORY_SLACK: Final = 4 << 20
FILES_SLACK: Final = 2
WARM_UP_MINUTES: Final = 2
"""Until then the windows of `SEEN_IDS` fill, or, in a life that has restored them, are replaced by what is new: no
growth is looked for before."""

TENS: Final = 6
"""Of seconds, in a minute."""

MIB: Final = 1 << 20


class Verdict(msgspec.Struct, frozen=True):
    """How far the comparison with the independent loop has come.

    Attributes:
        records: input records that the loop was fed.
        repeats: those of them that publish nothing.
        predictions: those that were seen and equal to the byte.
        dead_letters: the same of dead letters.
        lost: answers that a later one has overtaken.
        doubled: answers seen again.
        differing: answers with other bytes, or out of place.
        waiting: answers of the loop that the reader has not seen yet.
        findings: the first few things that were wrong, in words.
    """

    records: int = 0
    repeats: int = 0
    predictions: int = 0
    dead_letters: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    waiting: int = 0
    findings: list[str] = []

    @property
    def wrong(self) -> int:
        """Everything that must be 0."""
        return self.lost + self.doubled + self.differing


class Minute(msgspec.Struct, frozen=True):
    """One life of the worker, from its start right after a kill -9 to the next kill.

    Attributes:
        number: from 1.
        resident_bytes: of the worker, the highest in its last seconds before the kill, a checkpoint's writing among
            them.
        open_files: likewise.
        threads: likewise.
        input_records: that the input held at the kill.
        seconds: from the first input record to the kill.
        seconds_to_lag_0: from the kill at this life's end until the next life had caught up; None where it had not when
            its own end came.
        verdict: of the comparison, as it stood then.
    """

    number: int
    resident_bytes: int
    open_files: int
    threads: int
    input_records: int
    seconds: float
    seconds_to_lag_0: float | None
    verdict: Verdict


class Stretch(msgspec.Struct, frozen=True):
    """The last life, which nobody kills.

    Attributes:
        resident_bytes: of the worker, the highest of each ten seconds from its start on.
        open_files: likewise.
    """

    resident_bytes: list[int]
    open_files: list[int]


def append(path: Path, minute: Minute) -> None:
    """Add a minute to a file, one JSON line: whatever becomes of this run, it is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lines:
        lines.write(msgspec.json.encode(minute) + b"\n")


def figures(
    minutes: Sequence[Minute],
    verdict: Verdict,
    *,
    planned: int,
    stretch: Stretch | None = None,
    total: int | None = None,
) -> Iterator[Figure]:
    """Yield the figures of these minutes.

    Args:
        minutes: all that were finished, at least one.
        verdict: of the comparison at the end.
        planned: how many minutes there were to be.
        stretch: the last life, where there was one.
        total: how many records the input holds, once no more come.
    """
    yield Figure("minutes, each ended by a kill -9", len(minutes), "=", planned)
    yield Figure("input records", minutes[-1].input_records, ">", 0)
    yield Figure("mean rate, records/s", minutes[-1].input_records / minutes[-1].seconds, ">=", LEAST_RATE)
    back = [minute.seconds_to_lag_0 for minute in minutes if minute.seconds_to_lag_0 is not None]
    yield Figure("kills after which the lag was 0 again within the minute", len(back), "=", len(minutes))
    if back:
        seconds = percentiles(back)
        yield Figure("seconds from the kill to a lag of 0, p50", seconds.p50)
        yield Figure("seconds from the kill to a lag of 0, p99", seconds.p99)
        yield Figure("seconds from the kill to a lag of 0, max", seconds.max)
    yield Figure("records compared with the independent loop, to the byte", verdict.records, ">", 0)
    if total is not None:
        yield Figure("records that were not compared", total - verdict.records, "=", 0)
    yield Figure("predictions equal", verdict.predictions, ">", 0)
    yield Figure("dead letters equal", verdict.dead_letters, ">", 0)
    yield Figure("repeats", verdict.repeats, ">", 0)
    yield Figure("lost", verdict.lost, "=", 0)
    yield Figure("twice", verdict.doubled, "=", 0)
    yield Figure("differing", verdict.differing, "=", 0)
    warm = [minute for minute in minutes if minute.number > WARM_UP_MINUTES]
    if warm:
        yield from _flat("before the kill", [m.resident_bytes for m in warm], [m.open_files for m in warm])
    tens = slice(WARM_UP_MINUTES * TENS, None)
    if stretch is not None and stretch.resident_bytes[tens]:
        yield from _flat("within the last life", stretch.resident_bytes[tens], stretch.open_files[tens])


def _flat(where: str, resident_bytes: Sequence[int], open_files: Sequence[int]) -> Iterator[Figure]:
    memory = flatness(resident_bytes)
    bound = memory.bound(MEMORY_FACTOR, MEMORY_SLACK)
    yield Figure(f"memory {where}, first quarter's median, MiB", memory.first / MIB, ">", 0)
    yield Figure(f"memory {where}, last quarter's median, MiB", memory.last / MIB, "<=", bound / MIB)
    files = flatness(open_files)
    yield Figure(f"open files {where}, first quarter's median", files.first, ">", 0)
    yield Figure(f"open files {where}, last quarter's median", files.last, "<=", files.bound(1, FILES_SLACK))
