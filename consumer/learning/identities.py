"""The window of remembered identities: which events came before, so that a repeat teaches nothing twice."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING, Final

from consumer.learning.columns import NO_NUMBER
from schemas import InvalidEvent, Reason
from schemas.transaction import KNOWN_TYPES

if TYPE_CHECKING:
    from collections.abc import Sized

    from typing_extensions import Buffer

    from schemas.transaction import Event

_IDENTITY_BYTES: Final = 16
_CONTENT_BYTES: Final = 8
ENTRY_BYTES: Final = _IDENTITY_BYTES + _CONTENT_BYTES
_NULL: Final = "\x1e"

_USUAL_REST: Final = {kind: f"{_NULL}\x1f{kind}".encode() for kind in KNOWN_TYPES}
"""What comes last of an event of a known type that corrects nothing."""

_pack_numbers: Final = Struct("<qqqq").pack
_new_digest: Final = blake2b(digest_size=_IDENTITY_BYTES).copy  # a third of the time that the constructor takes


def digests(event: Event, item: str | None = None) -> tuple[bytes, bytes]:
    """Return the digests of an event's identity (16 bytes) and of its content (8 bytes).

    The contract's table begins with the four identity fields, so one BLAKE2b run serves both: its state after them is
    the identity, after all fields the content. Ids hold no control characters, which makes U+001F a safe separator
    and U+001E a safe mark for null; the type may hold anything and comes last.

    Args:
        event: the event.
        item: the ledger's key of its item, where it is at hand.
    """
    line_id, unit_cost, level, corrects = event.line_id, event.unit_cost, event.level_millionths, event.corrects
    if item is None:
        item = f"{event.store_id}\x1f{event.sku}"
    running = _new_digest()
    running.update(f"{event.transaction_id}\x1f{item}\x1f{_NULL if line_id is None else line_id}".encode())
    identity = running.digest()
    kind = event.transaction_type
    if kind is None:
        kind = "sale" if event.quantity_millionths < 0 else "receipt"
    numbers = _pack_numbers(
        event.quantity_millionths,
        NO_NUMBER if unit_cost is None else round(unit_cost * 1e6),
        event.occurred_us,
        NO_NUMBER if level is None else level,
    )
    rest = _USUAL_REST.get(kind) if corrects is None else None
    running.update(numbers + (rest or f"{_NULL if corrects is None else corrects}\x1f{kind}".encode()))
    return identity, running.digest()[:_CONTENT_BYTES]


def new_or_repeat(entry: tuple[bytes, bytes], is_same: bool | None) -> tuple[bytes, bytes] | None:
    """Judge an event by whether its content is that of the remembered event of its identity; None where there is none.

    Returns:
        The event's digests where it is new; None where it is a repeat.

    Raises:
        InvalidEvent: its content is another one.
    """
    if is_same is None:
        return entry
    if is_same:
        return None
    raise InvalidEvent(Reason.CONFLICTING_REPEAT)


def check_whole(state: Sized) -> None:
    """See that a window's state is of whole entries.

    Raises:
        ValueError: it is not.
    """
    if len(state) % ENTRY_BYTES:
        raise ValueError(f"expected identities of {ENTRY_BYTES} bytes each; found {len(state)} bytes")


class Identities:
    """Identities of the last valid events in log order, bounded by count.

    A repeat does not refresh its entry and an invalid event never enters: both keep the window a function of the log.

    Attributes:
        contents: of each identity that is remembered, oldest first, the digest of the content.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.contents: OrderedDict[bytes, bytes] = OrderedDict()
        self._rows = bytearray()  # the same, as a snapshot has it, but the newest in the place of what has left
        self._next = 0

    def __len__(self) -> int:
        return len(self.contents)

    def look(self, event: Event, item: str | None = None) -> tuple[bytes, bytes] | None:
        """Return the digests of an event that is new, for `remember`; None of one that came before.

        Args:
            event: the event.
            item: see `digests`.

        Raises:
            InvalidEvent: an event of the same identity came before with other content.
        """
        entry = digests(event, item)
        known = self.contents.get(entry[0])
        return new_or_repeat(entry, None if known is None else known == entry[1])

    def remember(self, entry: tuple[bytes, bytes]) -> None:
        """Let a new event enter the window; once it is full, the oldest leaves."""
        contents = self.contents
        if len(contents) >= self._limit:
            contents.popitem(last=False)
        contents[entry[0]] = entry[1]
        at = self._next
        self._rows[at : at + ENTRY_BYTES] = entry[0] + entry[1]
        self._next = (at + ENTRY_BYTES) % (self._limit * ENTRY_BYTES)

    def snapshot(self) -> bytes:
        """Return the window as one run of 24-byte entries, oldest first."""
        if len(self._rows) < self._limit * ENTRY_BYTES:
            return bytes(self._rows)
        rows = memoryview(self._rows)
        return b"".join((rows[self._next :], rows[: self._next]))

    def restore(self, state: Buffer) -> None:
        """Take over a state that `snapshot` returned; of a larger window, the newest entries.

        Raises:
            ValueError: it is not of whole entries.
        """
        state = bytes(state)
        check_whole(state)
        state = state[-self._limit * ENTRY_BYTES :]
        self._rows, self._next = bytearray(state), len(state) % (self._limit * ENTRY_BYTES)
        self.contents = OrderedDict(
            (state[start : start + _IDENTITY_BYTES], state[start + _IDENTITY_BYTES : start + ENTRY_BYTES])
            for start in range(0, len(state), ENTRY_BYTES)
        )
