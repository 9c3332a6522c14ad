"""The checkpoint's envelope as files that hold all of their state, for tests that cut, change and compare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.checkpoint import envelope
from consumer.checkpoint.lineage import USUAL
from consumer.checkpoint.shards import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.checkpoint.envelope import Data, File, Header, Identity
    from consumer.learning.model_sections import Section


def seal(
    identity: Identity, partition: int, offset: int, sections: Mapping[str, Section], key: bytes | None = None
) -> tuple[Header, bytes]:
    """Return the header and the whole file of a checkpoint."""
    header, data = envelope.seal(identity, partition, offset, cut(sections, USUAL.shard_bytes), key)
    return header, bytes(data)


def unseal(data: Data, key: bytes | None = None) -> tuple[Header, dict[str, bytes]]:
    """Return the header and the sections of a checkpoint without parents, verified."""
    return _opened(envelope.unseal(data, key))


def verify_digest(data: Data) -> tuple[Header, dict[str, bytes]]:
    """Return the header and the sections of a checkpoint without parents, its digest verified."""
    return _opened(envelope.verify_digest(data))


def signed(data: Data, key: bytes) -> bytes:
    """Return a checkpoint's file signed with a key."""
    return bytes(envelope.signed(data, key))


def _opened(file: File) -> tuple[Header, dict[str, bytes]]:
    return file.header, {name: bytes(section) for name, section in file.sections().items()}
