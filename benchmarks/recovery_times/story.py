"""What a worker did between its start and its first commit, as its own log has it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STEPS: Final = {
    "serving": "serving",
    "started": "started",
    "partitions_gained": "joined",
    "checkpoint_restored": "restored",
    "partition_live": "live",
}
"""Log events, in the order in which a start comes to them, and what they are called here."""


def steps(lines: Iterable[dict[str, Any]], started_at: float) -> dict[str, float]:
    """Return how many seconds after the start each step was done, for the last partition where each has its own.

    Args:
        lines: of one worker's log.
        started_at: when it was started, in seconds since 1970.
    """
    done: dict[str, float] = {}
    for line in lines:
        name = STEPS.get(line.get("event", ""))
        if name is not None:
            done[name] = round(datetime.fromisoformat(line["timestamp"]).timestamp() - started_at, 3)
    return done


def owned(lines: Iterable[dict[str, Any]]) -> set[int]:
    """Return the partitions that a worker has by its log: gained, and neither revoked nor lost since."""
    found: set[int] = set()
    for line in lines:
        partitions: Sequence[int] = line.get("partitions", [])
        if line.get("event") == "partitions_gained":
            found.update(partitions)
        elif line.get("event") in {"partitions_revoked", "partitions_lost"}:
            found.difference_update(partitions)
    return found
