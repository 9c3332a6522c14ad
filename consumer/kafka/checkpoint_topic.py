"""Checkpoints in a compacted topic: `CHECKPOINT_URL=kafka:TOPIC`, for workers that share nothing but Kafka.

All of an input partition's checkpoints lie in the partition of the same number. Chunks are not part of the worker's
transactions (docs/decisions/0013-chunks-outside-transactions.md): a checkpoint counts once a committed offset refers
to it, and not before.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from consumer.checkpoint.store import Kept, StoreError, UnreachableError
from consumer.errors import RetryError, SmartInventoryError
from consumer.kafka.chunk_index import ChunkIndex
from consumer.kafka.chunk_writer import ChunkWriter
from consumer.kafka.chunks import Place, decode_place, split
from consumer.kafka.partition_reader import Readers
from consumer.kafka.topics import check_checkpoint_topic, partitions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import Message

    from consumer.checkpoint.envelope import Data
    from consumer.checkpoint.store import CheckpointName
    from consumer.checkpoint.throttle import Throttle
    from consumer.kafka.chunks import ChunkKey

BEHIND_SECONDS: Final = 15.0
"""How long a broker may lag behind a place that was committed: a leader that was cut off answers with an older end."""

_RETRY_SECONDS: Final = 0.3
_ABANDONED_SECONDS: Final = 3600.0


class CheckpointTopic:
    """Chunks under keys of their own, the last word of each key counts; see `consumer.kafka.chunks`.

    Args:
        config: librdkafka's properties common to all clients, `bootstrap.servers` among them.
        group: the worker's consumer group, named by the clients; checkpoints of all groups may lie in the topic.
        topic: the checkpoint topic.
        throttle: bounds the bytes a second that are written.
    """

    def __init__(self, config: Mapping[str, str], group: str, topic: str, throttle: Throttle) -> None:
        self._config = config
        self._topic = topic
        self._writer = ChunkWriter(config, topic, throttle)
        self._readers = Readers(config, group, topic)
        self._indexes: dict[int, ChunkIndex] = {}
        self._locks: dict[int, threading.Lock] = {}

    def write(self, name: CheckpointName, data: Data) -> str | None:
        """Write the chunks and wait until all in-sync replicas have each of them; return where they lie.

        A broker that has a chunk already, since its first answer was lost, does not say where: the place is None then.
        """
        chunks = split(name, data)
        offsets = self._send(name.partition, [(key.encode(), chunk) for key, chunk in chunks])
        known = [offset for offset in offsets if offset is not None]
        return Place(min(known), max(known) + 1).encode() if len(known) == len(offsets) else None

    def read(self, name: CheckpointName) -> bytes | None:
        """Return the checkpoint, None where it is absent: read from its place on, or else from the start.

        What was written last under a name counts, and a tombstone too, so it reads up to the partition's end. A broker
        whose log ends before the place lags behind what was committed, which is waited for; a topic that was created
        anew looks the same, and is believed after `BEHIND_SECONDS`.
        """
        place = decode_place(name.place)
        deadline = time.monotonic() + BEHIND_SECONDS
        while True:
            data, end = self._read_up_to_end(name, place)
            if data is not None or place is None or end >= place.end or time.monotonic() > deadline:
                return data
            self._readers.renew()
            time.sleep(_RETRY_SECONDS)

    def read_beginning(self, name: CheckpointName, length: int) -> bytes | None:
        """Return the checkpoint: a chunk is as much as one asks for, and the others have come along."""
        del length
        return self.read(name)

    def names(self, group: str, topic: str, partition: int) -> list[CheckpointName]:
        """Return the names of whole checkpoints, each with its place."""
        with self._lock(partition):
            return [each.name for each in self._index(partition).wholes(group, topic)]

    def kept(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        """Return every whole checkpoint in the topic, or those of a group, or those of a group and topic, in order."""
        kept = []
        for partition in self._partitions():
            with self._lock(partition):
                for name, chunks in self._index(partition).wholes(group, topic):
                    written = max(chunk.timestamp_ms for chunk in chunks) / 1_000
                    label = f"topic {self._topic}, partition {partition}, offset {min(chunks).offset}"
                    kept.append(Kept(name, sum(chunk.size for chunk in chunks), written, label))
        return sorted(kept)

    def delete(self, name: CheckpointName) -> None:
        """Write a tombstone for each chunk, and for those over an hour old whose checkpoint never became whole."""
        before_ms = int((time.time() - _ABANDONED_SECONDS) * 1_000)
        with self._lock(name.partition):
            index = self._index(name.partition)
            keys = [*index.keys(name), *index.abandoned(name.group, name.topic, before_ms)]
        if keys:
            self._send(name.partition, [(key, None) for key in keys])

    def check(self, group: str, topic: str) -> None:
        """See whether the topic is there, is compacted, takes chunks, and lets this user read and write.

        Raises:
            StoreError: it does not.
        """
        del group, topic
        try:
            check_checkpoint_topic(self._config, self._topic)
        except RetryError as error:
            raise UnreachableError(f"{self.where()}: {error}") from error
        except SmartInventoryError as error:
            raise StoreError(f"{self.where()}: {error}") from error

    def where(self) -> str:
        """Name the topic."""
        return f"topic {self._topic} at {self._config['bootstrap.servers']}"

    def _send(self, partition: int, records: Sequence[tuple[bytes, bytes | None]]) -> list[int | None]:
        """Write records; what is known of the partition grows by them, where nobody else wrote between."""
        offsets = self._writer.send(partition, records)
        now_ms = int(time.time() * 1_000)
        with self._lock(partition):
            index = self._indexes.get(partition)
            for offset, (key, value) in zip(offsets, records, strict=True):
                if index is not None and offset == index.next:
                    index.note(offset, key, None if value is None else len(value), now_ms)
        return offsets

    def _read_up_to_end(self, name: CheckpointName, place: Place | None) -> tuple[bytes | None, int]:
        """Return a checkpoint's bytes and the partition's end."""
        with self._readers.borrow() as reader:
            low, end = reader.range(name.partition)
            starts = [low] if place is None or not low < place.first < end else [place.first, low]
            for start in starts:
                index, values = ChunkIndex(name.partition, start), dict[int, bytes]()
                for message in reader.records(name.partition, start, end):
                    chunk, value = _noted(index, message), message.value()
                    if chunk is not None and chunk.write.name == name and value is not None:
                        values[message.offset() or 0] = value
                found = index.whole(name)
                if found is not None:
                    return b"".join(values[chunk.offset] for chunk in found.chunks), end
        return None, end

    def _index(self, partition: int) -> ChunkIndex:
        """Return what lies in a partition, walked through up to its end; with its lock held."""
        with self._readers.borrow() as reader:
            low, end = reader.range(partition)
            index = self._indexes.get(partition)
            if index is None or index.next > end:  # of a topic created anew, what is known is of another one
                index = self._indexes[partition] = ChunkIndex(partition, low)
            for message in reader.records(partition, max(low, index.next), end):
                _noted(index, message)
            index.pass_to(end)
            return index

    def _lock(self, partition: int) -> threading.Lock:
        return self._locks.setdefault(partition, threading.Lock())  # in one step: two threads get the same

    def _partitions(self) -> list[int]:
        try:
            return list(range(partitions_of(self._config, self._topic)))
        except SmartInventoryError as error:
            raise StoreError(str(error)) from error


def _noted(index: ChunkIndex, message: Message) -> ChunkKey | None:
    """Have an index take in a record that was read; return which chunk it is of, if of any."""
    value = message.value()
    size = None if value is None else len(value)
    return index.note(message.offset() or 0, message.key(), size, message.timestamp()[1])
