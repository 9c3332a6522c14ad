"""Where a record belongs: murmur2 as Java has it, and what counts as misrouted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.record import Record
from schemas.routing import Misrouting, misrouting, murmur2
from schemas.transaction import Limits
from tests.core import new_task

if TYPE_CHECKING:
    from consumer.learning import PartitionTask


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Apache Kafka's own UtilsTest.
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: str, expected: int) -> None:
    """The hash is that of Java's clients, which the contract names."""
    assert murmur2(key.encode()) == expected % 2**32


@pytest.mark.parametrize(
    ("key", "partition", "expected"),
    [
        (b"foobar", (-790332482 & 0x7FFFFFFF) % 12, None),
        (b"foobar", (-790332482 & 0x7FFFFFFF) % 12 + 1, Misrouting.OTHER_PARTITION),
        (b"foobar:milk", (murmur2(b"foobar:milk") & 0x7FFFFFFF) % 12, None),
        (b"receipt-17", 3, Misrouting.OTHER_KEY),
        (b"", 3, Misrouting.OTHER_KEY),
        (None, 3, Misrouting.NO_KEY),
    ],
)
def test_what_is_misrouted(key: bytes | None, partition: int, expected: Misrouting | None) -> None:
    """A record lies right under its store's or its item's key, in the partition that murmur2 gives."""
    assert misrouting(key, store_id="foobar", sku="milk", partition=partition, partitions=12) is expected


def _task() -> PartitionTask:
    return new_task(
        LearningSettings("linear", ModelScope.PARTITION, 100, 10, Limits()), topic="t", partition=0, model_id="m"
    )


def _record(offset: int, key: bytes | None, sku: str, level: str = "null") -> Record:
    value = (
        f'{{"transaction_id":"t{offset}","store_id":"s","sku":"{sku}","quantity":-1,"new_stock_level":{level},'
        '"occurred_at":"2020-01-01T00:00:00Z"}'
    )
    return Record(0, offset, -1, key, value.encode())


def test_an_item_is_checked_once() -> None:
    """Each misrouted item counts once, however many events it has and whether or not its level is known."""
    task = _task()
    for offset, (key, sku, level) in enumerate(
        [(None, "a", "null"), (None, "a", "null"), (b"x", "b", "5"), (b"x", "b", "4"), (b"s", "c", "null")]
    ):
        task.process(_record(offset, key, sku, level))
    assert task.tally.misrouted == {"no_key": 1, "other_key": 1}
    assert task.tally.unknown_levels == 4
