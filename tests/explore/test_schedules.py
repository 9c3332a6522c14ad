"""Seeded schedules: nothing lost, nothing twice, nothing different, and an end to it; and the verdict itself."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from consumer.checkpoint.envelope import EnvelopeError, read_header
from consumer.testing.faults import Fault
from consumer.transaction import Transaction
from tests.explore.faults import STEPS, ChanceFaults
from tests.explore.inputs import DEAD_LETTERS, OUTPUT, make_input, undisturbed
from tests.explore.mutations import MUTATIONS, Mutation, hunt
from tests.explore.runner import explore, shrink
from tests.explore.schedule import Schedule
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from consumer.broker import Position
    from consumer.testing.partition_log import PartitionLog

SCHEDULES = 300
DEEP_SCHEDULES = 10_000
LEAST_CRASHES = 50


@pytest.mark.timeout(600)
def test_no_schedule_changes_what_is_seen() -> None:
    """Whatever fails, outputs and final state are those of the undisturbed loop; a failing seed is printed."""
    found = explore(range(SCHEDULES))
    assert found.violations == {}, "play one again: python -m tests.explore --seed SEED --shrink"
    assert found.schedules == SCHEDULES
    assert all(found.visits[step] > 0 for step in STEPS)


@pytest.mark.deep
@pytest.mark.timeout(2400)
def test_no_schedule_of_many_changes_what_is_seen() -> None:
    """The same for thirty times as many, in which each numbered step was the last one often enough."""
    found = explore(range(SCHEDULES, SCHEDULES + DEEP_SCHEDULES))
    assert found.violations == {}, "play one again: python -m tests.explore --seed SEED --shrink"
    assert {step: found.crashes(step) for step in STEPS if found.crashes(step) < LEAST_CRASHES} == {}


@pytest.mark.deep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_every_planted_bug_is_found(mutation: Mutation, tmp_path: Path) -> None:
    """A rule of the commit path taken out turns some schedule red."""
    assert hunt(mutation, tmp_path, schedules=DEEP_SCHEDULES).seed is not None


def test_every_planted_bug_can_still_be_planted() -> None:
    """The hunt is long and seldom made; that the code has moved away from under a bug is seen at once."""
    texts = {edit.file: (ROOT / edit.file).read_text() for mutation in MUTATIONS for edit in mutation.edits}
    stale = {
        mutation.name: edit.old
        for mutation in MUTATIONS
        for edit in mutation.edits
        if texts[edit.file].count(edit.old) != 1
    }
    assert stale == {}


def test_a_seed_replays_exactly() -> None:
    """The same seed strikes at the same calls and ends after the same turns."""
    for seed in range(5):
        once, again = Schedule(seed).run(), Schedule(seed).run()
        assert once == again
    assert Schedule(1).run().struck != Schedule(2).run().struck


def commit_outputs_first(transaction: Transaction, positions: Sequence[Position]) -> None:
    """A planted bug: the outputs' transaction is committed before the one that has the offsets."""
    transaction._connection.commit()
    transaction._connection.begin()
    transaction._connection.send_offsets(positions)
    transaction._connection.commit()
    transaction._close()


def test_a_failing_schedule_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it still fails, and has no fault that it would fail without."""
    with pytest.raises(ValueError, match="does not fail"):
        shrink(0)
    monkeypatch.setattr(Transaction, "commit", commit_outputs_first)
    seed, whole = next(
        (verdict.seed, verdict) for verdict in (Schedule(seed).run() for seed in range(200)) if verdict.violations
    )
    small = shrink(seed)
    assert small.violations
    assert len(small.struck) <= len(whole.struck)
    assert sum(small.actions.values()) <= sum(whole.actions.values())


def drop(log: PartitionLog, place: int) -> None:
    """Lose a published record."""
    del log._entries[place]


def double(log: PartitionLog, place: int) -> None:
    """Publish a record twice."""
    log._entries.insert(place, log._entries[place])


def change(log: PartitionLog, place: int) -> None:
    """Change one byte of a record."""
    entry = log._entries[place]
    assert entry.record is not None
    value = entry.record.value or b"?"
    changed = type(entry.record)(0, entry.record.offset, 0, entry.record.key, value.replace(b"1", b"2"))
    changed.headers = entry.record.headers
    log._entries[place] = entry._replace(record=changed)


def swap(log: PartitionLog, place: int) -> None:
    """Publish two records in the wrong order."""
    log._entries[place], log._entries[place + 1] = log._entries[place + 1], log._entries[place]


@pytest.mark.parametrize("spoil", [drop, double, change, swap])
@pytest.mark.parametrize("topic", [OUTPUT, DEAD_LETTERS])
def test_the_verdict_sees(spoil: Callable[[PartitionLog, int], None], topic: str) -> None:
    """A lost, doubled, changed or misplaced record of either topic is a violation."""
    for seed in range(40):
        schedule = Schedule(seed)
        assert schedule.run().violations == ()
        log = schedule.cluster.log(topic, 0)
        visible = {record.offset for record in log.committed(log.start)}  # what was aborted, nobody misses
        seen = [place for place, entry in enumerate(log._entries) if entry.record and entry.record.offset in visible]
        pairs = [place for place in seen if place + 1 in seen]
        if not pairs or schedule.guarantee.value == "at_least_once":
            continue
        spoil(log, pairs[0])
        assert schedule._judge() != []
        return
    pytest.fail("no schedule has two records side by side")


def test_the_verdict_sees_another_final_state() -> None:
    """A state that differs in anything has another digest in its reference."""
    schedule = Schedule(3)
    assert schedule.run().violations == ()
    committed = schedule.cluster.offsets.committed
    number = min(committed)
    committed[number] = committed[number]._replace(metadata=(committed[number].metadata or "").replace("a", "b"))
    (violation,) = schedule._judge()
    assert "final state" in violation


def test_the_inputs_have_what_a_worker_may_meet() -> None:
    """Among all inputs: repeats, invalid and late events, aborted transactions, markers, several partitions."""
    inputs = [make_input(number) for number in range(12)]
    assert {each.partitions for each in inputs} == {1, 2, 3}
    published = [message for each in inputs for partition in each.truth.values() for message in partition]
    sent = sum(len(chunk.events) for each in inputs for chunk in each.chunks)
    assert {message.kind for message in published} == {"prediction", "dead_letter"}
    assert len(published) < sent, "repeats and aborted records publish nothing"
    assert any(b'"is_late":true' in (message.value or b"") for message in published)
    assert all(sorted(undisturbed(number)) == sorted(make_input(number).ends) for number in range(12))


def test_the_guarantees_page_has_every_step_by_its_number() -> None:
    """The failure table's numbers are those of the exploration."""
    page = (ROOT / "docs/guarantees.md").read_text()
    table = [line.split("|")[1] for line in page.splitlines() if re.match(r"\| \d", line)]
    numbers = [int(number) for line in table for number in re.findall(r"\b(\d+) ", line)]
    assert numbers == list(range(1, len(STEPS) + 1))


def test_chance_is_the_seed_s_alone() -> None:
    """Which fault strikes follows from the seed and the call, in whatever order a set walks."""
    allowed = frozenset(Fault) - {Fault.NONE}
    once, again, other = ChanceFaults(7), ChanceFaults(7), ChanceFaults(8)
    drawn = [[faults.at("poll", allowed) for _ in range(2_000)] for faults in (once, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) | set(drawn[2]) == set(Fault)
    spared = ChanceFaults(7, spared={once.struck[0][0]})
    kept = [spared.at("poll", allowed) for _ in range(2_000)]
    assert kept.count(Fault.NONE) == drawn[0].count(Fault.NONE) + 1


def test_checkpoints_share_shards() -> None:
    """The states are small, and yet there are chains of several files, which faults and pruning meet."""
    most = 0
    for seed in range(4):
        schedule = Schedule(seed)
        assert schedule.run().violations == ()
        for data in schedule.disk.files.values():
            with suppress(EnvelopeError):  # some were damaged
                most = max(most, len(read_header(data).parents))
    assert most >= 2
