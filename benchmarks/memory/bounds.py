"""What the state may take and its checkpoints may cost, and the figures that say whether they do not more."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure
from benchmarks.memory.books import KEY_BYTES
from benchmarks.percentiles import percentile
from benchmarks.soak.flatness import flatness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.memory.runs import Growth, Large

MOST_GROWTH_PERCENT: Final = 2.0
MOST_ITEM_BYTES: Final = 500
MOST_PAUSE_MS: Final = 20.0
MOST_RESTORE_SECONDS: Final = 10.0
_TENTHS: Final = 10
_MIB: Final = 1 << 20
_COLUMNS: Final = {"level": 8, "observed": 8, "day": 4, "length of the key": 2, "key": KEY_BYTES}


def item_bytes() -> int:
    """Return what an item takes in a checkpoint's columns, by arithmetic: 64-bit level and moment, day, and key."""
    return sum(_COLUMNS.values())


def capacity(items: int) -> int:
    """Return for how many items arrays have room that double when they are full.

    >>> [capacity(items) for items in (1, 2, 3, 1_000_000)]
    [1, 2, 4, 1048576]

    Raises:
        ValueError: there is none.
    """
    if items < 1:
        raise ValueError(f"expected items, got {items}")
    return 1 << (items - 1).bit_length()


def growth_percent(resident_bytes: list[int]) -> float:
    """Return by how much the median of the last tenth lies above the first tenth's, in percent."""
    found = flatness(resident_bytes, _TENTHS)
    return (found.last - found.first) / found.first * 100


def each(few_bytes: float, many_bytes: float, found: Large) -> float:
    """Return what one of the items that came takes."""
    return (many_bytes - few_bytes) / (found.many - found.few)


def growth_figures(found: Growth, planned: int) -> Iterator[Figure]:
    """Yield the figures of a worker over a fixed set of items."""
    first, last = flatness(found.resident_bytes, _TENTHS)
    yield Figure(f"events over {found.items:,} items, windows full, machine code loaded", found.events, ">=", planned)
    yield Figure("events/s meanwhile, till and all", round(found.events / found.seconds))
    yield Figure("resident memory, median of the first tenth, MiB", first / _MIB)
    yield Figure("resident memory, median of the last tenth, MiB", last / _MIB)
    yield Figure("resident memory, highest, MiB", max(found.resident_bytes) / _MIB)
    grown = growth_percent(found.resident_bytes)
    yield Figure("growth of the median, percent", grown, "<=", MOST_GROWTH_PERCENT)


def item_figures(found: Large, planned: int) -> Iterator[Figure]:
    """Yield the figures of a worker with a large ledger.

    Args:
        found: what was measured.
        planned: how many checkpoints there were to be.
    """
    load, name = found.load, f"{found.many:,} items"
    at_rest = each(found.few_rest, found.many_rest, found)
    yield Figure(f"{name}: resident bytes each, at rest", at_rest, "<=", MOST_ITEM_BYTES)
    under_load = each(median(found.few_load), median(load.resident_bytes), found)
    yield Figure(f"{name}: resident bytes each, median under load", under_load, "<=", MOST_ITEM_BYTES)
    highest = each(max(found.few_load), max(load.resident_bytes), found)
    yield Figure(f"{name}: resident bytes each, highest under load, a checkpoint on its way", highest)
    yield Figure(f"{name}: bytes each in a checkpoint", each(found.few_checkpoint, found.many_checkpoint, found))
    yield Figure(f"{name}: bytes each of the columns, by arithmetic", item_bytes())
    room = capacity(found.many)
    yield Figure(f"{name}: likewise with room for {room:,}, as arrays double", item_bytes() * room / found.many)
    yield from _load_figures(found, name)
    yield Figure(f"{name}: checkpoints under load", len(load.pauses_ms), ">=", planned)
    p99 = percentile(load.pauses_ms, 99)
    yield Figure(f"{name}: pause for a checkpoint, p99, ms", p99, "<=", MOST_PAUSE_MS)
    restore = found.restored.restore_seconds
    yield Figure(f"{name}: restore, from assigned to live, s", restore, "<=", MOST_RESTORE_SECONDS)
    yield from _restart_figures(found, name)


def model_figures(found: Large) -> Iterator[Figure]:
    """Yield the figures of a worker with a model for each item, which are stated: the bounds are for the items."""
    name, load = f"{found.many:,} models", found.load
    yield Figure(f"{name}: resident bytes each, at rest", each(found.few_rest, found.many_rest, found))
    under_load = each(median(found.few_load), median(load.resident_bytes), found)
    yield Figure(f"{name}: resident bytes each, median under load", under_load)
    highest = each(max(found.few_load), max(load.resident_bytes), found)
    yield Figure(f"{name}: resident bytes each, highest under load, a checkpoint on its way", highest)
    yield Figure(f"{name}: bytes each in a checkpoint", each(found.few_checkpoint, found.many_checkpoint, found))
    yield from _load_figures(found, name)
    yield Figure(f"{name}: checkpoints under load", len(load.pauses_ms), ">", 0)
    p99 = percentile(load.pauses_ms, 99)
    yield Figure(f"{name}: longest slice of a checkpoint's pauses, p99, ms", p99)
    yield Figure(f"{name}: restore, from assigned to live, s", found.restored.restore_seconds)
    yield from _restart_figures(found, name)


def _load_figures(found: Large, name: str) -> Iterator[Figure]:
    load = found.load
    yield Figure(f"{name}: resident memory at rest, MiB", found.many_rest / _MIB)
    yield Figure(f"{name}: size of a checkpoint, MiB", found.many_checkpoint / _MIB)
    yield Figure(f"{name}: events/s under load", round(load.events / load.seconds))
    yield Figure(f"{name}: records that waited for the worker, at least", load.least_waiting, ">", 0)
    yield Figure(f"{name}: pause for a checkpoint, median, ms", median(load.pauses_ms))
    yield Figure(f"{name}: pause for a checkpoint, longest, ms", max(load.pauses_ms))
    yield Figure(f"{name}: sealing, checking and writing beside the loop, median, s", median(load.write_seconds))
    yield Figure(f"{name}: longest stillness that the watchdog saw, once a second, s", load.longest_still)
    yield Figure(f"{name}: no transaction older than, s, by buckets", load.oldest_transaction)


def _restart_figures(found: Large, name: str) -> Iterator[Figure]:
    restored = found.restored
    yield Figure(f"{name}: restart, from the process's start to live, s", restored.start_seconds)
    yield Figure(f"{name}: records replayed after a clean stop", restored.replayed, "=", 0)
    yield Figure(f"{name}: resident memory after the restart, MiB", restored.resident_bytes / _MIB)
