"""The window of identities as arrays, for machine code; it keeps to `consumer.learning.identities.Identities`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumer.learning.identities import ENTRY_BYTES, check_whole, digests, new_or_repeat

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from schemas.transaction import Event

_LEAST_ROWS: Final = 4_096
_WORDS: Final = ENTRY_BYTES // 8


class WindowArrays:
    """Identities of the last valid events in log order, bounded by count: a ring, and an index of its rows.

    Args:
        taking: `consumer.learning.taking`.
        limit: how many are remembered.
        state: of a window (`Identities.snapshot`); of a larger one, the newest entries.

    Raises:
        ValueError: the state is not of whole entries.

    Attributes:
        counters: the oldest row, how many rows there are, and the limit.
        ring: (rows, 3): of each, two words of identity and one of content; room for more where the limit allows.
        index: of the rows.
    """

    def __init__(self, taking: Any, limit: int, state: Any = b"") -> None:  # noqa: ANN401 -- a module; a buffer
        self._taking = taking
        check_whole(state)
        rows = np.frombuffer(state, np.uint64).reshape(-1, _WORDS)[-limit:]
        self.counters = np.array([0, len(rows), limit], np.int64)
        self.ring = np.empty((0, _WORDS), np.uint64)
        self.index = np.zeros(0, np.int32)
        self._grow(min(limit, max(_LEAST_ROWS, 2 * len(rows))), rows)

    def __len__(self) -> int:
        return int(self.counters[self._taking.REMEMBERED])

    def make_room(self, events: int) -> None:
        """See that so many more can be remembered."""
        wanted = min(len(self) + events, int(self.counters[self._taking.LIMIT]))
        if wanted > len(self.ring):  # only before the ring has closed: its first row is its oldest
            self._grow(min(2 * wanted, int(self.counters[self._taking.LIMIT])), self.ring[: len(self)])

    def look(self, event: Event, item: str | None = None) -> tuple[bytes, bytes] | None:
        """See `Identities.look`.

        Raises:
            InvalidEvent: an event of the same identity came before with other content.
        """
        entry = digests(event, item)
        low, high, content = np.frombuffer(b"".join(entry), np.uint64)
        row = self._taking.find_identity(low, high, self.ring, self.index)
        return new_or_repeat(entry, None if row < 0 else self.ring[row, 2] == content)

    def remember(self, entry: tuple[bytes, bytes]) -> None:
        """See `Identities.remember`."""
        self.make_room(1)
        low, high, content = np.frombuffer(b"".join(entry), np.uint64)
        self._taking.remember(low, high, content, self.counters, self.ring, self.index)

    def snapshot(self) -> Buffer:
        """Return the bytes that `Identities.snapshot` returns."""
        oldest, rows = int(self.counters[self._taking.OLDEST]), len(self)
        return self.ring[oldest:rows].tobytes() + self.ring[:oldest].tobytes()

    def _grow(self, rows: int, kept: Any) -> None:  # noqa: ANN401 -- an array
        self.ring = np.concatenate([kept, np.zeros((rows - len(kept), _WORDS), np.uint64)])
        self.index = np.zeros(1 << (2 * rows).bit_length(), np.int32)
        self._taking.index_identities(len(kept), self.ring, self.index)
