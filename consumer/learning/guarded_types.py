"""What a `guarded` model takes an event for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.transaction import KNOWN_TYPES

if TYPE_CHECKING:
    from schemas.transaction import Event

OTHER_TYPE: Final = "other"
"""What all types unknown to the contract count as; no known one has this name."""


def effective_type(event: Event) -> str:
    """Return the type that an event counts as: none means a sale below 0, else a receipt."""
    kind = event.transaction_type
    if kind is None:
        return "sale" if event.quantity_millionths < 0 else "receipt"
    return kind if kind in KNOWN_TYPES else OTHER_TYPE
