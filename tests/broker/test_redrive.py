"""Redriving and importing on a real broker, with the real commands and the real worker behind them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Producer
from jsonschema import Draft202012Validator

from benchmarks.shop import LINEAR
from consumer.dead_letters import REDRIVE_HEADER
from consumer.errors import ExitCode
from consumer.kafka.log import KafkaLog
from consumer.simulate.events import ShopEvent
from schemas.json_schema import json_schema
from schemas.transaction import Limits
from tests.kafka import create_topics, read_all, unique
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from tests.stage import Stage

pytestmark = pytest.mark.broker

NOW_MS: Final = 1_490_961_600_000
WHEN: Final = "2017-03-31T12:00:00Z"  # the same instant
AHEAD: Final = "2017-04-03T12:00:00Z"  # three days later
LENIENT: Final = "864000"  # ten days


def event(number: int, store: str = "330", **changed: object) -> ShopEvent:
    """One event of a store; `number` tells receipts apart."""
    fields = {
        "transaction_id": f"t{number}",
        "store_id": store,
        "sku": "milk",
        "quantity": -1,
        "occurred_at": WHEN,
        "new_stock_level": 100 - number,
    }
    return ShopEvent(store.encode(), json.dumps(fields | changed).encode(), NOW_MS + number, "event")


def run_command(stage: Stage, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator does, with the worker's environment."""
    return subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        env={**os.environ, **stage.environment(), "COLUMNS": "250", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def redrive(stage: Stage, *arguments: str, **variables: str) -> str:
    """Run a redrive that must go well, and return what it printed."""
    done = run_command(stage, "dead-letters", "redrive", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def letters(stage: Stage) -> list[Message]:
    """All dead letters, partition by partition."""
    read = read_all(stage.bootstrap_servers, stage.dead_letters)
    return [message for partition in sorted(read) for message in read[partition]]


def headers(message: Message) -> dict[str, str]:
    """A message's headers as text."""
    pairs: Any = message.headers() or ()
    return {name: (value or b"").decode() for name, value in pairs}


def of_input(stage: Stage, transaction_id: str) -> list[Message]:
    """All input records of a transaction."""
    read = read_all(stage.bootstrap_servers, stage.input)
    return [
        message
        for partition in read.values()
        for message in partition
        if json.loads(message.value() or b"{}").get("transaction_id") == transaction_id
    ]


def test_refused_again_its_attempts_count_up(new_stage: Callable[..., Stage]) -> None:
    """Out and back: byte-identical, to its partition, with its timestamp; refused again it says so, up to a limit."""
    stage = new_stage(partitions=3)
    stage.send([event(1), event(2, occurred_at=AHEAD), event(3, "331", occurred_at=AHEAD), event(4)])
    stage.run_to_end()
    before = letters(stage)
    assert [headers(letter)["error.attempts"] for letter in before] == ["1", "1"]

    # The worker's own settings say that it would refuse them again.
    assert "would be refused again as it is" in redrive(stage, "--include-late")
    # Someone raised the limit for this command, but not for the worker.
    assert "Sent 2 to" in redrive(stage, "--include-late", MAX_CLOCK_AHEAD_SECONDS=LENIENT)
    first, second = of_input(stage, "t2")
    assert (second.value(), second.key()) == (first.value(), first.key())
    assert (second.partition(), second.timestamp()) == (first.partition(), first.timestamp())

    stage.run_to_end()
    assert stage.differences(stage.truth(LINEAR)) == []
    assert Counter(headers(letter)["error.attempts"] for letter in letters(stage)) == {"1": 2, "2": 2}

    # The first letters have been redriven; the second ones have been refused too often for this command.
    left = redrive(stage, "--include-late", "--max-attempts", "2", MAX_CLOCK_AHEAD_SECONDS=LENIENT)
    assert "redriven before" in left
    assert "refused --max-attempts times or more" in left
    assert "Nothing was sent" in left
    assert len(of_input(stage, "t2")) == 2


def test_under_a_raised_setting_and_a_new_group(new_stage: Callable[..., Stage]) -> None:
    """A new group reads the originals too: they are predicted for now, and what was redriven is a repeat."""
    stage = new_stage()
    stage.send([event(1), event(2, occurred_at=AHEAD), event(3, "331", occurred_at=AHEAD), event(4)])
    stage.run_to_end()
    old = stage.dead_letters
    assert "Sent 2 to" in redrive(stage, "--include-late", MAX_CLOCK_AHEAD_SECONDS=LENIENT)

    stage.renew_group()
    stage.run_to_end(MAX_CLOCK_AHEAD_SECONDS=LENIENT)
    truth = stage.truth(LINEAR._replace(limits=Limits(max_clock_ahead_seconds=int(LENIENT))))
    assert (truth.counts["predictions"], truth.counts["repeats"], truth.counts["dead_letters"]) == (4, 2, 0)
    assert stage.differences(truth) == []
    again = redrive(stage, "--include-late", MAX_CLOCK_AHEAD_SECONDS=LENIENT, DEAD_LETTER_TOPIC=old)
    assert "redriven before" in again


def test_what_can_be_taken_now_is_taken_once(new_stage: Callable[..., Stage]) -> None:
    """A conflict that has left the window of identities goes through; a late one is left, says the checkpoint."""
    stage = new_stage(partitions=1)
    settings = {"SEEN_IDS": "3"}
    later = "2017-03-31T12:00:01Z"
    stage.send(
        [
            event(1),
            event(1, quantity=-2, sku="milk", occurred_at="2017-03-31T11:59:59Z"),  # conflicts, and is late
            event(2, sku="bread"),
            event(2, sku="bread", quantity=-2, occurred_at=later),  # conflicts, and is not
            *(event(number, sku="salt") for number in range(3, 9)),
        ]
    )
    stage.run_to_end(**settings)
    assert [headers(letter)["error.reason"] for letter in letters(stage)] == ["conflicting_repeat"] * 2

    plan = redrive(stage, "--dry-run", **settings)
    assert "older than the item's last observed level" in plan
    assert "Nothing was sent: a dry run" in plan
    assert "Sent 1 to" in redrive(stage, **settings)
    assert "redriven before" in redrive(stage, **settings)
    stage.run_to_end(**settings)
    truth = stage.truth(LINEAR._replace(seen_ids=3))
    assert (truth.counts["predictions"], truth.counts["dead_letters"]) == (9, 2)
    assert stage.differences(truth) == []


def test_without_its_checkpoints_a_redrive_stops(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """What is late cannot be told from another directory than the worker's; nothing is sent on a guess."""
    stage = new_stage(partitions=1)
    stage.send([event(1), event(2, occurred_at=AHEAD)])
    stage.run_to_end()
    nowhere = {"CHECKPOINT_URL": f"file:{tmp_path / 'nowhere'}", "MAX_CLOCK_AHEAD_SECONDS": LENIENT}
    done = run_command(stage, "dead-letters", "redrive", **nowhere)
    assert done.returncode == ExitCode.STATE
    assert done.stderr.startswith("smart-inventory: expected a readable checkpoint of partition 0")
    assert len(of_input(stage, "t2")) == 1


@contextmanager
def open_transaction(stage: Stage, topic: str) -> Iterator[None]:
    """Hold a transaction open in partition 0 of a topic, and commit it in the end."""
    producer = Producer({"bootstrap.servers": stage.bootstrap_servers, "transactional.id": unique("open")})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"{}", b"330", 0)
    producer.flush(30)
    try:
        yield
    finally:
        producer.commit_transaction(30)


def test_a_redrive_behind_an_open_transaction_is_seen(new_stage: Callable[..., Stage]) -> None:
    """What another producer holds open hides the redriven records from readers, but not from the next redrive."""
    stage = new_stage(partitions=1)
    stage.send([event(1), event(2, occurred_at=AHEAD)])
    stage.run_to_end()
    with open_transaction(stage, stage.input):
        assert "Sent 1 to" in redrive(stage, "--include-late", MAX_CLOCK_AHEAD_SECONDS=LENIENT)
        assert "redriven before" in redrive(stage, "--include-late", MAX_CLOCK_AHEAD_SECONDS=LENIENT)
    assert len(of_input(stage, "t2")) == 2


def test_list_and_the_schema_of_real_letters(new_stage: Callable[..., Stage]) -> None:
    """The command shows what is in the topic, filtered, and every letter's headers are what their schema says."""
    stage = new_stage(partitions=2)
    stage.send(
        [
            event(1),
            ShopEvent(b"330", None, NOW_MS, "invalid:null_value"),
            ShopEvent(b"330", b"{", NOW_MS, "invalid:not_json"),
            event(2, "331", sku=None),
        ]
    )
    stage.run_to_end()
    schema = Draft202012Validator(json_schema("dead-letter-headers"))
    for letter in letters(stage):
        schema.validate(headers(letter))
    done = run_command(stage, "dead-letters", "list", "--json")
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["reason"] for line in lines} == {"empty_value", "not_json", "invalid_field"}
    assert {line["value_bytes"] for line in lines if line["reason"] != "invalid_field"} == {None, 1}
    assert all(line["original"]["topic"] == stage.input for line in lines)
    table = run_command(stage, "dead-letters", "list", "--reason", "not_json", "--since", "1h").stdout
    assert "not_json" in table
    assert "1 letters" in table
    assert "No letters" in run_command(stage, "dead-letters", "list", "--since", "0s").stdout
    assert "does not exist" in run_command(stage, "dead-letters", "list", DEAD_LETTER_TOPIC=unique("no")).stderr


def test_a_log_is_read_to_its_end(new_stage: Callable[..., Stage]) -> None:
    """Markers at the end, aborted records, empty partitions and offsets by time: all end where the topic ends."""
    stage = new_stage(partitions=2)
    topic = unique("log")
    create_topics(stage.bootstrap_servers, {topic: 2})
    producer = Producer({"bootstrap.servers": stage.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    for number, commits in enumerate((True, False, True, False)):
        producer.begin_transaction()
        for place in range(3):
            producer.produce(
                topic, b"", b"%d" % (number * 3 + place), 0, timestamp=NOW_MS + number, headers=[("h", None)]
            )
        producer.flush(30)
        (producer.commit_transaction if commits else producer.abort_transaction)(30)
    config = {"bootstrap.servers": stage.bootstrap_servers}
    with KafkaLog(config, stage.group) as log, KafkaLog(config, stage.group, "read_uncommitted") as all_of_it:
        ranges = log.ranges(topic)
        assert (ranges[0], ranges[1]) == ((0, 16), (0, 0))
        read = list(log.records(topic, 0, 0, 16))
        assert [record.key for record in read] == [b"0", b"1", b"2", b"6", b"7", b"8"]
        assert (read[0].value, read[0].headers, read[0].timestamp_ms) == (b"", [("h", None)], NOW_MS)
        assert [record.key for record in log.records(topic, 0, 9, 11)] == [b"7", b"8"]
        assert list(log.records(topic, 1, 0, 0)) == []
        assert len(list(all_of_it.records(topic, 0, 0, 16))) == 12
        # The markers are younger than the records of 2017: what is found lies at or before the first record asked for.
        assert log.offset_at(topic, 0, NOW_MS) == 0
        assert log.offset_at(topic, 0, NOW_MS + 2) == 3
        assert log.offset_at(topic, 0, 4_102_444_800_000) is None


def test_imported_levels_are_known_to_the_worker(new_stage: Callable[..., Stage], tmp_path: Path) -> None:
    """Sales without a level, from another client, add up from the imported one; importing again changes nothing."""
    stage = new_stage(partitions=4)
    path = tmp_path / "opening.csv"
    rows = "".join(f"s{number};milk;{number}.5\n" for number in range(20))
    path.write_text(f"store_id;sku;level\n{rows}")
    as_of = ("--as-of", "2017-03-31T06:00:00Z")
    for _ in range(2):
        done = run_command(stage, "import-stock", str(path), *as_of)
        assert done.returncode == 0, done.stderr
    stage.send(event(number, f"s{number}", new_stock_level=None) for number in range(20))
    stage.run_to_end()
    truth = stage.truth(LINEAR)
    assert (truth.counts["predictions"], truth.counts["repeats"], truth.counts["dead_letters"]) == (40, 20, 0)
    assert stage.differences(truth) == []
    published = [json.loads(message.value or b"") for each in stage.published().values() for message in each]
    levels = {line["store_id"]: line["level_before"] for line in published if line["transaction_id"].startswith("t")}
    assert levels == {f"s{number}": number + 0.5 for number in range(20)}
    schema = Draft202012Validator(json_schema("stock-prediction"))
    for line in published:
        schema.validate(line)


def test_redriven_records_say_what_they_repeat(new_stage: Callable[..., Stage]) -> None:
    """To a topic of its own, whatever the letters hold; the header names the record that was refused."""
    stage = new_stage(partitions=1)
    repairs = unique("repairs")
    create_topics(stage.bootstrap_servers, {repairs: 1}, {"retention.ms": "-1"})
    stage.send([event(1), ShopEvent(b"330", None, NOW_MS, "x"), ShopEvent(b"330", b"\xff", NOW_MS, "x")])
    stage.run_to_end()
    assert "Sent 2 to" in redrive(stage, "--to", repairs)
    (records,) = read_all(stage.bootstrap_servers, repairs).values()
    assert [record.value() for record in records] == [None, b"\xff"]
    assert [headers(record) for record in records] == [
        {"error.attempts": "1", REDRIVE_HEADER: f"{stage.input}:0:{offset}"} for offset in (1, 2)
    ]
