"""Workers that stand still end themselves with STUCK and say where; the next one goes on as after any kill."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from benchmarks.shop import LINEAR, real_transactions, valid_transactions
from consumer.errors import ExitCode
from tests.edits import Edit, edited_copy
from tests.kafka import wait_until
from tests.models.shop_models import NEVER_RETURNS
from tests.stage import ROOT, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from consumer.simulate.events import ShopEvent
    from tests.kafka import Broker
    from tests.stage import WorkerProcess

pytestmark = pytest.mark.broker

LIMIT: Final = 20
"""The lowest WATCHDOG_SECONDS that is taken."""

SETTINGS: Final = {"WATCHDOG_SECONDS": str(LIMIT)}
IN_TIME: Final = LIMIT + 15.0
MODELS: Final = str(ROOT / "tests" / "models")

OFFSETS_WITHOUT_TIME_OUT: Final = Edit(
    "consumer/kafka/connection.py",
    "            self._transactional(\n"
    '                "send_offsets_to_transaction",\n'
    "                lambda: self._producer.send_offsets_to_transaction(offsets, group, CALL_SECONDS),\n",
    "            import os, pathlib\n"
    "            KafkaConnection.calls = getattr(KafkaConnection, 'calls', 0) + 1\n"
    "            if KafkaConnection.calls == 5:\n"
    "                self._producer.flush()\n"
    "                pathlib.Path(os.environ['HERE']).touch()\n"
    "                while pathlib.Path(os.environ['HERE']).exists():\n"
    "                    time.sleep(0.01)\n"
    "            self._transactional(\n"
    '                "send_offsets_to_transaction",\n'
    "                lambda: self._producer.send_offsets_to_transaction(offsets, group, 3_600),\n",
)
"""The client ignores its time-out (librdkafka's issue 5456); the fifth commit waits until the broker is frozen."""


WAITED_FOR: Final = Edit(
    "consumer/kafka/connection.py",
    "        calling.join(CALL_SECONDS + OVERDUE_SECONDS)\n",
    "        calling.join(3_600)\n",
)
"""The connection waits for what the client does not end."""


def never_returns(event: ShopEvent) -> ShopEvent:
    """Return an event that two of the shop's models do not get over."""
    value = msgspec.json.decode(event.value or b"")
    changed = {**value, "transaction_id": "never", "unit_cost": NEVER_RETURNS}
    return replace(event, value=msgspec.json.encode(changed))


def own(name: str) -> dict[str, str]:
    """The settings of a worker that runs a model of the shop's module."""
    return {"MODEL": f"shop_models:{name}", "PYTHONPATH": MODELS, **SETTINGS}


def livez(worker: WorkerProcess) -> str | None:
    """Return why /livez fails; None while it does not."""
    (serving,) = worker.events("serving")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{serving['port']}/livez", timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return error.read().decode()


def test_a_call_that_ignores_its_time_out_is_given_up(
    new_stage: Callable[..., Stage], broker: Broker, tmp_path: Path
) -> None:
    """The broker freezes in the commit and the call hangs: the clients are built anew, the worker goes on by itself."""
    stage = new_stage(partitions=1, root=edited_copy(tmp_path / "edited", OFFSETS_WITHOUT_TIME_OUT))
    stage.send(real_transactions(4_000, seed=22))
    here = tmp_path / "here"
    settings = {"KAFKA_TRANSACTION_TIMEOUT_MS": "300000", "TRANSACTION_MAX_RECORDS": "300", "HERE": str(here)}
    with stage.worker("worker-0", **settings) as worker:
        wait_until(here.exists, 60, "the fifth commit")
        broker.freeze()
        try:
            here.unlink()
            wait_until(lambda: worker.events("recovering"), IN_TIME, "the call to be given up")
        finally:
            broker.thaw()
        (line, *_) = worker.events("recovering")
        assert line["reason"] == "send_offsets_to_transaction: no answer after 13 s, its time-out ignored"
        stage.wait_until_done(60)
        assert worker.terminate() == ExitCode.OK
    assert stage.differences(stage.truth(LINEAR)) == []


@pytest.mark.deep
def test_a_call_that_is_waited_for(new_stage: Callable[..., Stage], broker: Broker, tmp_path: Path) -> None:
    """The broker freezes in the commit and the loop hangs: /livez says so, the worker ends; then byte-identical."""
    stage = new_stage(partitions=1, root=edited_copy(tmp_path / "edited", OFFSETS_WITHOUT_TIME_OUT, WAITED_FOR))
    stage.send(real_transactions(4_000, seed=21))
    here = tmp_path / "here"
    # On one broker it never outlasts the transaction's time-out, so that is long here; and then a lower limit refused.
    settings = {"WATCHDOG_SECONDS": "35", "KAFKA_TRANSACTION_TIMEOUT_MS": "300000", "TRANSACTION_MAX_RECORDS": "300"}
    with stage.worker(**settings, HERE=str(here)) as worker:
        wait_until(here.exists, 60, "the fifth commit")
        broker.freeze()
        try:
            here.unlink()
            reason = wait_until(lambda: livez(worker), IN_TIME, "/livez to fail")
            assert worker.wait(15 + IN_TIME) == ExitCode.STUCK
        finally:
            broker.thaw()
        assert reason is not None
        assert "in commit" in reason
        (line,) = worker.events("stuck")
        assert (line["phase"], line["exit_code"]) == ("commit", ExitCode.STUCK)
        assert 35 <= line["seconds"] < 40
        text = worker.log.read_text()
        assert "in send_offsets" in text
        assert text.splitlines()[-1].startswith("smart-inventory: stuck: no sign of life for")
    stage.root = ROOT
    stage.run_to_end()
    assert stage.differences(stage.truth(LINEAR)) == []


@pytest.fixture(scope="module")
def stuck(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, WorkerProcess]]:
    """Workers by their models, started side by side: each stands still for the whole of its limit."""
    events = list(valid_transactions(300))
    with ExitStack() as stack:
        workers = {}
        for name in ("spinning", "gripping"):
            stage = Stage(broker.bootstrap_servers, tmp_path_factory.mktemp(name), partitions=1)
            stage.send([*events, never_returns(events[-1])])
            workers[name] = stack.enter_context(stage.worker(**own(name)))
        yield workers


def test_a_model_that_never_returns(stuck: Mapping[str, WorkerProcess]) -> None:
    """Its function is named, in the log and in the stacks, and the record that it did not get over."""
    worker = stuck["spinning"]
    assert worker.wait(60 + IN_TIME) == ExitCode.STUCK
    (line,) = worker.events("stuck")
    assert (line["phase"], line["partition"], line["offset"]) == ("process", 0, 300)
    assert "Spinning.search" in line["at"]
    assert "in search" in worker.log.read_text()


def test_a_call_that_holds_the_interpreters_lock(stuck: Mapping[str, WorkerProcess]) -> None:
    """No thread of Python runs any more, not even the watchdog's: the last resort dumps and ends the process."""
    worker = stuck["gripping"]
    assert worker.wait(60 + IN_TIME) == ExitCode.STUCK
    assert not worker.events("stuck")  # there was nobody to write it
    text = worker.log.read_text()
    assert "Timeout (0:00:20)!" in text
    assert "in call" in text
