"""Every prediction equal to the bit to a plain River loop per partition, written here and sharing no code."""

from __future__ import annotations

import json
import struct
from collections import Counter
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from river import compose, linear_model, preprocessing

from benchmarks.figures import Figure, Report
from benchmarks.shop import LINEAR, invalid_and_repeated, real_transactions
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.joining import JoinedReads
from consumer.checkpoint.reference import decode_reference
from tests.kafka import read_all
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from confluent_kafka import Message

    from tests.kafka import Broker

SEED = 20261124
EVENTS = 200_000
PARTITIONS = 4
RECEIPT_LINES = 12


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Run the worker over the real events and compare."""
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="bits")
    sent = stage.send(real_transactions(EVENTS, seed=SEED)).by_kind
    invalid, repeated = invalid_and_repeated(sent)
    report.counts["sent"] = sent
    report.add(Figure("real transactions sent", sent["event"], "=", EVENTS))
    report.add(Figure("invalid events among them", invalid, ">", 0))
    report.add(Figure("repeated events among them", repeated, ">", 0))
    stage.run_to_end(MODEL="linear", PROCESSING_GUARANTEE="exactly_once")

    inputs = read_all(stage.bootstrap_servers, stage.input, deadline_seconds=120)
    outputs = read_all(stage.bootstrap_servers, stage.output, deadline_seconds=120)
    dead = read_all(stage.bootstrap_servers, stage.dead_letters, deadline_seconds=120)
    compared = unequal = 0
    for partition, messages in inputs.items():
        wanted = _bits_by_offset(messages)
        got = {_offset(message): _bits(message) for message in outputs[partition]}
        compared += len(wanted)
        unequal += sum(got.get(offset) != bits for offset, bits in wanted.items()) + len(got.keys() - wanted.keys())
    report.add(Figure("predictions compared with the plain River loop", compared, ">=", EVENTS))
    report.add(Figure("predictions that differ in any bit, are missing or too many", unequal, "=", 0))

    read, predicted, refused = (sum(map(len, topic.values())) for topic in (inputs, outputs, dead))
    report.add(Figure("records in the input", read, "=", sum(sent.values())))
    report.add(Figure("predictions + dead letters + repeats", predicted + refused + repeated, "=", read))
    report.add(Figure("dead letters", refused, "=", invalid))
    truth = stage.truth(LINEAR)
    report.counts["truth"] = truth.counts
    report.counts["dead_letters"] = truth.reasons
    report.add(
        Figure("records that differ from the contract's independent loop", len(stage.differences(truth)), "=", 0)
    )

    lines, predictions = _receipt(inputs.values(), outputs.values())
    report.add(Figure("lines of a receipt", lines, "=", RECEIPT_LINES))
    report.add(Figure("predictions for it", predictions, "=", RECEIPT_LINES))
    report.add(Figure("committed references whose checkpoint's digest verifies", _verified(stage), "=", PARTITIONS))


def _bits_by_offset(messages: Iterable[Message]) -> dict[int, bytes]:
    """The plain loop: decode, skip what is invalid or repeated, predict, learn. Nothing here is the worker's."""
    model = compose.Pipeline(("scale", preprocessing.StandardScaler()), ("lin_reg", linear_model.LinearRegression()))
    seen: dict[tuple[Any, ...], bytes] = {}
    bits = {}
    for message in messages:
        event = _valid(message)
        if event is None:
            continue
        value = message.value() or b""
        identity = (event["store_id"], event["transaction_id"], event["sku"], event.get("line_id"))
        if seen.setdefault(identity, value) is not value:
            continue
        occurred = datetime.fromisoformat(event["occurred_at"])
        features = {
            "quantity": float(abs(event["quantity"])),
            "day_of_week": occurred.weekday(),
            "month": occurred.month,
            "year": occurred.year,
            "is_sale": 1 if event["quantity"] < 0 else 0,
            "unit_cost": event["unit_cost"] or 0.0,
        }
        bits[message.offset() or 0] = struct.pack("<d", model.predict_one(features))
        model.learn_one(features, float(event["new_stock_level"]))
    return bits


def _valid(message: Message) -> dict[str, Any] | None:
    """Tell an event of the shop from a spoiled one: the shop writes every field, plainly, and in range."""
    try:
        event = json.loads(message.value() or b"")
        occurred = datetime.fromisoformat(event["occurred_at"])
        ahead = occurred.timestamp() * 1000 - message.timestamp()[1]
        numbers = [event["quantity"], event["new_stock_level"]]
        sign = {"sale": -1, "receipt": 1}[event["transaction_type"]]
    except (ValueError, KeyError, TypeError):
        return None
    ids = [event.get(name) for name in ("transaction_id", "store_id", "sku")]
    good = (
        all(isinstance(each, str) and 0 < len(each) <= 64 and each.isprintable() for each in ids)
        and all(type(number) is int for number in numbers)
        and abs(event["quantity"]) <= 1_000_000
        and abs(event["new_stock_level"]) <= 1_000_000_000
        and sign * event["quantity"] >= 0
        and (event["unit_cost"] is None or event["unit_cost"] >= 0)
        and occurred.year >= 2000
        and occurred.tzinfo is not None
        and ahead <= 86_400_000
    )
    return event if good else None


def _offset(message: Message) -> int:
    offset: int = json.loads(message.value() or b"")["source_offset"]
    return offset


def _bits(message: Message) -> bytes:
    return struct.pack("<d", json.loads(message.value() or b"")["predicted_stock_level"])


def _receipt(inputs: Iterable[list[Message]], outputs: Iterable[list[Message]]) -> tuple[int, int]:
    """Return the lines of one real 12-line receipt and the predictions for it."""
    lines: Counter[str] = Counter()
    for messages in inputs:
        for message in messages:
            event = _valid(message)
            if event is not None and event["transaction_type"] == "sale":
                lines[event["transaction_id"]] += 1
    predictions = Counter(json.loads(each.value() or b"")["transaction_id"] for each in chain(*outputs))
    chosen = next(receipt for receipt, number in lines.items() if number == RECEIPT_LINES)
    return lines[chosen], predictions[chosen]


def _verified(stage: Stage) -> int:
    reads = JoinedReads(DirectoryStore(stage.directory / "checkpoints"))
    verified = 0
    for partition, answer in stage.committed().items():
        reference = decode_reference(answer.metadata)
        name = reference.checkpoint(stage.group, stage.input, partition)
        if name is None:
            continue
        opened = reads.read(name)  # which verifies that it is the one of that name
        verified += opened is not None and opened.header.offset == answer.offset
    return verified
