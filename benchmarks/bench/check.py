"""`make bench-check`: has the worker become slower? Ratios to the bare loop, against recorded ones.

Ratios, because machines differ. Of each contender its best round counts, and the bare loop's best: whatever else runs
on a machine only takes time, so the best is what was disturbed least. Where that is still below the bound, there are
more rounds before it is believed.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.bench import ROOT
from benchmarks.bench.arena import Arena, ContenderError
from benchmarks.bench.calibration import Calibration
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import BARE, GUARDED, LINEAR, REPLAY
from benchmarks.bench.rounds import run_rounds
from benchmarks.bench.verification import VerificationError
from benchmarks.figures import RESULTS, provenance
from benchmarks.shop import valid_transactions
from tests.kafka import find_broker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.bench.rounds import Round
    from tests.kafka import BrokerChoice

SEED: Final = 20261127
EVENTS: Final = 600_000
"""So many take a worker long beside what it loads and settles at its start."""

BARE_EVENTS: Final = 200_000
"""The bare loop has no start: its rate is the same over the first of them."""

PARTITIONS: Final = 4
ROUNDS: Final = 3
MOST_ROUNDS: Final = 6
LEAST_SHARE: Final = 0.8
RECORDED: Final = RESULTS / "bench-check.json"
WATCHED: Final = (LINEAR, GUARDED, REPLAY)
CONTENDERS: Final = (replace(BARE, most_events=BARE_EVENTS), *WATCHED)
_NOT_ASKED: Final = Calibration(rate=1.0, share=1.0, load=0.0)
"""How quiet the machine is makes no difference here: a best round is one in which it was."""

_LOAD: Final = "from consumer.learning import acceleration; acceleration.load()"


class Recorded(msgspec.Struct, frozen=True):
    """What a run on a quiet machine gave.

    Attributes:
        provenance: commit, machine, versions, start and duration.
        ratios: each contender's best rate to the bare loop's best.
        rounds: all rates, by round.
    """

    provenance: dict[str, Any]
    ratios: dict[str, float]
    rounds: list[dict[str, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 as fast as recorded, 1 slower or at other work, 2 not run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    parser = argparse.ArgumentParser(prog="make bench-check", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record the ratios instead, as of a quiet machine")
    asked = parser.parse_args(arguments)
    recorded = None if asked.record else _recorded()
    if not asked.record and recorded is None:
        print(
            f"{RECORDED} is not there, or not of these contenders; record it on a quiet machine, and commit it: "
            "make bench-check RECORD=1",
            file=sys.stderr,
        )
        return 2
    choice = find_broker()
    if not choice.available:
        print(f"make bench-check needs a real broker: {choice}", file=sys.stderr)
        return 2
    started = time.time()
    try:
        rounds = _measure(choice, {} if recorded is None else recorded.ratios)
    except (ContenderError, VerificationError) as error:
        print(error, file=sys.stderr)
        return 1
    ratios = ratios_of(rounds)
    if recorded is not None:
        return report(ratios, recorded.ratios)
    rates: list[dict[str, float]] = [{name: round(run.rate) for name, run in each.runs.items()} for each in rounds]
    found = Recorded(provenance(started), ratios, rates)
    RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    print(f"recorded: {ratios}")
    return 0


def _recorded() -> Recorded | None:
    """Return what was recorded of just these contenders, None where nothing was."""
    if not RECORDED.exists():
        return None
    found = msgspec.json.decode(RECORDED.read_bytes(), type=Recorded)
    return found if found.ratios.keys() == {each.name for each in WATCHED} else None


def _measure(choice: BrokerChoice, recorded: Mapping[str, float]) -> list[Round]:
    """Take turns until the ratios are as good as those recorded, or there have been enough."""
    # What is compiled once a machine is compiled before any turn.
    subprocess.run([sys.executable, "-c", _LOAD], cwd=ROOT, check=True)
    with choice.start(heap_megabytes=1024) as broker, tempfile.TemporaryDirectory() as directory:
        arena = Arena(
            broker.bootstrap_servers, Path(directory), events=valid_transactions(EVENTS), partitions=PARTITIONS
        )
        arena.turn(REPLAY)  # the broker is a Java process, and the first turn finds its code cold; it does not count
        rounds: list[Round] = []
        while True:
            number = ROUNDS if not rounds else 1
            with Shown(len(CONTENDERS) * number, number) as shown:
                done, _ = run_rounds(
                    CONTENDERS,
                    arena.turn,
                    rounds=number,
                    seed=SEED + len(rounds),
                    watcher=shown,
                    calibration=lambda: _NOT_ASKED,
                )
            rounds += done
            if len(rounds) >= MOST_ROUNDS or not slower(ratios_of(rounds), recorded):
                return rounds


def ratios_of(rounds: Sequence[Round]) -> dict[str, float]:
    """Return each watched contender's best rate to the bare loop's best."""
    best = {each.name: max(done.runs[each.name].rate for done in rounds) for each in CONTENDERS}
    return {each.name: round(best[each.name] / best[BARE.name], 3) for each in WATCHED}


def slower(ratios: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return whose ratio lies below its bound; of whom nothing is recorded, nobody is."""
    return [name for name, ratio in ratios.items() if ratio < LEAST_SHARE * recorded.get(name, 0.0)]


def report(ratios: Mapping[str, float], recorded: Mapping[str, float]) -> int:
    """Print each ratio beside the recorded one; return 1 where one is below its bound, else 0."""
    below = slower(ratios, recorded)
    for name, ratio in ratios.items():
        least = LEAST_SHARE * recorded[name]
        verdict = "SLOWER" if name in below else "ok"
        print(f"{name}: {ratio:.3f} of the bare loop, recorded {recorded[name]:.3f}, at least {least:.3f}: {verdict}")
    return int(bool(below))


if __name__ == "__main__":
    sys.exit(main())
