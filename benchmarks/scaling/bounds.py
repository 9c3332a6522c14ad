"""What a second worker brings, and whether that is enough where the machine has cores for it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.scaling.joining import Joining
    from benchmarks.scaling.turn import Turn

LEAST_RATIO: Final = 1.6
LEAST_CORES: Final = 4
"""Two for two workers, and two for the broker and whoever asks it: with fewer the bound says nothing of the worker."""

_FULL: Final = 0.9


def rate_figures(rounds: Sequence[dict[int, Turn]], cores: int) -> Iterator[Figure]:
    """Yield the figures of the rates.

    Args:
        rounds: a turn of 1 and a turn of 2 workers each.
        cores: of the machine.
    """
    for workers in (1, 2):
        who = "1 worker" if workers == 1 else f"{workers} workers"
        turns = [each[workers] for each in rounds]
        yield Figure(f"{who}: events/s, median", median(turn.rate for turn in turns))
        yield Figure(f"{who}: cores used by the workers, median", median(turn.workers_cores for turn in turns))
        yield Figure(f"{who}: cores used by the broker, median", median(turn.broker_cores for turn in turns))
        yield Figure(f"{who}: cores used elsewhere, median", median(turn.elsewhere_cores for turn in turns))
    ratios = _ratios(rounds)
    has_cores = cores >= LEAST_CORES
    what = "2 workers / 1 worker, median of the rounds"
    yield Figure(what, median(ratios), ">=" if has_cores else "stated", LEAST_RATIO if has_cores else None)
    yield Figure("lowest round's ratio", min(ratios))
    yield Figure("highest round's ratio", max(ratios))
    yield Figure("ratio at which all cores would be used, by what 1 worker and its broker took", most(rounds, cores))
    yield Figure("events, each with its one prediction, the same in all turns", _events(rounds), ">", 0)


def joining_figures(joinings: Sequence[Joining], planned: int) -> Iterator[Figure]:
    """Yield the figures of a second worker's joining."""
    yield Figure("a second worker joined under load, times", len(joinings), "=", planned)
    seconds = [each.seconds for each in joinings]
    gaps = [each.longest_gap for each in joinings]
    yield Figure("seconds from its start until balanced, median", median(seconds))
    yield Figure("seconds from its start until balanced, max", max(seconds))
    yield Figure("longest gap in any partition meanwhile, s, median", median(gaps))
    yield Figure("longest gap in any partition meanwhile, s, max", max(gaps))
    yield Figure("longest gap in any partition before, s, max", max(each.gap_before for each in joinings))
    wrong = sum(code != 0 for each in joinings for code in each.exit_codes)
    yield Figure("exit codes other than 0", wrong, "=", 0)


def most(rounds: Sequence[dict[int, Turn]], cores: int) -> float:
    """Return the ratio that the machine's cores allow, were an event to cost with two workers what it costs with one.

    It is the cores there are by those that one worker and its broker used: the median of the rounds.
    """
    return median(cores / (each[1].workers_cores + each[1].broker_cores) for each in rounds)


def limit(rounds: Sequence[dict[int, Turn]], cores: int) -> list[str]:
    """Return sentences that say what limits the ratio, and whether the bound was applied."""
    workers, broker, elsewhere = (
        median(getattr(each[2], name) for each in rounds)
        for name in ("workers_cores", "broker_cores", "elsewhere_cores")
    )
    said = (
        f"with 2 workers, {workers:.2f} of {cores} cores went to the workers, {broker:.2f} to the broker and "
        f"{elsewhere:.2f} elsewhere"
    )
    if workers + broker + elsewhere >= _FULL * cores:
        sentences = [f"{said}: the cores are what limits the rate"]
    else:
        sentences = [f"{said}: cores were left over, so something else limits the rate"]
    if cores < LEAST_CORES:
        sentences.append(
            f"the bound ({LEAST_RATIO}) was not applied: it is for a machine whose broker leaves a core to each of 2 "
            f"workers, {LEAST_CORES} cores at least, and this one has {cores}; if an event cost with 2 workers what it "
            f"costs with 1, all of them would be used at a ratio of {most(rounds, cores):.2f}"
        )
    return sentences


def _ratios(rounds: Sequence[dict[int, Turn]]) -> list[float]:
    return [each[2].rate / each[1].rate for each in rounds]


def _events(rounds: Sequence[dict[int, Turn]]) -> int:
    return sum(turn.events for each in rounds for turn in each.values())
