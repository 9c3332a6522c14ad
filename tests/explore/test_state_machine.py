"""The same by hypothesis: whatever it finds to do to the workers, readers see the truth, and it shrinks what fails."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.testing.cluster import SimulatedCluster
from consumer.testing.faults import Fault
from consumer.testing.process import SimulatedProcess
from consumer.testing.store import Disk
from tests.explore.faults import STEPS, STEPS_BY_STORE
from tests.explore.inputs import STORES, Input, has_arrived, make_input, published, undisturbed
from tests.explore.inputs import settings as worker_settings
from tests.oracle import differences

PLACES = st.integers(0, 1)


class ArmedFaults:
    """One fault waits for the next call of its step; nothing else goes wrong."""

    def __init__(self) -> None:
        self.armed: tuple[str, Fault] | None = None

    def at(self, step: str, allowed: frozenset[Fault]) -> Fault:
        """Strike if armed for this step."""
        if self.armed is None or self.armed[0] != step or self.armed[1] not in allowed:
            return Fault.NONE
        fault, self.armed = self.armed[1], None
        return fault


class Shop(RuleBasedStateMachine):
    """Two places for workers, one input, and everything that can befall them."""

    @initialize(number=st.integers(0, 11), seed=st.integers(0, 3), store=st.sampled_from(sorted(STORES)))
    def open(self, number: int, seed: int, store: str) -> None:
        """Choose an input and a store."""
        self.number = number
        self.store = store
        self.input: Input = make_input(number)
        self.faults = ArmedFaults()
        self.cluster = SimulatedCluster(self.input.partitions, seed=seed, faults=self.faults)
        self.cluster.while_frozen = self.while_frozen
        disk = Disk()
        self.places = [
            SimulatedProcess(
                self.cluster,
                disk,
                worker_settings(place, self.input.scope, has_outlook=self.input.has_outlook),
                new_store=STORES[store],
            )
            for place in range(2)
        ]
        self.thawed = list(self.places)
        self.sent = 0

    def while_frozen(self, connection: object) -> None:
        """The other one goes on while the session of the frozen one ends."""
        others = [place for place in self.places if place.connection is not connection]
        for _ in range(15):
            for place in others:
                if place.worker is None:
                    place.start()
                place.step()
            self.cluster.advance(1.0)

    @rule()
    def deliver(self) -> None:
        """The shop sends."""
        if self.sent < len(self.input.chunks):
            self.input.chunks[self.sent].send(self.cluster)
            self.sent += 1

    @rule(place=PLACES, turns=st.integers(1, 12))
    def work(self, place: int, turns: int) -> None:
        """A worker takes turns, and is started where none runs."""
        for _ in range(turns):
            if self.places[place].worker is None:
                self.places[place].start()
            self.places[place].step()

    @precondition(lambda self: self.faults.armed is None)
    @rule(step=st.sampled_from(STEPS), fault=st.sampled_from([fault for fault in Fault if fault is not Fault.NONE]))
    def arm(self, step: str, fault: Fault) -> None:
        """The next call of a step fails in a way."""
        if step in STEPS_BY_STORE[self.store]:
            self.faults.armed = step, fault

    @rule(place=PLACES)
    def kill(self, place: int) -> None:
        """A worker is killed between two turns."""
        if self.places[place].worker is not None:
            self.places[place].kill()

    @rule(place=PLACES)
    def stop(self, place: int) -> None:
        """A worker is asked to leave."""
        self.places[place].stop()

    @rule(seconds=st.floats(0.1, 25.0))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.cluster.advance(seconds)

    @invariant()
    def nothing_else_is_seen(self) -> None:
        """At every moment a reader sees a beginning of the truth, of each partition and topic."""
        for number, truth in self.input.truth.items():
            seen = published(self.cluster, number)
            for kind in ("prediction", "dead_letter"):
                shown = [message for message in seen if message.kind == kind]
                wanted = [message for message in truth if message.kind == kind]
                assert shown == wanted[: len(shown)]

    def teardown(self) -> None:
        """In peace everything gets done."""
        if not hasattr(self, "places"):
            return
        self.faults.armed = None
        while self.sent < len(self.input.chunks):
            self.deliver()
        for _ in range(3_000):
            for place in self.places:
                if place.worker is None:
                    place.start()
                place.step()
            if has_arrived(self.cluster, self.input) and all(p.worker and p.worker.is_settled for p in self.places):
                break
        for place in self.places:
            place.stop()
            while place.worker is not None:
                place.step()
        self.cluster.advance(60.0)  # the last markers are written
        for number, truth in self.input.truth.items():
            assert differences(truth, published(self.cluster, number)) == []
        assert set(self.cluster.offsets.committed) == set(undisturbed(self.number))


Shop.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestShop = Shop.TestCase
