"""`make chaos`: minutes of every fault at once, and whether a reader saw anything of it."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.chaos.places import STORES
from benchmarks.chaos.run import Orders, Run, current_commit, orders_in
from benchmarks.chaos.tally import GROUPS, Tally, total
from benchmarks.percentiles import percentiles
from tests.kafka import BrokerUnavailableError
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUNS = ROOT / ".cache" / "chaos"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 if nothing was wrong, 1 if something was, 2 if it cannot run, 130 if ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell starts background jobs with it ignored
        signal.signal(number, signal.default_int_handler)
    asked = _parse(arguments)
    directory = asked.resume or RUNS / time.strftime("%Y%m%d-%H%M%S")
    orders = orders_in(directory) if asked.resume else _orders(asked)
    if orders is None:
        print(f"RESUME={directory}: expected a run's directory, found none", file=sys.stderr)
        return 2
    run = Run(orders, directory, asked.root, say)
    say(f"kept in {directory}; after an interruption, go on with make chaos RESUME={directory}")
    try:
        tallies = run.complete()
    except BrokerUnavailableError as error:
        print(f"make chaos needs brokers of its own: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say(f"interrupted; {len(run.finished())} of {orders.segments} segments are done")
        return 130
    summed = total(tallies)
    for line in lines_of(summed):
        print(line, flush=True)
    return 1 if summed.wrong else 0


def say(text: str) -> None:
    """Print a line with the time, at once: the output may go to a file that somebody follows."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def lines_of(tally: Tally) -> Iterator[str]:
    """Yield what a run has shown."""
    yield f"{tally.records:,} records in {tally.seconds / 60:.1f} minutes of faults"
    for name, kinds in GROUPS.items():
        yield f"  {name}: {tally.number(kinds)}"
    for kind, number in tally.without_effect.items():
        yield f"  without effect: {kind}: {number}"
    yield "recovery, s: kind, number, p50, p99, max"
    for kind, seconds in sorted(tally.recoveries.items()):
        number, p50, p99, longest = percentiles(seconds)
        yield f"  {kind}: {number}, {p50:.1f}, {p99:.1f}, {longest:.1f}"
    yield f"workers ended by themselves or when told to, by exit code: {tally.exits}"
    yield f"{tally.equal:,} outputs equal, {tally.lost} lost, {tally.doubled} twice, {tally.differing} other"
    yield f"{tally.states} final states, {tally.unequal_states} of them unequal to an undisturbed worker's"
    yield from (f"FOUND: {finding}" for finding in tally.findings)


def _orders(asked: argparse.Namespace) -> Orders:
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    return Orders(asked.minutes, seed, 3 if asked.cluster else 1, asked.store, current_commit())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults come")
    parser.add_argument("--seed", type=int, help="of everything drawn; by default another one each time, and told")
    parser.add_argument("--cluster", action="store_true", help="three brokers instead of one")
    parser.add_argument("--store", choices=[*STORES], default="file", help="where checkpoints are kept")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with a run that was interrupted")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the workers' code is")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
