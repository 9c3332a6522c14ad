"""The whole worker, exactly once, beside the limits and the peers, in alternating rounds of one run."""

from __future__ import annotations

import os
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from benchmarks.bench.arena import Arena
from benchmarks.bench.outcome import LEAST_ROUNDS, kept_rounds
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import (
    BARE,
    BYTEWAX_FLOW,
    FAUST_APP,
    GUARDED,
    LINEAR,
    PASS_THROUGH,
    QUIX_EXACTLY_ONCE,
    REPLAY,
    Contender,
)
from benchmarks.bench.rounds import run_rounds
from benchmarks.figures import Figure, Report
from benchmarks.shop import valid_transactions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

SEED = 20261124
YEAR_EVENTS: Final = 1_400_000
"""Nearly all of the year: a worker loads machine code in its first second, and so many take it seven or more."""

EVENTS: Final = int(os.environ.get("EVENTS", YEAR_EVENTS))
ROUNDS: Final = int(os.environ.get("ROUNDS", LEAST_ROUNDS))
PARTITIONS: Final = 4


class Ratio(NamedTuple):
    """One contender's rate over another one's, and the least that it must be."""

    ours: Contender
    theirs: Contender
    least: float


QUIX_AT_FIRST: Final = replace(QUIX_EXACTLY_ONCE, most_events=200_000)
"""Over all of the year it would take a minute a round."""

RATIOS: Final = (
    Ratio(LINEAR, BARE, 1.2),
    Ratio(GUARDED, BARE, 1.0),
    Ratio(LINEAR, BYTEWAX_FLOW, 2.5),
    Ratio(LINEAR, QUIX_AT_FIRST, 5.0),
    Ratio(LINEAR, FAUST_APP, 30.0),
    Ratio(LINEAR, PASS_THROUGH, 0.40),
    Ratio(REPLAY, BARE, 1.8),
)
_BY_NAME: Final = {each.name: each for ratio in RATIOS for each in (ratio.theirs, ratio.ours)}
CONTENDERS: Final = tuple(_BY_NAME.values())


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Let all take their turns, and hold the worker to its bounds: medians of the rounds' ratios."""
    report.is_claimed = EVENTS >= YEAR_EVENTS and ROUNDS >= LEAST_ROUNDS
    for contender in CONTENDERS:
        if contender.peer is not None:
            contender.peer.prepare()
    arena = Arena(broker.bootstrap_servers, directory, events=valid_transactions(EVENTS), partitions=PARTITIONS)
    with Shown(len(CONTENDERS) * ROUNDS, ROUNDS) as shown:
        rounds, calibrations = run_rounds(CONTENDERS, arena.turn, rounds=ROUNDS, seed=report.seed, watcher=shown)
    kept, off = kept_rounds(rounds, calibrations)
    report.counts.update(events=arena.events, rounds=_plain(rounds), calibrations=_plain(calibrations), far_off=off)
    for contender in CONTENDERS:
        rates = [each.runs[contender.name].rate for each in kept]
        report.add(Figure(f"{contender.label}, events/s, median", round(median(rates))))
    for ours, theirs, least in RATIOS:
        ratios = [each.runs[ours.name].rate / each.runs[theirs.name].rate for each in kept]
        what = f"{ours.label} / {theirs.label}"
        report.add(Figure(f"{what}, median", round(median(ratios), 3), ">=", least))
        report.add(Figure(f"{what}, lowest", round(min(ratios), 3)))
        report.add(Figure(f"{what}, highest", round(max(ratios), 3)))


def _plain(found: object) -> object:
    return msgspec.to_builtins(found)
