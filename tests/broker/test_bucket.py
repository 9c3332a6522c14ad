"""A worker whose checkpoints are in a bucket, on a real broker and a real S3 endpoint."""

from __future__ import annotations

import shutil
from itertools import islice
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from tests.kafka import wait_until
from tests.objects import FaultProxy, Mode
from tests.objects.s3proxy import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumer.simulate.events import ShopEvent
    from tests.objects import Endpoint
    from tests.stage import Stage, WorkerProcess

pytestmark = pytest.mark.broker

PARTITIONS: Final = 2
QUICK: Final = {"KAFKA_SESSION_TIMEOUT_MS": "6000", "CHECKPOINT_INTERVAL_SECONDS": "1"}


def events(start: int, stop: int) -> Iterator[ShopEvent]:
    """Some of a real shop's events, faults among them."""
    return islice(real_transactions(6_000, seed=11), start, stop)


@pytest.fixture
def proxy(s3_endpoint: Endpoint) -> Iterator[FaultProxy]:
    """The line to the endpoint."""
    with FaultProxy(s3_endpoint.port) as line:
        yield line


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    """A stage whose checkpoints go to a bucket."""
    return new_stage(partitions=PARTITIONS)


@pytest.fixture
def variables(s3_endpoint: Endpoint, proxy: FaultProxy) -> dict[str, str]:
    """A worker's settings."""
    bucket = s3_endpoint.new_bucket()
    return {**QUICK, **s3_endpoint.environment(proxy.port), "CHECKPOINT_URL": f"s3://{bucket}/shop"}


def killed(stage: Stage, worker: WorkerProcess) -> None:
    """Kill a worker once all partitions have a checkpoint that is referred to, and wipe the local disk."""
    wait_until(lambda: stage.checkpointed() == set(range(PARTITIONS)), 60, "checkpoints to be referred to")
    worker.kill()
    assert SECRET not in worker.log.read_text()
    shutil.rmtree(stage.directory)


def restored(worker: WorkerProcess) -> list[str]:
    """The rungs that a worker took."""
    rungs = {"checkpoint_restored", "older_checkpoint_restored", "replay_from_first", "partition_fresh"}
    return [line["event"] for line in worker.events() if line["event"] in rungs]


def test_the_disk_is_lost_and_nothing_else(stage: Stage, variables: dict[str, str]) -> None:
    """Killed with -9 in mid-stream, twice, the disk wiped: it comes back at its checkpoint, to the byte."""
    for turn in range(2):
        stage.send(events(turn * 1_500, turn * 1_500 + 1_000))
        with stage.worker(**variables) as worker:
            wait_until(lambda: len(worker.events("checkpoint_written")) >= PARTITIONS, 60, "first checkpoints")
            stage.send(events(turn * 1_500 + 1_000, (turn + 1) * 1_500))
            stage.wait_until_done(60)
            wait_until(lambda: len(worker.events("checkpoint_written")) > PARTITIONS, 60, "later ones")
            if turn:
                assert restored(worker) == ["checkpoint_restored"] * PARTITIONS
                assert worker.metrics()["records_replayed_total"] < 1_000
            killed(stage, worker)
    stage.send(events(3_000, 3_500))
    worker = stage.run_to_end(**variables)
    assert restored(worker) == ["checkpoint_restored"] * PARTITIONS
    assert stage.differences(stage.truth(LINEAR)) == []


def test_a_store_that_is_busy_holds_nothing_up(stage: Stage, proxy: FaultProxy, variables: dict[str, str]) -> None:
    """While writes are answered with 503, then late, the worker goes on and counts; then it writes again."""
    stage.send(events(0, 500))
    with stage.worker(**variables) as worker:
        wait_until(lambda: stage.checkpointed() == set(range(PARTITIONS)), 60, "checkpoints to be referred to")
        proxy.mode = Mode.BUSY_WRITES
        stage.send(events(500, 1_500))
        (failed, *_) = wait_until(lambda: worker.events("checkpoint_failed"), 60, "a checkpoint to fail")
        assert "503 Service Unavailable: SlowDown" in failed["reason"]
        stage.wait_until_done(60)
        assert worker.metrics()["checkpoint_failures_total"] >= 1
        proxy.mode, proxy.delay = Mode.SLOW, 2.0
        written = len(worker.events("checkpoint_written"))
        stage.send(events(1_500, 2_500))
        stage.wait_until_done(60)
        wait_until(lambda: len(worker.events("checkpoint_written")) > written, 60, "a slow checkpoint")
        proxy.mode = Mode.GOOD
        assert worker.terminate() == ExitCode.OK
    assert stage.differences(stage.truth(LINEAR)) == []


def test_a_restore_waits_for_the_store(stage: Stage, proxy: FaultProxy, variables: dict[str, str]) -> None:
    """Told to rebuild and to begin anew, it does neither while the store is busy: it waits, says so, and restores."""
    stage.send(events(0, 1_500))
    with stage.worker(**variables) as worker:
        stage.wait_until_done(60)
        killed(stage, worker)
    stage.send(events(1_500, 2_000))
    flags = ("--rebuild", "--publish-anew")
    with stage.worker("worker-0", *flags, **variables) as worker:
        wait_until(lambda: worker.events("serving"), 60, "the check at the start to be done")
        proxy.mode = Mode.BUSY
        wait_until(lambda: worker.events("store_unreachable"), 60, "the restore to wait")
        assert worker.metrics()["checkpoint_store_unreachable"] == 1
        assert restored(worker) == []
        proxy.mode = Mode.GOOD
        stage.wait_until_done(60)
        assert restored(worker) == ["checkpoint_restored"] * PARTITIONS
        # One of each for every reading that waits; more, where a busy machine is as slow as a busy store.
        assert 1 <= len(worker.events("store_unreachable")) == len(worker.events("store_reachable"))
        assert worker.metrics()["checkpoint_store_unreachable"] == 0
        assert worker.terminate() == ExitCode.OK
    assert stage.differences(stage.truth(LINEAR)) == []


def test_a_start_waits_for_the_store(stage: Stage, proxy: FaultProxy, variables: dict[str, str]) -> None:
    """As for a broker, since both may start together; what the store refuses ends it at once."""
    proxy.mode = Mode.BUSY
    stage.send(events(0, 200))
    with stage.worker("worker-0", "--stop-at-end", **variables) as worker:
        (waits, *_) = wait_until(lambda: worker.events("start_waits"), 60, "the start to wait")
        assert "503" in waits["reason"]
        proxy.mode = Mode.GOOD
        assert worker.wait() == ExitCode.OK
    with stage.worker("worker-1", **{**variables, "AWS_SECRET_ACCESS_KEY": "wrong"}) as worker:
        assert worker.wait(20) == ExitCode.CHECKPOINTS
        (line,) = worker.events("stopped_by_error")
    url = variables["CHECKPOINT_URL"]
    assert line["reason"].startswith(
        f"CHECKPOINT_URL={url}: checkpoints cannot be written to {url}: cannot write {url}/"
    )
    assert line["reason"].endswith(
        "SignatureDoesNotMatch: Forbidden; let its credentials do that, or name another place"
    )


def test_a_start_that_waits_can_be_stopped(stage: Stage, proxy: FaultProxy, variables: dict[str, str]) -> None:
    """Asked to stop, it does, as ever with 0."""
    proxy.mode = Mode.BUSY
    with stage.worker(**variables) as worker:
        wait_until(lambda: worker.events("start_waits"), 60, "the start to wait")
        assert worker.terminate() == ExitCode.OK
        assert worker.events("stopped")
