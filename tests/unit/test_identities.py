"""The window of remembered identities: repeats teach nothing twice, contradictions are told apart."""

from __future__ import annotations

from hashlib import blake2b
from struct import pack
from typing import Any, Final

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from consumer.learning.identities import Identities, digests
from schemas.dead_letter import InvalidEvent, Reason
from schemas.transaction import Event, Limits, decode
from tests.core import is_repeat

BASE: Final[dict[str, Any]] = {
    "transaction_id": "t1",
    "store_id": "s1",
    "sku": "milk",
    "line_id": None,
    "quantity": -2,
    "transaction_type": None,
    "unit_cost": None,
    "occurred_at": "2017-03-31T12:00:00Z",
    "new_stock_level": None,
    "corrects": None,
}
IDENTITY: Final = ("transaction_id", "store_id", "sku", "line_id")
CONTENT: Final = ("quantity", "transaction_type", "unit_cost", "occurred_at", "new_stock_level", "corrects")


def event(**changes: object) -> Event:
    """A decoded event."""
    return decode(msgspec.json.encode(BASE | changes), -1, Limits())


def outcomes(window: Identities, *names: str) -> str:
    """What becomes of these receipts: `n`ew, `r`epeat; an upper-case name is the same receipt with other content."""
    letters = ""
    for name in names:
        changed = event(transaction_id=name.lower(), quantity=-3 if name.isupper() else -2)
        try:
            letters += "r" if is_repeat(window, changed) else "n"
        except InvalidEvent as invalid:
            letters += "c" if invalid.reason is Reason.CONFLICTING_REPEAT else "?"
    return letters


@pytest.mark.parametrize(
    ("limit", "receipts", "expected"),
    [
        pytest.param(9, "aa", "nr", id="repeat"),
        pytest.param(9, "aaa", "nrr", id="repeat of a repeat"),
        pytest.param(9, "abab", "nnrr", id="with others between"),
        pytest.param(9, "aA", "nc", id="conflict"),
        pytest.param(9, "aAa", "ncr", id="a conflict does not replace the first content"),
        pytest.param(9, "aAA", "ncc", id="a conflict stays one"),
        pytest.param(2, "abcbc", "nnnrr", id="the last two are remembered"),
        pytest.param(2, "abca", "nnnn", id="the third pushes the first out"),
        pytest.param(2, "abcA", "nnnn", id="and with it the conflict"),
        pytest.param(2, "abaca", "nnrnn", id="a repeat does not refresh its entry"),
        pytest.param(2, "abAca", "nncnn", id="nor does a conflict"),
        pytest.param(2, "abbbba", "nnrrrr", id="repeats take no room"),
        pytest.param(2, "abBBBa", "nncccr", id="nor do conflicts"),
        pytest.param(1, "aabba", "nrnrn", id="a window of one"),
    ],
)
def test_the_window(limit: int, receipts: str, expected: str) -> None:
    """The window holds the last `limit` new identities in the order of the log; nothing else moves it."""
    window = Identities(limit)
    assert outcomes(window, *receipts) == expected
    assert len(window) == min(limit, expected.count("n"))


# --- digests ---------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=4)
hostile_types = st.text(st.sampled_from("A\x1e\x1fsale"), max_size=7)
fields: Final[dict[str, st.SearchStrategy[Any]]] = {
    **dict.fromkeys(("transaction_id", "store_id", "sku"), texts),
    **dict.fromkeys(("line_id", "corrects"), st.none() | texts),
    "quantity": st.integers(-(10**12), 10**12).map(lambda millionths: millionths / 1e6),
    "transaction_type": st.none() | st.sampled_from(["adjustment", "void", ""]) | texts | hostile_types,
    "unit_cost": st.none() | st.integers(0, 10**12).map(lambda millionths: millionths / 1e6),
    "new_stock_level": st.none() | st.integers(-(10**15), 10**15).map(lambda millionths: millionths / 1e6),
    "occurred_at": st.integers(0, 10**6).map(lambda micro: f"2017-03-31T12:00:00.{micro % 10**6:06d}Z"),
}


def effective(document: dict[str, Any]) -> dict[str, Any]:
    """The content that counts: numbers compare as numbers, and the type's default is filled in."""
    kind = document["transaction_type"]
    return document | {
        "transaction_type": kind if kind is not None else "sale" if document["quantity"] < 0 else "receipt"
    }


def contradicts_itself(document: dict[str, Any]) -> bool:
    """Whether the decoder refuses it: a sign against the type, or a count without a level."""
    kind: str | None = document["transaction_type"]
    minus, plus = ("sale", "waste", "transfer_out"), ("return", "receipt", "transfer_in")
    wrong_sign: bool = (kind in minus and document["quantity"] > 0) or (kind in plus and document["quantity"] < 0)
    return wrong_sign or kind == "count"


@settings(max_examples=400, deadline=None)
@given(document=st.fixed_dictionaries(fields), changes=st.fixed_dictionaries({}, optional=fields))
@example(document=BASE | {"corrects": "A"}, changes={"corrects": None, "transaction_type": "\x1fA\x1fsale"})
@example(document=BASE | {"transaction_type": "A\x1fsale"}, changes={"corrects": "A", "transaction_type": "sale"})
@example(document=BASE, changes={"transaction_type": "sale"})
@example(document=BASE | {"quantity": 0}, changes={"transaction_type": "receipt"})
def test_digests_tell_apart_what_the_contract_tells_apart(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """Two events share the identity's digest, or the content's, exactly where the contract calls those the same.

    A shared digest of different events would drop one of them as a repeat, unseen.
    """
    other = document | changes
    assume(not contradicts_itself(document) and not contradicts_itself(other))
    (identity, content), (other_identity, other_content) = digests(event(**document)), digests(event(**other))
    left, right = effective(document), effective(other)
    same_identity = all(left[name] == right[name] for name in IDENTITY)
    assert (identity == other_identity) is same_identity
    assert (content == other_content) is (left == right)


@pytest.mark.parametrize("text", ["\x1e", "null", "None", "", "0", "-9223372036854775808"])
@pytest.mark.parametrize("field", ["line_id", "corrects"])
def test_null_is_not_any_text(field: str, text: str) -> None:
    """Null differs from every text, its own mark included (which the decoder would refuse)."""
    absent, present = event(), event()
    setattr(present, field, text)
    if text != "\x1e":
        assert digests(absent) != digests(present)
    else:
        with pytest.raises(InvalidEvent):
            event(**{field: text})


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"transaction_type": "sale"}, True, id="the default type, spelt out"),
        pytest.param({"transaction_type": "adjustment"}, False, id="another type"),
        pytest.param({"quantity": "-2.0"}, True, id="a number as a string"),
        pytest.param({"quantity": -2.000001}, False, id="a millionth more"),
        pytest.param({"unit_cost": 0}, False, id="free is not unknown"),
        pytest.param({"new_stock_level": 0}, False, id="empty is not unknown"),
        pytest.param({"occurred_at": "2017-03-31T14:00:00.000+02:00"}, True, id="the instant in another spelling"),
        pytest.param({"occurred_at": "2017-03-31T12:00:00.000001Z"}, False, id="a microsecond later"),
        pytest.param({"sku": " milk "}, True, id="an id with white space around it"),
        pytest.param({"till": 7}, True, id="an unknown field"),
    ],
)
def test_what_counts_as_the_same_content(change: dict[str, Any], same: bool) -> None:
    """Decoded values count, not their spelling: a till that formats anew still repeats itself."""
    window = Identities(9)
    assert is_repeat(window, event()) is False
    if same:
        assert is_repeat(window, event(**change)) is True
    else:
        with pytest.raises(InvalidEvent) as caught:
            is_repeat(window, event(**change))
        assert caught.value.reason is Reason.CONFLICTING_REPEAT


def test_an_unknown_quantity_in_a_count_is_none_moved() -> None:
    """A null quantity counts as 0, in the content too."""
    window = Identities(9)
    assert not is_repeat(window, event(transaction_type="count", quantity=None, new_stock_level=5))
    assert is_repeat(window, event(transaction_type="count", quantity=0, new_stock_level=5))


def test_digests_are_fixed() -> None:
    """An anchor: checkpoints hold these bytes, so a new way to compute them needs a new state format."""
    identity, content = digests(event(line_id="1", corrects="t0", unit_cost=1.5, new_stock_level=7))
    written = b"t1\x1fs1\x1fmilk\x1f1"
    assert identity == blake2b(written, digest_size=16).digest()
    written += pack("<qqqq", -2_000_000, 1_500_000, 1_490_961_600_000_000, 7_000_000) + b"t0\x1fsale"
    assert content == blake2b(written, digest_size=16).digest()[:8]


@pytest.mark.parametrize("size", [1, 23, 25, 47])
def test_half_an_entry_is_refused(size: int) -> None:
    """A cut window would remember other identities than were seen."""
    with pytest.raises(ValueError, match=f"24 bytes each; found {size} bytes"):
        Identities(5).restore(b"x" * size)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.text("abcdefABCDEF", max_size=20), st.text("abcdefABCDEF", max_size=20))
def test_a_restored_window_continues_as_the_original(limit: int, first: str, second: str) -> None:
    """Snapshot and restore at any place change nothing: neither what is remembered nor its order."""
    original, restored = Identities(limit), Identities(limit)
    outcomes(original, *first)
    state = original.snapshot()
    restored.restore(state)
    assert restored.snapshot() == state
    assert outcomes(restored, *second) == outcomes(original, *second)
    assert restored.snapshot() == original.snapshot()


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_larger_window_is_cut_to_its_newest(former: int, present: int) -> None:
    """A state adopted under a smaller `SEEN_IDS` keeps the newest identities, one under a larger all of them."""
    original, adopted = Identities(former), Identities(present)
    outcomes(original, *"abcdef")
    adopted.restore(original.snapshot())
    kept = min(former, present)
    assert len(adopted) == kept
    assert adopted.snapshot() == original.snapshot()[-24 * kept :]
