"""A benchmark's outcome from canned rounds: round numbers, as if a quiet machine had measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.bench.arena import Run
from benchmarks.bench.calibration import Calibration
from benchmarks.bench.outcome import DEFAULT_EVENTS, Outcome, kept_rounds, summary
from benchmarks.bench.roster import CONTENDERS
from benchmarks.bench.rounds import Round

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

QUIET = Calibration(rate=1000.0, share=1.0, load=0.1)
BUSY = Calibration(rate=500.0, share=0.5, load=3.0)
RATES = {
    "bare": 100_000,
    "pass-through": 400_000,
    "worker-linear-exactly-once": 60_000,
    "worker-linear-at-least-once": 70_000,
    "worker-guarded-exactly-once": 50_000,
    "worker-guarded-at-least-once": 55_000,
    "replay": 90_000,
    "bytewax": 40_000,
    "quix-exactly-once": 10_000,
    "quix-at-least-once": 12_000,
    "faust": 2_000,
}
FEWER = {each.name: each.most_events for each in CONTENDERS if each.most_events is not None}
PROVENANCE = {
    "commit": "0123456789abcdef",
    "is_clean": True,
    "started": "2026-11-24T17:00:00Z",
    "seconds": 300.0,
    "machine": {"cores": 2, "cpu": "a processor", "python": "3.11.7"},
}


def run_at(rate: float, *, events: int = DEFAULT_EVENTS) -> Run:
    """A turn at this rate, on one core all the while."""
    return Run(events=events, seconds=events / rate, cpu_seconds=events / rate, peak_bytes=200_000_000)


def round_at(speed: float, rates: Mapping[str, float] = RATES) -> Round:
    """A round in which everybody ran at `speed` times their rate."""
    return Round({name: run_at(rate * speed, events=FEWER.get(name, DEFAULT_EVENTS)) for name, rate in rates.items()})


def outcome(
    rounds: Sequence[Round] = (round_at(1.0), round_at(0.9), round_at(1.2)),
    calibrations: Sequence[Calibration] = (QUIET, QUIET, QUIET, QUIET),
    **changed: Any,
) -> Outcome:
    """The outcome of these rounds."""
    contenders = [contender for contender in CONTENDERS if contender.name in rounds[0].runs]
    kept, off = kept_rounds(rounds, list(calibrations))
    values = {
        "provenance": PROVENANCE,
        "broker": "apache",
        "seed": 1,
        "events": DEFAULT_EVENTS,
        "partitions": 4,
        "at_start": QUIET,
        "calibrations": list(calibrations),
        "rounds": list(rounds),
        "left_out": {},
        "peers": {"bytewax": {"bytewax": "0.21.1"}},
        "far_off": off,
        "rows": summary(contenders, kept),
        **changed,
    }
    return Outcome(**values)
