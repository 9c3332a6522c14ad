"""The ledger's columns: what was written comes back, what no ledger holds is refused, and keys are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning import ledger_columns as module
from consumer.learning.columns import NO_NUMBER
from consumer.learning.ledger import Ledger
from consumer.learning.ledger_columns import ABSURD, COLUMNS, LEDGER, ledger_columns

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEYS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LEVELS: Final = st.none() | st.integers(1 - ABSURD, ABSURD - 1)
ENTRIES: Final = st.tuples(LEVELS, st.integers(0, 2**62), st.integers(0, 20_000))


def ledger_of(entries: dict[str, Any], newest_day: int = 20_000) -> Ledger:
    """A ledger that holds these."""
    ledger = Ledger()
    ledger.entries, ledger.newest_day = entries, newest_day
    return ledger


def sections_of(*keys: bytes, **changed: Buffer) -> dict[str, Buffer]:
    """The sections of a ledger of these keys, whatever they are, with some columns changed."""
    count = len(keys)
    columns = {
        "levels": np.zeros(count, "<i8").tobytes(),
        "observed": np.zeros(count, "<i8").tobytes(),
        "days": np.full(count, 5, "<i4").tobytes(),
        "lengths": np.array([len(key) for key in keys], "<u2").tobytes(),
        "keys": b"".join(keys),
    }
    named = {f"{LEDGER}.{name}": column for name, column in {**columns, **changed}.items()}
    return {LEDGER: msgspec.msgpack.encode((9, count)), **named}


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, ENTRIES, max_size=30))
def test_a_ledger_comes_back(entries: dict[str, Any]) -> None:
    """Whatever its keys are, in their order, and its sections to the byte."""
    sections = ledger_of(entries).snapshot()
    restored = Ledger()
    restored.restore(ledger_columns({name: bytes(section) for name, section in sections.items()}))
    assert list(restored.entries.items()) == list(entries.items())
    assert restored.newest_day == 20_000
    assert restored.snapshot() == sections


def test_the_layout() -> None:
    """Little-endian numbers in the order in which the items entered, as `consumer.learning.state` says."""
    sections = ledger_of({"b": (-2, 3, 4), "é": (None, 0, 5)}, 6).snapshot()
    assert {name: bytes(section) for name, section in sections.items()} == {
        "ledger": b"\x92\x06\x02",
        "ledger.levels": b"\xfe" + b"\xff" * 7 + b"\0" * 7 + b"\x80",
        "ledger.observed": b"\3" + bytes(15),
        "ledger.days": b"\4\0\0\0\5\0\0\0",
        "ledger.lengths": b"\1\0\2\0",
        "ledger.keys": b"b\xc3\xa9",
    }


def test_sections_may_be_arrays() -> None:
    """Another ledger keeps its columns in arrays, and copies none."""
    entries = {"a": (1, 2, 3), "b": (None, 0, 4)}
    given_as = ledger_columns(ledger_of(entries).snapshot())
    columns: tuple[Any, ...] = given_as[1:]
    again = ledger_columns({LEDGER: given_as.sections()[LEDGER], **dict(zip(COLUMNS, columns, strict=True))})
    restored = Ledger()
    restored.restore(again)
    assert restored.entries == entries
    assert np.shares_memory(given_as.levels, again.levels)


def numbers(kind: str, *values: int) -> bytes:
    return np.array(values, kind).tobytes()


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"levels": b""}, "levels", "expected 2 numbers of 8 bytes; found 0 bytes"),
        ({"observed": bytes(17)}, "observed", "expected 2 numbers of 8 bytes; found 17 bytes"),
        ({"days": bytes(16)}, "days", "expected 2 numbers of 4 bytes; found 16 bytes"),
        ({"lengths": bytes(2)}, "lengths", "expected 2 numbers of 2 bytes; found 2 bytes"),
        ({"levels": numbers("<i8", 0, ABSURD)}, "levels", "expected levels between"),
        ({"levels": numbers("<i8", 0, -ABSURD)}, "levels", "expected levels between"),
        ({"levels": numbers("<i8", 0, NO_NUMBER + 1)}, "levels", "expected levels between"),
        ({"days": numbers("<i4", 5, 10)}, "days", "expected days from 0 to the newest, 9"),
        ({"days": numbers("<i4", 5, -1)}, "days", "expected days from 0 to the newest, 9"),
        ({"keys": b"abc"}, "keys", "expected keys of 4 bytes together; found 3 bytes"),
        ({"keys": b"abcde"}, "keys", "expected keys of 4 bytes together; found 5 bytes"),
        ({"keys": b"ab\xffd"}, "keys", "invalid start byte"),
        ({"keys": b"abc\xc3"}, "keys", "unexpected end of data"),
        ({"keys": "aéb".encode()}, "keys", "expected whole characters in each key; found one that two share"),
        ({"keys": b"abab"}, "keys", "expected each key once; found one twice"),
    ],
)
def test_what_no_ledger_holds_is_refused(changed: dict[str, bytes], name: str, words: str) -> None:
    """With the section's name and what is wrong with it."""
    assert ledger_columns(sections_of(b"ab", b"cd")).items() == ["ab", "cd"]
    with pytest.raises(ValueError, match=rf"^section 'ledger\.{name}' is not of its type: .*{words}"):
        ledger_columns(sections_of(b"ab", b"cd", **changed))


@pytest.mark.parametrize(
    "head", [(9, -1), (9, 3), (-2, 2), (2_932_898, 2), (2**31, 2), (9, 2**63), ("9", 2), (9,), None]
)
def test_a_head_that_does_not_fit_is_refused(head: object) -> None:
    """The number of items holds for every column."""
    with pytest.raises(ValueError, match="is not of its type"):
        ledger_columns({**sections_of(b"ab", b"cd"), LEDGER: msgspec.msgpack.encode(head)})


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named(name: str) -> None:
    """No ledger comes of the others."""
    sections = sections_of(b"ab")
    del sections[name]
    with pytest.raises(ValueError, match=f"expected a section '{name}' beside 'ledger'; found none"):
        ledger_columns(sections)


BYTE_STRINGS: Final = st.lists(st.text(st.sampled_from("ab\0é"), max_size=20).map(str.encode), max_size=20)


@settings(max_examples=300, deadline=None)
@given(BYTE_STRINGS, st.booleans())
def test_keys_are_told_apart(keys: list[bytes], are_digests_useless: bool) -> None:
    """One twice is refused, however alike the others are; that digests collide changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        if are_digests_useless:
            patch.setattr(module, "_digests", lambda _keys, starts, _lengths: np.zeros(len(starts), np.uint64))
        if len(set(keys)) == len(keys):
            assert ledger_columns(sections_of(*keys)).items() == [key.decode() for key in keys]
        else:
            with pytest.raises(ValueError, match="expected each key once"):
                ledger_columns(sections_of(*keys))


def test_digests_of_many_keys_differ() -> None:
    """Else the check of a large ledger would take long: of 100,000 like keys, no two have the same."""
    columns = ledger_columns(ledger_of({f"store-{n % 90}\x1fsku-{n}": (1, 2, 3) for n in range(100_000)}).snapshot())
    starts = np.cumsum(columns.lengths, dtype=np.int64) - columns.lengths
    assert len(np.unique(module._digests(columns.keys, starts, columns.lengths))) == 100_000
