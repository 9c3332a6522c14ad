"""How the outlook stands against the baselines, in numbers and in one sentence that is true of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from consumer.evaluate.baselines import BASELINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumer.evaluate.result import Evaluation

OURS: Final = "outlook"
ERROR: Final = "rmsse"
_LEAST_SHOWN: Final = 0.0005
"""Of a gap; below it one decimal of a percentage would say 0."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outlook at one horizon, beside the baseline that is best there.

    Attributes:
        horizon: days.
        ours: RMSSE; likewise theirs.
        best: the baseline.
    """

    horizon: int
    ours: float
    best: str
    theirs: float

    @property
    def gap(self) -> float:
        """By what part of the baseline's error ours is higher; below 0 where it is lower."""
        if self.ours == self.theirs:
            return 0.0
        return self.ours / self.theirs - 1.0 if self.theirs > 0 else math.inf


def error(evaluation: Evaluation, horizon: int, method: str) -> float | None:
    """Return a method's RMSSE, None where it has none."""
    found = evaluation.scores.get(horizon, {}).get(method, {}).get(ERROR)
    return None if found is None or not math.isfinite(found) else float(found)


def ranked(evaluation: Evaluation, horizon: int) -> list[str]:
    """Return the baselines that have an RMSSE at a horizon, the best first; variants of the outlook are none."""
    found = [
        (value, method)
        for method in evaluation.methods
        if method in BASELINES and (value := error(evaluation, horizon, method)) is not None
    ]
    return [method for _, method in sorted(found, key=lambda pair: pair[0])]


def comparisons(evaluation: Evaluation) -> list[Comparison]:
    """Return a comparison for each horizon at which both the outlook and a baseline have an RMSSE."""
    found = []
    for horizon in sorted(evaluation.scores):
        ours, baselines = error(evaluation, horizon, OURS), ranked(evaluation, horizon)
        if ours is not None and baselines:
            theirs = error(evaluation, horizon, baselines[0])
            if theirs is not None:
                found.append(Comparison(horizon, ours, baselines[0], theirs))
    return found


def overall(evaluation: Evaluation) -> dict[str, float]:
    """Return methods' geometric means of RMSSE over the horizons that are compared, the least first.

    A method that lacks an RMSSE at one of them is left out: its mean would be over other forecasts.
    """
    horizons = [each.horizon for each in comparisons(evaluation)]
    found = {}
    for method in evaluation.methods:
        values = [value for horizon in horizons if (value := error(evaluation, horizon, method)) is not None]
        if values and len(values) == len(horizons):
            logs = [math.log(value) if value > 0 else -math.inf for value in values]
            found[method] = math.exp(math.fsum(logs) / len(logs))
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def verdict(evaluation: Evaluation) -> str:
    """Say at which horizons the outlook's error is lower than that of the best baseline, and at which it is not."""
    found = comparisons(evaluation)
    if not found:
        return "There is nothing to compare: the history is too short for a forecast to be scored."
    lower = [each for each in found if each.gap < 0]
    pieces = [
        f"{word} at {horizons(each.horizon for each in group)}{_by(group)}"
        for word, group in (
            ("lower", lower),
            ("the same", [each for each in found if each.gap == 0]),
            ("higher", [each for each in found if each.gap > 0]),
        )
        if group
    ]
    missing = sorted(set(evaluation.scores) - {each.horizon for each in found})
    scored = " that could be scored" if missing else ""
    where = f"horizon{scored} ({horizons(each.horizon for each in found)})"
    if len(lower) == len(found):
        which = "each" if len(found) > 1 else "the only"
        sentence = f"At {which} {where} the outlook's error is lower than that of the best baseline{_by(lower)}."
    elif lower:
        pieces[0] = pieces[0].replace("lower", "lower than that of the best baseline", 1)
        sentence = f"The outlook's error is {listed(pieces)}."
    else:
        sentence = f"At no {where} is the outlook's error lower than that of the best baseline: it is {listed(pieces)}."
    return f"{sentence} At {horizons(missing)} there is nothing to compare yet." if missing else sentence


def horizons(days: Iterable[int]) -> str:
    """Return them in words, such as `1, 3 and 7 days`."""
    found = list(days)
    return f"{listed([str(each) for each in found])} {'day' if found == [1] else 'days'}"


def listed(words: Sequence[str]) -> str:
    """Return them as a sentence has them."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])


def percent(share: float) -> str:
    """Return a gap's size, never as a 0 that it is not."""
    size = abs(share)
    return "less than 0.1%" if 0 < size < _LEAST_SHOWN else f"{size:.1%}"


def _by(group: Sequence[Comparison]) -> str:
    """Return by how much, from the least gap to the largest; nothing where there is none or no end to it."""
    sizes = sorted(abs(each.gap) for each in group if each.gap and math.isfinite(each.gap))
    if not sizes:
        return ""
    least, most = percent(sizes[0]), percent(sizes[-1])
    return f" (by {least})" if least == most else f" (by {least} to {most})"
