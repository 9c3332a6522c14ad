"""JSON to columns in machine code: what it takes is valid, with `decode`'s values, and what is usual is taken."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.bad_kinds import BAD_KINDS
from benchmarks.mixture import mixed
from benchmarks.odd_kinds import ODD_KINDS
from consumer.learning import columns, parsing
from consumer.simulate.synthetic import synthetic_events
from schemas import transaction
from schemas.transaction import BRINGS, KNOWN_TYPES, MAX_LEVEL, TAKES_AWAY, Limits, decode, decode_plain, parse_moment
from tests.columns import parsed
from tests.unit.test_batch import mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.transaction import Event
    from tests.columns import Columns

LIMITS: Final = Limits()
NOW_MS: Final = 1_736_150_400_000  # 2025-01-06T08:00:00Z
SORTED_TYPES: Final = sorted(KNOWN_TYPES)
SYNTHETIC: Final = list(synthetic_events(seed=4, limit=2_000))
BASE: Final[dict[str, str]] = {
    "transaction_id": '"t1"',
    "store_id": '"s1"',
    "sku": '"milk"',
    "quantity": "-2",
    "occurred_at": '"2025-01-06T07:00:00Z"',
}
TEXTS: Final = {
    "transaction_id": columns.TRANSACTION_ID,
    "store_id": columns.STORE_ID,
    "sku": columns.SKU,
    "line_id": columns.LINE_ID,
    "occurred_at": columns.OCCURRED_AT,
    "corrects": columns.CORRECTS,
    "transaction_type": columns.TRANSACTION_TYPE,
}


def written(tokens: dict[str, str]) -> bytes:
    return ("{" + ",".join(f'"{key}":{token}' for key, token in tokens.items()) + "}").encode()


def row_of(found: Columns, row: int) -> tuple[object, ...]:
    """Return a row's values: texts, numbers but whether it is plain, and the very bits of its doubles."""
    texts: list[str | None] = []
    for column in TEXTS.values():
        start, length = found.spans[row, column : column + 2].tolist()
        texts.append(None if length == -1 else found.text[start : start + length].tobytes().decode())
    numbers = found.numbers[row].tolist()
    assert numbers[columns.IS_PLAIN] == 1
    return (*texts, *numbers[1:], struct.pack("<2d", *found.doubles[row]))


def wanted_row(event: Event) -> tuple[object, ...]:
    level, cost, moment = event.level_millionths, event.unit_cost, parse_moment(event.occurred_at)
    kind = event.transaction_type or ("sale" if event.quantity_millionths < 0 else "receipt")
    numbers = {
        columns.QUANTITY: event.quantity_millionths,
        columns.LEVEL: columns.NO_NUMBER if level is None else level,
        columns.OCCURRED_US: event.occurred_us,
        columns.DAY_OF_WEEK: moment.day_of_week,
        columns.MONTH: moment.month,
        columns.YEAR: moment.year,
        columns.KIND: SORTED_TYPES.index(kind),
        columns.COST: columns.NO_NUMBER if cost is None else round(cost * 1e6),
    }
    doubles = struct.pack("<2d", 0.0 if event.quantity is None else event.quantity, 0.0 if cost is None else cost)
    return (*(getattr(event, name) for name in TEXTS), *(numbers[column] for column in sorted(numbers)), doubles)


def plain_rows(values: Sequence[bytes | None], timestamps_ms: Sequence[int], limits: Limits = LIMITS) -> list[int]:
    """Return which are taken; what is taken, `decode` and `decode_plain` take, with the same values."""
    found = parsed(values, timestamps_ms, limits)
    at_once = decode_plain(values, timestamps_ms, limits)
    rows = found.plain_rows()
    for row in rows:
        event = decode(values[row], timestamps_ms[row], limits)
        assert at_once[row] == event
        assert row_of(found, row) == wanted_row(event)
    assert all(number in {0, 1} for number in found.numbers[:, columns.IS_PLAIN].tolist())
    return rows


def is_plain(value: bytes, timestamp_ms: int = NOW_MS, limits: Limits = LIMITS) -> bool:
    return plain_rows([value], [timestamp_ms], limits) == [0]


def test_its_constants_are_the_contract_s() -> None:
    """They stand twice, since code that is kept on disk holds them."""
    assert [kind.decode() for kind in parsing.KINDS] == SORTED_TYPES
    signs = [-1 if kind in TAKES_AWAY else int(kind in BRINGS) for kind in SORTED_TYPES]
    assert list(parsing.SIGNS) == signs
    assert (parsing.PLAIN_BYTES, parsing.MAX_LEVEL) == (transaction.PLAIN_BYTES, MAX_LEVEL)
    assert parsing.YEAR_2000_US == transaction._YEAR_2000_US
    assert [column for name, column in TEXTS.items() if name] == list(range(0, columns.SPANS, 2))


# What is usual


def spaced(value: bytes) -> bytes:
    return json.dumps(json.loads(value)).encode()


def indented(value: bytes) -> bytes:
    return json.dumps(json.loads(value), indent="\t").replace("\n", "\r\n").encode() + b"\n"


def by_orjson(value: bytes) -> bytes:
    return orjson.dumps(json.loads(value), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def without_nulls(value: bytes) -> bytes:
    fields = json.loads(value)
    return json.dumps(
        {name: content for name, content in reversed(fields.items()) if content is not None or name == "quantity"},
        ensure_ascii=False,
    ).encode()


def accented(value: bytes) -> bytes:
    fields = json.loads(value)
    fields |= {"sku": "Käse Привет".replace(" ", "-"), "line_id": "ß", "quantity": -0.125, "corrects": "t0"}
    fields |= {"transaction_type": "void", "occurred_at": "2025-01-06T06:30:00.25+01:00"}
    return json.dumps(fields, ensure_ascii=False).encode()


@pytest.mark.parametrize("write", [bytes, spaced, indented, by_orjson, without_nulls, accented])
def test_usual_events_are_taken(write: Callable[[bytes], bytes]) -> None:
    """Else nothing would be gained: all of a shop's, however a usual encoder writes them."""
    values = [write(event.value) for event in SYNTHETIC if event.value is not None]
    assert plain_rows(values, [event.timestamp_ms for event in SYNTHETIC]) == list(range(len(values)))


def test_letters_are_printable() -> None:
    """Of all that two bytes may be, what is let in is one printable letter, and Latin and Cyrillic ones are."""
    pairs = [bytes([first, second]) for first in range(0x80, 0x100) for second in range(0x100)]
    values = [written(BASE).replace(b"milk", b"m" + pair + b"k") for pair in pairs]
    taken = {pairs[row] for row in plain_rows(values, [NOW_MS] * len(values))}
    usual = [*range(0xC0, 0x280), *range(0x400, 0x480)]
    assert {pair.decode() for pair in taken} == {chr(point) for point in usual}
    assert all(chr(point).isprintable() for point in usual)


# What is not


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([LIMITS, Limits(5.0, 60)]))
def test_of_mutants_only_valid_events_are_taken(seed: int, limits: Limits) -> None:
    """Of events plain, odd and invalid."""
    records = mutants(seed, 20, limits)
    plain_rows([record.value for record in records], [record.timestamp_ms for record in records], limits)


def test_of_each_kind_only_valid_events_are_taken() -> None:
    """Of the demonstration's bad and odd kinds: a good many of the odd ones, too, and the shop's own events all."""
    sent = list(mixed((*BAD_KINDS, *ODD_KINDS), good=700, rounds=1, seed=3))
    rows = set(plain_rows([each.value for each in sent], [each.timestamp_ms for each in sent]))
    assert {row for row, each in enumerate(sent) if not each.kind} <= rows
    assert len({sent[row].kind for row in rows}) > 30


def test_none_ends_elsewhere() -> None:
    """A value that is cut short is not read on into the next, wherever it is cut; nor is one looked at from within."""
    whole = written(BASE | {"transaction_type": "null", "unit_cost": "12.5"})
    for cut in range(1, len(whole)):
        assert plain_rows([whole[:cut], whole[cut:]], [NOW_MS] * 2) == []
    values = [None, whole, b"", whole, b" ", whole]
    assert plain_rows(values, [NOW_MS] * 6) == [1, 3, 5]
    assert plain_rows([], []) == []


@pytest.mark.parametrize(
    "tokens",
    [
        {"till": "7"},
        {"timestamp": '"2025-01-06T07:00:00Z"'},
        {"sku": '"m\\u0069lk"'},
        {"sku": '"mi lk"'},
        {"sku": '"漢"'},
        {"sku": "7"},
        {"line_id": "7"},
        {"sku": '""'},
        {"store_id": f'"{"s" * 65}"'},
        {"transaction_id": f'"{"t" * 129}"'},
        {"line_id": f'"{"l" * 4_096}"'},
        {"transaction_type": '"sales"'},
        {"transaction_type": '"Sale"'},
        {"transaction_type": '""'},
        {"quantity": "null"},
        {"quantity": "-2e0"},
        {"quantity": "-0"},
        {"quantity": "-02"},
        {"quantity": "-2."},
        {"quantity": "-.5"},
        {"quantity": "+2"},
        {"quantity": "-"},
        {"quantity": '"-2"'},
        {"quantity": "-0.0000001"},
        {"quantity": "-1000000.1"},
        {"quantity": "-1e400"},
        {"quantity": "-92233720368547758080000000"},
        {"quantity": "true"},
        {"quantity": "nul"},
        {"new_stock_level": "1000000000.1"},
        {"new_stock_level": "-12345678901"},
        {"new_stock_level": "nill"},
        {"unit_cost": "-0.01"},
        {"unit_cost": "1000000.01"},
        {"unit_cost": "0.30000000000000004"},
        {"quantity": "2", "transaction_type": '"sale"'},
        {"quantity": "-0.000001", "transaction_type": '"return"'},
        {"transaction_type": '"count"'},
        {"quantity": "null", "transaction_type": '"count"'},
        {"quantity": "null", "new_stock_level": "3"},
    ],
    ids=str,
)
def test_odd_ones_are_left_to_python(tokens: dict[str, str]) -> None:
    """Invalid or only unusual: nothing is said of them."""
    assert is_plain(written(BASE))
    assert not is_plain(written(BASE | tokens))


@pytest.mark.parametrize("missing", BASE)
def test_a_field_must_be_there(missing: str) -> None:
    """And only once."""
    assert not is_plain(written({key: token for key, token in BASE.items() if key != missing}))
    assert not is_plain(written(BASE)[:-1] + f',"{missing}":{BASE[missing]}}}'.encode())


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value + b"x",
        lambda value: value + value,
        lambda value: b"[" + value + b"]",
        lambda value: value[:-1] + b",}",
        lambda value: value.replace(b'",', b'",,', 1),
        lambda value: value.replace(b":", b"::", 1),
        lambda value: value.replace(b":", b"", 1),
        lambda value: value.replace(b",", b"", 1),
        lambda value: b"\f" + value,
        lambda value: value.replace(b"-2", b"-2-", 1),
        lambda value: value.replace(b"-2", b"-2 0", 1),
        lambda value: b"\0\0\0\0\x01" + value,
        lambda _: b"{}",
        lambda _: b"{",
        lambda _: b" \n",
    ],
)
def test_json_must_be_whole(edit: Callable[[bytes], bytes]) -> None:
    """White space may stand between tokens, nothing else."""
    assert is_plain(b"\t\r\n " + written(BASE).replace(b'":', b'" \t: ').replace(b",", b"\r\n,") + b"  ")
    assert not is_plain(edit(written(BASE)))


def test_longer_values_are_left_to_python() -> None:
    """As `decode_plain` has it."""
    room = parsing.PLAIN_BYTES - len(written(BASE))
    assert is_plain(written(BASE) + b" " * room)
    assert not is_plain(written(BASE) + b" " * (room + 1))
    longest = written(BASE | {"line_id": f'"{"l" * (room - len(written({"line_id": ""})) - 1)}"'})
    assert len(longest) > parsing.PLAIN_BYTES - 9
    assert is_plain(longest)


EARLIEST: Final = -(2**63)


@pytest.mark.parametrize(
    ("occurred_at", "timestamp_ms", "taken"),
    [
        ("2025-01-07T08:00:00Z", NOW_MS, True),
        ("2025-01-07T08:00:00.000001Z", NOW_MS, False),
        ("2025-01-07T08:00:00.000001Z", NOW_MS + 1, True),
        ("9999-12-31T23:59:59-23:59", NOW_MS, False),
        ("9999-12-31T23:59:59-23:59", -1, True),
        ("9999-12-31T23:59:59.999999Z", EARLIEST, True),
        ("2025-01-07T08:00:00Z", 0, False),
        ("2025-01-07T08:00:00Z", 2**52, True),
        # Valid, but a thousand times as much does not fit: nothing rests on what it would wrap around to.
        ("2025-01-07T08:00:00Z", 2**63 - 1, False),
        ("2025-01-07T08:00:00Z", (2**64 + 9 * 10**18) // 1000, False),
        ("2000-01-01T00:00:00Z", NOW_MS, True),
        ("1999-12-31T23:59:59.999999Z", NOW_MS, False),
        ("2000-01-01T00:59:59+01:00", NOW_MS, False),
        ("1999-12-31T23:00:00-01:00", NOW_MS, True),
        ("0000-01-01T00:00:00Z", NOW_MS, False),
    ],
)
def test_an_event_lies_within_its_bounds(occurred_at: str, timestamp_ms: int, taken: bool) -> None:
    """Not before 2000, nor too far ahead of its Kafka timestamp where it has one."""
    assert is_plain(written(BASE | {"occurred_at": f'"{occurred_at}"'}), timestamp_ms) is taken


# Times and numbers

two_digits: Final = st.integers(0, 99).map("{:02}".format)
clocks: Final = st.builds("{:02}:{:02}:{:02}".format, st.integers(0, 24), st.integers(0, 60), st.integers(0, 61))
fractions: Final = st.just("") | st.integers(0, 10**7).map(".{}".format) | st.sampled_from([".", ".000", ",5"])
zones: Final = st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+24:00", "-23:59", "+01:60", "+0100", "Z ", "+1:00"])
offsets: Final = st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 14), st.integers(0, 59))
dates: Final = st.dates().map(str) | st.builds(
    "{:04}-{:02}-{:02}".format,
    st.sampled_from([0, 1, 1900, 1999, 2000, 2023, 2024, 2100, 2400, 9999]),
    st.integers(0, 13),
    st.sampled_from([0, 1, 27, 28, 29, 30, 31, 32]),
)
times: Final = st.builds("{}{}{}{}{}".format, dates, st.sampled_from("TTTTTt "), clocks, fractions, zones | offsets)


@settings(max_examples=150, deadline=None)
@given(st.lists(times, min_size=20, max_size=20), st.sampled_from([-1, NOW_MS]))
def test_times_are_read_as_datetime_reads_them(texts: list[str], timestamp_ms: int) -> None:
    """With any offset and on any day there is, and on none that there is not."""
    plain_rows([written(BASE | {"occurred_at": f'"{text}"'}) for text in texts], [timestamp_ms] * len(texts))


def test_each_month_of_four_centuries_ends_right() -> None:
    """Whatever the offset: month, year and day of the week are those of the event's own place."""
    noon = datetime(2000, 1, 1, 12, tzinfo=UTC)
    days = [noon + timedelta(number) for number in range(146_097 + 400)]
    texts = [day.isoformat() for day in days if not 3 <= day.day <= 26]
    texts = [text.replace("+00:00", ("Z", "+13:45", "-12:00")[row % 3]) for row, text in enumerate(texts)]
    values = [written(BASE | {"occurred_at": f'"{text}"'}) for text in texts]
    assert plain_rows(values, [-1] * len(values)) == list(range(len(values)))


digits: Final = st.text("0123456789", max_size=12) | st.text("0", max_size=7)
numbers: Final = st.builds(
    lambda sign, whole, decimals: sign + str(int(whole or "0")) + ("." + decimals if decimals else ""),
    st.sampled_from(["", "-"]),
    digits,
    digits,
) | st.floats(-1e7, 1e7).map(repr)
costs: Final = st.integers(0, 10**15).map(lambda number: repr(number / 10**9)) | numbers
limits: Final = st.sampled_from([LIMITS, Limits(5.0, 60), Limits(1e12, 60)])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(numbers, costs, numbers), min_size=20, max_size=20), limits)
@example([("0.5", "0.0000005", "1000000000"), ("-5", "0.0000015", "-999999999.999999")], LIMITS)
@example([("5.000001", "1000000", "0.000001"), ("5.000000", "1000000.00", "-0.0")], Limits(5.0, 60))
@example([("1000000000.5", "0", "1"), ("-1000000000", "0", "1"), ("0.0", "0.0", "0.0")], Limits(1e12, 60))
def test_numbers_are_the_nearest_doubles(rows: list[tuple[str, str, str]], limits: Limits) -> None:
    """To the last bit, and in millionths exactly."""
    values = [
        written(BASE | {"quantity": quantity, "unit_cost": cost, "new_stock_level": level})
        for quantity, cost, level in rows
    ]
    plain_rows(values, [NOW_MS] * len(values), limits)


@settings(max_examples=200, deadline=None)
@given(st.integers(1 - 10**15, 10**15 - 1), st.integers(0, 10**15 - 1), st.integers(9, 14))
def test_numbers_of_few_digits_are_taken(level: int, cost: int, decimals: int) -> None:
    """All of at most fifteen, six of them decimals of a quantity or level."""
    text = f"{'-' if level < 0 else ''}{abs(level) // 10**6}.{abs(level) % 10**6:06}"
    price = f"{cost // 10**decimals}.{cost % 10**decimals:0{decimals}}"
    assert is_plain(written(BASE | {"new_stock_level": text, "unit_cost": price}))


# Anything

odd_tokens: Final = st.sampled_from(
    ["null", "true", "7", "-1", "0.5", '""', '"x"', '"a b"', '"é"', '"\\n"', "[]", "{}", '"sale"', "1e3", "NaN", "01"]
)
ids: Final = st.text(st.sampled_from("aZ09-_/é߀Ж漢 \x7f\u0301"), max_size=6).map(lambda text: f'"{text}"')
tokens_of: Final[dict[str, st.SearchStrategy[str]]] = {
    **dict.fromkeys(("transaction_id", "store_id", "sku", "line_id", "corrects"), ids),
    **dict.fromkeys(("quantity", "new_stock_level"), numbers),
    "unit_cost": costs,
    "transaction_type": st.sampled_from([f'"{kind}"' for kind in SORTED_TYPES] + ["null"]),
    "occurred_at": times.map(lambda text: f'"{text}"'),
    "till": odd_tokens,
}
blanks: Final = st.sampled_from(["", "", " ", "\t", "\r\n  ", "\f", "\xa0"])


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A valid event, with some members of another kind, in any order, and some bytes changed."""
    tokens = dict(BASE)
    for name in draw(st.lists(st.sampled_from(list(tokens_of)), max_size=3)):
        tokens[name] = draw(tokens_of[name] | odd_tokens)
    members = draw(st.permutations(list(tokens.items())))
    blank = draw(blanks)
    text = f"{blank},{blank}".join(f'"{name}"{blank}:{blank}{token}' for name, token in members)
    value = bytearray(f"{blank}{{{blank}{text}{blank}}}{blank}".encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(value) - 1))
        change: Any = draw(st.sampled_from(["set", "insert", "delete", "cut"]))
        byte = draw(st.sampled_from(b'"\\{}[]:,.-+ 019nulteTZ\x00\x1f\x7f\x80\xbf\xc3\xd0\xff') | st.integers(0, 255))
        if change == "set":
            value[at] = byte
        elif change == "insert":
            value.insert(at, byte)
        elif change == "delete":
            del value[at]
        else:
            del value[at:]
        if not value:
            break
    return bytes(value)


@settings(max_examples=300, deadline=None)
@given(st.lists(events(), min_size=1, max_size=8), st.sampled_from([-1, NOW_MS]), limits)
def test_of_anything_only_valid_events_are_taken(values: list[bytes], timestamp_ms: int, limits: Limits) -> None:
    """Members exchanged and bytes broken: a value that is taken is valid, and read aright."""
    plain_rows(values, [timestamp_ms] * len(values), limits)


def test_one_changed_byte() -> None:
    """Each byte of an event in turn is each other byte."""
    whole = written(BASE | {"transaction_type": '"void"', "line_id": '"é"', "unit_cost": "1.25", "corrects": "null"})
    for at in range(len(whole)):
        values = [whole[:at] + bytes([byte]) + whole[at + 1 :] for byte in range(256)]
        assert whole[at] in plain_rows(values, [NOW_MS] * 256)
