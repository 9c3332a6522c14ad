"""A state cut into shards, so that a checkpoint need not hold again what an earlier one holds.

Cuts are to fall where they fell the last time. Columns that only grow are cut at multiples of the shard's size. The
window of identities slides, so that no multiple stays: it is cut before identities that are the least ones far around,
which are the same ones whoever holds the window, after a restart too. Where the state itself knows better, its section
comes as a sequence of parts, and each part is cut alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from consumer.checkpoint.envelope import shard_digest
from consumer.learning.identities import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from consumer.learning.model_sections import Section

    Bytes: TypeAlias = NDArray[np.uint8]

MAX_SHARDS: Final = 4_096
"""Of a state, roughly: the header names each. A state too large for that is cut into larger ones."""

_IDENTITIES: Final = "identities"
_WORDS: Final = ENTRY_BYTES // 8


class Piece(NamedTuple):
    """A piece of a section, on its way into a checkpoint: (n) uint8, and the digest of that."""

    digest: str
    body: Bytes


def cut(sections: Mapping[str, Section], shard_bytes: int) -> dict[str, list[Piece]]:
    """Return the pieces of each section, of about `shard_bytes` at most."""
    arrays = {name: [_bytes(part) for part in _parts(content)] for name, content in sections.items()}
    total = sum(len(part) for parts in arrays.values() for part in parts)
    while total > shard_bytes * MAX_SHARDS // 2:
        shard_bytes *= 2
    pieces = {}
    for name, parts in arrays.items():
        bodies = [
            part[start:end]
            for part in _fewer(parts)
            for start, end in _spans(part, _places(part, shard_bytes, is_window=name == _IDENTITIES))
        ]
        pieces[name] = [Piece(shard_digest(body.data), body) for body in bodies]
    return pieces


def _parts(content: Any) -> Sequence[Buffer]:  # noqa: ANN401 -- Section, of which the type checker cannot tell the two
    return content if isinstance(content, list | tuple) else (content,)


def _bytes(part: Buffer) -> Bytes:
    return np.frombuffer(memoryview(part), np.uint8)


def _fewer(parts: Sequence[Bytes]) -> Sequence[Bytes]:
    """Put neighbours together where there are too many, the same ones each time."""
    most = MAX_SHARDS // 4
    if len(parts) <= most:
        return parts
    together = 1 << (-(-len(parts) // most) - 1).bit_length()
    return [np.concatenate(parts[start : start + together]) for start in range(0, len(parts), together)]


def _spans(part: Bytes, places: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip([0, *places], [*places, len(part)], strict=True)) if len(part) else []


def _places(part: Bytes, shard_bytes: int, *, is_window: bool) -> list[int]:
    """Return where a part is cut, between its beginning and its end."""
    if not is_window or len(part) % ENTRY_BYTES or shard_bytes < 2 * ENTRY_BYTES:
        return list(range(shard_bytes, len(part), shard_bytes))
    return [ENTRY_BYTES * row for row in _rows(part, shard_bytes // ENTRY_BYTES)]


def _rows(window: Bytes, mean: int) -> list[int]:
    """Return the rows before which a window is cut, about `mean` apart, more than half of it, and twice of it at most.

    A cut is where an identity is the least of all up to half of `mean` before and after it: what is further away has no
    say, so all cuts but those next to the window's ends stay. Identities are digests, as good as drawn by lot.
    """
    words, reach = np.frombuffer(window.data, "<u8")[::_WORDS], mean // 2
    least = _least(words, reach)
    rows: list[int] = []
    last = 0
    for found in [*np.flatnonzero(words[reach : len(words) - reach] == least).tolist(), len(words)]:
        row = found + reach if found < len(words) else found
        if row - last <= reach:  # only of those that are equal, or at the end
            continue
        if row - last > 2 * mean:
            rows += range(last + mean, row - mean, mean)
        if row < len(words):
            rows.append(row)
        last = row
    return rows


def _least(words: Any, reach: int) -> Any:  # noqa: ANN401 -- arrays
    """Return, of each word with `reach` more before and after it, the least of them all.

    By blocks as long as what is looked at: of each, the least from its beginning on and the least up to its end.
    """
    width = 2 * reach + 1
    padded = np.full(-(-len(words) // width) * width, np.iinfo(np.uint64).max, np.uint64)
    padded[: len(words)] = words
    blocks = padded.reshape(-1, width)
    upward = np.minimum.accumulate(blocks, axis=1).ravel()
    downward = np.minimum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    places = max(len(words) - width + 1, 0)
    return np.minimum(downward[:places], upward[width - 1 : width - 1 + places])
