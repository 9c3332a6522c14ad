"""A worker killed in the middle of a transaction and never started again: settle frees its readers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from tests.edits import Edit, edited_copy
from tests.kafka import wait_until
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stage import Stage

pytestmark = pytest.mark.broker

LONG: Final = {"KAFKA_TRANSACTION_TIMEOUT_MS": "600000", "KAFKA_SESSION_TIMEOUT_MS": "6000"}
"""Without settling, readers would wait ten minutes; the session of a killed worker is over that much sooner."""

DIES_IN_THE_FIFTH_COMMIT: Final = Edit(
    "consumer/transaction.py",
    "        self._connection.commit()\n",
    "        import os, signal\n"
    "        Transaction.commits = getattr(Transaction, 'commits', 0) + 1\n"
    "        if Transaction.commits == 5:\n"
    "            self._connection._producer.flush()\n"
    "            os.kill(os.getpid(), signal.SIGKILL)\n"
    "        self._connection.commit()\n",
)
"""Outputs are on the broker, offsets are in the transaction, the transaction stays open."""


def settle(stage: Stage, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the command in the lost worker's environment; return its exit code, its JSON and what it said else."""
    done = subprocess.run(
        [sys.executable, "-m", "consumer", "transactions", "settle", "--json", *arguments],
        env={**os.environ, **stage.environment(**LONG)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def readable(stage: Stage, isolation: str) -> int:
    """Count the output's records that a reader of this isolation gets before the end that it is told."""
    reader = Consumer(
        {
            "bootstrap.servers": stage.bootstrap_servers,
            "group.id": "nobody",
            "isolation.level": isolation,
            "enable.partition.eof": True,
        }
    )
    reader.assign([TopicPartition(stage.output, 0, 0)])
    count = 0
    while True:
        message = reader.poll(10)
        assert message is not None
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF
            reader.close()
            return count
        count += 1


def test_settle_frees_the_readers_of_a_lost_worker(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Refused while its session lasts; then readers are free at once, and nothing of what was open is ever seen."""
    stage = new_stage(partitions=1, root=edited_copy(tmp_path / "edited", DIES_IN_THE_FIFTH_COMMIT))
    stage.send(real_transactions(9_000, seed=31))
    with stage.worker(**LONG, TRANSACTION_MAX_RECORDS="200") as lost:
        assert lost.wait(60) == -9
    committed = readable(stage, "read_committed")
    everything = readable(stage, "read_uncommitted")
    assert 0 < committed < everything

    code, _, text = settle(stage)
    assert code == ExitCode.STATE
    assert "worker-0 at" in text
    assert "--even-if-alive" in text

    code, looked, _ = settle(stage, "--dry-run")
    assert (code, looked["settled"], looked["free"]) == (0, False, False)
    assert looked["offsets_held_back"] == [0]
    held = {each["topic"]: each for each in looked["partitions"]}
    assert stage.output in held
    assert set(held) <= {stage.output, stage.dead_letters}
    assert all(each["last_stable_offset"] < each["end_offset"] for each in held.values())
    assert all(each["last_stable_offset_after"] is None for each in held.values())

    wait_until(lambda: settle(stage)[0] == 0, 60, "the killed worker's session to end, and settle to be done")
    started = time.monotonic()
    code, again, _ = settle(stage)
    assert (code, again["free"], again["settled"], again["partitions"]) == (0, True, False, [])
    assert readable(stage, "read_committed") == committed
    assert time.monotonic() - started < 60

    stage.root = ROOT
    stage.run_to_end("worker-1")
    assert stage.differences(stage.truth(LINEAR)) == []


def test_a_fenced_worker_goes_on(new_stage: Callable[..., Stage]) -> None:
    """--even-if-alive against a worker that is frozen in the middle of a transaction: it recovers, exactly once."""
    stage = new_stage(partitions=1)
    stage.send(real_transactions(8_000, seed=32))
    settings = {**LONG, "TRANSACTION_MAX_RECORDS": "1000000", "COMMIT_INTERVAL_MS": "5000", "KAFKA_LINGER_MS": "0"}
    with stage.worker(**settings) as worker:
        wait_until(lambda: readable(stage, "read_uncommitted") > 100, 60, "outputs of an open transaction")
        worker.freeze()
        try:
            code, done, text = settle(stage, "--even-if-alive")
        finally:
            worker.thaw()
        assert code == 0, text
        assert done["settled"] or done["free"]
        stage.wait_until_done(90)
        assert worker.events("recovering")
        assert worker.terminate() == 0
    assert stage.differences(stage.truth(LINEAR)) == []
