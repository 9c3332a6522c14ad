"""Mutants of the metadata of committed offsets, and an independent reading of what a reference is.

What is wrong to accept: text longer than 512 characters; text that is not one JSON object with the members of a
reference (others are ignored), each of its type and in its bounds, the checkpoint's offset not below the first one, its
offset and digest both there or both null; a place ("p") of other characters than `a-z0-9.:+-`, of more than 32, or
without a checkpoint; or a reference that does not read back equal once it is encoded again. What is right to accept is
everything else, however it is spelt, where it leaves room for all members in 512 bytes. Anything but
`UnreadableReferenceError` is a crash.
"""

from __future__ import annotations

import json
import re
import time
from random import Random
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fuzzing import tokens
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Found, Verdicts
from consumer.checkpoint.reference import Reference, UnreadableReferenceError, decode_reference

if TYPE_CHECKING:
    from collections.abc import Callable

EPISODE_CASES: Final = 1_000

_LONGEST: Final = 512
_LONGEST_SENTENCE: Final = 200
_LARGEST: Final = 2**63 - 1
_HEX: Final = re.compile("[0-9a-f]{16,64}").fullmatch
_PLACE_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.:+-")
_LONGEST_PLACE: Final = 32


def _is_digest(value: Any) -> bool:  # noqa: ANN401 -- whatever JSON holds
    return type(value) is str and _HEX(value) is not None


def _is_offset(value: Any) -> bool:  # noqa: ANN401 -- whatever JSON holds
    return type(value) is int and 0 <= value <= _LARGEST


_MEMBERS: Final[dict[str, Callable[[Any], bool]]] = {
    "o": lambda value: value is None or _is_offset(value),
    "d": lambda value: value is None or _is_digest(value),
    "t": lambda value: type(value) is str,
    "f": lambda value: type(value) is str,
    "h": lambda value: type(value) is str,
    "s": _is_offset,
    "n": _is_offset,
    "c": _is_digest,
    "v": lambda value: type(value) is int and value == 1,
}


def is_reference(text: str) -> bool | None:
    """Tell whether metadata is a reference; None where it holds what JSON parsers do not agree on."""
    if not 0 < len(text) <= _LONGEST:
        return False
    try:
        text.encode()
        found = json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return False
    if not isinstance(found, dict) or found.keys() < _MEMBERS.keys() or not found.keys() >= _MEMBERS.keys():
        return False
    if re.search(r"\\u[dD][89a-fA-F]", text) or any(type(value) is float for value in found.values()):
        return None  # a surrogate, lone or not; and whether 1.0 or 1e0 is an integer
    if len(text.encode()) > _LONGEST - len(',"a":null,"p":null'):
        return None  # written out in full, it may be too long
    is_sound = all(check(found[name]) for name, check in _MEMBERS.items()) and (found["o"] is None) is (
        found["d"] is None
    )
    adopted = found.get("a")
    is_sound = is_sound and (adopted is None or (_is_offset(adopted) and found["s"] <= adopted <= (found["o"] or -1)))
    return is_sound and _is_place(found.get("p"), found["o"]) and (found["o"] is None or found["s"] <= found["o"])


def _is_place(place: Any, checkpoint_offset: int | None) -> bool:  # noqa: ANN401 -- whatever JSON holds
    if place is None:
        return True
    is_text = type(place) is str and 0 < len(place) <= _LONGEST_PLACE and _PLACE_LETTERS.issuperset(place)
    return is_text and checkpoint_offset is not None


def judge_references(seed: int, episode: int, cases: int = EPISODE_CASES) -> Verdicts:
    """Decode mutants of honest metadata."""
    rng = Random(f"references:{seed}:{episode}")
    verdicts = Verdicts()
    for number in range(cases):
        mutation, text = _mutant(rng)
        wanted = is_reference(text)
        started = time.thread_time()
        verdict, problem = _judge(text, wanted)
        seconds = time.thread_time() - started
        if seconds > SLOWEST_SECONDS:
            problem = f"it took {seconds:.1f} s"
        verdicts.count(verdict, (mutation,), is_valid=verdict == "accepted", seconds=seconds)
        if problem is not None:
            where = f"seed {seed}, reference episode {episode}, case {number}, {mutation}"
            verdicts.found.append(Found(where, f"{problem}; {text!r:.1500}"))
    return verdicts


def _judge(text: str, wanted: bool | None) -> tuple[str, str | None]:
    """Return the verdict, and what is wrong with it."""
    try:
        reference = decode_reference(text)
    except UnreadableReferenceError as error:
        if wanted:
            return "refused", f"a good reference is refused: {error}"
        is_sentence = str(error).isprintable() and len(str(error)) <= _LONGEST_SENTENCE
        return "refused", None if is_sentence else f"the refusal is not one short sentence: {error}"
    except Exception as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        return "crashed", f"{type(error).__name__}: {error}"
    if wanted is False:
        return "accepted", f"{reference} is accepted"
    return "accepted", None if _again(reference) == reference else f"{reference} does not come back equal"


def _again(reference: Reference) -> Reference | None:
    try:
        return decode_reference(reference.encode())
    except (UnreadableReferenceError, AssertionError):
        return None


# --- mutants --------------------------------------------------------------------------------------------------------


def _mutant(rng: Random) -> tuple[str, str]:
    has_checkpoint = rng.random() < 0.7
    first = rng.choice((0, 5, 2**40))
    pairs = {
        "o": str(first + rng.randrange(10**6)) if has_checkpoint else "null",
        "d": f'"{rng.randbytes(32).hex()}"' if has_checkpoint else "null",
        "t": '"p0jLbwKqQ7mX3FZc9vT2Aw"',
        "f": f'"{rng.randbytes(32).hex()}"',
        "h": f'"{rng.randrange(2**32)}"',
        "s": str(first),
        "n": str(rng.randrange(10**9)),
        "c": f'"{rng.randbytes(8).hex()}"',
        "v": "1",
    }
    if rng.random() < 0.3:
        pairs["a"] = rng.choice(("null", pairs["o"], pairs["s"], "0", str(first + 10**6)))
    if rng.random() < 0.4:
        pairs["p"] = f'"{rng.randrange(10**12)}+{rng.randrange(1, 999)}"' if has_checkpoint else "null"
    mutation = rng.choice(list(_MUTATIONS))
    return mutation, _MUTATIONS[mutation](rng, pairs)


def _text(pairs: dict[str, str], comma: str = ",") -> str:
    return "{" + comma.join(f'"{name}":{token}' for name, token in pairs.items()) + "}"


def _number(rng: Random, pairs: dict[str, str]) -> str:
    edges = ("-1", "0", str(_LARGEST), str(_LARGEST + 1), str(2**64), "1.0", "1e0", "-0", "1" + "0" * 400)
    return _text(pairs | {rng.choice("osnva"): rng.choice(edges) if rng.random() < 0.7 else tokens.number(rng)})


def _digest(rng: Random, pairs: dict[str, str]) -> str:
    size = rng.choice((0, 15, 16, 17, 63, 64, 65, 300))
    letters = rng.choice(("0123456789abcdef", "0123456789abcdef", "0123456789ABCDEF", "0123456789abcdeg\n\u0661"))
    return _text(pairs | {rng.choice("dc"): json.dumps("".join(rng.choices(letters, k=size)))})


def _place(rng: Random, pairs: dict[str, str]) -> str:
    letters = rng.choice(("0123456789+", "abz09.:+-", "abcABC_/", "0+\n\u0661é"))
    return _text(pairs | {"p": json.dumps("".join(rng.choices(letters, k=rng.choice((0, 1, 31, 32, 33, 200)))))})


def _string(rng: Random, pairs: dict[str, str]) -> str:
    return _text(pairs | {rng.choice("tfh"): tokens.quoted(rng, tokens.identifier(rng))})


def _type(rng: Random, pairs: dict[str, str]) -> str:
    return _text(pairs | {rng.choice(list(pairs)): rng.choice((tokens.junk, tokens.nested, tokens.number))(rng)})


def _null(rng: Random, pairs: dict[str, str]) -> str:
    return _text(pairs | {rng.choice(list(pairs)): "null"})


def _removed(rng: Random, pairs: dict[str, str]) -> str:
    name = rng.choice(list(pairs))
    return _text({key: token for key, token in pairs.items() if key != name})


def _more(rng: Random, pairs: dict[str, str]) -> str:
    return _text(pairs | {rng.choice(("x", "", "O", "format", "é")): rng.choice((tokens.number, tokens.junk))(rng)})


def _twice(rng: Random, pairs: dict[str, str]) -> str:
    name = rng.choice(list(pairs))
    return _text({**pairs, f'{name}":{rng.choice((pairs[name], "null", "7"))},"{name}': pairs[name]})


def _spelling(rng: Random, pairs: dict[str, str]) -> str:
    names = list(pairs)
    rng.shuffle(names)
    return rng.choice(("", " ", "\n")) + _text(
        {name: pairs[name] for name in names}, rng.choice((",", ", ", "\t,\r\n"))
    )


def _padded(rng: Random, pairs: dict[str, str]) -> str:
    text = _text(pairs)
    return text + " " * (_LONGEST + rng.choice((-1, 0, 1, 2, 64)) - len(text))


def _damaged(rng: Random, pairs: dict[str, str]) -> str:
    text = _text(pairs)
    place = rng.randrange(len(text))
    inserted = rng.choice(("", "\0", "\ud800", "\udc00", "é", '"', "{", "}", "\\", " ", "0", "\x1f", "😀"))
    return text[:place] + inserted + text[place + rng.randrange(3) :]


def _other_text(rng: Random, pairs: dict[str, str]) -> str:
    text = _text(pairs)
    return rng.choice(
        (
            *(
                "",
                " ",
                "null",
                "1",
                "[]",
                "{}",
                '""',
                "\0",
                "checkpoint 7",
                "NaN",
                "[" * 512,
                "{" * 5000,
                "[" * 100_000,
            ),
            *(text * 2, text[: rng.randrange(len(text))], f"[{text}]", json.dumps(text), text + "\0", text + " " * 512),
            *('{"v":1}', '{"v":true}', '{"v":1.0}', '{"v":"1"}', '{"v":' + "[" * 400 + "]" * 400 + "}"),
        )
    )


def _untouched(_rng: Random, pairs: dict[str, str]) -> str:
    return _text(pairs)


_MUTATIONS: Final[dict[str, Callable[[Random, dict[str, str]], str]]] = {
    "untouched": _untouched,
    "number": _number,
    "digest": _digest,
    "place": _place,
    "string": _string,
    "type": _type,
    "null": _null,
    "removed": _removed,
    "one more": _more,
    "twice": _twice,
    "spelling": _spelling,
    "padded": _padded,
    "damaged": _damaged,
    "other text": _other_text,
}
