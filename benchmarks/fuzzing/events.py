"""Structure-aware mutants of input records: values as JSON tokens, keys, headers, Kafka timestamps, repeats, sizes."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.fuzzing import tokens
from consumer.record import Record
from schemas.dead_letter import EXPECTED
from schemas.transaction import Event

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from schemas.dead_letter import Headers

IDS: Final = ("transaction_id", "store_id", "sku", "line_id", "corrects")
NUMBERS: Final = ("quantity", "unit_cost", "new_stock_level")
FIELDS: Final = (*IDS, *NUMBERS, "transaction_type", "occurred_at")
_OWN_NAMES: Final = tuple(name for name in Event.__struct_fields__ if name not in EXPECTED)
"""Of the worker's struct and not of the contract: to an event these are unknown fields."""

_STORES: Final = ("330", "Käse", "s-7", "漢/1")
_SKUS: Final = tuple(f"sku{number}" for number in range(8))
_BEGIN: Final = datetime(2017, 1, 1, tzinfo=UTC)
_REMEMBERED: Final = 64
_HEADER_NAMES: Final = (
    *("error.reason", "error.attempts", "error.size.key", "error.", "error", "Error.reason", "x", "", "é", "trace-id"),
)
_HEADER_VALUES: Final = (
    *(None, b"", b"3", b"0", b"-1", b"+1", b" 1", b"12345678", b"999999", b"\xb2", b"\xff\xfe", b"not_json", b"\0"),
    "٣".encode(),
)


@dataclass(slots=True)
class Draft:
    """A record still in parts.

    Attributes:
        fields: (name, value) of the object's members, each as JSON text.
        comma: what stands between two members.
        ends: what stands before and after them.
        damage: what is done to the encoded value at last.
        is_value_none: the record is a tombstone.
    """

    fields: list[tuple[str, str]]
    timestamp_ms: int
    key: bytes | None
    headers: Headers | None = None
    comma: str = ","
    ends: tuple[str, str] = ("{", "}")
    damage: list[Callable[[bytes], bytes]] = field(default_factory=list)
    is_value_none: bool = False

    def copy(self) -> Draft:
        """Return a draft that can be changed apart from this one."""
        headers = None if self.headers is None else list(self.headers)
        return replace(self, fields=list(self.fields), headers=headers, damage=list(self.damage))

    def value(self) -> bytes | None:
        """Return the record's value."""
        if self.is_value_none:
            return None
        text = self.comma.join([f"{name}:{token}" for name, token in self.fields])
        value = f"{self.ends[0]}{text}{self.ends[1]}".encode("utf-8", "surrogatepass")
        for damage in self.damage:
            value = damage(value)
        return value

    def place(self, name: str) -> int | None:
        """Return where the member of this name stands, None where there is none."""
        quoted = f'"{name}"'
        return next((place for place, (written, _) in enumerate(self.fields) if written == quoted), None)

    def put(self, name: str, token: str) -> None:
        """Give a member this value, in its place or at the end."""
        place, pair = self.place(name), (f'"{name}"', token)
        if place is None:
            self.fields.append(pair)
        else:
            self.fields[place] = pair


class Mutant(NamedTuple):
    """One record, and the names of the mutations that made it."""

    record: Record
    mutations: tuple[str, ...]


class Mutator:
    """An endless shop in one partition, each of whose records is mutated one to four times.

    Args:
        rng: draws everything.
        partition: the partition that the records claim.
        limit: bytes above which a record is `too_large`; sizes are aimed at it.
        clock_ahead_seconds: the bound on the future, to be met and passed.
        first_offset: the first record's offset.
    """

    def __init__(
        self, rng: Random, *, partition: int, limit: int, clock_ahead_seconds: int, first_offset: int = 0
    ) -> None:
        self._rng = rng
        self._partition = partition
        self.limit = limit
        self.clock_ahead_seconds = clock_ahead_seconds
        self._offset = first_offset
        self._number = 0
        self._now = _BEGIN
        self.past: deque[Draft] = deque(maxlen=_REMEMBERED)

    def mutant(self) -> Mutant:
        """Return the next record."""
        rng = self._rng
        draft, mutations = self._base(), []
        if rng.random() < 0.12:
            name, draft = self._again(draft)
            mutations.append(name)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3)) if mutations else rng.choice((1, 1, 1, 1, 2, 2, 3, 4))):
            mutation = rng.choice(_GENTLE if rng.random() < 0.45 else MUTATIONS)
            mutation(self, rng, draft)
            mutations.append(mutation.__name__.strip("_"))
        self.past.append(draft)
        self._offset += 1 if rng.random() < 0.98 else rng.randint(2, 50)
        record = Record(self._partition, self._offset, draft.timestamp_ms, draft.key, draft.value(), draft.headers)
        return Mutant(record, tuple(mutations))

    def _base(self) -> Draft:
        """Return a valid event of the shop."""
        rng = self._rng
        self._number += 1
        self._now += timedelta(seconds=rng.randrange(900))
        occurred = self._now - timedelta(hours=rng.randrange(48)) if rng.random() < 0.1 else self._now
        if rng.random() < 0.2:
            occurred = occurred.astimezone(timezone(timedelta(minutes=rng.randrange(-1439, 1440))))
        store, sku = rng.choice(_STORES), rng.choice(_SKUS)
        is_sale = rng.random() < 0.8
        quantity = rng.randint(1, 12) if rng.random() < 0.7 else rng.randrange(10**7) / 1e6
        fields = [
            ('"transaction_id"', f'"t{self._number}"'),
            ('"store_id"', f'"{store}"'),
            ('"sku"', f'"{sku}"'),
            ('"quantity"', f"{-quantity if is_sale else quantity}"),
            ('"occurred_at"', f'"{occurred.isoformat()}"'),
        ]
        if rng.random() < 0.7:
            fields.append(('"new_stock_level"', str(rng.randint(-5, 400))))
        if rng.random() < 0.7:
            fields.append(('"transaction_type"', '"sale"' if is_sale else '"receipt"'))
        if rng.random() < 0.5:
            fields.append(('"unit_cost"', f"{rng.randrange(5000) / 100}"))
        if rng.random() < 0.3:
            fields.append(('"line_id"', f'"{rng.randrange(3)}"'))
        timestamp_ms = int(self._now.timestamp() * 1000) + rng.randrange(5000)
        return Draft(fields, timestamp_ms, store.encode())

    def _again(self, fresh: Draft) -> tuple[str, Draft]:
        """Return an earlier record once more: as it was, written otherwise, or contradicting itself."""
        rng = self._rng
        if not self.past:
            return "first", fresh
        draft = rng.choice(self.past).copy()
        draft.timestamp_ms = fresh.timestamp_ms
        form = rng.randrange(3)
        if form == 1:
            rng.shuffle(draft.fields)
            draft.comma = rng.choice((", ", ",\n\t", ","))
            return "reformatted_repeat", draft
        if form == 2:
            name = rng.choice(
                ("quantity", "unit_cost", "new_stock_level", "corrects", "transaction_type", "occurred_at")
            )
            draft.put(name, _other_content(rng, name))
            return "conflicting_repeat", draft
        return "repeat", draft


def _other_content(rng: Random, name: str) -> str:
    if name in NUMBERS:
        return rng.choice(("0", "-1", "2", "0.000001", '"3"', "null"))
    if name == "occurred_at":
        return f'"2017-01-0{rng.randint(1, 9)}T00:00:00.{rng.choice(("000001", "000002", "0000011"))}Z"'
    return rng.choice(('"sale"', '"receipt"', '"loan"', "null", '"t1"'))


# --- mutations: each changes a draft in one respect -----------------------------------------------------------------


def _number(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    text = tokens.number(rng)
    draft.put(rng.choice(NUMBERS), f'"{text}"' if rng.random() < 0.2 else text)


def _respelt_number(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    name = rng.choice(NUMBERS)
    place = draft.place(name)
    if place is not None:
        draft.fields[place] = (f'"{name}"', tokens.respelt(rng, draft.fields[place][1]))


def _bound(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Set a number to its own bound, or the least step beside it."""
    name, edge = rng.choice((("quantity", 1e6), ("quantity", 5.0), ("unit_cost", 1e6), ("new_stock_level", 1e9)))
    draft.put(name, tokens.beside(rng, edge * rng.choice((1, -1))))


def _decimals(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Give a number 5 to 8 decimals, of a size at which doubles are coarse or fine."""
    whole = rng.choice((0, 1, 999_999, 123_456_789, 999_999_999))
    draft.put(
        rng.choice(("quantity", "new_stock_level")),
        f"{rng.choice(('', '-'))}{whole}.{''.join(rng.choices('0123456789', k=rng.randint(5, 8)))}",
    )


def _time(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    name = "occurred_at" if rng.random() < 0.9 else "timestamp"
    draft.put(name, tokens.quoted(rng, tokens.time(rng)))


def _time_edit(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Change, drop or insert one or two characters of the time."""
    place = draft.place("occurred_at")
    if place is not None:
        text = draft.fields[place][1]
        at = rng.randrange(len(text))
        inserted = "".join(rng.choices("0123456789:-+.,TtZz W", k=rng.randrange(3)))
        draft.fields[place] = ('"occurred_at"', text[:at] + inserted + text[at + rng.randrange(3) :])


def _clock(mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Set the event to the bound on the future, or a microsecond beside it; or to the year 2000 likewise."""
    edge = draft.timestamp_ms * 1000 + mutator.clock_ahead_seconds * 1_000_000
    if rng.random() < 0.3:
        edge = 946_684_800_000_000
    us = edge + rng.choice((-1, 0, 1, -1000, 1000, 999, 1_000_000))
    if abs(us) > 250_000_000_000_000_000:
        return
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    offset = timezone(timedelta(minutes=rng.choice((0, 0, 60, -570, 1439, -1439))))
    draft.put("occurred_at", f'"{moment.astimezone(offset).isoformat()}"')


def _timestamp(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.timestamp_ms = rng.choice((-1, 0, 1, -2, 946_684_800_000, draft.timestamp_ms - 86_400_000, 2**53, 2**62))


def _identifier(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(IDS), tokens.quoted(rng, tokens.identifier(rng)))


def _number_id(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    whole = str(rng.randint(-(10 ** rng.choice((1, 3, 19, 40))), 10 ** rng.choice((1, 3, 19, 40))))
    draft.put(rng.choice(IDS), whole if rng.random() < 0.8 else tokens.number(rng))


def _padded_id(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Put white space around an id's text; the id stays the same."""
    place = draft.place(rng.choice(IDS))
    if place is not None:
        name, text = draft.fields[place]
        if text.startswith('"') and text.endswith('"') and len(text) > 1:
            space = json.dumps(rng.choice(tokens.WHITE_SPACE), ensure_ascii=rng.random() < 0.5)[1:-1]
            draft.fields[place] = (name, f'"{space}{text[1:-1]}{space}"')


def _kind(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put("transaction_type", tokens.quoted(rng, tokens.kind(rng)))


def _count(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put("transaction_type", '"count"')
    if rng.random() < 0.6:
        draft.put("quantity", "null")
    if rng.random() < 0.8:
        draft.put("new_stock_level", str(rng.randint(-5, 500)))


def _sign(_mutator: Mutator, _rng: Random, draft: Draft) -> None:
    place = draft.place("quantity")
    if place is not None:
        text = draft.fields[place][1]
        draft.fields[place] = ('"quantity"', text[1:] if text.startswith("-") else f"-{text}")


def _type_swap(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(FIELDS), tokens.junk(rng))


def _null(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(FIELDS), "null")


def _nested(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice((*FIELDS, "unknown", "unknown")), tokens.nested(rng))


def _removed(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    if draft.fields:
        del draft.fields[rng.randrange(len(draft.fields))]


def _duplicated(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Write a member twice: with the same value, with another member's, or with junk; before or after itself."""
    if not draft.fields:
        return
    name, token = rng.choice(draft.fields)
    other = rng.choice((token, token, rng.choice(draft.fields)[1], tokens.junk(rng)))
    draft.fields.insert(rng.randint(0, len(draft.fields)), (name, other))


def _renamed(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Write a member's name with escapes (the same name), in another case, with spaces, or swap two."""
    if not draft.fields:
        return
    place = rng.randrange(len(draft.fields))
    name, token = draft.fields[place]
    form = rng.randrange(5)
    if form == 0:
        name = tokens.quoted(rng, name[1:-1])
    elif form == 1:
        name = name.swapcase()
    elif form == 2:
        name = f'" {name[1:]}'
    elif form == 3:
        name = rng.choice(draft.fields)[0]
    elif name == '"occurred_at"':
        name = '"timestamp"'
    draft.fields[place] = (name, token)


def _unknown(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Add a member that the contract does not have, of whatever value; its name may be one of the worker's own."""
    name = rng.choice((*_OWN_NAMES, "till", "", "é", "Quantity", "timestamp", "__class__"))
    value = rng.choice((tokens.number, tokens.junk, tokens.nested, _unread, _moment))(rng)
    draft.fields.insert(rng.randint(0, len(draft.fields)), (f'"{name}"', value))


def _unread(rng: Random) -> str:
    """Return a string that a parser might pass over unread, in UTF-8 or not."""
    return tokens.quoted(rng, tokens.identifier(rng) if rng.random() < 0.7 else "\udfff")


def _moment(rng: Random) -> str:
    """Return an object with the members of the worker's own type, at times one more."""
    more = rng.choice(("", "", f',"more":{_unread(rng)}', f',"more":{tokens.junk(rng)}', f',"us":{tokens.number(rng)}'))
    return f'{{"us":{rng.randrange(10)},"day_of_week":1,"month":1,"year":{rng.randrange(3000)}{more}}}'


def _harmless(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Add what any reader skips, reorder, or space out."""
    form = rng.randrange(3)
    if form == 0:
        draft.fields.append(('"till"', rng.choice(("7", "null", '"x"', "[1,2]", '{"a":{}}'))))
    elif form == 1:
        rng.shuffle(draft.fields)
    else:
        draft.comma = rng.choice((" ,", ",\r\n", ",\t \t"))


def _respelt_text(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Write a string with other escapes: the same string."""
    place = rng.randrange(len(draft.fields) or 1)
    if not draft.fields:
        return
    name, token = draft.fields[place]
    if token.startswith('"') and token.isprintable() and "\\" not in token and len(token) > 1:
        draft.fields[place] = (name, tokens.quoted(rng, token[1:-1]))


def _spliced(mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Take some members of an earlier record."""
    if mutator.past:
        other = rng.choice(mutator.past).fields
        for name, token in rng.sample(other, min(len(other), rng.randint(1, 3))):
            place = next((at for at, (mine, _) in enumerate(draft.fields) if mine == name), None)
            if place is None:
                draft.fields.append((name, token))
            else:
                draft.fields[place] = (name, token)


def _structure(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Break or bend the object around the members."""
    draft.ends = rng.choice(
        (
            *(("[{", "}]"), ("{", ""), ("", "}"), ("{", ",}"), ("{,", "}"), ("{", "}}"), ("{", "} x"), ("{", "}{}")),
            *(
                (" {", "} "),
                ("\n\t{\r", "\n}\n"),
                ("\ufeff{", "}"),
                ("{", "}\0"),
                ("\v{", "}"),
                ("\xa0{", "}"),
                ("(", ")"),
            ),
        )
    )
    if rng.random() < 0.2:
        draft.comma = rng.choice((";", "", ",,", "\f,"))


def _bytes(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Flip bits, overwrite, insert, drop or double some bytes of the encoded value."""
    form, at, salt = rng.randrange(6), rng.random(), rng.randbytes(rng.randint(1, 4))
    length = rng.randint(1, 8)

    def damage(value: bytes) -> bytes:
        place = int(at * len(value))
        if form == 0:
            return (
                value[:place]
                + bytes(byte ^ (1 << length - 1) for byte in value[place : place + 1])
                + value[place + 1 :]
            )
        if form == 1:
            return value[:place] + salt + value[place + len(salt) :]
        if form == 2:
            return value[:place] + salt + value[place:]
        if form == 3:
            return value[:place] + value[place + length :]
        if form == 4:
            return value[:place] + value[place : place + length] * 2 + value[place + length :]
        return value[:place]

    draft.damage.append(damage)


_BAD_UTF8: Final = (
    *(
        b"\xff",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
    ),
    *(b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xc3", b"\xe6\xbc", b"\xf0\x9f\x98", b"\xef\xbf\xbe"),
)


def _utf8(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Put bytes that are no UTF-8 (overlong, surrogates, cut short) into a string, or anywhere."""
    bad, at = rng.choice(_BAD_UTF8), rng.random()

    def damage(value: bytes) -> bytes:
        place = value.find(b'"', int(at * len(value))) + 1
        return value[:place] + bad + value[place:]

    draft.damage.append(damage)


def _framed(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Put a Schema Registry's frame around the value, or half of one."""
    frame = rng.choice((b"\0" + rng.randbytes(4),) * 4 + (b"\0", b"\0\0\0\0", b"\x01" + rng.randbytes(4), b"\0" * 10))
    draft.damage.append(lambda value: frame + value)


def _no_value(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    form = rng.randrange(4)
    if form == 0:
        draft.is_value_none = True
    else:
        nothing = (b"", b"\0\0\0\0\x01", b" ")[form - 1]
        draft.damage.append(lambda _value: nothing)


def _key(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    place, sku = draft.place("sku"), b"x"
    if place is not None:
        sku = draft.fields[place][1].strip('"').encode("utf-8", "surrogatepass")
    key = draft.key or b""
    draft.key = rng.choice((None, b"", b"other", rng.randbytes(5), key + b":" + sku, key + b":", b"\0" + key, key * 40))


def _headers(_mutator: Mutator, rng: Random, draft: Draft) -> None:
    draft.headers = [(rng.choice(_HEADER_NAMES), rng.choice(_HEADER_VALUES)) for _ in range(rng.randrange(5))]


def _size(mutator: Mutator, rng: Random, draft: Draft) -> None:
    """Bring the record, or what its prediction repeats of it, to the limit on sizes, or a byte beside it."""
    aim = mutator.limit - 2048 + rng.choice((-40, -2, -1, 0, 1, 2, 40))
    form = rng.randrange(5)
    now = (
        len(draft.key or b"")
        + len(draft.value() or b"")
        + sum(len(n.encode()) + len(v or b"") for n, v in draft.headers or ())
    )
    missing = aim - now
    if missing <= 0:
        return
    if form == 0:
        draft.headers = [*(draft.headers or []), ("x", b"v" * max(0, missing - 1))]
    elif form == 1:
        draft.key = (draft.key or b"") + b"k" * missing
    elif form == 2:
        draft.ends = (draft.ends[0] + " " * missing, draft.ends[1])
    elif form == 3:  # the line's id is repeated in the prediction; a quote in it takes two bytes there
        letter = rng.choice(("x", '\\"', "\\\\", "é", "\\u00e9", "\\ud83d\\ude00"))
        draft.put("line_id", f'"{letter * max(1, missing // len(letter))}"')
    else:
        draft.put("occurred_at", f'"2017-01-01T00:00:00.{"0" * missing}Z"')


_GENTLE: Final = (
    *(_respelt_number, _harmless, _respelt_text, _padded_id, _key, _headers, _number_id, _count, _kind, _framed),
)
"""Mutations that often leave the event valid: at least a fifth of all mutants are to be."""

MUTATIONS: Final = (
    *_GENTLE,
    *(
        _number,
        _bound,
        _decimals,
        _time,
        _time_edit,
        _clock,
        _timestamp,
        _identifier,
        _sign,
        _type_swap,
        _null,
        _nested,
    ),
    *(_removed, _duplicated, _renamed, _unknown, _spliced, _structure, _bytes, _utf8, _no_value, _size),
)
