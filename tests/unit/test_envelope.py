"""The checkpoint's envelope: whatever happened to a file, it is found out before anything in it is unpickled."""

from __future__ import annotations

import hmac
import platform
import struct
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
import river
from hypothesis import example, given
from hypothesis import strategies as st

from consumer import __version__
from consumer.checkpoint import envelope, shards
from consumer.checkpoint.envelope import (
    ENVELOPE_FORMAT,
    MAGIC,
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    EnvelopeError,
    Header,
    Identity,
    Parent,
    Section,
    Shard,
    read_header,
    shard_digest,
)
from consumer.checkpoint.lineage import MAX_PARENTS
from tests.sealing import seal, signed, unseal, verify_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

MEANING: Final = {"MODEL": "linear", "SEEN_IDS": 100_000, "features": ["quantity", "month"]}
IDENTITY: Final = Identity(
    group="g",
    topic="sales",
    topic_id="lQ3h",
    model_id="0123456789ab",
    fingerprint="cd" * 32,
    hash_seed="7",
    meaning=MEANING,
)
SECTIONS: Final = {"models": b"\x80\x05}\x94.", "ledger": b"", "identities": b"xyz"}
KEY: Final = b"a key of the shop's own"
SIGNATURE_BYTES: Final = 32


def framed(
    header: bytes, payload: bytes = b"", *, magic: bytes = MAGIC, version: int = ENVELOPE_FORMAT, scheme: int = 0
) -> bytes:
    """Put a file together by hand."""
    return struct.pack(">8sHBI", magic, version, scheme, len(header)) + header + payload


def forged(sections: Sequence[tuple[str, int]], payload: bytes) -> bytes:
    """A file with a right digest whose header says of its sections what it likes."""
    start, made = 0, []
    for name, length in sections:
        made.append(section(name, payload[start : start + max(length, 0)], length))
        start += max(length, 0)
    return with_header(payload, sections=made)


def with_header(payload: bytes, **changed: Any) -> bytes:
    """A file whose header says what it likes, under a right digest."""
    header, _ = seal(IDENTITY, 0, 5, {})
    header = msgspec.structs.replace(header, **changed, digest="")
    digest = blake2b(msgspec.json.encode(header), digest_size=32).hexdigest()
    return framed(msgspec.json.encode(msgspec.structs.replace(header, digest=digest)), payload)


def section(name: str, body: bytes, length: int | None = None) -> Section:
    """A section of one shard, or of none where it is empty."""
    length = len(body) if length is None else length
    return Section(name, length, [Shard(shard_digest(body), length, 0)] if length else [])


@given(
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=5),
    st.builds(
        Identity,
        *[st.text(max_size=30)] * 6,
        st.dictionaries(st.text(max_size=9), st.integers(-(2**63), 2**63) | st.text(max_size=9) | st.floats(0, 1)),
    ),
    st.none() | st.binary(min_size=1, max_size=100),
)
def test_round_trip(
    partition: int, offset: int, sections: dict[str, bytes], identity: Identity, key: bytes | None
) -> None:
    """What was sealed comes back byte for byte, under the identity, partition and offset that it was sealed for."""
    header, data = seal(identity, partition, offset, sections, key)
    found, unsealed = unseal(data, key)
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
    assert header.sections == [section(name, body) for name, body in SECTIONS.items()]
    assert header.parents == []


def test_header_is_readable_without_unpickling() -> None:
    """Any tool can tell whose state a file is: a fixed prefix, then JSON."""
    header, data = seal(IDENTITY, 3, 5, SECTIONS)
    magic, version, scheme, length = struct.unpack_from(">8sHBI", data)
    assert (magic, version, scheme) == (b"SMARTINV", 3, 0)
    read = msgspec.json.decode(data[PREFIX_BYTES : PREFIX_BYTES + length])
    assert (read["group"], read["topic"], read["partition"], read["offset"]) == ("g", "sales", 3, 5)
    assert read["digest"] == header.digest
    assert read["meaning"] == MEANING
    assert read_header(data) == header


def test_same_state_same_bytes() -> None:
    """Sealing is deterministic: the same state has the same name and the same file."""
    assert seal(IDENTITY, 0, 5, SECTIONS) == seal(IDENTITY, 0, 5, SECTIONS)


def test_digest_is_of_the_named_kind() -> None:
    """BLAKE2b of 32 bytes over the header with an empty digest, which has one of 16 bytes of each shard."""
    header, _ = seal(IDENTITY, 0, 5, SECTIONS)
    bare = msgspec.json.encode(msgspec.structs.replace(header, digest=""))
    assert header.digest == blake2b(bare, digest_size=32).hexdigest()
    (shard,) = header.sections[0].shards
    assert shard == Shard(blake2b(SECTIONS["models"], digest_size=16).hexdigest(), 5, 0)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        *(
            (name, "another")
            for name in Header.__struct_fields__
            if name not in {"partition", "offset", "sections", "meaning", "parents"}
        ),
        ("meaning", MEANING | {"SEEN_IDS": 100_001}),
        ("partition", 1),
        ("offset", 6),
        ("sections", [section("renamed" if name == "ledger" else name, body) for name, body in SECTIONS.items()]),
        ("parents", [Parent(4, "ab" * 32, None)]),
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


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("at most 8 parents", {"parents": [Parent(4, "ab" * 32, None)] * (MAX_PARENTS + 1)}),
        ("offsets below 5", {"parents": [Parent(5, "ab" * 32, None)]}),
        ("offsets below 5", {"parents": [Parent(-1, "ab" * 32, None)]}),
        ("offsets below 5", {"parents": [Parent(4, "../" * 21 + "x", None)]}),
        ("offsets below 5", {"parents": [Parent(4, "ab" * 32, "/etc/passwd")]}),
        ("its 0 parents", {"sections": [Section("a", 3, [Shard("ab" * 16, 3, 1)])]}),
        ("its 0 parents", {"sections": [Section("a", 3, [Shard("ab" * 16, 3, -1)])]}),
        ("its 0 parents", {"sections": [Section("a", 3, [Shard("AB" * 16, 3, 0)])]}),
        ("its 0 parents", {"sections": [Section("a", 0, [Shard("ab" * 16, 3, 0), Shard("ab" * 16, -3, 0)])]}),
        ("shards of 4 bytes", {"sections": [Section("a", 4, [Shard("ab" * 16, 3, 0)])]}),
    ],
)
def test_parents_and_shards_that_cannot_be_are_refused(said: str, changed: dict[str, Any]) -> None:
    """Before anything is read or allocated because a header says so, and whatever its digest."""
    for look in (read_header, unseal):
        with pytest.raises(EnvelopeError, match=said):
            look(with_header(b"xyz", **changed))


def former(sections: dict[str, bytes], key: bytes | None = None) -> bytes:
    """A file of format 2, put together by hand: no shards, and a digest that goes on over the sections."""
    fields = msgspec.to_builtins(seal(IDENTITY, 0, 5, {})[0])
    del fields["parents"]
    fields["sections"] = [{"name": name, "length": len(body)} for name, body in sections.items()]
    payload = b"".join(sections.values())
    fields["digest"] = ""
    fields["digest"] = blake2b(msgspec.json.encode(fields) + payload, digest_size=32).hexdigest()
    data = framed(msgspec.json.encode(fields), payload, version=2, scheme=0 if key is None else 1)
    return data if key is None else data + hmac.digest(key, data, "sha256")


@pytest.mark.parametrize("key", [None, KEY])
def test_a_file_of_the_former_format_is_read(key: bytes | None) -> None:
    """It holds all of its state, under the name that the committed reference has; it can be signed anew as it is."""
    data = former(SECTIONS, key)
    header, sections = unseal(data, key)
    assert sections == SECTIONS
    assert (header.digest, header.parents) == (read_header(data).digest, [])
    assert [(each.name, each.length, each.shards) for each in header.sections] == [
        (name, len(body), []) for name, body in SECTIONS.items()
    ]
    assert signed(data, KEY) == former(SECTIONS, KEY)


def test_every_changed_byte_of_a_former_file_is_found_out() -> None:
    """As of the present format."""
    data = former(SECTIONS)
    for position in range(len(data)):
        for difference in (1, 2, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= difference
            with pytest.raises(EnvelopeError):
                unseal(bytes(damaged))


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
    for version in (1, 4):
        with pytest.raises(EnvelopeError, match=f"format 3; found {version}, from another version.*run that one"):
            unseal(framed(body, data[PREFIX_BYTES + len(body) :], version=version))
    with pytest.raises(EnvelopeError, match="found scheme 2"):
        unseal(framed(body, data[PREFIX_BYTES + len(body) :], scheme=2))


def test_deeply_nested_header_is_refused() -> None:
    """A header made to exhaust the parser is refused like any other."""
    with pytest.raises(EnvelopeError):
        unseal(framed(b'{"x":' + b"[" * 100_000))


def test_a_file_of_the_first_format_is_refused_in_words() -> None:
    """A checkpoint of an older version is told apart from a damaged one, by the version that stands where it stood."""
    header = b'{"group":"g"}'
    with pytest.raises(EnvelopeError, match="expected checkpoint format 3; found 1"):
        unseal(struct.pack(">8sHI", MAGIC, 1, len(header)) + header)


def test_a_header_that_is_too_long_is_neither_written_nor_read() -> None:
    """The header is bounded: a reader never parses an arbitrary amount of JSON."""
    with pytest.raises(EnvelopeError, match=f"at most {MAX_HEADER_BYTES} bytes"):
        seal(msgspec.structs.replace(IDENTITY, group="g" * MAX_HEADER_BYTES), 0, 5, {})
    with pytest.raises(EnvelopeError, match=f"at most {MAX_HEADER_BYTES} bytes; found {MAX_HEADER_BYTES + 1}"):
        unseal(framed(b" " * (MAX_HEADER_BYTES + 1)))


@pytest.mark.parametrize("extra", [b' {"a":1}', b'{"unknown":1,', b"{ "])
def test_a_header_in_other_words_is_refused(extra: bytes) -> None:
    """The digest is over what was read: bytes that reading drops, spaces and unknown fields, would not be covered."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS)
    (length,) = struct.unpack_from(">I", data, PREFIX_BYTES - 4)
    header, payload = data[PREFIX_BYTES : PREFIX_BYTES + length], data[PREFIX_BYTES + length :]
    changed = header + extra if extra.startswith(b" ") else extra + header[1:]
    with pytest.raises(EnvelopeError, match="header"):
        unseal(framed(changed, payload))


def test_identities_compare_as_they_are_read_back() -> None:
    """A tuple in the meaning is a list in the file: the identity has a list too, or nothing would match."""
    identity = msgspec.structs.replace(IDENTITY, meaning={"features": ("a", "b")})
    header, _ = unseal(seal(identity, 0, 5, {})[1])
    assert header.identity() == identity
    assert identity.meaning == {"features": ["a", "b"]}


# The signature


def test_signature_is_of_the_named_kind() -> None:
    """The signature is HMAC-SHA256 over everything before it, as documented: any tool can make and check it."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS, KEY)
    content, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    assert signature == hmac.new(KEY, content, sha256).digest()


def test_signing_leaves_name_and_content() -> None:
    """The digest, and so the object's name, does not depend on the key: signing anew changes no reference."""
    header, data = seal(IDENTITY, 0, 5, SECTIONS)
    signed_header, signed_data = seal(IDENTITY, 0, 5, SECTIONS, KEY)
    assert signed_header == header
    assert signed(data, KEY) == signed_data
    assert signed(signed(data, b"an older key"), KEY) == signed_data


def test_with_a_key_an_unsigned_file_is_refused() -> None:
    """Dropping the signature is no way round it."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS)
    with pytest.raises(EnvelopeError, match="expected a checkpoint signed with CHECKPOINT_SIGNING_KEY; found one that"):
        unseal(data, KEY)


def test_another_key_is_refused() -> None:
    """A file of another key is refused in words that say what to do."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS, b"another key")
    with pytest.raises(EnvelopeError, match=r"found another signature.*set that one, or do not use"):
        unseal(data, KEY)


def test_without_a_key_a_signed_file_is_refused_but_can_be_looked_at() -> None:
    """A worker that lost its key does not turn a guarded store into an unguarded one; an operator can still look."""
    header, data = seal(IDENTITY, 0, 5, SECTIONS, KEY)
    with pytest.raises(EnvelopeError, match="CHECKPOINT_SIGNING_KEY is not set; found a signed one: set it"):
        unseal(data)
    assert verify_digest(data) == (header, SECTIONS)
    assert read_header(data) == header


def test_every_changed_byte_of_a_signed_file_is_found_out() -> None:
    """With a key no byte can be changed, prefix, header, state and signature alike."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS, KEY)
    for position in range(len(data)):
        for difference in (1, 2, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= difference
            with pytest.raises(EnvelopeError):
                unseal(bytes(damaged), KEY)


def test_every_truncation_of_a_signed_file_is_found_out() -> None:
    """A signed file cut anywhere, or with anything appended, raises the one error, with the key and without."""
    _, data = seal(IDENTITY, 0, 5, SECTIONS, KEY)
    for cut in [*(data[:length] for length in range(len(data))), data + b"x", data + bytes(SIGNATURE_BYTES)]:
        for key in (KEY, None):
            with pytest.raises(EnvelopeError):
                unseal(cut, key)
        with pytest.raises(EnvelopeError):
            verify_digest(cut)


def test_a_forger_without_the_key_cannot_recompute_the_digest_alone() -> None:
    """A file changed by someone who recomputes its digest passes without a key, and not with one."""
    changed = forged([("models", 4)], b"evil")
    assert unseal(changed)[1] == {"models": b"evil"}
    for attempt in (changed, signed(changed, b"a guess"), changed + bytes(SIGNATURE_BYTES)):
        with pytest.raises(EnvelopeError):
            unseal(attempt, KEY)


def test_signature_comes_before_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key nothing of an unverified file is parsed: the JSON reader never meets a forger's bytes."""
    monkeypatch.setattr(msgspec.json, "decode", lambda *_, **__: pytest.fail("the header was read first"))
    with pytest.raises(EnvelopeError, match="another signature"):
        unseal(signed(framed(b"[" * 1000), b"a guess"), KEY)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda header: framed(header, scheme=1)))
def test_any_signed_bytes_raise_the_one_error(data: bytes) -> None:
    """Whatever lies in the store, under a right signature too, unsealing raises nothing but EnvelopeError."""
    resigned = data + hmac.new(KEY, data, sha256).digest()
    for attempt in (data, resigned):
        with pytest.raises(EnvelopeError):
            unseal(attempt, KEY)


@pytest.mark.parametrize("key", [None, KEY])
def test_sections_of_any_kind_make_the_same_file(key: bytes | None) -> None:
    """Bytes, views and arrays of numbers; what is read are views of the file, which copy nothing."""
    numbers = np.arange(5, dtype="<i8")
    arrays: dict[str, Any] = {"a": b"xyz", "b": memoryview(b"uvw"), "c": numbers, "d": numbers[:0]}
    plain = {"a": b"xyz", "b": b"uvw", "c": numbers.tobytes(), "d": b""}
    header, data = envelope.seal(IDENTITY, 0, 5, shards.cut(arrays, 1_000), key)
    assert (header, bytes(data)) == seal(IDENTITY, 0, 5, plain, key)
    assert data.readonly
    sections = envelope.unseal(data, key).sections()
    assert sections == plain
    assert all(section.obj is data.obj for section in sections.values())
