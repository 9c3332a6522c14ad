"""Was every event answered? What the demo found, and its judgement. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consumer.simulate.events import GOOD, INVALID_PREFIX, LATE, REPEAT
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumer.demo.board import Accuracy, Board, ItemLine

DRIFTING_ITEMS: Final = 3
"""How many of the items whose books drift most are named."""


class Check(NamedTuple):
    """One thing that must be so.

    Attributes:
        claim: what must be so.
        expected: how many it should be.
        found: how many it is.
    """

    claim: str
    expected: int
    found: int

    @property
    def holds(self) -> bool:
        """Tell whether it is so."""
        return self.found == self.expected


class Sent(NamedTuple):
    """Events sent, by what answer they ask for.

    Attributes:
        good: one prediction each; those that came late are not among them.
        late: one prediction each, marked as late.
        repeated: none.
        bad: one dead letter each.
    """

    good: int
    late: int
    repeated: int
    bad: int

    @classmethod
    def of(cls, by_kind: Mapping[str, int]) -> Sent:
        """Sum up counts by the kinds of shop events."""
        bad = sum(number for kind, number in by_kind.items() if kind.startswith(INVALID_PREFIX))
        return cls(by_kind.get(GOOD, 0), by_kind.get(LATE, 0), by_kind.get(REPEAT, 0), bad)

    @property
    def total(self) -> int:
        """All events."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo found.

    Attributes:
        sent: events by the answer that they ask for.
        predictions: how many were read.
        dead_letters: how many were read, by reason.
        repeats: how many events the worker skipped because they had come before.
        late: predictions marked as late.
        accuracy: predicted against told levels.
        drifting: items whose books drift most.
        seconds: how long the shop was open.
        interrupted: it was closed by hand.
        checks: what must be so.
    """

    sent: Sent
    predictions: int
    dead_letters: Mapping[str, int]
    repeats: int
    late: int
    accuracy: Accuracy
    drifting: Sequence[ItemLine]
    seconds: float
    interrupted: bool
    checks: Sequence[Check]

    @property
    def is_good(self) -> bool:
        """Tell whether every check holds."""
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON can say."""
        return {
            "sent": self.sent._asdict(),
            "predictions": self.predictions,
            "dead_letters": dict(self.dead_letters),
            "repeats": self.repeats,
            "late": self.late,
            "accuracy": self.accuracy._asdict(),
            "drifting": [
                {"store_id": line.store_id, "sku": line.sku, "drift": round(line.drift, 6), "events": line.gaps}
                for line in self.drifting
            ],
            "seconds": round(self.seconds, 1),
            "interrupted": self.interrupted,
            "checks": [{**check._asdict(), "holds": check.holds} for check in self.checks],
            "good": self.is_good,
        }


def judge(board: Board, *, worker_exit_code: int, seconds: float, interrupted: bool) -> Summary:
    """Return the summary of what a board has seen, the worker's end included."""
    sent = Sent.of(board.sent)
    return Summary(
        sent=sent,
        predictions=board.predictions,
        dead_letters=dict(board.dead_letters.most_common()),
        repeats=board.readings.repeats,
        late=board.late,
        accuracy=board.accuracy(),
        drifting=[line for line in board.drifting(DRIFTING_ITEMS) if line.drift],
        seconds=seconds,
        interrupted=interrupted,
        checks=_checks(sent, board, worker_exit_code),
    )


def _checks(sent: Sent, board: Board, worker_exit_code: int) -> tuple[Check, ...]:
    broke_model = board.dead_letters[Reason.BROKE_MODEL]  # good events, but too much for the model in use
    return (
        Check("every event was answered", sent.total, board.answered),
        Check("each good event by one prediction", sent.good + sent.late - broke_model, board.predictions),
        Check("each bad event by one dead letter", sent.bad + broke_model, board.dead_letters.total()),
        Check("each repeat by nothing at all", sent.repeated, board.readings.repeats),
        Check("each late event marked as late", sent.late, board.late),
        Check("predictions doubled or out of order", 0, board.out_of_order),
        Check("the worker's exit code", 0, worker_exit_code),
    )
