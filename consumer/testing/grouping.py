"""What a poll returns, with neighbouring records of one partition as a batch, as the real client's polls have them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from consumer.record import Record, RecordBatch, batch_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.broker import Notice, Polled


def grouped(polled: Iterable[Record | Notice]) -> list[Polled]:
    """Return the same in the same order, two or more successive records of a partition as one batch."""
    items: list[Polled] = []
    for _, run in groupby(polled, lambda item: (item.partition, isinstance(item, Record))):
        of_one = list(run)
        records = [item for item in of_one if isinstance(item, Record)]
        items += [batch_of(records)] if len(records) > 1 else of_one
    return items


def ungrouped(polled: Iterable[Polled]) -> list[Record | Notice]:
    """Return the same in the same order, each record alone."""
    items: list[Record | Notice] = []
    for item in polled:
        items += item.records() if isinstance(item, RecordBatch) else [item]
    return items
