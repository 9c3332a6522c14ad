"""The README followed to the letter, against a broker that nobody else uses."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest

from schemas.routing import home_partition
from tests.documents.blocks import ROOT
from tests.documents.treatment import DEEP, TREATMENTS, Treatment
from tests.documents.walk import Walk
from tests.kafka import BrokerUnavailableError, choose_broker, read_all, wait_until
from tests.kafka.jars import find_installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.documents.terminal import Terminal

INPUT: Final = "inventory.transactions"
OUTPUT: Final = "inventory.stock-predictions"
DEAD_LETTERS: Final = "inventory.transactions.dead-letters"
STORE: Final = "12"
PARTITIONS: Final = 4
HOME: Final = home_partition(STORE.encode(), PARTITIONS)
_WALKED: Final = {name: each for name, each in TREATMENTS.items() if each not in (Treatment.CHECKED, Treatment.PICTURE)}
RECEIPTS: Final = ["receipt-1001", "receipt-1002", "delivery-77"]


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """Stand at the README's first line; skips where this machine lacks what its blocks need, and fails in CI."""
    choice = choose_broker({})
    if not choice.available:
        _do_without(str(choice))
    for program in ("bash", "curl", "kcat"):
        if shutil.which(program) is None:
            _do_without(f"the README's blocks need {program}, which is not on the PATH")
    try:
        find_installation()
    except BrokerUnavailableError as error:
        _do_without(f"the README's blocks need Java 17 with Kafka's jars: {error}")
    with Walk(tmp_path) as walk:
        yield walk


@pytest.mark.broker
def test_the_readme_works_as_it_stands(walk: Walk) -> None:
    """Each block does what the text says; installed is what the tests have, the slowest are for the deep test."""
    walk.stand_in_for_install()
    (walk.shop / "jars").symlink_to(find_installation().jars)
    worker, second = _start(walk)
    _send_and_read(walk, second)
    _look_at_dead_letters(walk)
    assert worker.interrupt() == 0
    assert [*dict.fromkeys(walk.walked)] == [name for name, each in _WALKED.items() if each not in DEEP]


@pytest.mark.deep
@pytest.mark.broker
@pytest.mark.timeout(900)
def test_the_readme_works_from_nothing(walk: Walk) -> None:
    """The same with an environment of its own, made as the README says, and Java's client as Maven fetches it."""
    if shutil.which("mvn") is None:
        _do_without("the README's blocks need mvn, which is not on the PATH")
    clone = walk.terminal(ROOT)
    clone.run(walk.text("install"), 600)
    python = walk.installed / "bin" / "python"
    imported = walk.terminal().run(f"{python} -c 'import consumer; print(consumer.__file__)'")
    assert imported.startswith(f"{walk.installed}/")
    walk.terminal().run(walk.text("java-jars"), 300)
    worker, second = _start(walk)
    _send_and_read(walk, second)
    _watch_in_java(walk, second)
    _look_at_dead_letters(walk)
    _take_an_own_model(walk, second)
    assert worker.interrupt() == 0
    assert {*walk.walked} == {*_WALKED} - {"README.md#install-pipx"}


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_pipx_installs_it_too(tmp_path: Path) -> None:
    """The other way to install gives a command that runs."""
    with Walk(tmp_path) as walk:
        binaries = tmp_path / "pipx-itself" / "bin"
        pipx = walk.terminal(ROOT)
        pipx.run(f"{sys.executable} -m venv {binaries.parent}; {binaries}/pip install --quiet pipx", 300)
        pipx.run(f"export PATH={binaries}:$PATH\n{walk.text('install-pipx')}", 300)
        assert pipx.run(f"{tmp_path}/pipx-bin/smart-inventory --version").startswith("smart-inventory ")


def _do_without(missing: str) -> None:
    """Skip with the reason; fail in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def _start(walk: Walk) -> tuple[Terminal, Terminal]:
    """Walk from the broker to a worker that is ready; return its terminal and the second one."""
    walk.start_broker()
    worker = walk.terminal()
    assert worker.run(walk.text("topics")).count("created") == 3
    worker.start(walk.text("run"))
    worker.wait_for("started")
    second = walk.terminal()
    wait_until(lambda: second.run(walk.text("second-terminal")).startswith("ok: joined"), 30, "a worker that is ready")
    return worker, second


def _send_and_read(walk: Walk, terminal: Terminal) -> None:
    """Send the README's events and read what became of them."""
    _send_events(walk, terminal)
    predictions = wait_until(lambda: _all_predicted(walk), 30, "predictions of what was sent")
    _check_predictions(walk, predictions)
    read = terminal.run(walk.text("read-kcat"))
    assert all(receipt in read for receipt in RECEIPTS)
    walk.save("watch.py")
    terminal.start(walk.text("watch-python"))
    terminal.wait_for("delivery-77 milk-1l 60")
    assert terminal.interrupt() == 0, terminal.output
    assert terminal.output == walk.outputs["watch-python"]
    terminal.run(walk.text("send-python"))  # "Send one of them twice"
    assert len(read_all(walk.bootstrap_servers, INPUT)[HOME]) == len(predictions) + 1


def _send_events(walk: Walk, terminal: Terminal) -> None:
    """Send opening stock, then one event in each language."""
    walk.save("opening.csv")
    assert "2" in terminal.run(walk.text("import-stock"))
    walk.save("send.py")
    place = f"partition {HOME}, offset "
    assert place in terminal.run(walk.text("send-python"))
    walk.save("Send.java")
    assert place in terminal.run(walk.text("send-java"))
    terminal.run(walk.text("send-kcat"))


def _predictions(walk: Walk) -> list[dict[str, Any]]:
    """Return what a read_committed reader sees, each with its partition."""
    read = read_all(walk.bootstrap_servers, OUTPUT)
    return [
        {**json.loads(message.value() or b""), "partition": partition}
        for partition, messages in read.items()
        for message in messages
    ]


def _all_predicted(walk: Walk) -> list[dict[str, Any]]:
    found = _predictions(walk)
    return found if len(found) == 2 + len(RECEIPTS) else []


def _check_predictions(walk: Walk, predictions: list[dict[str, Any]]) -> None:
    """Each producer's event has its prediction; all met in the partition that the contract names."""
    # Else librdkafka's own partitioner would do as well, and this test would not see it.
    assert zlib.crc32(STORE.encode()) % PARTITIONS != HOME
    assert {each["partition"] for each in predictions} == {each["source_partition"] for each in predictions} == {HOME}
    inputs = read_all(walk.bootstrap_servers, INPUT)
    assert {partition for partition, messages in inputs.items() if messages} == {HOME}
    milk = [each for each in predictions if each["sku"] == "milk-1l"][1:]
    assert [each["transaction_id"] for each in milk] == RECEIPTS
    # 40 on the shelf, 2 sold and 37 seen: one is missing. Then 1 sold and 24 delivered, which nobody counted.
    assert [each["level_before"] for each in milk] == [40, 37, 36]
    assert [each["predicted_stock_level"] for each in milk] == [38, 36, 60]
    assert [each["discrepancy"] for each in milk] == [-1, None, None]


def _watch_in_java(walk: Walk, terminal: Terminal) -> None:
    walk.save("Watch.java")
    terminal.start(walk.text("watch-java"))
    terminal.wait_for('"transaction_id":"delivery-77"')
    terminal.interrupt()


def _look_at_dead_letters(walk: Walk) -> None:
    """Send an event of a till whose clock is wrong, and do with it what docs/operations.md shows."""
    terminal = walk.terminal()
    send = walk.blocks["send-kcat"].text.replace("2025-", "2099-").replace("localhost:9092", walk.bootstrap_servers)
    terminal.run(f"{walk.text('second-terminal')}\n{send}")
    letters = wait_until(lambda: read_all(walk.bootstrap_servers, DEAD_LETTERS)[HOME], 30, "the dead letter")
    assert dict(letters[0].headers() or ())["error.reason"] == b"occurred_at_out_of_range"
    listed = terminal.run(walk.text("dead-letters-list"))
    assert "occurred_at_out_of_range" in listed
    assert "2099-03" in listed  # --show-value
    assert "would be refused again" in terminal.run(walk.text("dead-letters-redrive"))
    # Everything that was sent has had its answer, and the repeat had none.
    assert len(_predictions(walk)) == 2 + len(RECEIPTS)


def _take_an_own_model(walk: Walk, terminal: Terminal) -> None:
    """Check the model, then run it beside the first worker over the same input."""
    walk.save("shop_models.py")
    assert "fault" not in terminal.run(walk.text("check-model"))
    terminal.run(walk.text("own-model"))
    own = read_all(walk.bootstrap_servers, "forest.stock-predictions")
    assert sum(map(len, own.values())) == 2 + len(RECEIPTS)
