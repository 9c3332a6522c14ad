"""The reference in an offset's metadata: small, complete, and read as the untrusted input that it is."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.checkpoint.reference import (
    MAX_METADATA_BYTES,
    REFERENCE_FORMAT,
    Reference,
    UnreadableReferenceError,
    decode_reference,
)
from consumer.checkpoint.store import MAX_PLACE_CHARACTERS

LARGEST_OFFSET: Final = 2**63 - 1
GOOD: Final[dict[str, Any]] = {
    "o": 40,
    "d": "ab" * 32,
    "t": "lQ3hXrQ0TtWkz7pEXAMPLE",
    "f": "cd" * 32,
    "h": "398684137",
    "s": 7,
    "n": 30,
    "c": "0123456789abcdef",
    "v": REFERENCE_FORMAT,
}

NO_NUMBERS: Final[tuple[object, ...]] = (True, False, "3", 2.5, -1, [3], {})


def hexadecimal(shortest: int, longest: int) -> st.SearchStrategy[str]:
    """Digests as this software writes them."""
    return st.text("0123456789abcdef", min_size=shortest, max_size=longest)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """References that a worker may write."""
    first = draw(st.integers(0, LARGEST_OFFSET))
    has_checkpoint = draw(st.booleans())
    checkpoint = draw(st.integers(first, LARGEST_OFFSET)) if has_checkpoint else None
    return Reference(
        checkpoint_offset=checkpoint,
        checkpoint_digest=draw(hexadecimal(16, 64)) if has_checkpoint else None,
        topic_id=draw(st.text("abcXYZ019-_", min_size=22, max_size=22)),
        fingerprint=draw(hexadecimal(64, 64)),
        hash_seed=str(draw(st.integers(0, 2**32 - 1))),
        first_offset=first,
        records_applied=draw(st.integers(0, LARGEST_OFFSET)),
        chain=draw(hexadecimal(16, 16)),
        adopted_offset=draw(st.none() | st.integers(first, checkpoint)) if checkpoint else None,
        checkpoint_place=draw(st.none() | st.from_regex(r"[a-z0-9.:+-]{1,32}", fullmatch=True))
        if has_checkpoint
        else None,
    )


def metadata(**changes: object) -> str:
    """The metadata of a good reference with some fields changed."""
    return json.dumps(GOOD | changes)


@given(references())
def test_round_trip(reference: Reference) -> None:
    """What a worker commits is what the next one reads, field by field."""
    assert decode_reference(reference.encode()) == reference


@given(references())
def test_metadata_fits_and_holds_no_nul(reference: Reference) -> None:
    """The broker takes 4,096 bytes without NUL; 512 are ours, and checkpoint paths are none of them."""
    encoded = reference.encode()
    assert len(encoded.encode()) <= MAX_METADATA_BYTES
    assert "\x00" not in encoded
    assert "/" not in encoded


def test_largest_reference_fits() -> None:
    """The largest plausible value of every field at once still fits into 512 bytes."""
    largest = Reference(
        checkpoint_offset=LARGEST_OFFSET,
        checkpoint_digest="f" * 64,
        topic_id="x" * 36,  # a UUID with dashes; Kafka's own form has 22
        fingerprint="f" * 64,
        hash_seed=str(2**32 - 1),
        first_offset=LARGEST_OFFSET,
        records_applied=LARGEST_OFFSET,
        chain="f" * 64,
        adopted_offset=LARGEST_OFFSET,
        checkpoint_place="9" * MAX_PLACE_CHARACTERS,
    )
    assert len(largest.encode().encode()) <= MAX_METADATA_BYTES
    assert decode_reference(largest.encode()) == largest


def test_nul_is_escaped() -> None:
    """Even a field that holds NUL makes metadata without one: the broker's client cuts it there."""
    reference = msgspec.structs.replace(decode_reference(metadata()), topic_id="a\x00b")
    assert "\x00" not in reference.encode()
    assert decode_reference(reference.encode()) == reference


def test_too_large_reference_is_never_written() -> None:
    """A reference that has outgrown the limit is a defect that shows at once, not at the next restore."""
    reference = msgspec.structs.replace(decode_reference(metadata()), topic_id="x" * MAX_METADATA_BYTES)
    with pytest.raises(AssertionError, match="at most 512"):
        reference.encode()


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(None, id="no metadata"),
        pytest.param("", id="empty metadata"),
        pytest.param("offset reset by an operator", id="not JSON"),
        pytest.param("\x00", id="NUL"),
        pytest.param("\ud800", id="a lone surrogate"),
        *(pytest.param(text, id=text) for text in ("null", "true", "1", "-1.5", '"text"', "[]", "{}", "NaN", "1e999")),
        pytest.param("[" * 400, id="deeply nested"),
        pytest.param('{"v":' * 80, id="deeply nested objects"),
        pytest.param(metadata(v=0), id="format 0"),
        pytest.param(metadata(v=REFERENCE_FORMAT + 1), id="a later format"),
        pytest.param(metadata(v=True), id="format true, which equals 1 in Python"),
        pytest.param(metadata(v=1.0), id="format 1.0, which does too"),
        pytest.param(metadata(v="1"), id="format as text"),
        pytest.param(metadata(v=[[]]), id="format as a list"),
        pytest.param(metadata(v=None), id="format null"),
        *(
            pytest.param(json.dumps({name: text for name, text in GOOD.items() if name != gone}), id=f"no {gone}")
            for gone in GOOD
        ),
        *(
            pytest.param(metadata(**{number: wrong}), id=f"{number}={wrong!r}")
            for number in ("o", "s", "n")
            for wrong in NO_NUMBERS
        ),
        *(pytest.param(metadata(**{number: None}), id=f"{number} null") for number in ("s", "n")),
        *(
            pytest.param(metadata(**{text: wrong}), id=f"{text}={wrong!r}")
            for text in ("t", "f", "h", "c")
            for wrong in (None, 3, True, ["a"])
        ),
        *(
            pytest.param(metadata(**{digest: wrong}), id=f"{digest}={wrong[:20]!r}")
            for digest in ("d", "c")
            for wrong in ("", "g" * 16, "AB" * 16, "ab" * 7, "ab" * 33, "ab" * 16 + "\n", "../" * 8, "\uff11" * 16)
        ),
        pytest.param(metadata(o=None), id="a digest without an offset"),
        pytest.param(metadata(d=None), id="an offset without a digest"),
        pytest.param(metadata(o=6), id="a checkpoint below the first offset"),
        pytest.param(metadata(s=2**64), id="a first offset beyond all offsets"),
        pytest.param(metadata(a=6), id="adopted below the first offset"),
        pytest.param(metadata(a=41), id="adopted above the checkpoint"),
        pytest.param(metadata(a=7, o=None, d=None), id="adopted without a checkpoint"),
        *(pytest.param(metadata(a=wrong), id=f"a={wrong!r}") for wrong in NO_NUMBERS),
        *(
            pytest.param(metadata(p=wrong), id=f"p={wrong!r:.20}")
            for wrong in ("", "a b", "../..", "UPPER", "1" * (MAX_PLACE_CHARACTERS + 1), "1\n", 3, True, ["a"])
        ),
        pytest.param(metadata(p="1+2", o=None, d=None), id="a place of no checkpoint"),
        pytest.param(metadata(x="x" * MAX_METADATA_BYTES), id="huge"),
        pytest.param(" " * 100_000 + metadata(), id="huge by blanks"),
    ],
)
def test_hostile_metadata_is_refused(hostile: str | None) -> None:
    """Whoever may commit to the group chooses the metadata: what no honest worker wrote has one answer."""
    with pytest.raises(UnreadableReferenceError):
        decode_reference(hostile)


@given(st.text() | st.text('{}[]":,0123456789abcdeotfhsncv.- ') | st.binary().map(lambda data: data.decode("latin-1")))
@example("\udcff")
@example('{"v":1}')
def test_any_text_is_refused(text: str) -> None:
    """No text that is no reference raises anything but the one error."""
    with pytest.raises(UnreadableReferenceError):
        decode_reference(text)


@given(
    st.sampled_from(sorted(GOOD)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_any_field_may_be_anything(field: str, content: object) -> None:
    """A good reference with any one field replaced by anything raises the one error, or is sound again."""
    with contextlib.suppress(UnreadableReferenceError):
        reference = decode_reference(metadata(**{field: content}))
        assert reference.first_offset >= 0
        assert reference.records_applied >= 0
        assert (reference.checkpoint_offset is None) == (reference.checkpoint_digest is None)
        assert reference.checkpoint_offset is None or reference.checkpoint_offset >= reference.first_offset


def test_an_offset_that_no_log_reaches_is_refused() -> None:
    """A first offset that is no 64-bit integer would blow up later, in the client, with another error."""
    with pytest.raises(UnreadableReferenceError):
        decode_reference(metadata(s=2**63, o=None, d=None))


def test_an_adopted_offset_survives() -> None:
    """The lowest rung of an adopted state is part of what is committed with every offset after it."""
    assert decode_reference(metadata(a=7)).adopted_offset == 7
    assert decode_reference(decode_reference(metadata(a=40)).encode()).adopted_offset == 40
    assert decode_reference(metadata()).adopted_offset is None


def test_a_later_version_may_add_fields() -> None:
    """Unknown fields are ignored: a worker rolled back to this version still reads its successor's references."""
    assert decode_reference(metadata(later="x")) == decode_reference(metadata())


def test_the_error_says_what_is_wrong() -> None:
    """An operator reads whether metadata is missing, of another format, or contradictory."""
    with pytest.raises(UnreadableReferenceError, match="carries no metadata"):
        decode_reference(None)
    with pytest.raises(UnreadableReferenceError, match="format is 2; expected 1"):
        decode_reference(metadata(v=2))
    with pytest.raises(UnreadableReferenceError, match="contradicts itself"):
        decode_reference(metadata(o=None))


def test_a_refusal_repeats_little_of_the_metadata() -> None:
    """Whoever may commit to the group chooses the metadata, and the refusal stands in the log."""
    with pytest.raises(UnreadableReferenceError) as caught:
        decode_reference('{"v":' + "[" * 200 + "]" * 200 + "}")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_what_is_read_can_be_written(letter: str) -> None:
    """A reference whose texts leave no room for the other members is none: the next commit could not carry it on."""
    for number in range(100, 500):
        members = {
            "o": None,
            "d": None,
            "t": "t",
            "f": letter * number,
            "h": "0",
            "s": 0,
            "n": 0,
            "c": "0" * 16,
            "v": 1,
        }
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
        try:
            reference = decode_reference(text)
        except UnreadableReferenceError:
            assert len(text.encode()) > 480
        else:
            assert len(reference.encode().encode()) <= MAX_METADATA_BYTES
