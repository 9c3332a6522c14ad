"""One schedule: workers on a simulated Kafka, faults and an operator at random, then peace, and the verdict."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.broker import Committed
from consumer.checkpoint.reference import UnreadableReferenceError, decode_reference
from consumer.permissions import Permissions
from consumer.settings import Guarantee
from consumer.testing.cluster import SimulatedCluster
from consumer.testing.process import SimulatedProcess
from consumer.testing.store import Disk
from tests.explore.faults import STEPS_BY_STORE, ChanceFaults
from tests.explore.inputs import (
    INPUT,
    INPUTS,
    STORES,
    Input,
    final_states,
    has_arrived,
    make_input,
    outlooks,
    published,
    settings,
    undisturbed,
    wanted_outlooks,
)
from tests.oracle import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from consumer.checkpoint.store import CheckpointName
    from consumer.testing.connection import SimulatedConnection
    from tests.oracle import Published

_ACTIONS: Final = (
    *["step"] * 60,
    *["deliver"] * 6,
    *["start"] * 6,
    *["kill"] * 2,
    *["stop"] * 1,
    *["wait"] * 3,
    *["retention"] * 1,
    *["damage"] * 1,
    *["lose_file"] * 1,
    *["reset"] * 2,
    *["undo_reset"] * 1,
)
_MOST_TURNS_IN_PEACE: Final = 6_000
_QUIET_TURNS: Final = 5
_MOST_ERRORS_IN_PEACE: Final = 5
_DEEPEST_FREEZE: Final = 2


class Verdict(NamedTuple):
    """What a schedule has come to.

    Attributes:
        violations: what is not as it must be; empty in a good one.
        struck: the faults: (number of the call, step, fault's name).
        actions: how many of each the operator and the world did.
        visits: calls by step.
        turns: how many turns it took after the last fault until everything was done.
    """

    seed: int
    violations: tuple[str, ...]
    struck: tuple[tuple[int, str, str], ...]
    actions: Counter[str]
    visits: Counter[str]
    turns: int


class Schedule:
    """A seeded run.

    Args:
        seed: of everything.
        spared: faults, by the number of their call, that do not strike; for shrinking.
        most_actions: ends the disturbed part early; for shrinking.
    """

    def __init__(self, seed: int, *, spared: Collection[int] = (), most_actions: int | None = None) -> None:
        self.seed = seed
        self._rng = random.Random(f"actions {seed}")
        self.number = self._rng.randrange(INPUTS)
        self.input: Input = make_input(self.number)
        self.store = "topic" if seed % 2 else "directory"
        self.faults = ChanceFaults(seed, STEPS_BY_STORE[self.store], spared)
        self.cluster = SimulatedCluster(self.input.partitions, seed=seed, faults=self.faults)
        self.cluster.while_frozen = self._while_frozen
        self.guarantee = self._rng.choice([Guarantee.EXACTLY_ONCE] * 5 + [Guarantee.AT_LEAST_ONCE])
        # Retention takes what a lower rung would need, so a schedule has either it or damaged checkpoints.
        self._has_retention = self._rng.random() < 0.5
        self.disk = Disk()
        self.processes = [self._place(number) for number in range(self._rng.randint(1, 3))]
        self._spoilt: dict[CheckpointName, bytes] = {}
        self._frozen: list[SimulatedConnection] = []
        self._sent = 0
        self._reset: dict[int, Committed] = {}
        self._actions = self._rng.randint(40, 250)
        if most_actions is not None:
            self._actions = min(self._actions, most_actions)
        self.done: Counter[str] = Counter()

    def run(self) -> Verdict:
        """Play it and judge."""
        turns = 0
        try:
            for _ in range(self._actions):
                self._act(self._rng.choice(_ACTIONS))
            turns = self._make_peace()
            violations = self._judge()
        except Stuck as stuck:
            violations = [str(stuck)]
        except Exception as error:  # noqa: BLE001 -- whatever the worker lets out is a finding
            violations = [f"{type(error).__name__} came out: {error}"]
        struck = tuple((call, step, fault.name) for call, step, fault in self.faults.struck)
        return Verdict(self.seed, tuple(violations), struck, self.done, self.faults.visits, turns)

    # What happens

    def _place(self, number: int) -> SimulatedProcess:
        return SimulatedProcess(
            self.cluster,
            self.disk,
            settings(number, self.input.scope, guarantee=self.guarantee, has_outlook=self.input.has_outlook),
            permissions=Permissions(rebuild=not self._has_retention),
            new_store=STORES[self.store],
            is_slow=lambda: self.faults.is_active and self._rng.random() < 0.5,
        )

    def _act(self, action: str) -> None:
        places = [each for each in self.processes if each.connection not in self._frozen]
        if not places:
            action = "wait"
        place = self._rng.choice(places or self.processes)
        act: dict[str, Callable[[], object]] = {
            "step": place.step,
            "deliver": self._deliver,
            "start": place.start,
            "kill": place.kill,
            "stop": place.stop,
            "wait": lambda: self.cluster.advance(self._rng.uniform(0.1, 12.0)),
            "retention": self._retention,
            "damage": self._damage,
            "lose_file": self._lose_file,
            "reset": self._reset_offset,
            "undo_reset": self._undo_reset,
        }
        if (action == "start") is (place.worker is None) or action not in {"start", "kill"}:
            self.done[action] += 1
            act[action]()

    def _deliver(self) -> None:
        if self._sent < len(self.input.chunks):
            self.input.chunks[self._sent].send(self.cluster)
            self._sent += 1

    def _retention(self) -> None:
        """Delete what no restart needs: below the checkpoint that the committed offset refers to."""
        for number, committed in self.cluster.offsets.committed.items():
            with suppress(UnreadableReferenceError):  # the worker's own finding, at its next start
                offset = decode_reference(committed.metadata).checkpoint_offset
                if self._has_retention and offset is not None:
                    self.cluster.log(INPUT, number).delete_below(offset)

    def _damage(self) -> None:
        if not self._has_retention and self.disk.files:
            name = self._rng.choice(sorted(self.disk.files))
            whole = self.disk.files[name]
            self._spoilt.setdefault(name, whole)
            self.disk.files[name] = whole[: int(self._rng.random() * len(whole))]

    def _lose_file(self) -> None:
        if not self._has_retention and self.disk.files:
            name = self._rng.choice(sorted(self.disk.files))
            self._spoilt.setdefault(name, self.disk.files.pop(name))

    def _reset_offset(self) -> None:
        """Set a committed offset back with another tool, which keeps the metadata; it wants a group without members."""
        committed = self.cluster.offsets.committed
        if committed and not self._reset and self.cluster.is_quiet():
            number = self._rng.choice(sorted(committed))
            before = committed[number]
            log = self.cluster.log(INPUT, number)
            passed = [record.offset for record in log.committed(log.start) if record.offset < before.offset]
            if passed:
                self._reset[number] = before
                committed[number] = Committed(self._rng.choice(passed), before.metadata)

    def _undo_reset(self) -> None:
        """Put it right again: no worker may have gone on from there."""
        for number, before in self._reset.items():
            now = self.cluster.offsets.committed[number]
            if now.metadata != before.metadata:
                raise Stuck(f"partition {number} went on from an offset that another tool had set")
            self.cluster.offsets.committed[number] = before
        self._reset = {}

    def _while_frozen(self, connection: SimulatedConnection) -> None:
        """Let everybody else go on while one process stands still, at times under a second one of its name."""
        if len(self._frozen) >= _DEEPEST_FREEZE:
            self.cluster.advance(self._rng.uniform(0.0, 25.0))
            return
        self._frozen.append(connection)
        owner = next((each for each in self.processes if each.connection is connection), None)
        twin = None
        if owner is not None and self._rng.random() < 0.3:
            twin = self._place(int(owner.settings.instance_id.removeprefix("worker-")))
            self.processes.append(twin)
            twin.start()
        try:
            for _ in range(self._rng.randint(0, 40)):
                self._act(self._rng.choice(_ACTIONS))
        finally:
            self._frozen.remove(connection)
            if twin is not None:
                self.processes.remove(twin)
                if twin.worker is not None:
                    twin.kill()

    # Peace

    def _make_peace(self) -> int:
        """Let nothing go wrong any more: everything must get done, and in the end be left in good order."""
        self.faults.is_active = False
        self._undo_reset()
        while self._sent < len(self.input.chunks):
            self._deliver()
        quiet = 0
        for turn in range(_MOST_TURNS_IN_PEACE):
            for place in self.processes:
                if place.worker is None:
                    self._restart(place)
                place.step()
            quiet = quiet + 1 if self._is_all_done() else 0
            if quiet == _QUIET_TURNS:
                self._leave()
                return turn
        logged = [f"{line['instance']}: {line}" for place in self.processes for line in place.log[-5:]]
        raise Stuck("no end in sight once the faults had ended: " + "; ".join(logged))

    def _is_all_done(self) -> bool:
        owned = sum(len(member.owned) for member in self.cluster.group.members.values())
        settled = all(place.worker is not None and place.worker.is_settled for place in self.processes)
        return settled and owned == self.input.partitions and has_arrived(self.cluster, self.input)

    def _restart(self, place: SimulatedProcess) -> None:
        if place.error is not None:
            self.done["error in peace"] += 1
            if self.done["error in peace"] > _MOST_ERRORS_IN_PEACE + len(self.processes):
                raise Stuck(f"it keeps stopping: {place.error}")
        place.start()

    def _leave(self) -> None:
        for place in self.processes:
            place.stop()
        for _ in range(_MOST_TURNS_IN_PEACE):
            for place in self.processes:
                place.step()
            if all(place.worker is None for place in self.processes):
                break
        else:
            raise Stuck("a worker that was told to leave does not")
        self.cluster.advance(60.0)

    # The verdict

    def _judge(self) -> list[str]:
        violations = []
        for number, wanted in self.input.truth.items():
            got = published(self.cluster, number)
            if self.guarantee is Guarantee.AT_LEAST_ONCE:
                got = _without_repeats(got)
            violations += [f"partition {number}: {text}" for text in differences(wanted, got)]
        violations += self._wrong_outlooks()
        # What was spoilt after it was last read nobody has noticed: the state is what was written.
        states = final_states(self.cluster, {**self.disk.files, **self._spoilt})
        for number, wanted_state in undisturbed(self.number, self.store).items():
            found = states.get(number)
            if found != wanted_state:
                violations.append(f"partition {number}: final state: expected {wanted_state}, got {found}")
        return violations

    def _wrong_outlooks(self) -> list[str]:
        violations = []
        seen = outlooks(self.cluster)
        for number, wanted in wanted_outlooks(self.number).items():
            got = seen[number]
            if self.guarantee is Guarantee.AT_LEAST_ONCE:
                got, wanted = list(dict.fromkeys(got)), list(dict.fromkeys(wanted))  # noqa: PLW2901 -- both alike
            if got != wanted:
                at = next((at for at, (one, other) in enumerate(zip(got, wanted, strict=False)) if one != other), None)
                violations.append(
                    f"partition {number}: outlooks: expected {len(wanted)}, got {len(got)}; first to differ: {at}"
                )
        return violations


class Stuck(Exception):  # noqa: N818 -- a finding, no error
    """The workers got nowhere, though nothing went wrong any more."""


def _without_repeats(seen: list[Published]) -> list[Published]:
    """Under at_least_once a record may come again, to the byte: keep the first of each, in order."""
    return list(dict.fromkeys(seen))
