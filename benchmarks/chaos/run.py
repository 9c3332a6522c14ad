"""A run: segment after segment, each kept once it is done, so that an interruption costs one at most."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.chaos.places import STORES
from benchmarks.chaos.plan import CLUSTER, SINGLE, STORE, Kind, numbers, plan_segment
from benchmarks.chaos.segment import WORKERS, Scenario, Segment
from benchmarks.chaos.tally import read_tally
from tests.kafka.jars import find_installation
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.chaos.tally import Tally

_SEGMENT_MINUTES: Final = 3.0
_RATES: Final = {1: 1_000, 3: 500}
_ORDERS: Final = "run.json"


class OrdersError(Exception):
    """A directory holds another run than the one asked for; the message is one sentence."""


class Orders(msgspec.Struct, frozen=True):
    """What was asked for.

    Attributes:
        minutes: how long faults come, over all segments.
        seed: of everything drawn.
        nodes: brokers, 1 or 3.
        store: where checkpoints are kept.
        commit: of the code; another one's segments are not continued.
    """

    minutes: float
    seed: int
    nodes: int = 1
    store: str = "file"
    commit: str = ""

    @property
    def segments(self) -> int:
        """How many segments there are, of about three minutes each."""
        return max(1, round(self.minutes / _SEGMENT_MINUTES))


def current_commit() -> str:
    """Return the commit of the code that runs."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@dataclass
class Run:
    """All segments of a run.

    Attributes:
        orders: what was asked for.
        directory: where finished segments and logs are kept.
        root: where the workers' code is.
        say: told what happens.
    """

    orders: Orders
    directory: Path
    root: Path
    say: Callable[[str], None]

    def finished(self) -> dict[int, Tally]:
        """Return the segments that are done, by their number."""
        found = {number: self._file(number) for number in range(self.orders.segments)}
        return {number: read_tally(path) for number, path in found.items() if path.exists()}

    def complete(self) -> list[Tally]:
        """Do what is left to do and return all segments.

        Raises:
            BrokerUnavailableError: no brokers can be started here.
        """
        installation = find_installation()
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / _ORDERS).write_bytes(msgspec.json.encode(self.orders))
        for number in range(self.orders.segments):
            if not self._file(number).exists():
                self._segment(number, installation)
        return list(self.finished().values())

    def _segment(self, number: int, installation: object) -> None:
        orders = self.orders
        seconds = 60 * orders.minutes / orders.segments
        counts = numbers(rates_of(orders), orders.minutes, number, orders.segments)
        tracks = plan_segment(orders.seed, number, counts, seconds, WORKERS)
        scenario = Scenario(orders.seed, orders.nodes, _RATES[orders.nodes], seconds, orders.store, self.root)
        name = f"segment {number + 1} of {orders.segments}"
        self.say(f"{name}: {sum(counts.values())} faults in {seconds:.0f} s, seed {orders.seed}")
        began = time.monotonic()
        place = self.directory / f"segment-{number + 1:02}"
        segment = Segment(
            scenario,
            number,
            tracks,
            directory=place,
            installation=installation,  # type: ignore[arg-type]
            say=lambda text: self.say(f"{name}: {text}"),
        )
        tally = segment.run()
        tally.write(self._file(number))
        if not tally.wrong:
            shutil.rmtree(place, ignore_errors=True)
        for finding in tally.findings:
            self.say(f"{name}: FOUND: {finding}")
        self.say(
            f"{name}: done in {time.monotonic() - began:.0f} s: {tally.records:,} records, {tally.equal:,} outputs "
            f"equal, {tally.lost} lost, {tally.doubled} twice, {tally.differing} differing, {tally.unequal_states} of "
            f"{tally.states} states unequal; faults {tally.faults}, without effect {tally.without_effect}, exits "
            f"{tally.exits}"
        )

    def _file(self, number: int) -> Path:
        return self.directory / f"segment-{number + 1:02}.json"


def rates_of(orders: Orders) -> dict[Kind, float]:
    """Return how many faults a minute there are of each kind: of the store's, those that it can have."""
    impossible = {*STORE} - {*STORES[orders.store]}
    rates = SINGLE if orders.nodes == 1 else CLUSTER
    return {kind: rate for kind, rate in rates.items() if kind not in impossible}


def orders_in(directory: Path) -> Orders | None:
    """Return what a directory's run was asked for; None where there is none."""
    path = directory / _ORDERS
    return msgspec.json.decode(path.read_bytes(), type=Orders) if path.exists() else None
