"""`make bench`: run the comparison, print its table, draw its plot, write its JSON."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from benchmarks.bench.arena import Arena, ContenderError
from benchmarks.bench.calibration import calibrate
from benchmarks.bench.files import write
from benchmarks.bench.outcome import DEFAULT_EVENTS, Outcome, kept_rounds, not_quiet, summary
from benchmarks.bench.peers import PeerUnavailableError
from benchmarks.bench.progress import Shown
from benchmarks.bench.roster import CONTENDERS
from benchmarks.bench.rounds import run_rounds
from benchmarks.bench.table import table
from benchmarks.bench.verification import VerificationError
from benchmarks.figures import provenance
from benchmarks.shop import valid_transactions
from tests.kafka import find_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench.calibration import Calibration
    from benchmarks.bench.roster import Contender
    from tests.kafka import BrokerChoice

SEED: Final = 20261124
DEFAULT_ROUNDS: Final = 4
PARTITIONS: Final = 4
_LEAST_EVENTS: Final = 1_000
_PIPE_COLUMNS: Final = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 a contender failed or did other work, 2 not run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    asked = _arguments(arguments)
    at_start = calibrate()
    if not at_start.is_quiet:
        print(not_quiet(at_start), file=sys.stderr)
        if not asked.anyway:
            print(
                "end what else runs and try again; ANYWAY=1 measures all the same and claims nothing", file=sys.stderr
            )
            return 2
    choice = find_broker()
    if not choice.available:
        print(f"make bench needs a real broker: {choice}", file=sys.stderr)
        return 2
    try:
        outcome = _measure(choice, at_start, events=asked.events, rounds=asked.rounds)
    except (ContenderError, VerificationError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_COLUMNS)
    console.print(table(outcome, is_plain=not console.is_terminal))
    for line in write(outcome):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _measure(choice: BrokerChoice, at_start: Calibration, *, events: int, rounds: int) -> Outcome:
    started = time.time()
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(Shown(len(CONTENDERS) * rounds, rounds))
        contenders, left_out = _prepare(shown)
        shown.phase("starting the broker")
        broker = stack.enter_context(choice.start(heap_megabytes=1024))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shown.phase(f"sending {events:,} events")
        arena = Arena(broker.bootstrap_servers, directory, events=valid_transactions(events), partitions=PARTITIONS)
        done, calibrations = run_rounds(contenders, arena.turn, rounds=rounds, seed=SEED, watcher=shown)
        shown.phase("stopping the broker")
    kept, off = kept_rounds(done, calibrations)
    return Outcome(
        provenance=provenance(started),
        broker=choice.kind,
        seed=SEED,
        events=arena.events,
        partitions=PARTITIONS,
        at_start=at_start,
        calibrations=calibrations,
        rounds=done,
        left_out=left_out,
        peers={each.peer.name: each.peer.pins() for each in contenders if each.peer is not None},
        far_off=off,
        rows=summary(contenders, kept),
    )


def _prepare(shown: Shown) -> tuple[list[Contender], dict[str, str]]:
    """Make the peers' environments; return who takes part, and who cannot, with the reason."""
    taking_part, left_out = [], {}
    for contender in CONTENDERS:
        if contender.peer is not None:
            shown.phase(f"preparing {contender.peer.name}")
            try:
                contender.peer.prepare()
            except PeerUnavailableError as error:
                left_out[contender.name] = str(error)
                continue
        taking_part.append(contender)
    return taking_part, left_out


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    usage = "make bench [EVENTS=] [ROUNDS=] [ANYWAY=1]"
    parser = argparse.ArgumentParser(prog="make bench", usage=usage, description=__doc__)
    parser.add_argument("--events", type=_at_least(_LEAST_EVENTS), default=DEFAULT_EVENTS, metavar="N")
    parser.add_argument("--rounds", type=_at_least(1), default=DEFAULT_ROUNDS, metavar="N")
    parser.add_argument("--anyway", action="store_true")
    return parser.parse_args(arguments)


def _at_least(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least {least:,}")
        return int(text)

    return read


if __name__ == "__main__":
    sys.exit(main())
