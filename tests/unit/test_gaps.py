"""Gaps: retention has removed what is needed, and the worker stops, or goes on without it where told to."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from consumer.assigned import Phase
from consumer.checkpoint.reference import decode_reference
from consumer.errors import LogGapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scripted import Shop


def test_a_replay_below_the_log_s_start_stops(shop: Shop) -> None:
    """Without ON_GAP=accept there is no honest state to go on with, and the refusal says which offsets are gone."""
    shop.spoil(20, 40, 60)
    shop.log.first = 3
    reason = shop.refusal(LogGapError)
    assert "is needed from offset 0 on, but the log begins at 3" in reason
    assert "ON_GAP=accept" in reason


def test_a_rung_above_the_gap_needs_no_permission(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """A higher rung without a gap comes before a lower one with one."""
    shop.spoil(60)
    shop.log.first = 40
    shop.grow(80)
    assert shop.run(on_gap="accept") == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}
    assert shop.counted("gaps_accepted") == 0


@pytest.mark.parametrize("spoilt", [(60, 40), (60, 40, 20)])
def test_an_accepted_gap_is_counted_and_goes_on(shop: Shop, spoilt: tuple[int, ...]) -> None:
    """The state lacks what was lost; count and digest go on from the committed reference, and nothing is repeated."""
    shop.spoil(*spoilt)
    begun_at = min(offset for offset in (0, 20) if offset not in spoilt or offset == 0) if 20 in spoilt else 20
    shop.log.first = 35
    before, chain = list(shop.log.commits), shop.reference().chain
    shop.grow(80)
    shop.run(on_gap="accept")
    outputs = shop.predictions()
    assert [each["source_offset"] for each in outputs] == list(range(80))
    assert outputs[60]["events_learned"] == begun_at + 25
    assert shop.reference().records_applied == 80
    assert shop.counted("gaps_accepted") == 1
    assert shop.counted("gap_records") == 35 - begun_at
    anchor = next(commit for commit in shop.log.commits if commit.offset == 60 and commit not in before)
    assert decode_reference(anchor.metadata).chain == chain
    assert "gap_accepted" in shop.events()
    # What it goes on with is a state like any other: the next start restores it, and compares again.
    shop.grow(90)
    shop.run()
    assert shop.restores() == {"checkpoint": 1}
    shop.spoil(90)
    shop.grow(95)
    shop.run()
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}


@pytest.mark.parametrize("policy", ["stop", "accept"])
def test_records_lost_before_they_were_read(shop: Shop, truth: Callable[[int], list[bytes]], policy: str) -> None:
    """Retention overtook the committed offset: those events are never predicted for."""
    shop.grow(80)
    shop.log.first = 65
    if policy == "stop":
        assert "is needed from offset 60 on, but the log begins at 65" in shop.refusal(LogGapError)
        return
    shop.run(on_gap="accept")
    outputs = shop.predictions()
    assert [each["source_offset"] for each in outputs] == [*range(60), *range(65, 80)]
    assert [each["events_learned"] for each in outputs] == list(range(75))
    assert shop.reference().records_applied == 75
    assert shop.counted("gap_records") == 5
    assert shop.log.outputs[:60] == truth(60)


def test_a_gap_below_the_committed_offset_and_one_above(shop: Shop) -> None:
    """With the checkpoint lost as well, an older one jumps right to the log's start."""
    shop.grow(80)
    shop.spoil(60)
    shop.log.first = 65
    shop.run(on_gap="accept")
    outputs = shop.predictions()
    assert [each["source_offset"] for each in outputs] == [*range(60), *range(65, 80)]
    assert outputs[60]["events_learned"] == 40
    assert shop.reference().records_applied == 75


@pytest.mark.parametrize("policy", ["stop", "accept"])
def test_retention_overtakes_a_running_worker(shop: Shop, policy: str) -> None:
    """The client says that the next record is gone: what was done is committed first, then the gap is judged."""
    shop.grow(90)
    worker = shop.new_worker(shop.log, end=90, on_gap=policy)
    shop.worker = worker
    connection = shop.log.connect(worker)
    worker._use(connection)
    while not connection.pending:
        worker._turn()

    def cut_log() -> None:
        shop.log.first = 85

    connection.before_poll = cut_log
    with capture_logs() as shop.lines:
        if policy == "stop":
            with pytest.raises(LogGapError, match="needed from offset 80 on, but the log begins at 85"):
                worker.run(connection)
        else:
            worker.run(connection)
    offsets = [each["source_offset"] for each in shop.predictions()]
    assert offsets == ([*range(80)] if policy == "stop" else [*range(80), *range(85, 90)])
    if policy == "accept":
        assert shop.predictions()[80]["events_learned"] == 80  # nothing that was in memory is lost
        assert shop.counted("gap_records") == 5
        after = connection.journal[connection.journal.index("stop") :]
        assert after.index("commit") < after.index("start") < after.index("produce")


def test_an_older_snapshot_is_no_anchor(shop: Shop) -> None:
    """A snapshot that was under way when the gap was crossed does not hold what the anchor must."""
    shop.grow(90)
    worker = shop.new_worker(shop.log, end=90)
    worker._use(shop.log.connect(worker))
    while not worker._assignment.in_phase(Phase.LIVE):
        worker._turn()
    (assigned,) = worker._assignment
    checkpointing = worker._checkpointing
    assigned.state.skip_to(70)
    checkpointing._begin(assigned)
    while checkpointing._go_on():
        pass
    assigned.state.skip_to(85)
    assigned.anchor(assigned.state)
    checkpointing._collect(10.0)
    assert assigned.durable is None
    checkpointing.turn(worker._connection)
    while checkpointing._go_on():
        pass
    checkpointing._collect(10.0)
    assert assigned.durable is not None
    assert assigned.durable.offset == 85


def test_a_state_at_a_gap_is_compared_first(shop: Shop) -> None:
    """The committed offset lies below the gap: what stands right there can still be held to the committed digest."""
    shop.commit(60, chain="0" * 16)
    shop.grow(80)
    shop.log.first = 65
    shop.run(on_gap="accept")
    assert shop.restores() == {"checkpoint": 1, "replay_differs": 1, "older_checkpoint": 1}


def test_retention_overtakes_a_replay(shop: Shop) -> None:
    """A replay that finds its next record gone is judged anew."""
    shop.spoil(20, 40, 60)
    shop.grow(80)
    worker = shop.new_worker(shop.log, on_gap="accept")
    shop.worker = worker
    connection = shop.log.connect(worker)

    def cut_log() -> None:
        shop.log.first = 25

    worker._use(connection)
    while connection.position is None:
        worker._turn()
    connection.before_poll = cut_log
    worker.run(connection)
    outputs = shop.predictions()
    assert [each["source_offset"] for each in outputs] == list(range(80))
    assert outputs[60]["events_learned"] == 35


def test_resume_across_a_gap(shop: Shop) -> None:
    """Offsets, checkpoints and the log's beginning lost at once: only an accepted gap leads on."""
    shop.lose_offsets()
    shutil.rmtree(shop.directory)
    shop.log.first = 10
    shop.grow(80)
    assert "needed from offset 0 on" in shop.refusal(LogGapError, allow="resume_after_output")
    shop.run(allow="resume_after_output", on_gap="accept")
    outputs = shop.predictions()
    assert [each["source_offset"] for each in outputs] == list(range(80))
    assert outputs[60]["events_learned"] == 50
    shop.spoil(80)
    shop.grow(90)
    shop.run()
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}
