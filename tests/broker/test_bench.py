"""The benchmark's contenders on a real broker: each does the work, and one that does not is found out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.bench.arena import Arena, ContenderError
from benchmarks.bench.roster import CONTENDERS, Contender, Kind, Publishes
from benchmarks.bench.verification import VerificationError
from benchmarks.shop import valid_transactions
from tests.kafka.topics import unique

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka import Broker

pytestmark = pytest.mark.broker

EVENTS = 2_000
MODULES = {each.module: each for each in CONTENDERS if each.peer is None}  # one of each: settings alone differ
PEERS = [each for each in CONTENDERS if each.peer is not None]


@pytest.fixture(scope="module")
def arena(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    """One input for all of them."""
    directory: Path = tmp_path_factory.mktemp(unique("bench"))
    return Arena(broker.bootstrap_servers, directory, events=valid_transactions(EVENTS), partitions=3)


@pytest.mark.parametrize("contender", MODULES.values(), ids=lambda contender: contender.name)
def test_each_contender_of_ours_does_the_work(arena: Arena, contender: Contender) -> None:
    """Read back, counted and compared; it reports a span, what that took of the processor, and its memory."""
    assert arena.events == EVENTS
    run = arena.turn(contender)
    assert run.events == EVENTS
    assert 0 < run.seconds < 60
    assert 0 < run.cpu_seconds < 60
    assert 20e6 < run.peak_bytes < 2e9


@pytest.mark.deep
@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_each_peer_does_the_work(arena: Arena, contender: Contender) -> None:
    """Its environment is made where it is not there yet; what it predicts is what the worker predicts, bit for bit."""
    assert contender.peer is not None
    contender.peer.prepare()
    arena.turn(next(each for each in CONTENDERS if each.peer is None and each.model == contender.model))
    assert arena.turn(contender).events == EVENTS


def test_a_slow_contender_takes_the_first_events_only(arena: Arena) -> None:
    """The same events, in a topic of their own; what it publishes is held to exactly those."""
    swift = next(each for each in CONTENDERS if each.peer is None and each.model == "linear")
    slow = replace(swift, most_events=900)
    assert arena.turn(slow).events == 900
    assert arena.turn(swift).events == EVENTS
    assert arena.turn(replace(swift, most_events=EVENTS)).events == EVENTS
    with pytest.raises(VerificationError, match=r"losing: expected 300 records in partition 0 of its output topic"):
        arena.turn(replace(LOSING, settings={"LOSES": "1"}, most_events=900))


LOSING = Contender("losing", "losing", Kind.PEER, "tests.models.losing_contender", Publishes.COPY)


def test_a_contender_that_loses_an_event_is_found_out(arena: Arena) -> None:
    """Whatever it says of itself: what is on its output topic counts."""
    assert arena.turn(replace(LOSING, settings={"LOSES": "0"})).events == EVENTS
    with pytest.raises(VerificationError, match=r"losing: expected .* records in partition 0 of its output topic"):
        arena.turn(replace(LOSING, settings={"LOSES": "1"}))


def test_a_contender_that_fails_shows_its_last_lines(arena: Arena) -> None:
    """Its exit code and what it said."""
    with pytest.raises(ContenderError, match=r"(?s)losing ended with 1; its last lines:.*KeyError: 'LOSES'"):
        arena.turn(LOSING)
