"""From an event to its prediction, as a read_committed reader has it: the curve over commit intervals."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.bench.calibration import calibrate
from benchmarks.claims import calibrate_at_rest, doubts
from benchmarks.figures import CACHE, Report, provenance
from benchmarks.latency.page import write
from benchmarks.latency.rows import figures, rows
from benchmarks.latency.setting import SETTINGS
from benchmarks.latency.turn import PARTITIONS, WARM_UP_SECONDS, take_turn

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.latency.turn import Turn
    from tests.kafka import Broker

SEED: Final = 20261127
ROUNDS: Final = 3
SECONDS: Final = {1_000: 20.0, 10_000: 15.0}
"""Measured in each turn, by events a second, after the warm-up."""
JAVA: Final = {
    "heap_megabytes": 3072,
    "jvm": ("-XX:+UseSerialGC", "-Xms3072m", "-Xmn2560m", "-XX:+AlwaysPreTouch"),
}
"""Java's collections stop a broker that shares two cores for 20 to 190 ms: every 2.5 s with 1 GB, so once a minute."""
_THROWN_AWAY: Final = (SETTINGS[-2], SETTINGS[-5])
"""Java compiles what it runs often: the first minutes of a new broker are no broker's that is at work."""


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Give each setting a turn in each round, in an order drawn anew; ROUNDS= and TURN_SECONDS= make it shorter."""
    rounds = int(os.environ.get("ROUNDS") or ROUNDS)
    asked = float(os.environ.get("TURN_SECONDS") or 0)
    rng = random.Random(SEED)
    turns: list[Turn] = []
    calibrations = [calibrate_at_rest()]
    for setting in _THROWN_AWAY:
        place = directory / f"thrown-away-{setting.interval_ms}"
        place.mkdir()
        turn = take_turn(broker.bootstrap_servers, place, setting, seconds=asked or SECONDS[setting.rate], seed=SEED)
        print(f"  the broker warms up, not counted: {_told(turn)}", flush=True)
    for number in range(1, rounds + 1):
        for each, setting in enumerate(rng.sample(SETTINGS, len(SETTINGS)), start=1):
            place = directory / f"{number}-{each}"
            place.mkdir()
            seconds = asked or SECONDS[setting.rate]
            turn = take_turn(broker.bootstrap_servers, place, setting, seconds=seconds, seed=SEED)
            print(f"  round {number} of {rounds}, {each} of {len(SETTINGS)}: {_told(turn)}", flush=True)
            turns.append(turn)
        calibrations.append(calibrate())
    found = rows(turns)
    report.counts.update(
        partitions=PARTITIONS,
        warm_up_seconds=WARM_UP_SECONDS,
        rows=msgspec.to_builtins(found),
        turns=msgspec.to_builtins(turns),
        calibrations=msgspec.to_builtins(calibrations),
    )
    for figure in figures(turns):
        report.add(figure)
    source = provenance(report.started)
    shortened = [name for name in ("ROUNDS", "TURN_SECONDS") if os.environ.get(name)]
    why_not = doubts(calibrations, shortened_by=shortened, is_clean=source["is_clean"], slow_is_harder=True)
    for doubt in why_not:
        print(f"  not to be claimed: {doubt}", flush=True)
    report.is_claimed = not why_not
    write(found, source, aside=CACHE / "latency.svg" if why_not else None)


def _told(turn: Turn) -> str:
    return (
        f"{turn.setting.rate:,}/s, {turn.setting.label}: p50 {turn.p50:.1f}, p99 {turn.p99:.1f}, "
        f"p99.9 {turn.p999:.1f}, longest {turn.longest:.1f} ms; sender behind by {turn.behind_p99:.1f} ms at p99; "
        f"worker {turn.worker_cpu:.2f} cores"
    )
