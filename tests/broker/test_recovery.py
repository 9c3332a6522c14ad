"""Recovery on a real broker: refused or recovered as documented, and nothing published that the oracle would not."""

from __future__ import annotations

import shutil
import time
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from consumer.learning.fingerprint import fingerprint
from consumer.model_choice import model_kind
from tests import sabotage
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumer.simulate.events import ShopEvent
    from tests.stage import Stage, WorkerProcess

pytestmark = pytest.mark.broker

QUICK = {"KAFKA_SESSION_TIMEOUT_MS": "6000"}  # the group is empty that much sooner after a worker has left


def events(start: int, stop: int) -> Iterator[ShopEvent]:
    """Some of a real shop's events, faults among them."""
    return islice(real_transactions(6_000, seed=11), start, stop)


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    """A stage on which a worker has done events twice and left, a checkpoint each time."""
    made = new_stage(partitions=1)
    for start in (0, 1_500):
        made.send(events(start, start + 1_500))
        made.run_to_end(**QUICK)
    for path in sabotage.checkpoints(made)[2:]:
        path.unlink()
    return made


def refused(stage: Stage, code: ExitCode, *flags: str, **settings: str) -> str:
    """Run a worker that must refuse, and return its one sentence; nothing may have been published."""
    before = sum(map(len, stage.published().values()))
    with stage.worker("worker-0", *flags, **QUICK, **settings) as worker:
        assert worker.wait(60) == code, worker.log.read_text()[-2000:]
        (line,) = worker.events("stopped_by_error")
    assert sum(map(len, stage.published().values())) == before
    return str(line["reason"])


def recovered(stage: Stage, expected: Sequence[str], *flags: str, **settings: str) -> WorkerProcess:
    """Send more, run a worker that must recover with these log events, and compare everything with the oracle."""
    stage.send(events(3_000, 3_500))
    worker = stage.run_to_end(flags=flags, **QUICK, **settings)
    for event in expected:
        assert worker.events(event), event
    assert stage.differences(stage.truth(LINEAR)) == []
    return worker


@pytest.mark.parametrize("damage", [sabotage.flip, sabotage.truncate])
def test_a_damaged_checkpoint_goes_one_rung_down(stage: Stage, damage: Callable[..., None]) -> None:
    """The older checkpoint takes over, with a longer replay."""
    damage(sabotage.checkpoints(stage)[0])
    worker = recovered(stage, ["checkpoint_unusable", "older_checkpoint_restored"])
    assert worker.events("replay_from_first") == []


def test_a_subtly_wrong_checkpoint_goes_one_rung_down(stage: Stage) -> None:
    """A whole checkpoint whose state is off by a hair is found out by its replay; below it the log itself is left."""
    newest, older = sabotage.checkpoints(stage)
    sabotage.flip(newest)
    sabotage.reseal(stage, older, models=sabotage.heavier)
    recovered(stage, ["checkpoint_unusable", "older_checkpoint_restored", "replay_differs", "replay_from_first"])


def test_a_missing_checkpoint(stage: Stage) -> None:
    """Another host's or a deleted directory stops the worker; `--rebuild` replays the log."""
    shutil.rmtree(stage.directory / "checkpoints")
    reason = refused(stage, ExitCode.STATE)
    assert f"missing in the directory {stage.directory / 'checkpoints'}" in reason
    assert "run --rebuild" in reason
    recovered(stage, ["checkpoint_missing", "replay_from_first"], "--rebuild")


def test_a_changed_setting(stage: Stage) -> None:
    """It is refused by name, and adopted where the operator says so: the same predictions under another model_id."""
    assert "SEEN_IDS was 100000, is 50000" in refused(stage, ExitCode.STATE, SEEN_IDS="50000")
    (at,) = (answer.offset for answer in stage.committed().values())
    stage.send(events(3_000, 3_500))
    worker = stage.run_to_end(flags=["--adopt-state"], **QUICK, SEEN_IDS="50000")
    assert worker.events("state_adopted")[0]["kept"] == ["ledger", "identities", "models"]
    former, present = (
        fingerprint(learning, model_kind("linear").parameters).model_id.encode()
        for learning in (LINEAR, LINEAR._replace(seen_ids=50_000))
    )
    truth = stage.truth(LINEAR)
    expected = [
        each._replace(value=(each.value or b"").replace(former, present))
        if each.kind == "prediction" and each.source_offset >= at
        else each
        for each in truth.published[0]
    ]
    assert stage.differences(truth._replace(published={0: expected})) == []
    # From here on it is an ordinary state of the new meaning; the former one is refused.
    assert "SEEN_IDS was 50000, is 100000" in refused(stage, ExitCode.STATE)


def test_metadata_removed_by_another_tool(stage: Stage) -> None:
    """An offset that a tool has reset says nothing of the model that belongs there; the output says where to go on."""
    sabotage.commit_as_another_tool(stage, 1_000, None)
    reason = refused(stage, ExitCode.STATE)
    assert "carries no metadata" in reason
    assert "--resume-after-output" in reason
    recovered(stage, ["older_checkpoint_restored"], "--resume-after-output")


def test_lost_offsets(stage: Stage) -> None:
    """A group whose offsets are gone does not start anew where checkpoints or outputs know it."""
    sabotage.delete_group(stage)
    assert "no committed offset" in refused(stage, ExitCode.STATE)
    shutil.rmtree(stage.directory / "checkpoints")
    assert f"the output topic {stage.output} knows it" in refused(stage, ExitCode.STATE)
    recovered(stage, ["replay_from_first"], "--resume-after-output")


def test_publish_anew(stage: Stage) -> None:
    """The other way on: everything is published a second time, and the state is right."""
    sabotage.delete_group(stage)
    first = stage.truth(LINEAR).published[0]
    stage.run_to_end(flags=["--publish-anew"], **QUICK)
    published = stage.published()[0]
    for kind in ("prediction", "dead_letter"):
        wanted = [each for each in first if each.kind == kind]
        assert [each for each in published if each.kind == kind] == wanted + wanted


def test_recreated_topic(stage: Stage) -> None:
    """A topic created anew under the old name is another log, whatever the flags."""
    sabotage.recreate_input(stage)
    stage.send(events(3_000, 3_500))
    for flags in ([], ["--publish-anew"], ["--resume-after-output"]):
        # Its group's offsets go with a deleted topic; what the store and the output know does not.
        assert "deleted and created anew" in refused(stage, ExitCode.STATE, *flags)


def test_retention_below_a_needed_replay(stage: Stage) -> None:
    """Where the log no longer holds what a replay needs, the worker stops instead of learning something else."""
    sabotage.delete_records(stage, 500)
    recovered_at_the_checkpoint = stage.run_to_end(**QUICK)
    assert recovered_at_the_checkpoint.events("gap_accepted") == []
    shutil.rmtree(stage.directory / "checkpoints")
    reason = refused(stage, ExitCode.LOG_GAP, "--rebuild")
    assert "is needed from offset 0 on, but the log begins at 500" in reason
    assert "ON_GAP=accept" in reason


def test_retention_overtakes_the_committed_offset(stage: Stage) -> None:
    """Events that nobody read in time are gone: the worker says so, and goes on without them where told to."""
    before = stage.inputs()
    at = len(before[0])
    stage.send(events(3_000, 3_500))
    sabotage.delete_records(stage, at + 100)
    assert f"needed from offset {at} on, but the log begins at {at + 100}" in refused(stage, ExitCode.LOG_GAP)
    worker = stage.run_to_end(**QUICK, ON_GAP="accept")
    assert worker.events("gap_accepted")
    assert stage.differences(stage.truth(LINEAR, records={0: before[0] + stage.inputs()[0]})) == []


@pytest.mark.parametrize("policy", ["stop", "accept"])
def test_retention_overtakes_a_running_worker(new_stage: Callable[..., Stage], policy: str) -> None:
    """The same while the worker runs, frozen for a while: nothing that it has in memory is lost."""
    stage = new_stage(partitions=1)
    stage.send(events(0, 1_000))
    with stage.worker(ON_GAP=policy) as worker:
        stage.wait_until_done(60)
        before = stage.inputs()
        worker.freeze()
        time.sleep(0.5)  # the fetch that is under way is answered, with nothing: later ones wait for the thaw
        stage.send(events(1_000, 3_000))
        sabotage.delete_records(stage, len(stage.inputs()[0]) - 300)
        worker.thaw()
        if policy == "stop":
            assert worker.wait(60) == ExitCode.LOG_GAP
            return
        wait_until(lambda: worker.events("gap_accepted"), 60, "the gap to be accepted")
        stage.wait_until_done(60)
        assert worker.metrics()["gaps_accepted_total"] == 1
        assert worker.terminate() == 0
    assert stage.differences(stage.truth(LINEAR, records={0: before[0] + stage.inputs()[0]})) == []
