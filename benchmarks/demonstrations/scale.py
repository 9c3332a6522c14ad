"""What a second worker brings on this machine, and what it costs the others while it joins."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.bench.calibration import calibrate
from benchmarks.claims import calibrate_at_rest, doubts
from benchmarks.figures import Report, provenance
from benchmarks.scaling.bounds import joining_figures, limit, rate_figures
from benchmarks.scaling.joining import RATE, Joining, join
from benchmarks.scaling.turn import PARTITIONS, Track, Turn
from consumer.simulate.completejourney import completejourney_events

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

SEED: Final = 20261127
EVENTS: Final = 400_000
ROUNDS: Final = 4
JOININGS: Final = 5


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Let 1 and 2 workers go through one backlog in alternating rounds, then a second one join a first under load.

    EVENTS=, ROUNDS= and JOININGS= make it shorter.
    """
    number, rounds, joinings = (
        int(os.environ.get(name) or usual)
        for name, usual in (("EVENTS", EVENTS), ("ROUNDS", ROUNDS), ("JOININGS", JOININGS))
    )
    cores = os.cpu_count() or 1
    # By item, not by store: the stores of the real year differ too much in size for two workers to have half each.
    events = list(completejourney_events(key_by="item", limit=number))
    track = Track(broker.bootstrap_servers, directory / "turns", events)
    rng = random.Random(SEED)
    done: list[dict[int, Turn]] = []
    calibrations = [calibrate_at_rest()]
    for each in range(1, rounds + 1):
        turns: dict[int, Turn] = {}
        for workers in rng.sample((1, 2), 2):
            turns[workers] = turn = track.turn(workers)
            print(f"  round {each} of {rounds}, --workers {workers}: {_told(turn)}", flush=True)
        done.append(turns)
        calibrations.append(calibrate())
    joined: list[Joining] = []
    for each in range(1, joinings + 1):
        joined.append(join(broker.bootstrap_servers, directory / f"joining-{each}", seed=SEED + each))
        print(f"  joining {each} of {joinings}: {msgspec.to_builtins(joined[-1])}", flush=True)
    calibrations.append(calibrate())  # the joinings are one more round
    report.counts.update(
        cores=cores,
        events=number,
        partitions=PARTITIONS,
        joining_rate=RATE,
        rounds=[[msgspec.to_builtins(turn) for turn in turns.values()] for turns in done],
        joinings=msgspec.to_builtins(joined),
        calibrations=msgspec.to_builtins(calibrations),
        limit=limit(done, cores),
    )
    for figure in (*rate_figures(done, cores), *joining_figures(joined, joinings)):
        report.add(figure)
    for sentence in limit(done, cores):
        print(f"  {sentence}", flush=True)
    shortened = [name for name in ("EVENTS", "ROUNDS", "JOININGS") if os.environ.get(name)]
    found = doubts(calibrations, shortened_by=shortened, is_clean=provenance(report.started)["is_clean"])
    for doubt in found:
        print(f"  not to be claimed: {doubt}", flush=True)
    report.is_claimed = not found


def _told(turn: Turn) -> str:
    return (
        f"{turn.rate:,.0f} events/s; cores: workers {turn.workers_cores:.2f}, broker {turn.broker_cores:.2f}, "
        f"elsewhere {turn.elsewhere_cores:.2f}"
    )
