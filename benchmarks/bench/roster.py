"""Who is compared: a new contender is a module in `contenders/` and an entry here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from benchmarks.bench.peers import BYTEWAX, FAUST, QUIX, Peer

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE: Final = "benchmarks.bench.contenders"


class Publishes(StrEnum):
    """What a contender must leave on its output topic for each valid event."""

    NOTHING = "nothing"
    COPY = "copy"
    PREDICTION = "prediction"


class Kind(StrEnum):
    """What a contender is in the comparison."""

    OURS = "this worker"
    LIMIT = "limit"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of the table.

    Attributes:
        name: in the results.
        label: for readers.
        kind: what it is here.
        module: run as a process.
        publishes: what is held against its output topic.
        model: contenders of one model must publish the same predictions, bit for bit; None where there are none.
        settings: in its environment, beside the addresses and topics.
        most_events: a slow one takes so many at most, the first of each partition; None takes all.
        peer: whose environment it runs in; None is this project's own.
    """

    name: str
    label: str
    kind: Kind
    module: str
    publishes: Publishes
    model: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    peer: Peer | None = None
    most_events: int | None = None

    @property
    def command(self) -> list[str]:
        """The process."""
        python = sys.executable if self.peer is None else str(self.peer.python)
        return [python, "-m", self.module]


def _worker(model: str, guarantee: str) -> Contender:
    return Contender(
        f"worker-{model}-{guarantee.replace('_', '-')}",
        f"worker {model}, {guarantee.replace('_', ' ')}",
        Kind.OURS,
        f"{_PACKAGE}.worker",
        Publishes.PREDICTION,
        model,
        {"MODEL": model, "PROCESSING_GUARANTEE": guarantee},
    )


def _quix(guarantee: str) -> Contender:
    return Contender(
        f"quix-{guarantee.replace('_', '-')}",
        f"Quix Streams {QUIX.version}, {guarantee.replace('_', ' ')}",
        Kind.PEER,
        f"{_PACKAGE}.quix_app",
        Publishes.PREDICTION,
        "linear",
        {"PROCESSING_GUARANTEE": guarantee},
        QUIX,
    )


BARE: Final = Contender("bare", "bare River loop (no Kafka)", Kind.LIMIT, f"{_PACKAGE}.bare", Publishes.NOTHING)
PASS_THROUGH: Final = Contender(
    "pass-through",
    "pass-through, exactly once",
    Kind.LIMIT,
    f"{_PACKAGE}.pass_through",
    Publishes.COPY,
    settings={"PROCESSING_GUARANTEE": "exactly_once"},
)
LINEAR: Final = _worker("linear", "exactly_once")
GUARDED: Final = _worker("guarded", "exactly_once")
REPLAY: Final = Contender(
    "replay",
    "worker linear, replay",
    Kind.OURS,
    f"{_PACKAGE}.replay",
    Publishes.PREDICTION,
    "linear",
    {"MODEL": "linear", "PROCESSING_GUARANTEE": "exactly_once"},
)
BYTEWAX_FLOW: Final = Contender(
    "bytewax",
    f"bytewax {BYTEWAX.version}, no guarantee",
    Kind.PEER,
    f"{_PACKAGE}.bytewax_flow",
    Publishes.PREDICTION,
    "linear",
    peer=BYTEWAX,
)
QUIX_EXACTLY_ONCE: Final = _quix("exactly_once")
FAUST_APP: Final = Contender(
    "faust",
    f"Faust {FAUST.version}, at least once",
    Kind.PEER,
    f"{_PACKAGE}.faust_app",
    Publishes.PREDICTION,
    "linear",
    peer=FAUST,
    most_events=50_000,
)

CONTENDERS: Final = (
    BARE,
    PASS_THROUGH,
    LINEAR,
    _worker("linear", "at_least_once"),
    GUARDED,
    _worker("guarded", "at_least_once"),
    REPLAY,
    BYTEWAX_FLOW,
    QUIX_EXACTLY_ONCE,
    _quix("at_least_once"),
    FAUST_APP,
)
