"""A task's state as bytes: plain sections are of their declared types, or refused."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.learning.identities import Identities
from consumer.learning.ledger import DAY_US, Entry, Ledger
from consumer.learning.ledger_columns import LedgerColumns, ledger_columns
from consumer.learning.model_sections import LENGTHS, MODELS, PICKLES, joined
from consumer.learning.state import SECTIONS, decode_state, encode_state


def columns_of(newest_day: int, entries: dict[str, Entry]) -> LedgerColumns:
    """The columns of a ledger that holds these."""
    ledger = Ledger()
    ledger.newest_day, ledger.entries = newest_day, entries
    return ledger_columns(ledger.snapshot())


STATE: dict[str, Any] = {
    "progress": (5, 2, 3, (b"12345678", b"links", 1)),
    "models": {"": ("a model", 3)},
    "ledger": columns_of(7, {"s\x1fk": (-5, 2**62, 7), "s\x1fm": (None, 0, 6)}).sections(),
    "identities": b"x" * 24,
    "invalid": [1, 3],
}


def refuse(_models: bytes) -> Any:
    """No model is wanted."""
    raise AssertionError


def test_a_state_comes_back_equal() -> None:
    """Every section, the models through what unpickles them."""
    state = decode_state(encode_state(STATE), pickle.loads)
    state["ledger"] = state["ledger"].sections()
    assert state.pop(PICKLES) == {"": pickle.dumps(("a model", 3), protocol=5)}
    assert state == STATE
    assert set(STATE) == set(SECTIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("progress", [5, 2, 3]),
        ("progress", [5, 2, "3", [b"", b"", 0]]),
        ("ledger", [7]),
        ("ledger", [7, "0"]),
        ("ledger", {"s\x1fk": [1, 0, 7]}),
        ("ledger", {"s\x1fk": [1.5, 0]}),
        ("ledger", {5: [1, 0]}),
        ("ledger", {"s\x1fk": [10**18, 0]}),
        ("ledger", {"s\x1fk": [2**63, 0]}),
        ("ledger", {"s" * 2**16: [1, 0]}),
        ("identities", "text"),
        ("invalid", [None]),
        ("invalid", {"a": 1}),
    ],
)
def test_another_type_is_refused(name: str, value: object) -> None:
    """A section that another software wrote does not get into a task."""
    with pytest.raises(ValueError, match=r"section '[a-z.]+' is not of its type"):
        decode_state({name: msgspec.msgpack.encode(value)}, refuse)


@given(st.sampled_from([name for name in SECTIONS if name != "models"]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, section: bytes) -> None:
    """Nothing but a ValueError comes out of hostile bytes."""
    with suppress(ValueError):
        decode_state({name: section}, refuse)


def test_unknown_sections_are_left_out() -> None:
    """Such as a later version adds."""
    assert decode_state({"of tomorrow": b"\xff"}, refuse) == {}


def test_models_of_the_former_format_are_read() -> None:
    """One pickle of all, as state format 3 had it, for `--adopt-state`; there is no pickle of each to be kept."""
    models = {"a": ("a model", 3), "b": ("a model", 4)}
    assert decode_state({"models": pickle.dumps(models)}, pickle.loads) == {"models": models}


TWO: Final = {name: bytes(joined(body)) for name, body in encode_state({"models": {"a": 1, "b": 2}}).items()}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (MODELS, msgspec.msgpack.encode(["a", "a"])),
        (MODELS, msgspec.msgpack.encode(["a"])),
        (MODELS, msgspec.msgpack.encode(["a", 5])),
        (MODELS, msgspec.msgpack.encode({"a": 1, "b": 2})),
        (MODELS, b"\xa2\xff\xff"),
        (MODELS, b""),
        (LENGTHS, None),
        (LENGTHS, b""),
        (LENGTHS, TWO[LENGTHS][:-1]),
        (LENGTHS, TWO[LENGTHS] + b"\0" * 4),
        (LENGTHS, b"\xff" * 8),
        (PICKLES, None),
        (PICKLES, TWO[PICKLES][:-1]),
        (PICKLES, TWO[PICKLES] + b"."),
    ],
)
def test_models_that_do_not_fit_together_are_refused(name: str, body: bytes | None) -> None:
    """Before any pickle is read."""
    sections = {key: each for key, each in {**TWO, name: body}.items() if each is not None}
    with pytest.raises(ValueError, match=r"section 'models[a-z.]*' is not of its type"):
        decode_state(sections, refuse)


@given(st.dictionaries(st.sampled_from([MODELS, LENGTHS, PICKLES]), st.binary(max_size=40)))
def test_any_bytes_of_models_are_read_or_refused(sections: dict[str, bytes]) -> None:
    """Nothing but a ValueError comes out of hostile bytes, whatever they say of each other."""
    with suppress(ValueError):
        decode_state({**TWO, **sections}, lambda _: None)


def test_the_former_format_is_read() -> None:
    """Ledger and identities of state format 2, for `--adopt-state`: each item counts as seen on the newest day."""
    entries = {"s\x1fk": (-5, 40 * DAY_US + 3), "é\x1fm": (None, 0), "s\x1fn": (7, 39 * DAY_US)}
    sections = {"ledger": msgspec.msgpack.encode(entries), "identities": msgspec.msgpack.encode(b"x" * 24 + b"y" * 24)}
    state = decode_state(sections, refuse)
    ledger, identities = Ledger(), Identities(9)
    ledger.restore(state["ledger"])
    identities.restore(state["identities"])
    assert ledger.newest_day == 40
    assert ledger.entries == {item: (*entry, 40) for item, entry in entries.items()}
    assert identities.snapshot() == b"x" * 24 + b"y" * 24
    assert decode_state({"ledger": msgspec.msgpack.encode({})}, refuse)["ledger"].newest_day == 0


def test_an_identity_that_comes_twice_is_refused() -> None:
    """A window holds each once; one as a dictionary and one as arrays would go on differently."""
    with pytest.raises(ValueError, match=r"^section 'identities' is not of its type: expected each identity once"):
        decode_state({"identities": b"x" * 24 + b"y" * 24 + b"x" * 16 + b"z" * 8}, refuse)
