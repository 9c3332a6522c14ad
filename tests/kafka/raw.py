"""Records byte by byte: what Kafka's own protocol lets a producer write, and librdkafka's Python binding does not.

Such are names of headers that are no UTF-8, or hold a NUL, and records without a timestamp.
"""

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka.admin import AdminClient

__all__ = ["NO_TIMESTAMP", "RawRecord", "produce_raw"]

NO_TIMESTAMP = -1

_PRODUCE = 0
_VERSION = 7
_ALL_REPLICAS = -1
_SECONDS = 30.0
_NO_PRODUCER = struct.pack(">qhi", -1, -1, -1)  # neither idempotent nor transactional
_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected


class RawRecord(NamedTuple):
    """One record; names of headers are bytes here."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


def produce_raw(
    bootstrap_servers: str, topic: str, partition: int, records: Sequence[RawRecord], timestamp: int
) -> int:
    """Write the records as one batch of this timestamp, and return the first one's offset.

    Raises:
        AssertionError: The broker refused it.

    """
    metadata = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(topic, timeout=_SECONDS)
    leader = metadata.brokers[metadata.topics[topic].partitions[partition].leader]
    batch = _batch(records, timestamp)
    name = _text(topic)
    body = struct.pack(">hhih", _PRODUCE, _VERSION, 1, -1)  # correlation id 1, no client id
    body += struct.pack(">hhii", -1, _ALL_REPLICAS, int(_SECONDS * 1000), 1)
    body += name + struct.pack(">iii", 1, partition, len(batch)) + batch
    with socket.create_connection((leader.host, leader.port), timeout=_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", _received(connection, 4))
        answer = _received(connection, size)
    error, offset = struct.unpack_from(">hq", answer, 4 + 4 + len(name) + 4 + 4)
    if error:
        message = f"the broker refused a batch for {topic} with error code {error}"
        raise AssertionError(message)
    return int(offset)


def _batch(records: Sequence[RawRecord], timestamp: int) -> bytes:
    """Return a record batch of format 2."""
    last = len(records) - 1
    checked = struct.pack(">hiqq", 0, last, timestamp, timestamp) + _NO_PRODUCER + struct.pack(">i", len(records))
    checked += b"".join(_record(number, record) for number, record in enumerate(records))
    counted = struct.pack(">ibI", -1, 2, _crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(counted)) + counted


def _record(number: int, record: RawRecord) -> bytes:
    body = (
        b"\0" + _varint(0) + _varint(number) + _bytes(record.key) + _bytes(record.value) + _varint(len(record.headers))
    )
    body += b"".join(_bytes(name) + _bytes(value) for name, value in record.headers)
    return _varint(len(body)) + body


def _bytes(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    zigzag = number << 1 ^ number >> 63
    encoded = bytearray()
    while zigzag > 0x7F:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes(encoded) + bytes([zigzag])


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _received(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            message = "the broker closed the connection: it does not take this request"
            raise AssertionError(message)
        received += part
    return received
