"""The checkpoint's envelope: a self-describing file that is verified before anything in it is unpickled.

Layout: magic (8 bytes), format version (2), scheme of the signature (1), header length (4), header (JSON), then the
pickled sections one after another; in a signed file, HMAC-SHA256 (32 bytes) over everything before it.

The digest covers the header and the sections, and the committed reference holds it: a file that was changed, cut or
swapped is found out before it can do harm. The signature says who wrote it: with a key, it is verified before the
header is believed, and a file without one is refused.

A file may be of many megabytes, and is sealed and read beside a loop that must not wait for it. So its bytes are copied
once, without the interpreter's lock; all else is views, and digests, which leave the lock too.
"""

from __future__ import annotations

import hmac
import platform
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
import river

from consumer import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Buffer

Data: TypeAlias = "bytes | memoryview"
"""A file's bytes, one by one."""

MAGIC: Final = b"SMARTINV"
ENVELOPE_FORMAT: Final = 2
MAX_HEADER_BYTES: Final = 256 * 1024
_PREFIX: Final = struct.Struct(">8sHBI")
PREFIX_BYTES: Final = _PREFIX.size
_UNSIGNED: Final = 0
_HMAC_SHA256: Final = 1
_SIGNATURE_BYTES: Final = 32
_KEY: Final = "CHECKPOINT_SIGNING_KEY"


class EnvelopeError(ValueError):
    """A file is no checkpoint, or not an undamaged one, or not signed by who it should be."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named section of the state and its length in bytes."""

    name: str
    length: int


class Identity(msgspec.Struct, frozen=True):
    """Whose state a worker writes and accepts: it goes into each header and is compared at each restore.

    Attributes:
        meaning: the fingerprint's parts, so that a refusal can name what differs; as JSON gives them back.
    """

    group: str
    topic: str
    topic_id: str
    model_id: str
    fingerprint: str
    hash_seed: str
    meaning: dict[str, Any]

    def __post_init__(self) -> None:
        plain = msgspec.json.decode(msgspec.json.encode(self.meaning))
        msgspec.structs.force_setattr(self, "meaning", plain)  # a tuple would never equal the list that is read back


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint says of itself; readable without unpickling anything.

    Attributes:
        offset: the next offset of the state within; every record below it has been applied.
        fingerprint: of the model whose state this is.
        meaning: the fingerprint's parts.
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
    meaning: dict[str, Any]
    python: str
    river: str
    software: str
    sections: list[Section]
    digest: str = ""

    def identity(self) -> Identity:
        """Return whose state this is."""
        return Identity(
            self.group, self.topic, self.topic_id, self.model_id, self.fingerprint, self.hash_seed, self.meaning
        )


class Prefix(NamedTuple):
    """What the first bytes of a file say.

    Attributes:
        is_signed: an HMAC-SHA256 stands at the end.
        header_bytes: how long the header after the prefix is.
    """

    is_signed: bool
    header_bytes: int

    @property
    def signature_bytes(self) -> int:
        """How long the signature at the end of the file is."""
        return _SIGNATURE_BYTES if self.is_signed else 0


def seal(
    identity: Identity, partition: int, offset: int, sections: Mapping[str, Buffer], key: bytes | None = None
) -> tuple[Header, memoryview]:
    """Return the header and the whole file of a checkpoint, signed where there is a key.

    Raises:
        EnvelopeError: the header would be longer than a reader accepts.
    """
    header = Header(
        group=identity.group,
        topic=identity.topic,
        topic_id=identity.topic_id,
        partition=partition,
        offset=offset,
        model_id=identity.model_id,
        fingerprint=identity.fingerprint,
        hash_seed=identity.hash_seed,
        meaning=identity.meaning,
        python=platform.python_version(),
        river=river.__version__,
        software=__version__,
        sections=[Section(name, memoryview(body).nbytes) for name, body in sections.items()],
    )
    header = msgspec.structs.replace(header, digest=_digest(header, sections.values()))
    encoded = msgspec.json.encode(header)
    if len(encoded) > MAX_HEADER_BYTES:
        raise EnvelopeError(f"expected a header of at most {MAX_HEADER_BYTES} bytes; this one takes {len(encoded)}")
    prefix = _PREFIX.pack(MAGIC, ENVELOPE_FORMAT, _UNSIGNED if key is None else _HMAC_SHA256, len(encoded))
    return header, _file([prefix, encoded, *sections.values()], key)


def unseal(data: Data, key: bytes | None = None) -> tuple[Header, dict[str, memoryview]]:
    """Return the header and the sections of a checkpoint, its signature and its digest verified.

    The sections are views of the file's bytes.

    Args:
        data: the whole file.
        key: the signing key. Without one, a signed file is refused: whoever took the key away must not turn a
            guarded store into an unguarded one unnoticed.

    Raises:
        EnvelopeError: not a checkpoint, another format version, cut short, changed, or not signed with this key.
    """
    prefix = read_prefix(data)
    if key is not None:
        if not prefix.is_signed:
            raise EnvelopeError(
                f"expected a checkpoint signed with {_KEY}; found one that is not signed: do not use it"
            )
        if not is_signed_with(data, key):
            raise EnvelopeError(
                f"expected a checkpoint signed with this {_KEY}; found another signature: the file was changed or cut "
                "short, or another key signed it: set that one, or do not use the file"
            )
    elif prefix.is_signed:
        raise EnvelopeError(
            f"expected a checkpoint without signature, since {_KEY} is not set; found a signed one: set it"
        )
    return verify_digest(data)


def is_signed_with(data: Data, key: bytes) -> bool:
    """Tell whether the last bytes of a file are the signature of all before them.

    Raises:
        EnvelopeError: it is no checkpoint, or one of another format.
    """
    view = memoryview(data)
    content, signature = view[:-_SIGNATURE_BYTES], view[-_SIGNATURE_BYTES:]
    return read_prefix(data).is_signed and hmac.compare_digest(_signature(content, key), signature)


def signed(data: Data, key: bytes) -> memoryview:
    """Return a checkpoint's file signed with a key, in place of the signature that it may have; nothing is verified.

    Raises:
        EnvelopeError: it is no checkpoint, or one of another format.
    """
    prefix = read_prefix(data)
    body = memoryview(data)[PREFIX_BYTES : len(data) - prefix.signature_bytes]
    return _file([_PREFIX.pack(MAGIC, ENVELOPE_FORMAT, _HMAC_SHA256, prefix.header_bytes), body], key)


def verify_digest(data: Data) -> tuple[Header, dict[str, memoryview]]:
    """Return the header and the sections of a checkpoint, its digest verified but not its signature.

    That it is whole says nothing about who wrote it: only to be shown, not to be unpickled.

    Raises:
        EnvelopeError: not a checkpoint, another format version, cut short, or changed.
    """
    prefix = read_prefix(data)
    body = PREFIX_BYTES + prefix.header_bytes
    header = read_header(data[:body])
    payload = memoryview(data)[body : len(data) - prefix.signature_bytes]
    expected = sum(section.length for section in header.sections)
    if any(section.length < 0 for section in header.sections) or len(payload) != expected:
        raise EnvelopeError(f"expected {expected} bytes of state; found {len(payload)}")
    if _digest(header, [payload]) != header.digest:
        raise EnvelopeError("the checkpoint's content does not match its digest: it is damaged")
    sections, start = {}, 0
    for section in header.sections:
        sections[section.name] = payload[start : start + section.length]
        start += section.length
    return header, sections


def read_prefix(data: Data) -> Prefix:
    """Return what the first `PREFIX_BYTES` of a file say.

    Raises:
        EnvelopeError: it is no checkpoint, or one of another format.
    """
    if len(data) < PREFIX_BYTES:
        raise EnvelopeError(f"expected a checkpoint; {len(data)} bytes are too few for one")
    magic, version, scheme, header_bytes = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise EnvelopeError(f"expected a checkpoint, which begins with {MAGIC!r}; found {magic!r}")
    if version != ENVELOPE_FORMAT:
        raise EnvelopeError(
            f"expected checkpoint format {ENVELOPE_FORMAT}; found {version}, from another version of this software: "
            "run that one, or use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
        )
    if scheme not in {_UNSIGNED, _HMAC_SHA256}:
        raise EnvelopeError(
            f"expected no signature ({_UNSIGNED}) or HMAC-SHA256 ({_HMAC_SHA256}); found scheme {scheme}"
        )
    if header_bytes > MAX_HEADER_BYTES:
        raise EnvelopeError(f"expected a header of at most {MAX_HEADER_BYTES} bytes; found {header_bytes}")
    return Prefix(scheme == _HMAC_SHA256, header_bytes)


def read_header(data: Data) -> Header:
    """Return the header of a file of which `data` holds at least prefix and header; nothing is verified.

    Raises:
        EnvelopeError: it is no checkpoint, or one of another format, or its header cannot be read.
    """
    prefix = read_prefix(data)
    encoded = bytes(data[PREFIX_BYTES : PREFIX_BYTES + prefix.header_bytes])
    if len(encoded) < prefix.header_bytes:
        raise EnvelopeError(f"expected a header of {prefix.header_bytes} bytes; the file ends before")
    try:
        header = msgspec.json.decode(encoded, type=Header)
        is_ours = msgspec.json.encode(header) == encoded
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise EnvelopeError("the checkpoint's header cannot be read") from error
    if not is_ours:  # else the digest, which is over what was read, would not cover all that stands there
        raise EnvelopeError("the checkpoint's header is not as this software writes it")
    if len({section.name for section in header.sections}) < len(header.sections):
        raise EnvelopeError("expected sections of different names; found one name twice")
    return header


def _file(parts: Sequence[Buffer], key: bytes | None) -> memoryview:
    """Return the parts one after another, and the signature over them where there is a key.

    `b"".join` would keep the lock, except for parts that are all `bytes`; NumPy copies without it.
    """
    import numpy as np  # noqa: PLC0415 -- listing files does without

    views = [np.frombuffer(memoryview(part), np.uint8) for part in parts]
    size = sum(map(len, views))
    data = np.empty(size + (0 if key is None else _SIGNATURE_BYTES), np.uint8)
    np.concatenate(views, out=data[:size])
    if key is not None:
        data[size:] = np.frombuffer(_signature(data[:size].data, key), np.uint8)
    return data.data.toreadonly()


def _signature(data: Buffer, key: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _digest(header: Header, payload: Iterable[Buffer]) -> str:
    bare = msgspec.json.encode(msgspec.structs.replace(header, digest=""))
    running = blake2b(bare, digest_size=32)
    for part in payload:
        running.update(part)
    return running.hexdigest()
