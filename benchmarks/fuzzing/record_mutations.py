"""Mutations of a record around the members of its JSON object: structure, bytes, frame, key, headers, size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from benchmarks.fuzzing.draft import Draft, Mutation, Surroundings

_HEADER_NAMES: Final = (
    *("error.reason", "error.attempts", "error.size.key", "error.", "error", "Error.reason", "x", "", "é", "trace-id"),
)
_HEADER_VALUES: Final = (
    *(None, b"", b"3", b"0", b"-1", b"+1", b" 1", b"12345678", b"999999", b"\xb2", b"\xff\xfe", b"not_json", b"\0"),
    "٣".encode(),
)


def _structure(_around: Surroundings, rng: Random, draft: Draft) -> None:
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


def _bytes(_around: Surroundings, rng: Random, draft: Draft) -> None:
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


def _utf8(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Put bytes that are no UTF-8 (overlong, surrogates, cut short) into a string, or anywhere."""
    bad, at = rng.choice(_BAD_UTF8), rng.random()

    def damage(value: bytes) -> bytes:
        place = value.find(b'"', int(at * len(value))) + 1
        return value[:place] + bad + value[place:]

    draft.damage.append(damage)


def _framed(_around: Surroundings, rng: Random, draft: Draft) -> None:
    """Put a Schema Registry's frame around the value, or half of one."""
    frame = rng.choice((b"\0" + rng.randbytes(4),) * 4 + (b"\0", b"\0\0\0\0", b"\x01" + rng.randbytes(4), b"\0" * 10))
    draft.damage.append(lambda value: frame + value)


def _no_value(_around: Surroundings, rng: Random, draft: Draft) -> None:
    form = rng.randrange(4)
    if form == 0:
        draft.is_value_none = True
    else:
        nothing = (b"", b"\0\0\0\0\x01", b" ")[form - 1]
        draft.damage.append(lambda _value: nothing)


def _key(_around: Surroundings, rng: Random, draft: Draft) -> None:
    place, sku = draft.place("sku"), b"x"
    if place is not None:
        sku = draft.fields[place][1].strip('"').encode("utf-8", "surrogatepass")
    key = draft.key or b""
    draft.key = rng.choice((None, b"", b"other", rng.randbytes(5), key + b":" + sku, key + b":", b"\0" + key, key * 40))


def _headers(_around: Surroundings, rng: Random, draft: Draft) -> None:
    draft.headers = [(rng.choice(_HEADER_NAMES), rng.choice(_HEADER_VALUES)) for _ in range(rng.randrange(5))]


def _size(around: Surroundings, rng: Random, draft: Draft) -> None:
    """Bring the record, or what its prediction repeats of it, to the limit on sizes, or a byte beside it."""
    aim = around.limit - 2048 + rng.choice((-40, -2, -1, 0, 1, 2, 40))
    form = rng.randrange(6)
    headers = sum(10 + len(name.encode()) + len(value or b"") for name, value in draft.headers or ())
    now = len(draft.key or b"") + len(draft.value() or b"") + headers
    missing = aim - now
    if missing <= 0:
        return
    if form == 0:
        draft.headers = [*(draft.headers or []), ("x", b"v" * max(0, missing - 11))]
    elif form == 1:
        draft.key = (draft.key or b"") + b"k" * missing
    elif form == 2:
        draft.ends = (draft.ends[0] + " " * missing, draft.ends[1])
    elif form == 3:  # the line's id is repeated in the prediction; a quote in it takes two bytes there
        letter = rng.choice(("x", '\\"', "\\\\", "é", "\\u00e9", "\\ud83d\\ude00"))
        draft.put("line_id", f'"{letter * max(1, missing // len(letter))}"')
    elif form == 4:
        draft.headers = [*(draft.headers or []), *[("", None)] * ((missing + rng.choice((0, 9))) // 10)]
    else:
        draft.put("occurred_at", f'"2017-01-01T00:00:00.{"0" * missing}Z"')


GENTLE: Final[tuple[Mutation, ...]] = (
    _key,
    _headers,
    _framed,
)
"""Those that often leave the event valid."""

HARSH: Final[tuple[Mutation, ...]] = (
    _structure,
    _bytes,
    _utf8,
    _no_value,
    _size,
)
