"""Mutations of the members of an event's JSON object; each changes a draft in one respect."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from benchmarks.fuzzing import tokens
from schemas.dead_letter import EXPECTED
from schemas.transaction import Event

if TYPE_CHECKING:
    from random import Random

    from benchmarks.fuzzing.draft import Draft, Mutation, Surroundings

IDS: Final = ("transaction_id", "store_id", "sku", "line_id", "corrects")
NUMBERS: Final = ("quantity", "unit_cost", "new_stock_level")
FIELDS: Final = (*IDS, *NUMBERS, "transaction_type", "occurred_at")
_OWN_NAMES: Final = tuple(name for name in Event.__struct_fields__ if name not in EXPECTED)
"""Of the worker's struct and not of the contract: to an event these are unknown fields."""


def _number(_around: Surroundings, rng: Random, draft: Draft) -> None:
    text = tokens.number(rng)
    draft.put(rng.choice(NUMBERS), f'"{text}"' if rng.random() < 0.2 else text)


def _respelt_number(_around: Surroundings, rng: Random, draft: Draft) -> None:
    name = rng.choice(NUMBERS)
    place = draft.place(name)
    if place is not None:
        draft.fields[place] = (f'"{name}"', tokens.respelt(rng, draft.fields[place][1]))


def _bound(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Set a number to its own bound, or the least step beside it."""
    name, edge = rng.choice((("quantity", 1e6), ("quantity", 5.0), ("unit_cost", 1e6), ("new_stock_level", 1e9)))
    draft.put(name, tokens.beside(rng, edge * rng.choice((1, -1))))


def _decimals(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Give a number 5 to 8 decimals, of a size at which doubles are coarse or fine."""
    whole = rng.choice((0, 1, 999_999, 123_456_789, 999_999_999))
    draft.put(
        rng.choice(("quantity", "new_stock_level")),
        f"{rng.choice(('', '-'))}{whole}.{''.join(rng.choices('0123456789', k=rng.randint(5, 8)))}",
    )


def _time(_around: Surroundings, rng: Random, draft: Draft) -> None:
    name = "occurred_at" if rng.random() < 0.9 else "timestamp"
    draft.put(name, tokens.quoted(rng, tokens.time(rng)))


def _time_edit(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Change, drop or insert one or two characters of the time."""
    place = draft.place("occurred_at")
    if place is not None:
        text = draft.fields[place][1]
        at = rng.randrange(len(text))
        inserted = "".join(rng.choices("0123456789:-+.,TtZz W", k=rng.randrange(3)))
        draft.fields[place] = ('"occurred_at"', text[:at] + inserted + text[at + rng.randrange(3) :])


def _clock(around: Surroundings, rng: Random, draft: Draft) -> None:
    """Set the event to the bound on the future, or a microsecond beside it; or to the year 2000 likewise."""
    edge = draft.timestamp_ms * 1000 + around.clock_ahead_seconds * 1_000_000
    if rng.random() < 0.3:
        edge = 946_684_800_000_000
    us = edge + rng.choice((-1, 0, 1, -1000, 1000, 999, 1_000_000))
    if abs(us) > 250_000_000_000_000_000:
        return
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    offset = timezone(timedelta(minutes=rng.choice((0, 0, 60, -570, 1439, -1439))))
    draft.put("occurred_at", f'"{moment.astimezone(offset).isoformat()}"')


def _timestamp(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.timestamp_ms = rng.choice((-1, 0, 1, -2, 946_684_800_000, draft.timestamp_ms - 86_400_000, 2**53, 2**62))


def _identifier(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(IDS), tokens.quoted(rng, tokens.identifier(rng)))


def _number_id(_around: Surroundings, rng: Random, draft: Draft) -> None:
    whole = str(rng.randint(-(10 ** rng.choice((1, 3, 19, 40))), 10 ** rng.choice((1, 3, 19, 40))))
    draft.put(rng.choice(IDS), whole if rng.random() < 0.8 else tokens.number(rng))


def _padded_id(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Put white space around an id's text; the id stays the same."""
    place = draft.place(rng.choice(IDS))
    if place is not None:
        name, text = draft.fields[place]
        if text.startswith('"') and text.endswith('"') and len(text) > 1:
            space = json.dumps(rng.choice(tokens.WHITE_SPACE), ensure_ascii=rng.random() < 0.5)[1:-1]
            draft.fields[place] = (name, f'"{space}{text[1:-1]}{space}"')


def _kind(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put("transaction_type", tokens.quoted(rng, tokens.kind(rng)))


def _count(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put("transaction_type", '"count"')
    if rng.random() < 0.6:
        draft.put("quantity", "null")
    if rng.random() < 0.8:
        draft.put("new_stock_level", str(rng.randint(-5, 500)))


def _sign(_around: Surroundings, _rng: Random, draft: Draft) -> None:
    place = draft.place("quantity")
    if place is not None:
        text = draft.fields[place][1]
        draft.fields[place] = ('"quantity"', text[1:] if text.startswith("-") else f"-{text}")


def _type_swap(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(FIELDS), tokens.junk(rng))


def _null(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice(FIELDS), "null")


def _nested(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.put(rng.choice((*FIELDS, "unknown", "unknown")), tokens.nested(rng))


def _removed(_around: Surroundings, rng: Random, draft: Draft) -> None:
    if draft.fields:
        del draft.fields[rng.randrange(len(draft.fields))]


def _duplicated(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Write a member twice: with the same value, with another member's, or with junk; before or after itself."""
    if not draft.fields:
        return
    name, token = rng.choice(draft.fields)
    other = rng.choice((token, token, rng.choice(draft.fields)[1], tokens.junk(rng)))
    draft.fields.insert(rng.randint(0, len(draft.fields)), (name, other))


def _renamed(_around: Surroundings, rng: Random, draft: Draft) -> None:
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


def _unknown(_around: Surroundings, rng: Random, draft: Draft) -> None:
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


def _harmless(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Add what any reader skips, reorder, or space out."""
    form = rng.randrange(3)
    if form == 0:
        draft.fields.append(('"till"', rng.choice(("7", "null", '"x"', "[1,2]", '{"a":{}}'))))
    elif form == 1:
        rng.shuffle(draft.fields)
    else:
        draft.comma = rng.choice((" ,", ",\r\n", ",\t \t"))


def _respelt_text(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Write a string with other escapes: the same string."""
    place = rng.randrange(len(draft.fields) or 1)
    if not draft.fields:
        return
    name, token = draft.fields[place]
    if token.startswith('"') and token.isprintable() and "\\" not in token and len(token) > 1:
        draft.fields[place] = (name, tokens.quoted(rng, token[1:-1]))


def _spliced(around: Surroundings, rng: Random, draft: Draft) -> None:
    """Take some members of an earlier record."""
    if around.past:
        other = rng.choice(around.past).fields
        for name, token in rng.sample(other, min(len(other), rng.randint(1, 3))):
            place = next((at for at, (mine, _) in enumerate(draft.fields) if mine == name), None)
            if place is None:
                draft.fields.append((name, token))
            else:
                draft.fields[place] = (name, token)


GENTLE: Final[tuple[Mutation, ...]] = (
    _respelt_number,
    _harmless,
    _respelt_text,
    _padded_id,
    _number_id,
    _count,
    _kind,
)
"""Those that often leave the event valid."""

HARSH: Final[tuple[Mutation, ...]] = (
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
    _removed,
    _duplicated,
    _renamed,
    _unknown,
    _spliced,
)
