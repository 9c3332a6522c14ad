"""The reference: which checkpoint belongs to a committed offset, carried in that offset's metadata.

`committed()` thus answers with one atomic pair, where to go on and which model belongs there. Metadata is untrusted
input: whoever may commit to the group chooses it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from consumer.checkpoint.store import CheckpointName, is_place

REFERENCE_FORMAT: Final = 1
MAX_METADATA_BYTES: Final = 512
_MAX_OFFSET: Final = 2**63 - 1
_HEX: Final = re.compile(r"[0-9a-f]{16,64}").fullmatch


class UnreadableReferenceError(ValueError):
    """An offset's metadata is not a reference that this software wrote."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What a committed offset says about the state that belongs to it.

    Attributes:
        checkpoint_offset: the offset that the checkpoint stands at, None while no checkpoint exists.
        checkpoint_digest: the checkpoint's digest, hexadecimal; None while no checkpoint exists.
        checkpoint_place: where in its store the checkpoint lies, None where that needs no saying.
        topic_id: the input topic's id; a topic created anew under the old name has another one.
        fingerprint: digest of everything that gives predictions their meaning.
        hash_seed: Python's hash seed, on which a model's last bits may depend.
        first_offset: the first offset ever learned from.
        records_applied: records applied from there up to the committed offset.
        chain: the chained digest over them, hexadecimal.
        adopted_offset: where `--adopt-state` took over another meaning's state, whose checkpoint there is the lowest
            rung ever since: nothing below it leads to this state. None where that never happened.
    """

    checkpoint_offset: int | None = msgspec.field(name="o")
    checkpoint_digest: str | None = msgspec.field(name="d")
    topic_id: str = msgspec.field(name="t")
    fingerprint: str = msgspec.field(name="f")
    hash_seed: str = msgspec.field(name="h")
    first_offset: int = msgspec.field(name="s")
    records_applied: int = msgspec.field(name="n")
    chain: str = msgspec.field(name="c")
    adopted_offset: int | None = msgspec.field(name="a", default=None)
    checkpoint_place: str | None = msgspec.field(name="p", default=None)
    format: int = msgspec.field(name="v", default=REFERENCE_FORMAT)

    def checkpoint(self, group: str, topic: str, partition: int) -> CheckpointName | None:
        """Return the name of the checkpoint that this names, given whose reference it is; None where it names none."""
        if self.checkpoint_offset is None or self.checkpoint_digest is None:
            return None
        return CheckpointName(
            group, topic, partition, self.checkpoint_offset, self.checkpoint_digest, self.checkpoint_place
        )

    def encode(self) -> str:
        """Return the metadata: JSON of at most 512 bytes, without NUL."""
        encoded = msgspec.json.encode(self)
        if len(encoded) > MAX_METADATA_BYTES:
            raise AssertionError(f"a reference of {len(encoded)} bytes; at most {MAX_METADATA_BYTES} were meant to be")
        return encoded.decode()


def decode_reference(metadata: str | None) -> Reference:
    """Read an offset's metadata.

    Raises:
        UnreadableReferenceError: it is missing, or nothing that this software writes.
    """
    if not metadata:
        raise UnreadableReferenceError("the committed offset carries no metadata")
    if len(metadata) > MAX_METADATA_BYTES:
        raise UnreadableReferenceError(f"the committed offset's metadata is longer than {MAX_METADATA_BYTES} bytes")
    try:
        fields: Any = msgspec.json.decode(metadata)
        written_as = fields.get("v") if isinstance(fields, dict) else None
        if written_as != REFERENCE_FORMAT:
            raise UnreadableReferenceError(f"the metadata's format is {written_as!r:.40}; expected {REFERENCE_FORMAT}")
        reference = msgspec.convert(fields, Reference)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UnreadableReferenceError("the committed offset's metadata was not written by this software") from error
    _check(reference)
    return reference


def _check(reference: Reference) -> None:
    """Refuse numbers, digests and texts that no honest reference holds."""
    has_offset, digest = reference.checkpoint_offset is not None, reference.checkpoint_digest
    sound = (
        len(msgspec.json.encode(reference)) <= MAX_METADATA_BYTES  # else nothing of it could be committed again
        and (digest is None) != has_offset
        and (digest is None or _HEX(digest))
        and (reference.checkpoint_place is None or (has_offset and is_place(reference.checkpoint_place)))
        and _HEX(reference.chain)
        and 0 <= reference.first_offset <= _MAX_OFFSET
        and 0 <= reference.records_applied <= _MAX_OFFSET
        and (
            reference.checkpoint_offset is None or reference.first_offset <= reference.checkpoint_offset <= _MAX_OFFSET
        )
        and (
            reference.adopted_offset is None
            or reference.first_offset <= reference.adopted_offset <= (reference.checkpoint_offset or -1)
        )
    )
    if not sound:
        raise UnreadableReferenceError("the committed offset's metadata contradicts itself")
