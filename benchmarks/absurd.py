"""One absurd event: valid by the contract, and nonsense in one field. How long does a model's error bear its mark?"""

from __future__ import annotations

import pickle
from collections import deque
from math import sqrt
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from benchmarks.books import TANK, item_of
from benchmarks.truth import ledger_level
from consumer.learning.guarded import GuardedModel
from consumer.learning.ledger import Ledger
from schemas.transaction import MILLION, Limits, decode
from tests.core import post

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.transaction import Event

WINDOW: Final = 1_000
PLACES: Final = (0.4, 0.55, 0.7)
"""Where in a store's events the absurd ones come: late enough that the correction is in use."""

LEAST_ERROR: Final = 0.0005
"""In units: smaller discrepancies are published as 0."""

_END_OF_TIME: Final = "9999-12-31T23:59:59Z"
_END_OF_TIME_MS: Final = 253_402_300_799_000
"""Their Kafka timestamp, too: else an event of that year would be refused for being ahead of its record."""


def absurdities(event: Event) -> dict[str, dict[str, Any]]:
    """Return changes of one field (once of two), each of which makes the event absurd and leaves it valid."""
    direction = -1 if event.quantity_millionths < 0 else 1
    before = ((event.level_millionths or 0) - event.quantity_millionths) / MILLION
    return {
        "quantity: a million": {"quantity": direction * 1e6},
        "quantity: a million, and the level follows": {
            "quantity": direction * 1e6,
            "new_stock_level": before + direction * 1e6,
        },
        "quantity: a millionth": {"quantity": direction * 1e-6},
        "unit_cost: a million": {"unit_cost": 1e6},
        "new_stock_level: a billion": {"new_stock_level": 1e9},
        "new_stock_level: minus a billion": {"new_stock_level": -1e9},
        "occurred_at: year 9999": {"occurred_at": _END_OF_TIME},
        "occurred_at: year 2000": {"occurred_at": "2000-01-01T00:00:00Z"},
        "transaction_type: 10,000 letters": {"transaction_type": "x" * 10_000},
        "transaction_type: void": {"transaction_type": "void"},
        "transaction_id: 128 letters": {"transaction_id": "x" * 128},
        "line_id: 10,000 letters": {"line_id": "x" * 10_000},
        "corrects: 10,000 letters": {"corrects": "x" * 10_000},
        "store_id: 64 letters": {"store_id": "x" * 64},
        "sku: 64 letters": {"sku": "x" * 64},
    }


def changed(event: Event, changes: dict[str, Any]) -> Event:
    """Return the event with other fields, by way of JSON and the decoder, which refuses what is invalid."""
    names = (
        *("transaction_id", "store_id", "sku", "line_id", "quantity", "transaction_type"),
        *("unit_cost", "occurred_at", "new_stock_level", "corrects"),
    )
    fields = {name: getattr(event, name) for name in names} | changes
    return decode(msgspec.json.encode(fields), _END_OF_TIME_MS, Limits())


class Outcome(NamedTuple):
    """Errors (RMSE, in units) around one absurd event; of late events, which have no discrepancy, there are none.

    Attributes:
        what: what was absurd.
        where: the store and the kind of event.
        earlier: over the 1,000 events before.
        former: over the events 1,001 to 2,000 after it, had it not come.
        after: over the same events, when it came.
        ledger: of the bare ledger over the same events, had it not come.
    """

    what: str
    where: str
    earlier: float
    former: float
    after: float
    ledger: float

    @property
    def ratio(self) -> float:
        """By what the absurd event multiplied the error; one that the contract publishes as 0 counts as 0.0005."""
        return self.after / max(self.former, LEAST_ERROR)

    @property
    def is_corrected(self) -> bool:
        """Tell whether the correction was in use where it matters: the error at most half of the bare ledger's."""
        return self.former <= self.ledger / 2


def outcomes(events: Sequence[Event]) -> Iterator[Outcome]:
    """Make one event after the other absurd in one store's observed events, for a model of that store alone.

    Why the error is not just compared with the 1,000 events before: a delivery of fuel is 100,000 units and one of milk
    3, so that the error over 1,000 events is mostly whether fuel came. The same 1,000 events without the absurd one
    are the honest measure; `earlier` is there to be looked at.
    """
    places = _places(events)
    ledger, model = Ledger(), GuardedModel()
    recent: deque[float] = deque(maxlen=WINDOW)
    for index, event in enumerate(events[: max(places) + 1]):
        if index in places:
            state = pickle.dumps((ledger.columns(), model.state()), protocol=5)
            rest = events[index : index + 2 * WINDOW + 1]
            usual, bare = _errors(state, rest, None)
            for what, changes in absurdities(event).items():
                errors, _ = _errors(state, rest, changed(event, changes))
                compared = [number for number in usual if number in errors]
                yield Outcome(
                    what,
                    f"store {event.store_id}, {places[index]}",
                    _rms(recent),
                    *(_rms([each[number] for number in compared]) for each in (usual, errors, bare)),
                )
        posting = post(ledger, item_of(event), event.quantity_millionths, event.level_millionths, event.occurred_us)
        predicted = model.step(event, posting)
        if predicted is not None:
            recent.append(predicted - (event.level_millionths or 0) / MILLION)


def _places(events: Sequence[Event]) -> dict[int, str]:
    """Return where to put absurd events: at sales and receipts of groceries and fuel whose item soon comes again.

    Soon, because an absurd level makes the ledger itself absurd until then, whatever the model.
    """
    places: dict[int, str] = {}
    for start in (int(place * len(events)) for place in PLACES):
        wanted = {"a sale", "a receipt", "a sale of fuel", "a receipt of fuel"}
        for index in range(start, len(events) - 2 * WINDOW - 1):
            event = events[index]
            kind = f"a {event.transaction_type}" + (" of fuel" if abs(event.quantity_millionths) >= TANK else "")
            if (
                kind in wanted
                and event.quantity_millionths
                and any(item_of(later) == item_of(event) for later in events[index + 1 : index + WINDOW])
            ):
                wanted.remove(kind)
                places[index] = kind
            if not wanted:
                break
    return places


def _errors(state: bytes, events: Sequence[Event], first: Event | None) -> tuple[dict[int, float], dict[int, float]]:
    """Return the errors of the model and of the bare ledger, by the event's number from 1,001 after the first on."""
    ledger, (levels, model_state) = Ledger(), pickle.loads(state)  # noqa: S301 -- pickled above
    ledger.restore(levels)
    model = GuardedModel.from_state(model_state)
    of_model, of_ledger = {}, {}
    for number, usual in enumerate(events):
        event = first if first is not None and number == 0 else usual
        level = event.level_millionths
        posting = post(ledger, item_of(event), event.quantity_millionths, level, event.occurred_us)
        predicted, bare = model.step(event, posting), ledger_level(event, posting)
        if number > WINDOW and predicted is not None and bare is not None and level is not None and not posting.is_late:
            of_model[number] = predicted - level / MILLION
            of_ledger[number] = (bare - level) / MILLION
    return of_model, of_ledger


def _rms(errors: Sequence[float] | deque[float]) -> float:
    return sqrt(sum(error * error for error in errors) / len(errors)) if errors else 0.0
