"""`make bench-check`: has the worker become slower? Ratios to the bare loop of the same round, against recorded ones.

Ratios, because machines differ and are noisy, and both sides of a ratio suffer from the same noise.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.bench.arena import Arena, ContenderError
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import BARE, GUARDED, LINEAR
from benchmarks.bench.rounds import run_rounds
from benchmarks.bench.verification import VerificationError
from benchmarks.figures import RESULTS, provenance
from benchmarks.shop import valid_transactions
from tests.kafka import find_broker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.bench.rounds import Round

SEED: Final = 20261127
EVENTS: Final = 300_000
PARTITIONS: Final = 4
ROUNDS: Final = 3
LEAST_SHARE: Final = 0.8
RECORDED: Final = RESULTS / "bench-check.json"
WATCHED: Final = (LINEAR, GUARDED)


class Recorded(msgspec.Struct, frozen=True):
    """What a run on a quiet machine gave.

    Attributes:
        provenance: commit, machine, versions, start and duration.
        ratios: each contender's rate to the bare loop's, in the median of the rounds.
    """

    provenance: dict[str, Any]
    ratios: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 as fast as recorded, 1 slower or at other work, 2 not run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    parser = argparse.ArgumentParser(prog="make bench-check", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record the ratios instead, as of a quiet machine")
    asked = parser.parse_args(arguments)
    if not asked.record and not RECORDED.exists():
        print(f"{RECORDED} is not there; record it on a quiet machine: make bench-check RECORD=1", file=sys.stderr)
        return 2
    choice = find_broker()
    if not choice.available:
        print(f"make bench-check needs a real broker: {choice}", file=sys.stderr)
        return 2
    started = time.time()
    try:
        with choice.start(heap_megabytes=1024) as broker, tempfile.TemporaryDirectory() as directory:
            events = valid_transactions(EVENTS)
            arena = Arena(broker.bootstrap_servers, Path(directory), events=events, partitions=PARTITIONS)
            contenders = (BARE, *WATCHED)
            with Shown(len(contenders) * ROUNDS, ROUNDS) as shown:
                rounds, _ = run_rounds(contenders, arena.turn, rounds=ROUNDS, seed=SEED, watcher=shown)
    except (ContenderError, VerificationError) as error:
        print(error, file=sys.stderr)
        return 1
    ratios = ratios_of(rounds)
    if asked.record:
        recorded = Recorded(provenance(started), ratios)
        RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=2) + b"\n")
        print(f"recorded: {ratios}")
        return 0
    return report(ratios, msgspec.json.decode(RECORDED.read_bytes(), type=Recorded).ratios)


def ratios_of(rounds: Sequence[Round]) -> dict[str, float]:
    """Return each watched contender's rate to the bare loop's of the same round, in the median."""
    return {
        contender.name: round(median(each.runs[contender.name].rate / each.runs[BARE.name].rate for each in rounds), 3)
        for contender in WATCHED
    }


def report(ratios: Mapping[str, float], recorded: Mapping[str, float]) -> int:
    """Print each ratio beside the recorded one; return 1 where one is below its bound, else 0."""
    is_slower = False
    for name, ratio in ratios.items():
        least = LEAST_SHARE * recorded[name]
        is_slower |= ratio < least
        verdict = "SLOWER" if ratio < least else "ok"
        print(f"{name}: {ratio:.3f} of the bare loop, recorded {recorded[name]:.3f}, at least {least:.3f}: {verdict}")
    return int(is_slower)


if __name__ == "__main__":
    sys.exit(main())
