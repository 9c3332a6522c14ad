"""The checkpoint's envelope: a self-describing file that is verified before anything in it is unpickled.

Layout: magic (8 bytes), format version (2), scheme of the signature (1), header length (4), header (JSON), then the
shards that no earlier file holds, one after another; in a signed file, HMAC-SHA256 (32 bytes) over all before it.

Each section of the state is a sequence of shards. The header names them by their digests, and for each the file that
holds it: this one, or one of its `parents`, earlier checkpoints of the same partition. What a parent holds stands in
the parent itself: no file needs its parents' parents.

The digest covers the header, and the header the digest of each shard; the committed reference holds it: a file that was
changed, cut or swapped is found out before it can do harm. The signature says who wrote it: with a key, it is verified
before the header is believed, and a file without one is refused. Files of format 2, which hold all of their state and
no digests of shards, are read, too.

A file may be of many megabytes, and is sealed and read beside a loop that must not wait for it. So its bytes are copied
once, without the interpreter's lock; all else is views, and digests, which leave the lock too.
"""

from __future__ import annotations

import hmac
import platform
import re
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
import river

from consumer import __version__
from consumer.checkpoint.lineage import MAX_PARENTS
from consumer.checkpoint.store import CheckpointName, is_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Buffer

    from consumer.checkpoint.shards import Piece

Data: TypeAlias = "bytes | memoryview"
"""A file's bytes, one by one."""

MAGIC: Final = b"SMARTINV"
ENVELOPE_FORMAT: Final = 3
FORMER_FORMAT: Final = 2
MAX_HEADER_BYTES: Final = 512 * 1024
_PREFIX: Final = struct.Struct(">8sHBI")
PREFIX_BYTES: Final = _PREFIX.size
BEGINNING_BYTES: Final = PREFIX_BYTES + MAX_HEADER_BYTES
"""So many of a file hold its header, whatever that says."""
_UNSIGNED: Final = 0
_HMAC_SHA256: Final = 1
_SIGNATURE_BYTES: Final = 32
_KEY: Final = "CHECKPOINT_SIGNING_KEY"
_SHARD_DIGEST_BYTES: Final = 16
_SHARD_DIGEST: Final = re.compile(rf"[0-9a-f]{{{2 * _SHARD_DIGEST_BYTES}}}", re.ASCII).fullmatch
_FILE_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


class EnvelopeError(ValueError):
    """A file is no checkpoint, or not an undamaged one, or not signed by who it should be."""


class OtherFormatError(EnvelopeError):
    """A file is a checkpoint of another version of this software, which may mean by it what this one does not know."""


class Shard(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One shard of a section.

    Attributes:
        digest: BLAKE2b (16 bytes, hexadecimal) of its bytes.
        length: in bytes.
        holder: the file that holds it: 0 for this one, else the number of a parent, counted from 1.
    """

    digest: str
    length: int
    holder: int


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One named section of the state, its length in bytes, and its shards in their order."""

    name: str
    length: int
    shards: list[Shard]


class Parent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An earlier checkpoint of the same partition that holds some of the shards; its place as its store named it."""

    offset: int
    digest: str
    place: str | None


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


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What headers of all formats begin with."""

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


class Header(_About, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint says of itself; readable without unpickling anything.

    Attributes:
        offset: the next offset of the state within; every record below it has been applied.
        fingerprint: of the model whose state this is.
        meaning: the fingerprint's parts.
        parents: the other files that hold shards.
        sections: the sections in their order; without shards where the file is of format 2.
        digest: BLAKE2b (32 bytes, hexadecimal) over this header with an empty digest.
    """

    parents: list[Parent]
    sections: list[Section]
    digest: str = ""

    def identity(self) -> Identity:
        """Return whose state this is."""
        return Identity(
            self.group, self.topic, self.topic_id, self.model_id, self.fingerprint, self.hash_seed, self.meaning
        )

    def name(self) -> CheckpointName:
        """Return the name that a checkpoint with this header has."""
        return CheckpointName(self.group, self.topic, self.partition, self.offset, self.digest)

    def parent_names(self) -> list[CheckpointName]:
        """Return the names of the other files that hold shards."""
        return [
            CheckpointName(self.group, self.topic, self.partition, each.offset, each.digest, each.place)
            for each in self.parents
        ]

    def own_shards(self) -> list[Shard]:
        """Return the shards that the file itself holds, in their order."""
        return [shard for section in self.sections for shard in section.shards if shard.holder == 0]


class _FormerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    length: int


class _FormerHeader(_About, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of format 2, whose digest goes on over the sections."""

    sections: list[_FormerSection]
    digest: str = ""


class File(NamedTuple):
    """A file that was found to be whole, and signed as it must be.

    Attributes:
        payload: the shards that it holds, one after another; a view of the file.
    """

    header: Header
    payload: memoryview

    def shards(self) -> dict[str, memoryview]:
        """Return the shards that it holds, by digest; views of the file."""
        shards, start = {}, 0
        for shard in self.header.own_shards():
            shards[shard.digest] = self.payload[start : start + shard.length]
            start += shard.length
        return shards

    def sections(self) -> dict[str, memoryview]:
        """Return the sections of a file that holds all of its state; views of the file.

        Raises:
            EnvelopeError: other files hold some of it.
        """
        if self.header.parents:
            raise EnvelopeError(f"expected a checkpoint without parents; this one has {len(self.header.parents)}")
        sections, start = {}, 0
        for section in self.header.sections:
            sections[section.name] = self.payload[start : start + section.length]
            start += section.length
        return sections


class Prefix(NamedTuple):
    """What the first bytes of a file say.

    Attributes:
        version: the format's.
        is_signed: an HMAC-SHA256 stands at the end.
        header_bytes: how long the header after the prefix is.
    """

    version: int
    is_signed: bool
    header_bytes: int

    @property
    def signature_bytes(self) -> int:
        """How long the signature at the end of the file is."""
        return _SIGNATURE_BYTES if self.is_signed else 0


def seal(  # noqa: PLR0913, PLR0917 -- what a file is of
    identity: Identity,
    partition: int,
    offset: int,
    sections: Mapping[str, Sequence[Piece]],
    key: bytes | None = None,
    holders: Mapping[str, CheckpointName] | None = None,
) -> tuple[Header, memoryview]:
    """Return the header and the whole file of a checkpoint, signed where there is a key.

    Args:
        identity: whose state it is.
        partition: the input partition.
        offset: the state's next offset.
        sections: of each, its pieces in their order (`consumer.checkpoint.shards.cut`).
        key: the signing key, None to sign nothing.
        holders: by digest, the earlier files that hold pieces which this one is not to hold again.

    Raises:
        EnvelopeError: the header would be longer than a reader accepts.
    """
    holders = holders or {}
    parents = sorted(set(holders.values()))
    numbers = {name: number for number, name in enumerate(parents, 1)}
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
        parents=[Parent(name.offset, name.digest, name.place) for name in parents],
        sections=[
            Section(
                name,
                sum(len(piece.body) for piece in pieces),
                [
                    Shard(
                        piece.digest, len(piece.body), numbers[holders[piece.digest]] if piece.digest in holders else 0
                    )
                    for piece in pieces
                ],
            )
            for name, pieces in sections.items()
        ],
    )
    header = msgspec.structs.replace(header, digest=_digest(header))
    encoded = msgspec.json.encode(header)
    if len(encoded) > MAX_HEADER_BYTES:
        raise EnvelopeError(f"expected a header of at most {MAX_HEADER_BYTES} bytes; this one takes {len(encoded)}")
    prefix = _PREFIX.pack(MAGIC, ENVELOPE_FORMAT, _UNSIGNED if key is None else _HMAC_SHA256, len(encoded))
    own = [piece.body.data for pieces in sections.values() for piece in pieces if piece.digest not in holders]
    return header, _file([prefix, encoded, *own], key)


def unseal(data: Data, key: bytes | None = None) -> File:
    """Return a checkpoint's file, its signature, its digest and those of the shards that it holds verified.

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
    return _file([_PREFIX.pack(MAGIC, prefix.version, _HMAC_SHA256, prefix.header_bytes), body], key)


def verify_digest(data: Data) -> File:
    """Return a checkpoint's file, its digest and those of its shards verified but not its signature.

    That it is whole says nothing about who wrote it: only to be shown, not to be unpickled.

    Raises:
        EnvelopeError: not a checkpoint, another format version, cut short, or changed.
    """
    prefix = read_prefix(data)
    body = PREFIX_BYTES + prefix.header_bytes
    header = read_header(data[:body])
    payload = memoryview(data)[body : len(data) - prefix.signature_bytes]
    is_former = prefix.version == FORMER_FORMAT
    held: Sequence[Section | Shard] = header.sections if is_former else header.own_shards()
    expected = sum(each.length for each in held)
    if len(payload) != expected:
        raise EnvelopeError(f"expected {expected} bytes of state; found {len(payload)}")
    if is_former:
        is_whole = _digest(_former(header), payload) == header.digest
    else:
        is_whole = _are_digests_right(header.own_shards(), payload)
    if not is_whole:
        raise EnvelopeError("the checkpoint's content does not match its digest: it is damaged")
    return File(header, payload)


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
    if version not in {ENVELOPE_FORMAT, FORMER_FORMAT}:
        raise OtherFormatError(
            f"expected checkpoint format {ENVELOPE_FORMAT}; found {version}, from another version of this software: "
            "run that one, or use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"
        )
    if scheme not in {_UNSIGNED, _HMAC_SHA256}:
        raise EnvelopeError(
            f"expected no signature ({_UNSIGNED}) or HMAC-SHA256 ({_HMAC_SHA256}); found scheme {scheme}"
        )
    if header_bytes > MAX_HEADER_BYTES:
        raise EnvelopeError(f"expected a header of at most {MAX_HEADER_BYTES} bytes; found {header_bytes}")
    return Prefix(version, scheme == _HMAC_SHA256, header_bytes)


def read_header(data: Data) -> Header:
    """Return the header of a file of which `data` holds at least prefix and header, its digest verified.

    Of format 2, whose digest is not the header's alone, it is not.

    Raises:
        EnvelopeError: it is no checkpoint, or one of another format, or its header cannot be read or was changed.
    """
    prefix = read_prefix(data)
    encoded = bytes(data[PREFIX_BYTES : PREFIX_BYTES + prefix.header_bytes])
    if len(encoded) < prefix.header_bytes:
        raise EnvelopeError(f"expected a header of {prefix.header_bytes} bytes; the file ends before")
    kind: type[Header | _FormerHeader] = _FormerHeader if prefix.version == FORMER_FORMAT else Header
    try:
        found = msgspec.json.decode(encoded, type=kind)
        is_ours = msgspec.json.encode(found) == encoded
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise EnvelopeError("the checkpoint's header cannot be read") from error
    if not is_ours:  # else the digest, which is over what was read, would not cover all that stands there
        raise EnvelopeError("the checkpoint's header is not as this software writes it")
    header = found if isinstance(found, Header) else _of_former(found)
    _check_header(header, prefix)
    return header


def shard_digest(body: Buffer) -> str:
    """Return the digest by which a shard is named."""
    return blake2b(body, digest_size=_SHARD_DIGEST_BYTES).hexdigest()


def _check_header(header: Header, prefix: Prefix) -> None:
    """Refuse what no header says: nothing of it is believed, and nothing allocated, before.

    Raises:
        EnvelopeError: it contradicts itself, or its digest.
    """
    if len({section.name for section in header.sections}) < len(header.sections):
        raise EnvelopeError("expected sections of different names; found one name twice")
    if any(section.length < 0 for section in header.sections):
        raise EnvelopeError("expected sections of some bytes of state; found a negative length")
    if prefix.version == FORMER_FORMAT:
        return
    if len(header.parents) > MAX_PARENTS or not all(_is_earlier(each, header) for each in header.parents):
        raise EnvelopeError(f"expected at most {MAX_PARENTS} parents at offsets below {header.offset}; found others")
    if len({(each.offset, each.digest) for each in header.parents}) < len(header.parents):
        raise EnvelopeError("expected different parents; found one twice")
    most = len(header.parents)
    for section in header.sections:
        if not all(_is_shard(shard, most) for shard in section.shards):
            raise EnvelopeError(f"expected shards of this file and its {most} parents; found others")
        if sum(shard.length for shard in section.shards) != section.length:
            raise EnvelopeError(f"expected shards of {section.length} bytes of state together; found others")
    if _digest(header) != header.digest:
        raise EnvelopeError("the checkpoint's header does not match its digest: it is damaged")


def _is_earlier(parent: Parent, header: Header) -> bool:
    return (
        0 <= parent.offset < header.offset
        and _FILE_DIGEST(parent.digest) is not None
        and (parent.place is None or is_place(parent.place))
    )


def _is_shard(shard: Shard, parents: int) -> bool:
    return shard.length >= 0 and 0 <= shard.holder <= parents and _SHARD_DIGEST(shard.digest) is not None


def _are_digests_right(shards: Iterable[Shard], payload: memoryview) -> bool:
    start = 0
    for shard in shards:
        if shard_digest(payload[start : start + shard.length]) != shard.digest:
            return False
        start += shard.length
    return True


def _of_former(found: _FormerHeader) -> Header:
    fields = msgspec.structs.asdict(found)
    sections = [Section(each.name, each.length, []) for each in found.sections]
    return Header(**{**fields, "parents": [], "sections": sections})


def _former(header: Header) -> _FormerHeader:
    """Return a header as it stood in a file of format 2."""
    fields = msgspec.structs.asdict(header)
    del fields["parents"]
    return _FormerHeader(**{**fields, "sections": [_FormerSection(each.name, each.length) for each in header.sections]})


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


def _digest(header: Header | _FormerHeader, payload: Buffer = b"") -> str:
    bare = msgspec.json.encode(msgspec.structs.replace(header, digest=""))
    running = blake2b(bare, digest_size=32)
    running.update(payload)
    return running.hexdigest()
