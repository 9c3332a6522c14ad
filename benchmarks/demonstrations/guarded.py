"""`guarded` on the real year: never worse than the ledger's own arithmetic, better where the books miss something."""

from __future__ import annotations

from copy import copy
from math import sqrt
from typing import TYPE_CHECKING, Final

from benchmarks.absurd import outcomes
from benchmarks.books import SEED, Year, five_percent_withheld, right, short_receipts, uneven_receipts
from benchmarks.figures import Figure, Report
from benchmarks.truth import Linear, Trial
from consumer.learning.guarded import GuardedModel
from schemas.transaction import MILLION

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.absurd import Outcome
    from benchmarks.books import Lossy
    from schemas.transaction import Event
    from tests.kafka import Broker

NEEDS_BROKER: Final = False
SEEDS: Final = (SEED, SEED + 1, SEED + 2)
LARGE_LINE: Final = 100 * MILLION
STORES: Final = 4
"""The busiest ones, in which absurd events are tried: each with a model of its own, which one event can hurt most."""


def demonstrate(report: Report, broker: Broker | None = None, directory: Path | None = None) -> None:  # noqa: ARG001 -- the pure core needs neither
    """Run the whole year through decoder, ledger and models, once for all books, then the absurd events."""
    year = Year()
    busiest = [store for store, _ in year.lines.most_common(STORES)]
    books_right = Trial(right, guarded=GuardedModel(), linear=Linear())
    short = Trial(short_receipts(), guarded=GuardedModel(), linear=Linear())
    missing = {seed: five_percent_withheld(seed, year.lines) for seed in SEEDS}
    withheld = [
        Trial(books, guarded=GuardedModel(), **({"linear": Linear()} if seed == SEED else {}))
        for seed, books in missing.items()
    ]
    absurd_in = {"receipts 5% short": short_receipts(), "receipts 3 to 7% short": uneven_receipts(SEED)}
    kept: dict[str, dict[str, list[Event]]] = {name: {store: [] for store in busiest} for name in absurd_in}

    large_lines = receipts = 0
    for event in year:
        level = event.level_millionths
        if level is None:
            raise AssertionError("an event of the year without a level")
        large_lines += event.transaction_type == "sale" and -event.quantity_millionths >= LARGE_LINE
        receipts += event.transaction_type == "receipt"
        if event.store_id in busiest:
            for name, books in absurd_in.items():
                kept[name][event.store_id].append(_entered(books, event, level))
        for trial in (books_right, short, *withheld):
            trial.feed(event, level)

    report.counts.update(events=year.events, opening_counts=year.items, receipts=receipts, withheld_seeds=SEEDS)
    report.add(Figure("events of the year, opening stock included", year.events, ">", 400_000))
    report.add(Figure("sale lines of 100 units and more", large_lines, ">", 0))
    report.add(Figure("receipts", receipts, ">", 0))
    share = sum(books.withheld for books in missing.values()) / sum(books.seen for books in missing.values())
    report.add(Figure("events withheld, %, mean of 3 seeds", 100 * share))
    for figure in _bounded("guarded", books_right, short, withheld):
        report.add(figure)
    _add_unbounded(report, books_right, short, withheld)
    zero_misses = [figure.what for figure in _bounded(Trial.LEDGER, books_right, short, withheld) if not figure.is_met]
    report.counts["missed_by_no_correction"] = zero_misses
    report.add(Figure("always correcting by 0: bounds missed of the above", len(zero_misses), ">", 0))
    for name, stores in kept.items():
        _add_absurd(report, name, [outcome for events in stores.values() for outcome in outcomes(events)])


def _entered(books: Lossy, event: Event, level: int) -> Event:
    """Return a copy of the event with the level that these books let it tell."""
    entered = copy(event)
    entered.level_millionths = books(event, level).level
    entered.new_stock_level = entered.level_millionths / MILLION
    return entered


def _bounded(name: str, books_right: Trial, short: Trial, withheld: list[Trial]) -> list[Figure]:
    """Return a model's figures with their bounds."""
    spoiled = [trial.scores[name].spoiled / trial.scores[name].exact for trial in withheld]
    return [
        Figure(
            "books right: predictions other than the ledger's, to the bit", books_right.scores[name].differing, "=", 0
        ),
        Figure("receipts 5% short: RMSE / ledger's", short.ratio(name, "rmse"), "<=", 0.95),
        Figure(
            "5% withheld: RMSE / ledger's, worst of 3 seeds", max(t.ratio(name, "rmse") for t in withheld), "<=", 1.01
        ),
        Figure(
            "5% withheld: MAE / ledger's, worst of 3 seeds", max(t.ratio(name, "mae") for t in withheld), "<=", 1.01
        ),
        Figure("5% withheld: exact by the ledger, now over ½ unit off, %, worst", 100 * max(spoiled), "<=", 1.0),
    ]


def _add_unbounded(report: Report, books_right: Trial, short: Trial, withheld: list[Trial]) -> None:
    """Add what has no bound: errors in units, `linear`'s beside them."""
    for what, trial in (("books right", books_right), ("receipts 5% short", short), ("5% withheld", withheld[0])):
        for name in (Trial.LEDGER, "guarded", "linear"):
            report.add(Figure(f"{what}: RMSE of {name}, units", trial.scores[name].rmse))
    report.add(Figure("receipts 5% short: MAE / ledger's", short.ratio("guarded", "mae")))
    report.counts["scores"] = {
        what: {
            name: {
                "predictions": score.events,
                "other_than_ledger": score.differing,
                "rmse": score.rmse,
                "mae": score.mae,
                "ledger_exact": score.exact,
                "of_those_over_half_a_unit_off": score.spoiled,
            }
            for name, score in trial.scores.items()
        }
        for what, trial in (
            ("right", books_right),
            ("short", short),
            *((f"withheld, seed {seed}", trial) for seed, trial in zip(SEEDS, withheld, strict=True)),
        )
    }


def _add_absurd(report: Report, books: str, found: list[Outcome]) -> None:
    """Add by what one absurd event multiplies the error, 1,001 to 2,000 events later."""
    worst: dict[str, float] = {}
    for outcome in found:
        worst[outcome.what] = max(worst.get(outcome.what, 0.0), outcome.ratio)
    report.counts[f"absurd, {books}"] = {
        "worst_by_kind": worst,
        "rmse_of_all": {
            name: sqrt(sum(getattr(each, name) ** 2 for each in found) / len(found))
            for name in ("earlier", "former", "after", "ledger")
        },
    }
    report.add(Figure(f"{books}: absurd events tried, {len(worst)} kinds", len(found), ">", 0))
    in_use = sum(outcome.is_corrected for outcome in found) / len(found)
    report.add(Figure(f"{books}: of them with the correction in use, %", 100 * in_use, ">=", 90.0))
    report.add(Figure(f"{books}: error / former error after one, worst", max(worst.values()), "<=", 2.0))
