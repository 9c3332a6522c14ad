"""Many records at once: each step is taken for all of them before the next one.

That is the same as one record after the other, to the bit (a property test holds the two together): what a later step
changes no earlier one sees, and none of them can fail, since only models that no event breaks take batches. It saves
what a step costs for each call, and lets the model keep its numbers in local variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.learning.identities import digests
from consumer.learning.ledger import DAY_US, UNSEEN
from schemas.prediction import Prediction, encode_prediction
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.learning.identities import Identities
    from consumer.learning.ledger import Ledger
    from schemas.transaction import Event

DISCREPANCY_FLOOR: Final = 500
"""Millionths of a unit: smaller discrepancies are published as 0."""


class Run(NamedTuple):
    """Successive events that are new, and what each finds in the ledger; all lists are of one length.

    Attributes:
        events: in their order.
        befores: the level before each, in millionths of a unit; None where unknown.
        afters: the observed or standing-in level after it, likewise.
        lates: whether it is older than the item's last observed level.
        firsts: indices of those that are the first of their item.
    """

    events: list[Event]
    befores: list[int | None]
    afters: list[int | None]
    lates: list[bool]
    firsts: list[int]


def take_run(events: Sequence[Event | None], start: int, identities: Identities, ledger: Ledger) -> Run:
    """Let the events from `start` on enter the window and the ledger, up to the first that may be none or no new one.

    An event that opens a newer day than any before it is the run's last: the ledger is to be swept right after it.

    Args:
        events: None stands for what is to be looked at alone.
        start: where the run begins.
        identities: the window of identities.
        ledger: the levels.
    """
    run = Run([], [], [], [], [])
    take, before_is, after_is, late_is = run.events.append, run.befores.append, run.afters.append, run.lates.append
    entries, contents, remember = ledger.entries, identities.contents, identities.remember
    next_day_us = ledger.next_day_us
    for event in events[start:] if start else events:
        if event is None:
            break
        item = f"{event.store_id}\x1f{event.sku}"
        entry = digests(event, item)
        if entry[0] in contents:
            break  # a repeat or a conflict
        remember(entry)
        observed, occurred_us = event.level_millionths, event.occurred_us
        before, observed_us, seen_day = entries.get(item, UNSEEN)
        if observed is not None and before is not None and occurred_us >= observed_us:
            # What `post` does for nearly every event, without its posting.
            day = occurred_us // DAY_US
            entries[item] = (observed, occurred_us, day if day > seen_day else seen_day)  # noqa: FURB136 -- `max` is slow
            after_is(observed)
            late_is(False)
        else:
            if before is None and item not in entries:
                run.firsts.append(len(run.events))
            posting = ledger.post(item, event.quantity_millionths, observed, occurred_us)
            after_is(posting.after)
            late_is(posting.is_late)
        before_is(before)
        take(event)
        if occurred_us >= next_day_us:
            break
    return run


def encode_run(  # noqa: PLR0913 -- the columns of what is published
    run: Run,
    *,
    predictions: Sequence[float | None],
    learned: Sequence[int],
    model_id: str,
    partition: int,
    offsets: Sequence[int],
) -> list[bytes]:
    """Return the predictions of a run as they are published.

    Args:
        run: the events.
        predictions: of each, in units; one that is not finite is published as null.
        learned: of each, how many events the model had learned from before it.
        model_id: the model's.
        partition: of the input.
        offsets: of each, its offset.
    """
    encoded: list[bytes] = []
    append = encoded.append
    for event, before, is_late, predicted, count, offset in zip(
        run.events, run.befores, run.lates, predictions, learned, offsets, strict=True
    ):
        append(encode_prediction(prediction_of(event, before, is_late, predicted, model_id, count, partition, offset)))
    return encoded


def discrepancy_of(event: Event, before: int | None, is_late: bool) -> int | None:
    """Return by how much the observed level differs from the books', in millionths of a unit; None without both."""
    observed = event.level_millionths
    if before is None or observed is None or is_late:
        return None
    missing = observed - before - event.quantity_millionths
    return 0 if -DISCREPANCY_FLOOR < missing < DISCREPANCY_FLOOR else missing


def prediction_of(  # noqa: PLR0913, PLR0917 -- called for each record: names would cost time
    event: Event,
    before: int | None,
    is_late: bool,
    predicted: float | None,
    model_id: str,
    events_learned: int,
    partition: int,
    offset: int,
) -> Prediction:
    """Return what is published for an event; levels are in millionths of a unit, the prediction in units."""
    observed = event.level_millionths
    discrepancy = discrepancy_of(event, before, is_late)
    return Prediction(
        event.transaction_id,
        event.store_id,
        event.sku,
        event.line_id,
        event.occurred_at,
        None if before is None else before / MILLION,
        predicted,  # null where it is not finite: JSON has no such number
        None if observed is None else observed / MILLION,
        None if discrepancy is None else discrepancy / MILLION,
        is_late,
        model_id,
        events_learned,
        partition,
        offset,
    )
