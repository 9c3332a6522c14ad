"""Models held against the truth, beside the bare ledger.

`python -m benchmarks.truth [WORD ...]` prints how `guarded` does on the retail year with books that are wrong in one
way after the other: all of them, or those whose name has all the words.
"""

from __future__ import annotations

import sys
from math import sqrt
from struct import pack
from typing import TYPE_CHECKING, Final, Protocol

from rich.console import Console
from rich.table import Table

from benchmarks.books import Year, item_of, ways
from consumer.learning.features import get_features
from consumer.learning.guarded import GuardedModel
from consumer.learning.ledger import Ledger
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.step import prequential_step
from schemas.transaction import MILLION
from tests.core import post

if TYPE_CHECKING:
    from benchmarks.books import Books
    from consumer.learning.ledger import Posting
    from schemas.transaction import Event

HALF_A_UNIT: Final = 0.5


class Model(Protocol):
    """What is held against the truth."""

    def step(self, event: Event, posting: Posting) -> float | None:
        """Predict the level in units right after `event`, then learn from it."""


class NoCorrection:
    """The bare ledger as a model: it always corrects by 0."""

    def step(self, event: Event, posting: Posting) -> float | None:
        """Return the ledger's level."""
        ledger = ledger_level(event, posting)
        return None if ledger is None else ledger / MILLION


class Linear:
    """`MODEL=linear`: the reference's pipeline on the base features, taught every known level."""

    def __init__(self) -> None:
        self._run = prequential_step(get_ml_pipeline()).run

    def step(self, event: Event, posting: Posting) -> float | None:
        """Predict, then learn where the level is known and the event not late."""
        after = None if posting.is_late else posting.after
        return self._run(get_features(event), None if after is None else after / MILLION)


def ledger_level(event: Event, posting: Posting) -> int | None:
    """Return what the ledger alone expects, in millionths."""
    if posting.before is None or posting.is_late:
        return posting.before
    return posting.before + event.quantity_millionths


class Score:
    """How far a model's predictions are from the truth; over events whose level before was known.

    Attributes:
        events: how many.
        differing: predictions that are not the ledger's, bit for bit.
        exact: events for which the ledger was exact.
        spoiled: predictions more than half a unit off among them.
    """

    def __init__(self) -> None:
        self.events = self.differing = self.exact = self.spoiled = 0
        self._squares = self._sizes = 0.0

    def add(self, predicted: float, ledger: int, true: int) -> None:
        """Count one prediction; `ledger` and `true` are levels in millionths."""
        self.events += 1
        expected = ledger / MILLION
        if predicted != expected or pack("<d", predicted) != pack("<d", expected):
            self.differing += 1
        size = abs(predicted - true / MILLION)
        self._squares += size * size
        self._sizes += size
        if ledger == true:
            self.exact += 1
            self.spoiled += size > HALF_A_UNIT

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in units."""
        return sqrt(self._squares / self.events)

    @property
    def mae(self) -> float:
        """Mean absolute error, in units."""
        return self._sizes / self.events


class Trial:
    """Models on one set of books, the bare ledger always among them.

    Attributes:
        scores: of each model, by its name; the bare ledger's under `LEDGER`.
    """

    LEDGER: Final = "ledger"

    def __init__(self, books: Books, **models: Model) -> None:
        self.books = books
        self._ledger = Ledger()
        self._models: dict[str, Model] = {self.LEDGER: NoCorrection(), **models}
        self.scores = {name: Score() for name in self._models}
        self._pairs = [(model.step, self.scores[name]) for name, model in self._models.items()]

    def feed(self, event: Event, level: int) -> None:
        """Enter one event in the books and let every model predict.

        Args:
            event: the event; its level is set to what the books let it tell.
            level: the level after it in millionths, as the year has it.
        """
        entry = self.books(event, level)
        if entry is None:
            return
        observed = entry.level if entry.is_observed else None
        event.level_millionths = observed
        event.new_stock_level = None if observed is None else observed / MILLION
        posting = post(self._ledger, item_of(event), event.quantity_millionths, observed, event.occurred_us)
        ledger = ledger_level(event, posting)
        for step, score in self._pairs:
            predicted = step(event, posting)
            if ledger is None:
                continue
            if predicted is None:
                raise AssertionError("a known level before, and no prediction")
            score.add(predicted, ledger, entry.level)

    def ratio(self, name: str, measure: str) -> float:
        """Return a model's `rmse` or `mae` as a part of the ledger's; 1 where the ledger's is 0 and the model's too."""
        own, ledger = (getattr(self.scores[each], measure) for each in (name, self.LEDGER))
        if ledger == 0.0:
            return 1.0 if own == 0.0 else float("inf")
        return float(own / ledger)


def main() -> None:
    """Print the table."""
    words = sys.argv[1:]
    year = Year()
    trials = {
        name: Trial(books, guarded=GuardedModel())
        for name, books in ways(year.lines).items()
        if all(word in name for word in words)
    }
    for event in year:
        level = event.level_millionths or 0
        for trial in trials.values():
            trial.feed(event, level)
    table = Table(title=f"guarded beside the bare ledger: {year.events:,} events of {year.items:,} items")
    for column in ("books", "RMSE / ledger's", "MAE / ledger's", "corrected", "ledger exact, now over ½ off"):
        table.add_column(column, justify="left" if column == "books" else "right")
    for name, trial in trials.items():
        score = trial.scores["guarded"]
        table.add_row(
            name,
            f"{trial.ratio('guarded', 'rmse'):.3f}",
            f"{trial.ratio('guarded', 'mae'):.3f}",
            f"{score.differing / score.events:.2%}",
            f"{score.spoiled / score.exact:.3%}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
