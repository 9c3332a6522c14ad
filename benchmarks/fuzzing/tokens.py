"""Texts at the edges of the contract: numbers, times, ids and other JSON, each drawn from a seeded generator.

Texts, not values: `1e0`, `1.0` and `"1"` are three ways to write one number, and a decoder may trip over each.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

WHITE_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u180e\u2060"
)
_CONTROLS: Final = "\0\x01\x07\b\x1b\x1c\x1d\x1e\x1f\x7f\x80\x85\x9f"
_SURROGATES: Final = "\ud800\udbff\udc00\udfff"
_LETTERS: Final = 'aZ09-_:./\\"é漢😀e\u0301\u200d\ufffd\uffff\U0010ffff\u0661ß'

_EDGES: Final = (0.0, 1e-6, 5e-7, 1.0, 999_999.999_999, 1e6, 999_999_999.999_999, 1e9, 2.0**53, 1e15, 1e16, 1e22, 1e308)
_STRANGE_NUMBERS: Final = (
    *("-0", "-0.0", "0e0", "-0e-0", "0E+0", "00", "01", "-01", "007", "+1", "1.", ".5", "-.5", "-", "1e", "1e+", "--1"),
    *("1e400", "-1e400", "1e-400", "5e-324", "1.7976931348623157e308", "1.7976931348623159e308", "0x1", "1_000", "1,5"),
    *("NaN", "-NaN", "nan", "Infinity", "-Infinity", "+Infinity", "inf", "1e999999999999999999999", "1E-99999999999"),
    *("9007199254740993", "18446744073709551616", "-9223372036854775809", "0.30000000000000004", "1\u066b5", "\uff11"),
)
_DAYS: Final = (
    *("2017-02-28", "2017-02-29", "2017-02-30", "2016-02-29", "2000-02-29", "1900-02-29", "2100-02-29", "2017-04-31"),
    *("2000-01-01", "1999-12-31", "0000-01-01", "0001-01-01", "9999-12-31", "2099-01-01", "2017-13-01", "2017-00-01"),
    *("2017-01-00", "2017-12-32", "2017-1-1", "17-01-01", "20170101--", "2017-W13-5", "2017-090", "+2017-3-31"),
)
_CLOCKS: Final = (
    *(
        "00:00:00",
        "23:59:59",
        "23:59:60",
        "23:59:60",
        "12:30:60",
        "00:00:60",
        "23:59:61",
        "24:00:00",
        "25:00:00",
        "12:60:00",
    ),
    *("12:00", "120000", "12:0000:", "12000000", "1:00:00", "12:00:0", "12-00-00", "-1:00:00", "12:00:00:00"),
)
_OFFSETS: Final = (
    *("Z", "z", "+00:00", "-00:00", "+14:00", "-12:00", "+23:59", "-23:59", "+24:00", "-24:00", "+23:60", "+01:60"),
    *("+0100", "+01", "+1:00", "", " Z", "Z ", "UTC", "+99:99", "ZZ", "+01:00:00", "+01:00:30", "\u221201:00"),
)
_TYPES: Final = (
    *("sale", "waste", "transfer_out", "return", "receipt", "transfer_in", "adjustment", "count", "void"),
    *("Sale", "SALE", " sale", "sale ", "counts", "loan", "", "\0", "null", "sale\0", "\uff53\uff41\uff4c\uff45"),
)
_JUNK: Final = (
    *("null", "true", "false", "0", "1", "-1", "1.5", "[]", "{}", '""', '" "', '"x"', "[null]", '{"a":1}', "NaN"),
    *("nul", "True", "undefined", "'x'", '"', '"\\"', '"\\x41"', '"\\u12"', "[", "{", "/**/1", '"\t"', '"\0"', "[1,]"),
)


def quoted(rng: Random, text: str) -> str:
    """Return a string's JSON, in one of the spellings that JSON has for it."""
    spelling = rng.random()
    if spelling < 0.6:
        return json.dumps(text, ensure_ascii=False)
    if spelling < 0.8:
        return json.dumps(text)
    return '"' + "".join(_escaped(rng, letter) for letter in text) + '"'


def _escaped(rng: Random, letter: str) -> str:
    if rng.random() < 0.5:
        return json.dumps(letter, ensure_ascii=rng.random() < 0.5)[1:-1]
    if letter == "/":
        return "\\/"
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{unit:04x}" if rng.random() < 0.5 else f"\\u{unit:04X}" for (unit,) in struct.iter_unpack(">H", units)
    )


def number(rng: Random) -> str:
    """Return a number's text: plain, at an edge, overlong, or nearly a number."""
    return rng.choice(_NUMBERS)(rng)


def _any_double(rng: Random) -> str:
    (double,) = struct.unpack("<d", rng.randbytes(8))
    return repr(double)


def beside(rng: Random, edge: float) -> str:
    """Return a number at an edge, or the least step beside it, of doubles or of decimals."""
    step = rng.randrange(7)
    if step < 3:
        return repr((edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf))[step])
    if step == 3:
        return f"{edge:.17g}"
    if abs(edge) >= 1e15:
        return str(int(edge) + rng.choice((-1, 1)))
    return f"{edge + rng.choice((-1, 1)) * (1e-6, 1e-7, 5e-7)[step - 4]:.7f}"


def _overlong(rng: Random) -> str:
    size = rng.choice((20, 40, 309, 400, 1100, 4299, 4300))
    form = rng.randrange(5)
    if form == 0:
        return f"{rng.randrange(100)}.{'0' * size}{rng.randrange(10)}"
    if form == 1:
        return f"1{'0' * size}e-{size}"
    if form == 2:
        return f"0.{'0' * size}1e{size + 1}"
    if form == 3:
        return "9" * rng.choice((17, size, 4299, 4300, 4301))
    return f"{rng.randint(-9, 9)}.{'9' * size}"


_NUMBERS: Final[tuple[Callable[[Random], str], ...]] = (
    lambda rng: str(rng.randint(-50, 50)),
    lambda rng: f"{rng.randint(-1_000_000, 1_000_000)}.{rng.randrange(10**6):06}",
    lambda rng: f"{rng.randint(-99, 99)}.{rng.randrange(10**7):07}",
    lambda rng: beside(rng, rng.choice(_EDGES) * rng.choice((1, -1))),
    lambda rng: rng.choice(_STRANGE_NUMBERS),
    lambda rng: f"{rng.randint(-999, 999)}{rng.choice('eE')}{rng.choice(('', '+', '-'))}{rng.randrange(13)}",
    _any_double,
    _overlong,
    lambda rng: f"{rng.uniform(-1000, 1000):.17g}",
    lambda rng: repr(rng.randint(-(10**9), 10**9) / 1e6),
)


def respelt(rng: Random, text: str) -> str:
    """Return a number's text in another spelling, of the same value where it is a plain one."""
    form = rng.randrange(6)
    if form == 0:
        return f'"{text}"'
    if form == 1:
        return f"{text}e0"
    if form == 2:
        return f"{text}0" if "." in text else f"{text}.0"
    if form == 3:
        return f"{text}{'' if '.' in text else '.'}{'0' * rng.choice((1, 5, 6, 7, 30))}"
    if form == 4:
        return f"-{text}" if not text.startswith("-") else text[1:]
    return f" {text}\t"


def time(rng: Random) -> str:
    """Return a date-time's text: at an edge of the calendar, of the clock, of an offset, or nearly one."""
    kind = rng.randrange(8)
    day = (
        rng.choice(_DAYS)
        if kind in {0, 4}
        else f"{rng.randint(1999, 2018)}-{rng.randint(1, 12):02}-{rng.randint(1, 31):02}"
    )
    clock = (
        rng.choice(_CLOCKS)
        if kind in {1, 4}
        else f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(61):02}"
    )
    offset = rng.choice(_OFFSETS) if kind in {2, 4} else rng.choice(("Z", "+00:00", "-05:00", "+13:45"))
    fraction = ""
    if kind == 3 or rng.random() < 0.2:
        digits = rng.choice((0, 1, 3, 6, 7, 9, 20, 300))
        fraction = rng.choice((".", ".", ".", ",")) + "".join(rng.choices("0123456789", k=digits))
    separator = rng.choice("Tt T_") if kind == 5 else "T"
    text = f"{day}{separator}{clock}{fraction}{offset}"
    return text.swapcase() if kind == 6 else text


def identifier(rng: Random) -> str:
    """Return an id: of odd letters, white space, control characters or surrogates, or at the bounds on its length."""
    kind = rng.randrange(8)
    if kind == 0:
        letter = rng.choice(("x", "é", "漢", "😀", " ", "\u3000"))
        return letter * rng.choice((63, 64, 65, 127, 128, 129, 300))
    text = "".join(rng.choices(_LETTERS, k=rng.randint(0, 6)))
    if kind <= 3:
        strange = (WHITE_SPACE, _CONTROLS, _SURROGATES)[kind - 1]
        place = rng.randint(0, len(text))
        return text[:place] + "".join(rng.choices(strange, k=rng.randint(1, 2))) + text[place:]
    if kind == 4:
        around = rng.choice(WHITE_SPACE)
        return around + text + around
    if kind == 5:
        return chr(rng.randrange(0x11_0000)) + text
    return text


def kind(rng: Random) -> str:
    """Return a transaction type's text, known or not."""
    return rng.choice(_TYPES)


def junk(rng: Random) -> str:
    """Return JSON of another type, or what is hardly JSON."""
    return rng.choice(_JUNK)


def nested(rng: Random) -> str:
    """Return nested JSON: around a parser's bound on depth, or with the contract's own names inside."""
    depth = rng.choice((1, 2, 50, 98, 99, 100, 101, 250, 2000))
    form = rng.randrange(4)
    if form == 0:
        return "[" * depth + "]" * depth
    if form == 1:
        return '{"a":' * depth + "1" + "}" * depth
    if form == 2:
        return "[" * depth + "]" * (depth - 1)
    return '{"sku":[{"quantity":7,"quantity":null}],"x":{"store_id":"a"}}'
