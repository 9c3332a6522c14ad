"""What becomes of a dead letter that is to be redriven, as far as the letter itself tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from schemas.dead_letter import InvalidEvent
from schemas.transaction import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.dead_letters import Letter, Origin
    from schemas.transaction import Event, Limits

_WITHOUT_VALUE: Final = frozenset({"too_large"})


class Fate(StrEnum):
    """What becomes of a letter that was asked for, in words for the operator."""

    SEND = "to be sent"
    BEYOND_MAX = "left: beyond --max"
    SENT_BEFORE = "left: redriven before"
    TWICE = "left: the same letter comes before"
    NO_LETTER = "left: no dead letter of a worker's (error.* headers missing or damaged)"
    OTHER_TOPIC = "left: came from another topic (name a target with --to)"
    NO_VALUE = "left: carries no value to send; send the event anew"
    TOO_OFTEN = "left: refused --max-attempts times or more"
    NO_PARTITION = "left: the target topic lacks its partition"
    STILL_INVALID = "left: would be refused again as it is (--include-invalid sends it)"
    LATE = "left: older than the item's last observed level, so it would change nothing (--include-late sends it)"


class Observations(Protocol):
    """What tells late events from others: the ledger, as a checkpoint knows it."""

    def is_late(self, event: Event) -> bool:
        """Tell whether an event is older than its item's last observed level."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which letters may go where.

    Attributes:
        source: the dead-letter topic.
        target: where they go.
        takes_all_topics: the target was named, so letters from any topic may go there.
        max_attempts: a letter refused so often is left.
        max_letters: send no more than this, None for all.
        limits: the worker's bounds, by which an event is judged before it is sent; None where the target is not the
            worker's input.
        takes_invalid: what would be refused again is sent all the same.
        observations: the ledger of a partition; None where late events go too.
    """

    source: str
    target: str
    takes_all_topics: bool
    max_attempts: int
    max_letters: int | None
    limits: Limits | None
    takes_invalid: bool
    observations: Callable[[int], Observations] | None


class Judge:
    """Judges one letter by what it holds itself."""

    def __init__(self, rules: Rules, partitions: frozenset[int]) -> None:
        self._rules = rules
        self._partitions = partitions
        self._known: tuple[int, Observations] | None = None  # of one partition at a time: a ledger may be large

    def fate(self, letter: Letter) -> Fate:
        """Say what becomes of a letter; `SEND` unless it was sent before or there are too many."""
        rules, origin = self._rules, letter.origin
        if origin is None:
            return Fate.NO_LETTER
        obstacles = (
            (Fate.OTHER_TOPIC, origin.topic != rules.target and not rules.takes_all_topics),
            (Fate.NO_VALUE, origin.reason in _WITHOUT_VALUE),
            (Fate.TOO_OFTEN, origin.attempts >= rules.max_attempts),
            (Fate.NO_PARTITION, origin.partition not in self._partitions),
        )
        for fate, stands_in_the_way in obstacles:
            if stands_in_the_way:
                return fate
        return Fate.SEND if rules.limits is None else self._fate_of_event(letter.record.value, origin, rules.limits)

    def _fate_of_event(self, value: bytes | None, origin: Origin, limits: Limits) -> Fate:
        """Say what the worker would make of it."""
        rules = self._rules
        try:
            event = decode(value, origin.timestamp_ms, limits)
        except InvalidEvent:
            return Fate.SEND if rules.takes_invalid else Fate.STILL_INVALID
        if rules.observations is not None and self._observed(origin.partition, rules.observations).is_late(event):
            return Fate.LATE
        return Fate.SEND

    def _observed(self, partition: int, load: Callable[[int], Observations]) -> Observations:
        if self._known is None or self._known[0] != partition:
            self._known = (partition, load(partition))
        return self._known[1]
