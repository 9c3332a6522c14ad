"""What stops the worker: each with one sentence and its exit code, and nothing published."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from benchmarks.recovery_times.story import owned
from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from tests.kafka import create_topics, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stage import Stage, WorkerProcess

pytestmark = [pytest.mark.broker, pytest.mark.cold]


def stopped(worker: WorkerProcess, code: ExitCode) -> str:
    """Wait for the worker's end with this exit code and return its one sentence."""
    with worker:
        assert worker.wait(60) == code, worker.log.read_text()[-2000:]
        (line,) = worker.events("stopped_by_error")
        return str(line["reason"])


def test_missing_topic(new_stage: Callable[..., Stage]) -> None:
    """A missing topic is named, with the command that creates it."""
    reason = stopped(new_stage().worker(OUTPUT_TOPIC="nowhere"), ExitCode.TOPICS)
    assert "topic nowhere (OUTPUT_TOPIC) does not exist" in reason
    assert "topics create" in reason


def test_too_few_output_partitions(new_stage: Callable[..., Stage]) -> None:
    """Producing to a missing partition would be accepted locally and abort for ever, so it is refused at the start."""
    stage = new_stage(partitions=2)
    narrow = unique("narrow")
    create_topics(stage.bootstrap_servers, {narrow: 1})
    assert "has 1 partitions; expected at least the 2" in stopped(stage.worker(OUTPUT_TOPIC=narrow), ExitCode.TOPICS)


def test_compacted_input(new_stage: Callable[..., Stage]) -> None:
    """A compacted topic is no log of events."""
    stage = new_stage()
    compacted = unique("compacted")
    create_topics(stage.bootstrap_servers, {compacted: 1}, {"cleanup.policy": "compact"})
    assert "cleanup.policy=compact" in stopped(stage.worker(INPUT_TOPIC=compacted), ExitCode.TOPICS)


def test_unwritable_checkpoints(new_stage: Callable[..., Stage]) -> None:
    """Where checkpoints fail, the worker goes on for a while and stops before a restart would take too long."""
    stage = new_stage(partitions=1)
    worker = stage.worker(MAX_REPLAY_RECORDS="2000", CHECKPOINT_INTERVAL_SECONDS="1")
    wait_until(lambda: worker.events("partition_fresh"), 30, "the worker to begin")
    shutil.rmtree(stage.directory / "checkpoints")  # the start has seen that it could be written
    (stage.directory / "checkpoints").write_text("a file where the directory should be")
    stage.send(real_transactions(1_500, seed=12))
    wait_until(lambda: worker.events("checkpoint_failed"), 30, "a checkpoint to fail")
    stage.send(real_transactions(3_000, seed=13))
    reason = stopped(worker, ExitCode.CHECKPOINTS)
    assert "MAX_REPLAY_RECORDS=2000" in reason
    assert "cannot write a checkpoint" in reason


def test_instance_id_taken_by_another(new_stage: Callable[..., Stage]) -> None:
    """Two workers of one INSTANCE_ID fence each other; one of them ends and names the clash."""
    stage = new_stage()
    with stage.worker("same") as first:
        wait_until(lambda: first.events("partition_fresh"), 30, "the first to begin")
        with stage.worker("same") as second:
            wait_until(
                lambda: first.process.poll() is not None or second.process.poll() is not None,
                90,
                "one of them to end",
            )
            ended = first if first.process.poll() is not None else second
            assert ended.wait() == ExitCode.FENCED
            assert "INSTANCE_ID='same'" in str(ended.log.read_text())


def test_health_metrics_and_logs(new_stage: Callable[..., Stage]) -> None:
    """A working worker says that it is live and ready, counts what it did, and logs no value of an event."""
    stage = new_stage(partitions=2)
    sent = stage.send(real_transactions(2_000, seed=13))
    with stage.worker(METRICS_PORT="0") as worker:
        (serving,) = wait_until(lambda: worker.events("serving"), 30, "the worker to serve")
        url = f"http://127.0.0.1:{serving['port']}"
        wait_until(lambda: _get(f"{url}/readyz")[0] == 200, 30, "the worker to be ready")
        stage.wait_until_done(30)
        assert _get(f"{url}/livez")[0] == 200
        metrics = _get(f"{url}/metrics")[1]
        assert f"smart_inventory_records_consumed_total {float(sum(sent.by_kind.values()))}" in metrics
        assert worker.terminate() == 0
    text = worker.log.read_text()
    assert all(json.loads(line) for line in text.splitlines())
    assert "America" not in text
    assert "2017-01-01" not in text  # every event carries its date


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 -- our own worker's address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_many_workers_by_one_command(new_stage: Callable[..., Stage]) -> None:
    """`run --workers 2 --stop-at-end` shares the partitions among two processes and ends with 0 when all is done."""
    stage = new_stage(partitions=2)
    stage.send(real_transactions(3_000, seed=14))
    with stage.worker("many", "--stop-at-end", "--workers", "2") as both:
        assert both.wait(90) == 0, both.log.read_text()[-2000:]
    assert stage.differences(stage.truth(LINEAR)) == []


def test_many_workers_stop_together_and_with_their_supervisor(new_stage: Callable[..., Stage]) -> None:
    """Told to stop, or left alone by a kill -9 of the command, both workers finish; everything is there once."""
    stage = new_stage(partitions=4)
    stage.send(real_transactions(2_000, seed=15))
    with stage.worker("many", "--workers", "2") as both:
        stage.wait_until_done(90)
        both.kill()
        wait_until(lambda: _stopped(both) == {"many-0", "many-1"}, 30, "both workers to finish by themselves")
    stage.send(real_transactions(3_000, seed=16))
    with stage.worker("many", "--workers", "2") as again:
        stage.wait_until_done(90)
        wait_until(lambda: _gained(again) == {"many-0": 2, "many-1": 2}, 30, "each to have half of the partitions")
        assert again.terminate() == 0, again.log.read_text()[-2000:]
        assert _stopped(again) == {"many-0", "many-1"}
    assert stage.differences(stage.truth(LINEAR)) == []


def _stopped(workers: WorkerProcess) -> set[str]:
    return {line["instance_id"] for line in workers.events("stopped")}


def _gained(workers: WorkerProcess) -> dict[str, int]:
    names = {line["instance_id"] for line in workers.events("partitions_gained")}
    return {name: len(owned(line for line in workers.events() if line.get("instance_id") == name)) for name in names}
