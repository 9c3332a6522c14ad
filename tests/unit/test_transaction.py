"""The input contract: what `decode` reads is what the independent oracle reads, whichever of its decoders did it."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.dead_letter import EXPECTED, MESSAGES, InvalidEvent, Reason
from schemas.transaction import (
    Event,
    InventoryTransaction,
    Limits,
    _decode_any,
    _decode_plain,
    _moments,
    decode,
    parse_moment,
)
from tests import oracle

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

KAFKA_MS: Final = 1_490_961_600_000
WHEN: Final = "2017-03-31T12:00:00Z"  # the same instant
REQUIRED: Final = ("transaction_id", "store_id", "sku", "quantity", "occurred_at")
IDS: Final = ("transaction_id", "store_id", "sku", "line_id", "corrects")
OWN_NAMES: Final = tuple(name for name in Event.__struct_fields__ if name not in EXPECTED)
BASE: Final = {"transaction_id": "t1", "store_id": "s1", "sku": "milk", "quantity": -2, "occurred_at": WHEN}
UNKNOWN: Final = {"till": 7}  # a field that the contract does not have sends an event to pydantic

Verdict = tuple[object, ...]


def value_of(**changes: object) -> bytes:
    """A valid, plain event with some fields changed, as a record's value."""
    return json.dumps(BASE | changes).encode()


def raw(field: str, token: str) -> bytes:
    """The same, with one field's JSON spelt out."""
    return json.dumps(BASE | {field: "@"}).replace('"@"', token).encode()


def verdict(value: bytes | None, timestamp_ms: int = KAFKA_MS, limits: Limits | None = None) -> Verdict:
    """Every decoded value, or the reason and message of the refusal."""
    try:
        event = decode(value, timestamp_ms, limits or Limits())
    except InvalidEvent as invalid:
        return invalid.reason.value, invalid.message
    moment = parse_moment(event.occurred_at)
    implied = "sale" if event.quantity_millionths < 0 else "receipt"
    return (
        *(event.transaction_id, event.store_id, event.sku, event.line_id, event.corrects, event.occurred_at),
        *(event.quantity or 0.0, event.quantity_millionths, event.unit_cost, event.level_millionths),
        event.transaction_type if event.transaction_type is not None else implied,
        *(event.occurred_us, moment.us, moment.day_of_week, moment.month, moment.year),
        None if event.new_stock_level is None else event.new_stock_level * 1.0,
    )


def oracle_verdict(value: bytes | None, timestamp_ms: int = KAFKA_MS, limits: Limits | None = None) -> Verdict:
    """The same, as the oracle reads the contract."""
    limits = limits or Limits()
    try:
        event = oracle.decode(value, timestamp_ms, limits.max_quantity, limits.max_clock_ahead_seconds)
    except oracle.InvalidEventError as invalid:
        message = MESSAGES[Reason(invalid.reason)]
        field = invalid.field or ""
        return invalid.reason, message.format(field=field, expected=EXPECTED.get(field)) if "{" in message else message
    day = event.local_date
    level = event.observed_millionths
    return (
        *(event.transaction_id, event.store_id, event.sku, event.line_id, event.corrects, event.occurred_at),
        *(event.quantity, event.quantity_millionths, event.unit_cost, level),
        event.transaction_type,
        *(event.instant, event.instant, day.weekday(), day.month, day.year),
        None if level is None else level / 1e6,
    )


# --- generated values: a valid event with some strange fields, written in any spelling, at times damaged -------------

WHITE_SPACE: Final = " \t\u00a0\u1680\u2003\u2028\u202f\u3000\ufeff\u200b\u0085"
CONTROLS: Final = "\0\x01\x1b\x1c\x1d\x1e\x1f\x7f\x80\x9f"
LONE_SURROGATES: Final = ["\ud800", "\udbff", "\udc00", "\udfff"]


def spelt(text: SearchStrategy[str]) -> SearchStrategy[str]:
    """JSON strings: escaped, or in UTF-8 (in which a lone surrogate becomes invalid)."""
    return st.builds(lambda content, ascii_only: json.dumps(content, ensure_ascii=ascii_only), text, st.booleans())


id_text = st.text(
    st.one_of(
        st.sampled_from("aZ09-_:é😀"),
        st.sampled_from(WHITE_SPACE),
        st.sampled_from(CONTROLS),
        st.sampled_from(LONE_SURROGATES),
        st.characters(),
    ),
    max_size=6,
)
long_text = st.builds(
    lambda around, letter, size: around + letter * size + around,
    st.sampled_from(["", " ", "\u3000"]),
    st.sampled_from("xé😀"),
    st.sampled_from([1, 63, 64, 65, 127, 128, 129, 300]),
)
whole_tokens = st.one_of(st.integers(-(10**7), 10**7), st.integers(-(10**40), 10**40)).map(str)
number_tokens = st.one_of(
    whole_tokens,
    st.decimals(-1_000_001, 1_000_001, places=6).map(lambda number: format(number, "f")),
    st.decimals(-10, 10, places=7).map(lambda number: format(number, "f")),
    st.floats().map(json.dumps),
    st.floats(-1e6, 1e6).map(lambda number: f"{number:.17g}"),
    st.builds(lambda number, power: f"{number}e{power}", st.integers(-999, 999), st.integers(-12, 12)),
    st.sampled_from(
        [
            *("-0", "-0.0", "-0e0", "0E+0", "1E2", "1e+2", "2.50", "007", "01", "-01", "+1", "1.", ".5", "-"),
            *("1e", "0x1", "1_000", "1e400", "-1e400", "1e-400", "5e-324", "NaN", "Infinity", "-Infinity", "nan"),
            *("0.000001", "0.0000001", "1000000", "-1000000", "1000000.000001", "999999.999999", "1000000000"),
            *("-1000000000", "1000000000.000001", "999999999.999999", "0.1234565", "9007199254740993"),
            *("18446744073709551616", "0.30000000000000004"),
        ]
    ),
)
junk_tokens = st.sampled_from(
    ["null", "true", "false", "7", "1.5", "[]", "{}", '[1,{"sku":2}]', '""', '" "', '"x"', "NaN", "nul", '"\t"']
)
offsets = st.sampled_from(
    ["Z", "z", "+00:00", "-00:00", "+14:00", "-11:30", "+23:59", "+24:00", "-01:60", "+99:99", ""]
)
good_times = st.builds(
    lambda when, fraction, offset: f"{when:%Y-%m-%dT%H:%M:%S}{fraction}{offset}",
    st.datetimes(datetime(2001, 1, 1), datetime(2017, 3, 31)),  # noqa: DTZ001 -- its offset is drawn beside it
    st.sampled_from(["", ".5", ".123456", ".1234569999", ".0"]),
    st.sampled_from(["Z", "z", "+01:00", "-11:30", "+13:45"]),
)
edge_times = st.builds(
    lambda day, letter, clock, offset: day + letter + clock + offset,
    st.sampled_from(
        [
            *("2017-03-31", "2017-04-01", "2016-02-29", "2017-02-29", "2000-01-01", "1999-12-31", "0000-01-01"),
            *("0001-01-01", "9999-12-31", "2017-00-10", "20170331--", "2017-W13-5"),
        ]
    ),
    st.sampled_from(["T", "t", " ", ""]),
    st.sampled_from(
        [
            *("00:00:00", "12:00:00", "12:00:00.000001", "23:59:59.9999999", "23:59:60", "23:59:60.9"),
            *("12:30:60", "23:59:61", "24:00:00", "00:60:00", "12:00", "120000", "12000000", "12000099"),
            *("12:00:00.", "12:00:00,5", "12:0000:"),
        ]
    ),
    offsets,
)
damaged_times = st.builds(
    lambda text, place, size, inserted: text[:place] + inserted + text[place + size :],
    good_times,
    st.integers(0, 30),
    st.integers(0, 3),
    st.text("0123456789:-+.,TtZzW ", max_size=2),
)

ids = st.one_of(spelt(id_text), spelt(long_text), whole_tokens, number_tokens, junk_tokens)
numbers = st.one_of(number_tokens, number_tokens.map(lambda token: f'"{token}"'), junk_tokens)
times = st.one_of(spelt(st.one_of(good_times, edge_times, damaged_times)), junk_tokens)
types = st.one_of(
    spelt(st.sampled_from(["sale", "waste", "transfer_out", "return", "receipt", "transfer_in", "adjustment", "void"])),
    spelt(st.sampled_from(["count", "Count", "sale ", "loan"])),
    spelt(id_text),
    junk_tokens,
)
STRANGE: Final = {
    **dict.fromkeys(IDS, ids),
    **dict.fromkeys(("quantity", "unit_cost", "new_stock_level"), numbers),
    "transaction_type": types,
    "occurred_at": times,
    "timestamp": times,
    **dict.fromkeys(OWN_NAMES, st.one_of(number_tokens, junk_tokens)),
    "unknown": st.one_of(ids, numbers, times),
}
GOOD: Final = {
    **dict.fromkeys(IDS, spelt(st.text("abcXYZ019-_/.ß漢", min_size=1, max_size=10))),
    "quantity": st.one_of(st.integers(-20, 0), st.decimals(-20, 0, places=3)).map(str),
    "transaction_type": st.sampled_from(['"sale"', '"adjustment"', '"stocktake"', "null"]),
    "unit_cost": st.decimals(0, 500, places=2).map(str),
    "occurred_at": spelt(good_times),
    "new_stock_level": st.one_of(st.integers(-50, 500), st.decimals(-1, 99, places=6)).map(lambda n: format(n, "f")),
}


@st.composite
def names(draw: DrawFn, name: str) -> str:
    """A key, at times with one of its letters escaped, which is the same key."""
    if draw(st.integers(0, 19)):
        return f'"{name}"'
    place = draw(st.integers(0, len(name) - 1))
    return f'"{name[:place]}\\u{ord(name[place]):04x}{name[place + 1 :]}"'


@st.composite
def documents(draw: DrawFn) -> str:
    """JSON text of an event with up to 3 strange fields: absent, spoilt, unknown or given twice."""
    strange = draw(st.lists(st.sampled_from(sorted(STRANGE)), max_size=3, unique=True))
    pairs: list[tuple[str, str]] = []
    for name, tokens in GOOD.items():
        if name in strange and name in REQUIRED and not draw(st.integers(0, 4)):
            continue
        if name in REQUIRED or (name not in strange and draw(st.booleans())):
            pairs.append((name, draw(tokens)))
    for name in strange:
        pairs = [pair for pair in pairs if pair[0] != name or not draw(st.integers(0, 4))]  # at times given twice
        pairs.append((name, draw(STRANGE[name])))
    pairs = draw(st.permutations(pairs))
    colon = draw(st.sampled_from([":", ": ", "\n:\t"]))
    return "{" + ",".join(draw(names(name)) + colon + token for name, token in pairs) + "}"


@st.composite
def values(draw: DrawFn) -> bytes:
    """A record's value: a document in UTF-8, now and then framed for a Schema Registry or damaged in a few bytes."""
    value = draw(documents()).encode("utf-8", "surrogatepass")
    damage = draw(st.integers(0, 19))
    if damage == 0:
        return b"\0" + draw(st.binary(min_size=4, max_size=4)) + value
    if damage == 1:
        place = draw(st.integers(0, len(value)))
        return value[:place] + draw(st.binary(max_size=2)) + value[place + draw(st.integers(0, 2)) :]
    if damage == 2:
        return value[: draw(st.integers(0, len(value)))]
    return value


ALL_LIMITS: Final = st.sampled_from(
    [Limits(), Limits(), Limits(max_quantity=5.0), Limits(max_quantity=0.5, max_clock_ahead_seconds=0)]
)
KAFKA_TIMES: Final = st.sampled_from([KAFKA_MS, KAFKA_MS, KAFKA_MS, -1, 0, 1_000_000_000_000])


@settings(max_examples=600, deadline=None)
@given(value=values(), timestamp_ms=KAFKA_TIMES, limits=ALL_LIMITS)
def test_decode_agrees_with_the_oracle(value: bytes, timestamp_ms: int, limits: Limits) -> None:
    """Two independent readings of the contract take and refuse the same events, for the same reason, to equal values.

    A difference would be a prediction or a dead letter that another correct worker does not publish.
    """
    assert verdict(value, timestamp_ms, limits) == oracle_verdict(value, timestamp_ms, limits)


@settings(max_examples=600, deadline=None)
@given(value=values())
@example(value=value_of(occurred_at="nonsense"))
@example(value=value_of(occurred_at="2017-03-31T12000000Z"))
def test_the_plain_decoder_takes_a_subset_with_equal_values(value: bytes) -> None:
    """The decoder for speed never takes what the contract's model refuses, and reads the same: it cannot be noticed."""
    plain = _decode_plain(value)
    if plain is not None:
        thorough = _decode_any(value)
        assert [getattr(plain, name) for name in EXPECTED] == [getattr(thorough, name) for name in EXPECTED]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.binary(max_size=20).map(lambda noise: b"\0" + noise)))
def test_any_bytes_are_refused_as_the_oracle_refuses_them(value: bytes) -> None:
    """Noise becomes a dead letter; no other exception may escape, because it would stop the worker."""
    assert verdict(value) == oracle_verdict(value)


@settings(max_examples=300, deadline=None)
@given(written=st.one_of(good_times, edge_times, damaged_times), quantity=st.sampled_from([-2, 1e7, 0.1234567]))
@example(written="2017-03-31T12000000Z", quantity=-2)
@example(written="nonsense", quantity=1e7)
@example(written="2017-03-31T12:00:00", quantity=0.1234567)
def test_a_verdict_on_time_does_not_depend_on_the_decoder(written: str, quantity: float) -> None:
    """An unknown field, which sends an event to the other decoder, changes neither its time nor its refusal."""
    fields: dict[str, Any] = {"occurred_at": written, "quantity": quantity}
    wanted = oracle_verdict(value_of(**fields))
    assert verdict(value_of(**fields)) == wanted
    assert verdict(value_of(**fields, **UNKNOWN)) == wanted


# --- examples --------------------------------------------------------------------------------------------------------

EXAMPLES: Final[dict[Reason, tuple[bytes | None, str | None]]] = {
    Reason.EMPTY_VALUE: (b"", None),
    Reason.NOT_JSON: (b"[]", None),
    Reason.MISSING_FIELD: (b'{"transaction_id": "t1"}', "store_id"),
    Reason.INVALID_FIELD: (value_of(unit_cost=True), "unit_cost"),
    Reason.COUNT_WITHOUT_LEVEL: (value_of(transaction_type="count", quantity=None), None),
    Reason.SIGN_CONTRADICTS_TYPE: (value_of(transaction_type="receipt"), None),
    Reason.OCCURRED_AT_OUT_OF_RANGE: (value_of(occurred_at="1999-12-31T23:59:59Z"), None),
}


@pytest.mark.parametrize("reason", list(EXAMPLES))
def test_each_reason_has_an_example(reason: Reason) -> None:
    """Every word of the refusals' vocabulary that is the decoder's is in use."""
    assert set(Reason) - set(EXAMPLES) == {Reason.CONFLICTING_REPEAT, Reason.TOO_LARGE, Reason.BROKE_MODEL}
    value, field = EXAMPLES[reason]
    with pytest.raises(InvalidEvent) as caught:
        decode(value, KAFKA_MS, Limits())
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("extra", [{}, UNKNOWN], ids=["plain", "pydantic"])
def test_the_first_broken_rule_counts(extra: dict[str, Any]) -> None:
    """Refusals come in a fixed order, whichever decoder reads: a dead letter's reason is compared to the byte."""
    broken: dict[str, Any] = {
        "transaction_id": "",
        "store_id": "x" * 65,
        "sku": None,
        "line_id": True,
        "transaction_type": 1,
        "unit_cost": -1,
        "occurred_at": "2017-02-31",  # its form
        "new_stock_level": 1e10,
        "corrects": [],
        "quantity": 1e7,
    }
    healed: dict[str, Any] = {"transaction_id": "t1", "store_id": "s1", "sku": "milk", "line_id": None}
    healed |= {"transaction_type": "receipt", "unit_cost": None, "new_stock_level": None, "corrects": None}
    healed |= {"quantity": -2, "occurred_at": "1999-02-28T00:00:00Z"}
    seen: list[str | None] = []
    document = broken | extra
    while True:
        with pytest.raises(InvalidEvent) as caught:
            decode(json.dumps(document).encode(), KAFKA_MS, Limits())
        field = caught.value.field
        if field is None:
            break
        seen.append(field)
        document[field] = "1999-02-31T00:00:00Z" if document[field] == "2017-02-31" else healed[field]
    # A number's bound and decimals, and whether a day exists, are judged after every field's form.
    assert seen == [
        *("transaction_id", "store_id", "sku", "line_id", "transaction_type", "unit_cost", "occurred_at"),
        *("new_stock_level", "corrects", "quantity", "occurred_at"),
    ]
    assert caught.value.reason is Reason.SIGN_CONTRADICTS_TYPE
    document["transaction_type"] = "sale"
    with pytest.raises(InvalidEvent) as caught:
        decode(json.dumps(document).encode(), KAFKA_MS, Limits())
    assert caught.value.reason is Reason.OCCURRED_AT_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("value", "is_plain"),
    [
        (value_of(), True),
        (value_of(line_id="1", transaction_type="sale", unit_cost=1.5, new_stock_level=7, corrects="t0"), True),
        (value_of(sku="Käse-漢"), True),
        (value_of(transaction_type=" any\x00 text "), True),
        (value_of(sku=" milk"), False),
        (value_of(sku="oat milk"), False),
        (value_of(sku="milk\u00a0"), False),
        (value_of(sku="\u200bmilk"), False),
        (value_of(sku=12), False),
        (value_of(quantity="-2"), False),
        (value_of(till=7), False),
        (json.dumps({("timestamp" if key == "occurred_at" else key): BASE[key] for key in BASE}).encode(), False),
    ],
)
def test_which_events_take_the_plain_way(value: bytes, is_plain: bool) -> None:
    """The agreement above covers both decoders: these valid events take the one and the other."""
    assert (_decode_plain(value) is not None) is is_plain
    assert verdict(value) == oracle_verdict(value)
    assert isinstance(decode(value, KAFKA_MS, Limits()), Event)


@pytest.mark.parametrize("extra", [b"", b', "till": 7'], ids=["plain", "pydantic"])
@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (
            "sku",
            ['" milk\\t"', '"\\u3000a b"', '"a\\u200b"', "12", "-0"],
            ['" "', '"a\\u0000"', '"\\u001ca"', '"a\\u0085b"'],
        ),
        ("store_id", ['"é"', "9" * 64], ['"a\\u009f"', '"\\u007f"', "1.0", "1e2", "true", "null", "[]", "9" * 65]),
        ("line_id", ["null", "0", json.dumps("x" * 999)], ['""', '"a\\nb"', "1.5", "false", "{}"]),
        ("corrects", ["null", '" t0 "', "7"], ['"\\u3000"', '"\\u001e"', "1.5", "false", "[]"]),
        ("transaction_type", ["null", '""', '" sale\\u0000"', '"loan"'], ["1", "true", "[]"]),
        (
            "quantity",
            ['"-12.50"', '"007"', "-0", "1e2", "1000000", "-1000000", "0.000001", "999999.999999"],
            [
                *(
                    '" 1"',
                    '"1e2"',
                    '"+1"',
                    '".5"',
                    '"-.5"',
                    '"1."',
                    '"-"',
                    '""',
                    '"\\u0661"',
                    '"NaN"',
                    "NaN",
                    "-Infinity",
                ),
                *("true", "null", "1e400", "1" + "0" * 400, "1000001", "1000000.000001", "0.0000001", "-0.1234565"),
            ],
        ),
        ("unit_cost", ["null", "0", "0.123456789", "1e6", '"2.50"'], ["-0.01", "1000000.1", '"-1"', "true", '"1,5"']),
        (
            "new_stock_level",
            ["null", "-1e9", "1e9", "999999999.999999", '"5"'],
            ["1000000000.000001", "-1e10", "0.0000005", "true", '"5 "', "NaN", "[]"],
        ),
    ],
)
def test_a_field_s_own_rule(field: str, good: list[str], bad: list[str], extra: bytes) -> None:
    """Each field takes exactly the JSON that the contract gives it, from both decoders."""
    for token in good:
        value = raw(field, token)[:-1] + extra + b"}"
        assert verdict(value) == oracle_verdict(value)
        assert verdict(value)[0] == "t1"
    refused = (Reason.INVALID_FIELD.value, InvalidEvent(Reason.INVALID_FIELD, field).message)
    assert [verdict(raw(field, token)[:-1] + extra + b"}") for token in bad] == [refused] * len(bad)


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        (("sale", "waste", "transfer_out"), [-1, 0, -0.0]),
        (("return", "receipt", "transfer_in"), [1, 0, -0.0]),
        ((None, "adjustment", "count", "void", "loan", "Sale", " sale", ""), [-1, 0, -0.0, 1]),
    ],
)
def test_signs(kinds: tuple[str | None, ...], taken: list[float]) -> None:
    """A sign contrary to the type is refused; of types that the contract does not know, any sign is taken."""
    for kind in kinds:
        for quantity in (-1, 0, -0.0, 1):
            value = value_of(transaction_type=kind, quantity=quantity, new_stock_level=5)
            refused = verdict(value)[0] == Reason.SIGN_CONTRADICTS_TYPE.value
            assert refused is (quantity not in taken)
            assert verdict(value) == oracle_verdict(value)


@pytest.mark.parametrize("extra", [{}, UNKNOWN], ids=["plain", "pydantic"])
@pytest.mark.parametrize(("field", "longest"), [("transaction_id", 128), ("store_id", 64), ("sku", 64)])
def test_the_longest_ids(field: str, longest: int, extra: dict[str, Any]) -> None:
    """An id's length counts characters, not bytes; both decoders draw the line at the same one, and none is empty."""
    for letter in "xé😀":
        fits, too_long = (
            value_of(**{field: letter * longest}, **extra),
            value_of(**{field: letter * (longest + 1)}, **extra),
        )
        assert getattr(decode(fits, KAFKA_MS, Limits()), field) == letter * longest
        assert verdict(too_long) == verdict(value_of(**{field: ""}, **extra)) == oracle_verdict(too_long)


@pytest.mark.parametrize("own", OWN_NAMES)
@pytest.mark.parametrize("token", ["5", "null", "true", '"x"', "-1e400", "[1]", "123456789012345678901234567890"])
def test_an_event_cannot_set_the_decoder_s_own_values(own: str, token: str) -> None:
    """The struct's further attributes are unknown fields to the contract: ignored, whatever they hold."""
    clean = decode(value_of(new_stock_level=3), KAFKA_MS, Limits())
    value = raw(own, token)[:-1] + b', "new_stock_level": 3}'
    assert decode(value, KAFKA_MS, Limits()) == clean
    count = {"transaction_type": "count", "quantity": None, "new_stock_level": 3}
    counted = decode(value_of(**count, **{own: "@"}).replace(b'"@"', token.encode()), KAFKA_MS, Limits())
    assert counted == decode(value_of(**count), KAFKA_MS, Limits())
    level_less = decode(raw(own, token), KAFKA_MS, Limits())
    assert (level_less.quantity_millionths, level_less.level_millionths) == (-2_000_000, None)
    assert level_less.occurred_us == KAFKA_MS * 1000


@pytest.mark.parametrize("inside", [b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b"01", b"nul", b"[1,]", b'"\t"'])
@pytest.mark.parametrize("own", OWN_NAMES)
def test_no_byte_of_an_unknown_field_goes_unread(own: str, inside: bytes) -> None:
    """What is no JSON is none inside of an object that the decoder's own struct would take, too."""
    whole = b'{"us": 1, "day_of_week": 1, "month": 1, "year": 1, "more": ' + inside + b"}"
    for token in (inside, whole, b"[" + whole + b"]"):
        value = raw(own, "#").replace(b"#", token)
        assert verdict(value) == oracle_verdict(value) == (Reason.NOT_JSON.value, MESSAGES[Reason.NOT_JSON])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\0\0\0\0\x07" + value_of(), None),
        (b"\0{}[]" + value_of(), None),
        (b"\0\0\0\0\x07", Reason.NOT_JSON),
        (b"\0", Reason.NOT_JSON),
        (b"\0\0\0\0\x07\0\0\0\0\x07" + value_of(), Reason.NOT_JSON),
        (b"\x01\0\0\0\x07" + value_of(), Reason.NOT_JSON),
        (None, Reason.EMPTY_VALUE),
    ],
)
def test_a_schema_registry_s_frame_is_unwrapped_once(value: bytes | None, reason: Reason | None) -> None:
    """0x00 and a 4-byte id are the frame; a frame around nothing or around another is no JSON, not an empty value."""
    assert verdict(value) == (verdict(value_of()) if reason is None else (reason.value, MESSAGES[reason]))


@pytest.mark.parametrize("token", ["[{0}]", '{{"a":{0}}}', '[1,{0},"[[{{"]'], ids=["arrays", "objects", "mixed"])
def test_nesting_is_bounded(token: str) -> None:
    """JSON of 100 levels, the event the first, is read; deeper is none: one line for every kind of nesting."""
    fits = "7"
    for _ in range(99):
        fits = token.format(fits)
    assert verdict(raw("unknown", fits)) == verdict(value_of())
    not_json = (Reason.NOT_JSON.value, MESSAGES[Reason.NOT_JSON])
    for field in ("unknown", "sku", "quantity"):
        deeper = raw(field, token.format(fits))
        assert verdict(deeper) == oracle_verdict(deeper) == not_json


def test_only_nesting_counts_as_nesting() -> None:
    """Brackets side by side, and brackets in a string, are no levels."""
    for token in ("[" + "[]," * 500 + "[]]", json.dumps("[{" * 500), json.dumps('"[{\\' * 200)):
        assert verdict(raw("unknown", token)) == oracle_verdict(raw("unknown", token)) == verdict(value_of())


@pytest.mark.parametrize("noise", [b'\\"', b'"', b'\\"[', b"[]", b'{"', b'"\\', b"[" * 101])
def test_a_megabyte_of_noise_is_refused_at_once(noise: bytes) -> None:
    """The search for brackets takes time in proportion to the value, whatever stands in it."""
    value = b'{"' + b"[" * 101 + noise * (1_000_000 // len(noise))
    began = time.process_time()
    assert verdict(value)[0] == Reason.NOT_JSON.value
    assert time.process_time() - began < 5


@pytest.mark.parametrize("extra", [b"", b', "till": 7'], ids=["plain", "pydantic"])
@pytest.mark.parametrize("tail", ["", ".5", "e-4300"])
def test_digits_are_bounded(tail: str, extra: bytes) -> None:
    """A number of 4,300 digits before its decimal point is read; of more, it is no JSON, from both decoders."""
    for field in ("unknown", "quantity", "sku"):
        for digits in (4_300, 4_301):
            value = raw(field, "1" + "0" * (digits - 1) + tail)[:-1] + extra + b"}"
            assert verdict(value) == oracle_verdict(value)
            assert (verdict(value)[0] == Reason.NOT_JSON.value) is (digits == 4_301)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**15), 10**15), st.booleans())
def test_millionths_are_exact(quantity: int, level: int, as_text: bool) -> None:
    """A decimal of up to 6 places becomes exactly its whole millionths, up to both bounds, as a number or a string."""
    quote = '"' if as_text else ""
    texts = [f"{quote}{Decimal(number).scaleb(-6):f}{quote}" for number in (quantity, level)]
    value = json.dumps(BASE | {"quantity": "@", "new_stock_level": "#"})
    event = decode(value.replace('"@"', texts[0]).replace('"#"', texts[1]).encode(), KAFKA_MS, Limits())
    assert (event.quantity_millionths, event.level_millionths) == (quantity, level)


def test_the_model_ignores_unknown_fields_and_is_frozen() -> None:
    """The pydantic model, which services may import, keeps what it read and nothing else."""
    transaction = InventoryTransaction.model_validate_json(value_of(**UNKNOWN))
    assert transaction.model_dump(exclude_none=True) == BASE
    with pytest.raises(ValueError, match="frozen"):
        transaction.sku = "bread"  # type: ignore[misc]


# --- time ------------------------------------------------------------------------------------------------------------


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC, in whole numbers."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("written", "instant", "day"),
    [
        ("2017-03-31T12:00:00Z", "2017-03-31T12:00:00+00:00", "2017-03-31"),
        ("2017-03-31t12:00:00z", "2017-03-31T12:00:00+00:00", "2017-03-31"),
        ("2017-03-31T12:00:00-00:00", "2017-03-31T12:00:00+00:00", "2017-03-31"),
        ("2017-03-31T12:00:00.1Z", "2017-03-31T12:00:00.100000+00:00", "2017-03-31"),
        ("2017-03-31T12:00:00.12345678999Z", "2017-03-31T12:00:00.123456+00:00", "2017-03-31"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00", "2017-01-01"),
        ("2016-12-31T23:59:60.999Z", "2017-01-01T00:00:00+00:00", "2017-01-01"),
        ("2017-01-01T00:59:60+01:00", "2017-01-01T00:00:00+00:00", "2017-01-01"),
        ("2017-04-01T01:30:00+13:45", "2017-03-31T11:45:00+00:00", "2017-04-01"),
        ("2017-03-30T23:30:00-02:00", "2017-03-31T01:30:00+00:00", "2017-03-30"),
        ("2016-02-29T00:00:00+23:59", "2016-02-28T00:01:00+00:00", "2016-02-29"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999+00:00", "1969-12-31"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "0001-01-01"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00", "9999-12-31"),
    ],
)
def test_parse_moment(written: str, instant: str, day: str) -> None:
    """The instant is that of the offset, the calendar day that of the place, digits beyond microseconds cut off."""
    moment, there = parse_moment(written), date.fromisoformat(day)
    assert moment.us == microseconds(datetime.fromisoformat(instant))
    assert (moment.day_of_week, moment.month, moment.year) == (there.weekday(), there.month, there.year)


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_instant_may_lie_outside_the_calendar(written: str) -> None:
    """An offset that leads beyond year 1 or 9999 in UTC is no error of its own."""
    shift = timedelta(hours=23, minutes=59)
    local = datetime.fromisoformat(written[:19]).replace(tzinfo=UTC)
    assert parse_moment(written).us == microseconds(local) + (-1 if "+" in written else 1) * shift // timedelta(
        microseconds=1
    )


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            "2017-03-31",
            "2017-03-31T12:00:00",
            "2017-03-31T12:00Z",
            "2017-03-31 12:00:00Z",
            "2017-03-31T12:00:00 Z",
        ),
        *("2017-03-31T12:00:00Z\n", " 2017-03-31T12:00:00Z", "2017-03-31T12:00:00.Z", "2017-03-31T12:00:00,5Z"),
        *(
            "2017-03-31T12:00:00+0100",
            "2017-03-31T12:00:00+01",
            "2017-03-31T12:00:00+01:60",
            "2017-03-31T12:00:00+24:00",
        ),
        *("2017-03-31T12:00:00+99:59", "2017-03-31T24:00:00Z", "2017-03-31T12:60:00Z", "2017-03-31T12:00:61Z"),
        *("0000-01-01T00:00:00Z", "2017-02-29T00:00:00Z", "2017-13-01T00:00:00Z", "2017-00-01T00:00:00Z"),
        *(
            "2017-04-31T23:59:60Z",
            "٢٠١٧-03-31T12:00:00Z",
            "20170331T120000Z",
            "2017-W13-5T12:00:00Z",
            "2017-090T12:00:00Z",
        ),
        *("2017-03-31T12000000Z", "2017-03-31T12000099Z", "2017-03-31T120000.5Z", "+2017-3-31T12:00:00Z"),
    ],
)
def test_no_moment(written: str) -> None:
    """Other forms of ISO 8601, and days, times and offsets that do not exist, are refused with a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 -- datetime's own messages vary
        parse_moment(written)


def test_long_times_are_not_remembered() -> None:
    """A fraction of a second may be a megabyte long: a few thousand of those in the cache would fill the memory."""
    written = WHEN.replace("Z", "." + "0" * 1_000 + "Z")
    _moments.clear()
    assert parse_moment(written) == parse_moment(WHEN)
    assert decode(value_of(occurred_at=written), KAFKA_MS, Limits()).occurred_us == KAFKA_MS * 1000
    assert set(_moments) <= {WHEN}


def test_only_so_many_times_are_remembered() -> None:
    """Each till writes its own: what is remembered of them is bounded."""
    for minute in range(5_000):
        parse_moment(f"2017-03-{1 + minute // 1_440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z")
        assert len(_moments) <= 4_096


def test_the_end_of_the_calendar_has_no_leap_second() -> None:
    """9999-12-31T23:59:60Z would be year 10000: refused as a field, never an error that stops the worker."""
    invalid = (Reason.INVALID_FIELD.value, InvalidEvent(Reason.INVALID_FIELD, "occurred_at").message)
    assert verdict(value_of(occurred_at="9999-12-31T23:59:60Z"), timestamp_ms=-1) == invalid


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 -- its offset is drawn beside it
    st.integers(-1439, 1439),
)
def test_parse_moment_of_any_time(local: datetime, offset_minutes: int) -> None:
    """Every moment between year 1 and 9999 comes back exactly, from every offset."""
    moment = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    parsed = parse_moment(moment.isoformat())
    assert parsed.us == microseconds(moment)
    assert (parsed.day_of_week, parsed.month, parsed.year) == (local.weekday(), local.month, local.year)


def test_both_ends_of_the_range_of_instants_belong_to_it() -> None:
    """The first instant is 2000-01-01T00:00Z; the last is a day after the Kafka timestamp, or open without one."""
    refused = Reason.OCCURRED_AT_OUT_OF_RANGE.value
    assert verdict(value_of(occurred_at="2000-01-01T00:00:00Z"))[0] == "t1"
    assert verdict(value_of(occurred_at="1999-12-31T23:59:59.999999Z"))[0] == refused
    assert verdict(value_of(occurred_at="2017-04-01T12:00:00Z"))[0] == "t1"
    assert verdict(value_of(occurred_at="2017-04-01T12:00:00.000001Z"))[0] == refused
    assert verdict(value_of(), limits=Limits(max_clock_ahead_seconds=0))[0] == "t1"
    assert verdict(value_of(), KAFKA_MS - 1, Limits(max_clock_ahead_seconds=0))[0] == refused
    assert verdict(value_of(occurred_at="9999-01-01T00:00:00Z"), timestamp_ms=-1)[0] == "t1"
    assert verdict(value_of(), timestamp_ms=0)[0] == refused
