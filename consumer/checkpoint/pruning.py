"""Which checkpoints a confirmed commit lets go (protocol rule 7), so that whoever stays can be put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.checkpoint.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from consumer.checkpoint.store import CheckpointName

    Parents = Callable[[CheckpointName], Collection[CheckpointName] | None]


def superseded(
    names: Iterable[CheckpointName], below: int, kept: int | None, parents_of: Parents
) -> list[CheckpointName]:
    """Return a partition's checkpoints that may go, a parent never before those that share with it.

    What stays is every checkpoint at or above `below`, those that stand at `kept`, and their parents. Where all of them
    share one file, which damage would take from all at once, the newest that does without it stays as well, with its
    own parents: so that there is another rung.

    Args:
        names: all of the partition's checkpoints.
        below: the offset of the oldest whose reference is to be kept.
        kept: the offset of one more.
        parents_of: returns a checkpoint's parents; None where a restore would refuse it.

    Raises:
        StoreError: the parents of one that stays cannot be told.
    """
    names = sorted(names, reverse=True)
    staying = {name for name in names if name.offset >= below or name.offset == kept}
    older = [name for name in names if name not in staying]
    if not older:
        return []
    families = [{name, *(parents_of(name) or ())} for name in staying]
    needed = set().union(*families)
    shared = set.intersection(*families) if len(families) > 1 else set()
    if shared:
        needed |= _another(older, shared, parents_of, set(names))
    return [name for name in older if name not in needed]


def _another(
    older: Iterable[CheckpointName],
    shared: Collection[CheckpointName],
    parents_of: Parents,
    there: Collection[CheckpointName],
) -> set[CheckpointName]:
    """Return the newest checkpoint that needs nothing of what is shared, and its parents; empty where there is none."""
    for name in older:
        try:
            parents = parents_of(name)
        except StoreError:
            continue
        if parents is None:
            continue
        family = {name, *parents}
        if family.isdisjoint(shared) and family.issubset(there):
            return family
    return set()
