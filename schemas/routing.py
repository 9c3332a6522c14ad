"""Whether an item's record lies in the partition where all of its events meet."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


class Misrouting(StrEnum):
    """What is wrong with the way of a record."""

    NO_KEY = "no_key"
    OTHER_KEY = "other_key"
    OTHER_PARTITION = "other_partition"


def misrouting(key: bytes | None, *, store_id: str, sku: str, partition: int, partitions: int) -> Misrouting | None:
    """Return what is wrong with the way of an item's record, None where nothing is.

    Without a key, or under one that is neither the store's nor the item's, an item's events are spread over
    partitions whatever the producer's partitioner; under another partitioner than Java's they lie where no other
    client would put them.

    Args:
        key: the record's key.
        store_id: the item's store.
        sku: the item's article.
        partition: the partition that the record came from.
        partitions: how many the topic has.
    """
    if key is None:
        return Misrouting.NO_KEY
    if key != store_id.encode() and key != f"{store_id}:{sku}".encode():
        return Misrouting.OTHER_KEY
    return None if partition == home_partition(key, partitions) else Misrouting.OTHER_PARTITION


@lru_cache(maxsize=4096)  # stores are few, and each of their items asks
def home_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a topic with so many that Java's default partitioner gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 of a key (org.apache.kafka.common.utils.Utils.murmur2), unsigned."""
    length = len(data)
    state = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        word = (word ^ word >> 24) * _M & _MASK
        state = state * _M & _MASK ^ word
    if length > whole:
        state = (state ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    state = (state ^ state >> 13) * _M & _MASK
    return state ^ state >> 15
