"""The checkpoint's envelope: a self-describing file whose digest is verified before anything in it is unpickled.

Layout: magic (8 bytes), format version (2), header length (4), header (JSON), then the pickled sections one after
another. The digest covers the header and the sections, and the committed reference holds it: a file that was changed,
cut or swapped is found out before it can do harm.
"""

from __future__ import annotations

import platform
import struct
from hashlib import blake2b
from typing import Final

import msgspec
import river

from consumer import __version__

MAGIC: Final = b"SMARTINV"
ENVELOPE_FORMAT: Final = 1
_PREFIX: Final = struct.Struct(">8sHI")


class EnvelopeError(ValueError):
    """A file is no checkpoint, or not an undamaged one."""


class Section(msgspec.Struct, frozen=True):
    """One named section of the state and its length in bytes."""

    name: str
    length: int


class Identity(msgspec.Struct, frozen=True):
    """Whose state a worker writes and accepts: it goes into each header and is compared at each restore."""

    group: str
    topic: str
    topic_id: str
    model_id: str
    fingerprint: str
    hash_seed: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says of itself; readable without unpickling anything.

    Attributes:
        offset: the next offset of the state within; every record below it has been applied.
        fingerprint: of the model whose state this is.
        sections: the sections in their order.
        digest: BLAKE2b (32 bytes, hexadecimal) over this header with an empty digest, then the sections.
    """

    group: str
    topic: str
    topic_id: str
    partition: int
    offset: int
    model_id: str
    fingerprint: str
    hash_seed: str
    python: str
    river: str
    software: str
    sections: list[Section]
    digest: str = ""

    def identity(self) -> Identity:
        """Return whose state this is."""
        return Identity(self.group, self.topic, self.topic_id, self.model_id, self.fingerprint, self.hash_seed)


def seal(identity: Identity, partition: int, offset: int, sections: dict[str, bytes]) -> tuple[Header, bytes]:
    """Return the header and the whole file of a checkpoint."""
    header = Header(
        group=identity.group,
        topic=identity.topic,
        topic_id=identity.topic_id,
        partition=partition,
        offset=offset,
        model_id=identity.model_id,
        fingerprint=identity.fingerprint,
        hash_seed=identity.hash_seed,
        python=platform.python_version(),
        river=river.__version__,
        software=__version__,
        sections=[Section(name, len(body)) for name, body in sections.items()],
    )
    payload = b"".join(sections.values())
    header = msgspec.structs.replace(header, digest=_digest(header, payload))
    encoded = msgspec.json.encode(header)
    return header, _PREFIX.pack(MAGIC, ENVELOPE_FORMAT, len(encoded)) + encoded + payload


def unseal(data: bytes) -> tuple[Header, dict[str, bytes]]:
    """Return the header and the sections of a checkpoint, its digest verified.

    Raises:
        EnvelopeError: not a checkpoint, another format version, cut short, or changed.
    """
    if len(data) < _PREFIX.size:
        raise EnvelopeError(f"expected a checkpoint; {len(data)} bytes are too few for one")
    magic, version, header_length = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise EnvelopeError(f"expected a checkpoint, which begins with {MAGIC!r}; found {magic!r}")
    if version != ENVELOPE_FORMAT:
        raise EnvelopeError(f"expected checkpoint format {ENVELOPE_FORMAT}; found {version}")
    body = _PREFIX.size + header_length
    if body > len(data):
        raise EnvelopeError(f"expected a header of {header_length} bytes; the file ends before")
    try:
        header = msgspec.json.decode(data[_PREFIX.size : body], type=Header)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise EnvelopeError("the checkpoint's header cannot be read") from error
    if len({section.name for section in header.sections}) < len(header.sections):
        raise EnvelopeError("expected sections of different names; found one name twice")
    payload = data[body:]
    expected = sum(section.length for section in header.sections)
    if any(section.length < 0 for section in header.sections) or len(payload) != expected:
        raise EnvelopeError(f"expected {expected} bytes of state; found {len(payload)}")
    if _digest(header, payload) != header.digest:
        raise EnvelopeError("the checkpoint's content does not match its digest")
    sections, start = {}, 0
    for section in header.sections:
        sections[section.name] = payload[start : start + section.length]
        start += section.length
    return header, sections


def _digest(header: Header, payload: bytes) -> str:
    bare = msgspec.json.encode(msgspec.structs.replace(header, digest=""))
    running = blake2b(bare, digest_size=32)
    running.update(payload)
    return running.hexdigest()
