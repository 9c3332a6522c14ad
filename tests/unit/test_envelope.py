"""The checkpoint's envelope: whatever happened to a file, it is found out before anything in it is unpickled."""

from __future__ import annotations

import platform
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
import river
from hypothesis import example, given
from hypothesis import strategies as st

from consumer import __version__
from consumer.checkpoint.envelope import (
    ENVELOPE_FORMAT,
    MAGIC,
    EnvelopeError,
    Header,
    Identity,
    Section,
    seal,
    unseal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

IDENTITY: Final = Identity(
    group="g", topic="sales", topic_id="lQ3h", model_id="0123456789ab", fingerprint="cd" * 32, hash_seed="7"
)
SECTIONS: Final = {"models": b"\x80\x05}\x94.", "ledger": b"", "identities": b"xyz"}
PREFIX_BYTES: Final = 14


def framed(header: bytes, payload: bytes = b"", *, magic: bytes = MAGIC, version: int = ENVELOPE_FORMAT) -> bytes:
    """Put a file together by hand."""
    return struct.pack(">8sHI", magic, version, len(header)) + header + payload


def forged(sections: Sequence[tuple[str, int]], payload: bytes) -> bytes:
    """A file with a right digest whose header says of its sections what it likes."""
    header, _ = seal(IDENTITY, 0, 5, {})
    header = msgspec.structs.replace(header, sections=[Section(*section) for section in sections], digest="")
    digest = blake2b(msgspec.json.encode(header) + payload, digest_size=32).hexdigest()
    return framed(msgspec.json.encode(msgspec.structs.replace(header, digest=digest)), payload)


@given(
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=5),
    st.builds(Identity, *[st.text(max_size=30)] * 6),
)
def test_round_trip(partition: int, offset: int, sections: dict[str, bytes], identity: Identity) -> None:
    """What was sealed comes back byte for byte, under the identity, partition and offset that it was sealed for."""
    header, data = seal(identity, partition, offset, sections)
    found, unsealed = unseal(data)
    assert found == header
    assert (found.identity(), found.partition, found.offset) == (identity, partition, offset)
    assert unsealed == sections
    assert list(unsealed) == list(sections)


def test_header_says_what_wrote_it() -> None:
    """Pickles do not survive a minor version of River: the file says under which it was written."""
    header, _ = seal(IDENTITY, 0, 5, SECTIONS)
    assert (header.python, header.river, header.software) == (
        platform.python_version(),
        river.__version__,
        __version__,
    )
    assert header.sections == [Section("models", 5), Section("ledger", 0), Section("identities", 3)]


def test_header_is_readable_without_unpickling() -> None:
    """Any tool can tell whose state a file is: a fixed prefix, then JSON."""
    header, data = seal(IDENTITY, 3, 5, SECTIONS)
    magic, version, length = struct.unpack_from(">8sHI", data)
    assert (magic, version) == (b"SMARTINV", 1)
    read = msgspec.json.decode(data[PREFIX_BYTES : PREFIX_BYTES + length])
    assert (read["group"], read["topic"], read["partition"], read["offset"]) == ("g", "sales", 3, 5)
    assert read["digest"] == header.digest


def test_same_state_same_bytes() -> None:
    """Sealing is deterministic: the same state has the same name and the same file."""
    assert seal(IDENTITY, 0, 5, SECTIONS) == seal(IDENTITY, 0, 5, SECTIONS)


def test_digest_is_of_the_named_kind() -> None:
    """The digest is BLAKE2b of 32 bytes over the header with an empty digest, then the sections, as documented."""
    header, _ = seal(IDENTITY, 0, 5, SECTIONS)
    bare = msgspec.json.encode(msgspec.structs.replace(header, digest=""))
    assert header.digest == blake2b(bare + b"".join(SECTIONS.values()), digest_size=32).hexdigest()


@pytest.mark.parametrize(
    ("field", "other"),
    [
        *((name, "another") for name in Header.__struct_fields__ if name not in {"partition", "offset", "sections"}),
        ("partition", 1),
        ("offset", 6),
        ("sections", [Section("models", 5), Section("renamed", 0), Section("identities", 3)]),
    ],
)
def test_digest_covers_every_header_field(field: str, other: object) -> None:
    """No field of the header can be changed in place: a file cannot be passed off as another partition's or group's."""
    header, data = seal(IDENTITY, 0, 5, SECTIONS)
    changed = msgspec.json.encode(msgspec.structs.replace(header, **{field: other}))
    payload = data[-sum(len(body) for body in SECTIONS.values()) :]
    with pytest.raises(EnvelopeError, match="does not match its digest"):
        unseal(framed(changed, payload))


def test_digest_covers_the_order_of_sections() -> None:
    """The same bytes under the same names in another order are another state."""
    one, _ = seal(IDENTITY, 0, 5, {"a": b"x", "b": b"x"})
    other, _ = seal(IDENTITY, 0, 5, {"b": b"x", "a": b"x"})
    assert one.digest != other.digest


def test_every_changed_byte_is_found_out() -> None:
    """A file with any one byte changed to any other value raises the one error: a damaged disk never reaches pickle."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS)
    for position in range(len(data)):
        for difference in range(1, 256):
            damaged = bytearray(data)
            damaged[position] ^= difference
            with pytest.raises(EnvelopeError):
                unseal(bytes(damaged))


def test_every_changed_byte_of_an_empty_state_is_found_out() -> None:
    """The same holds where there is no payload: the header's length is part of the file."""
    _, data = seal(IDENTITY, 0, 5, {})
    for position in range(PREFIX_BYTES):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(EnvelopeError):
            unseal(bytes(damaged))


def test_every_truncation_is_found_out() -> None:
    """A file cut anywhere, as by a full disk, raises the one error."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS)
    for length in range(len(data)):
        with pytest.raises(EnvelopeError):
            unseal(data[:length])


@given(st.binary(min_size=1, max_size=20))
@example(b"\x00")
@example(b" ")
def test_anything_appended_is_found_out(tail: bytes) -> None:
    """A longer file is not the one that was written."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS)
    with pytest.raises(EnvelopeError):
        unseal(data + tail)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(framed))
def test_any_bytes_raise_the_one_error(data: bytes) -> None:
    """Whatever lies in the store, unsealing raises nothing but EnvelopeError."""
    with pytest.raises(EnvelopeError):
        unseal(data)


@pytest.mark.parametrize(
    ("sections", "payload"),
    [
        ([("a", 4)], b"xyz"),
        ([("a", 2)], b"xyz"),
        ([("a", -1), ("b", 4)], b"xyz"),
        ([("a", 2**63), ("b", -(2**63) + 3)], b"xyz"),
        ([], b"xyz"),
        ([("a", 3)], b""),
    ],
)
def test_section_lengths_that_lie_are_refused(sections: list[tuple[str, int]], payload: bytes) -> None:
    """Lengths that do not add up to the payload, or are negative, are refused even under a right digest."""
    with pytest.raises(EnvelopeError, match="bytes of state"):
        unseal(forged(sections, payload))


def test_forgery_with_honest_lengths_unseals() -> None:
    """The forging of these tests is sound: with right lengths the same file is accepted."""
    _, sections = unseal(forged([("a", 1), ("b", 2)], b"xyz"))
    assert sections == {"a": b"x", "b": b"yz"}


def test_sections_of_one_name_are_refused() -> None:
    """A header that names a section twice is no header that this software writes."""
    with pytest.raises(EnvelopeError):
        unseal(forged([("a", 1), ("a", 2)], b"xyz"))


def test_other_files_are_named() -> None:
    """A file of another kind or a later format is told apart from a damaged one."""
    header, data = seal(IDENTITY, 0, 5, SECTIONS)
    body = msgspec.json.encode(header)
    with pytest.raises(EnvelopeError, match="too few"):
        unseal(b"SMART")
    with pytest.raises(EnvelopeError, match="begins with b'SMARTINV'"):
        unseal(b"PK\x03\x04" + data)
    with pytest.raises(EnvelopeError, match="format 1; found 2"):
        unseal(framed(body, data[PREFIX_BYTES + len(body) :], version=2))


def test_deeply_nested_header_is_refused() -> None:
    """A header made to exhaust the parser is refused like any other."""
    with pytest.raises(EnvelopeError):
        unseal(framed(b'{"x":' + b"[" * 100_000))
