"""What a record comes to, and what it publishes."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from schemas.dead_letter import Headers


class Outcome(IntEnum):
    """What became of a record; part of the chained digest, so the numbers never change."""

    PREDICTION = 1
    DEAD_LETTER = 2
    REPEAT = 3
    SKIPPED = 4
    TICK = 5


class Output(msgspec.Struct, gc=False):
    """What one record publishes: a prediction, or the record itself as a dead letter."""

    outcome: Outcome
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class Published(NamedTuple):
    """What a batch of records publishes.

    Attributes:
        keys: of the predictions, in the records' order.
        values: likewise.
        letters: the dead letters, in the records' order.
    """

    keys: list[bytes | None]
    values: list[bytes | None]
    letters: list[Output]

    def add(self, output: Output) -> None:
        """Add what a record on its own publishes."""
        if output.outcome is Outcome.PREDICTION:
            self.keys.append(output.key)
            self.values.append(output.value)
        else:
            self.letters.append(output)
