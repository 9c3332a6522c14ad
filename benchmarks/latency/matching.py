"""Each event's own prediction: how long it took, and whether there is one, and one only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.latency.reader import Seen


class Matched(NamedTuple):
    """What became of the events.

    Attributes:
        seconds: from event to prediction, of each measured event that has one.
        measured: events that were to be measured.
        lost: events of all that have no prediction: a missing one is no fast one.
        doubled: predictions beyond the first of their event.
        unknown: predictions for no event.
    """

    seconds: list[float]
    measured: int
    lost: int
    doubled: int
    unknown: int


def match(sent: Mapping[int, Sequence[float]], seen: Mapping[int, Seen], since: float) -> Matched:
    """Hold what was read against what was sent.

    Args:
        sent: for each partition, by offset, when the event was sent.
        seen: for each partition, what was read.
        since: only events sent from then on are measured; all are counted.
    """
    seconds: list[float] = []
    doubled = unknown = lost = measured = 0
    for partition, moments in sent.items():
        has_one = bytearray(len(moments))
        offsets, at = seen[partition]
        for offset, read_at in zip(offsets, at, strict=True):
            if not 0 <= offset < len(moments):
                unknown += 1
            elif has_one[offset]:
                doubled += 1
            else:
                has_one[offset] = 1
                if moments[offset] >= since:
                    seconds.append(read_at - moments[offset])
        lost += len(moments) - sum(has_one)
        measured += sum(moment >= since for moment in moments)
    return Matched(seconds, measured, lost, doubled, unknown)
