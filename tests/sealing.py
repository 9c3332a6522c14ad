"""The checkpoint's envelope with bytes in place of views, for tests that cut, change and compare files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.checkpoint import envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from consumer.checkpoint.envelope import Data, Header, Identity


def seal(
    identity: Identity, partition: int, offset: int, sections: Mapping[str, Buffer], key: bytes | None = None
) -> tuple[Header, bytes]:
    """Return the header and the whole file of a checkpoint."""
    header, data = envelope.seal(identity, partition, offset, sections, key)
    return header, bytes(data)


def unseal(data: Data, key: bytes | None = None) -> tuple[Header, dict[str, bytes]]:
    """Return the header and the sections of a checkpoint, verified."""
    header, sections = envelope.unseal(data, key)
    return header, {name: bytes(section) for name, section in sections.items()}


def verify_digest(data: Data) -> tuple[Header, dict[str, bytes]]:
    """Return the header and the sections of a checkpoint, its digest verified."""
    header, sections = envelope.verify_digest(data)
    return header, {name: bytes(section) for name, section in sections.items()}


def signed(data: Data, key: bytes) -> bytes:
    """Return a checkpoint's file signed with a key."""
    return bytes(envelope.signed(data, key))
