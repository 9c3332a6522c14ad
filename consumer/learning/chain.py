"""The chained digest: a fingerprint of everything that became of a partition's records, in order.

A replay must arrive at the digest that the committed reference holds; if one prediction differs in its last bit, it
does not.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_BLOCK_LINKS: Final = 1024


class OutcomeChain:
    """A BLAKE2b digest (8 bytes) that is chained over blocks of links.

    Hashing each link at once would cost 0.4 µs a record; gathered in blocks it is 0.1 µs. The block's length counts
    links from the partition's first record, so the digest depends on nothing but the links.
    """

    __slots__ = ("_base", "_links", "_pending")

    def __init__(self) -> None:
        self._base = bytes(8)
        self._pending = bytearray()
        self._links = 0

    def add(self, link: bytes) -> None:
        """Append the link of one record."""
        self._take(link, 1)

    def extend(self, links: bytes, size: int) -> None:
        """Append the links of many records, each of `size` bytes."""
        start, end = 0, len(links)
        while start < end:
            stop = min(end, start + (_BLOCK_LINKS - self._links) * size)
            self._take(links[start:stop], (stop - start) // size)
            start = stop

    def _take(self, links: bytes, number: int) -> None:
        """Append links that end with the block at the latest."""
        self._pending += links
        self._links += number
        if self._links == _BLOCK_LINKS:
            self.rebase(self.digest())

    def digest(self) -> bytes:
        """Return the digest over all links so far."""
        return blake2b(self._base + self._pending, digest_size=8).digest() if self._links else self._base

    def rebase(self, digest: bytes) -> None:
        """Go on from a digest whose links are not at hand, as across a gap in the log."""
        self._base = digest
        self._pending = bytearray()
        self._links = 0

    def snapshot(self) -> tuple[bytes, bytes, int]:
        """Return the state, of plain types only."""
        return self._base, bytes(self._pending), self._links

    def restore(self, state: tuple[bytes, bytes, int]) -> None:
        """Take over a state that `snapshot` returned."""
        self._base, pending, self._links = state
        self._pending = bytearray(pending)
