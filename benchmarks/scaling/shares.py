"""Which worker has which partitions, as their logs have it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def shares(lines: Iterable[dict[str, Any]]) -> dict[str, set[int]]:
    """Return, by worker, the partitions that it has begun with and not given away since.

    Args:
        lines: of one worker's log, or of several in one.
    """
    found: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        event = line.get("event")
        if event in {"partition_fresh", "partition_live"}:
            found[line["instance_id"]].add(line["partition"])
        elif event in {"partitions_revoked", "partitions_lost"}:
            found[line["instance_id"]].difference_update(line["partitions"])
    return dict(found)


def are_shared(lines: Iterable[dict[str, Any]], workers: int, partitions: int) -> bool:
    """Tell whether so many workers have as many partitions each."""
    found = [len(of_one) for of_one in shares(lines).values() if of_one]
    return found == [partitions // workers] * workers
