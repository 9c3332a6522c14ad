"""What a partition's earlier checkpoints hold, for the next one to share instead of holding it again.

Only what this assignment itself has written counts, from the moment when the store said that it is durable. Whoever
owned the partition before or in between may have pruned what it wrote; so a lineage begins empty with each assignment,
its first checkpoint is whole, and it ends with it. Nothing of the content is kept: digests, and which file holds them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumer.checkpoint.shards import Piece
    from consumer.checkpoint.store import CheckpointName

MAX_PARENTS: Final = 8
"""Of a checkpoint: the files that hold what it does not hold itself."""


class Sharing(NamedTuple):
    """When a checkpoint shares shards with earlier ones.

    Attributes:
        shard_bytes: into pieces of what size a state is cut; one far smaller is not worth another file to read.
        least_bytes: a state below this is written whole: it costs less than to read several files.
        least_saved: the share of a state's bytes that must be saved, or it is written whole.
        most_read: a restore reads at most so many times the state's bytes.
    """

    shard_bytes: int = 262_144
    least_bytes: int = 1_048_576
    least_saved: float = 0.25
    most_read: float = 2.0


USUAL: Final = Sharing()
_SMALL: Final = 64
"""A piece of less than a shard's 64th is held again."""


class _Held(NamedTuple):
    """Which file holds a shard, and how often: a reader takes none out of a file more often than it is in there."""

    holder: CheckpointName
    times: int


class Lineage:
    """The checkpoints of one assignment of one partition; used by the writer alone.

    A whole checkpoint begins a chain; at most `MAX_PARENTS` more of it follow, so that none depends for long on a file
    that may have been damaged, and none has more parents.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._sizes: dict[CheckpointName, int] = {}
        self._since_whole = 0

    def holders(
        self, pieces: Mapping[str, Sequence[Piece]], offset: int, sharing: Sharing
    ) -> dict[str, CheckpointName]:
        """Return the shards that the next checkpoint, at `offset`, is not to hold again; empty where it is whole."""
        if not self._held or self._since_whole >= MAX_PARENTS:
            return {}
        lengths = [(piece.digest, len(piece.body)) for each in pieces.values() for piece in each]
        total = sum(length for _, length in lengths)
        if total < sharing.least_bytes:
            return {}
        occurrences = Counter(digest for digest, length in lengths if length * _SMALL >= sharing.shard_bytes)
        found = {
            digest: held.holder
            for digest, count in occurrences.items()
            if (held := self._held.get(digest)) is not None and count <= held.times and held.holder.offset < offset
        }
        saved = sum(length for digest, length in lengths if digest in found)
        parents = set(found.values())
        read = total - saved + sum(self._sizes[name] for name in parents)
        if saved < sharing.least_saved * total or read > sharing.most_read * total or len(parents) > MAX_PARENTS:
            return {}
        return found

    def note(
        self,
        name: CheckpointName,
        size: int,
        pieces: Mapping[str, Sequence[Piece]],
        holders: Mapping[str, CheckpointName],
    ) -> None:
        """Take note of a checkpoint that is durable: what the next one may share are its shards."""
        occurrences = Counter(piece.digest for each in pieces.values() for piece in each)
        self._held = {
            digest: self._held[digest] if digest in holders else _Held(name, count)
            for digest, count in occurrences.items()
        }
        self._sizes[name] = size
        self._sizes = {each: self._sizes[each] for each in {name, *holders.values()}}
        self._since_whole = self._since_whole + 1 if holders else 0

    def forget(self) -> None:
        """Begin anew: the next checkpoint is whole."""
        self._held = {}
