"""Mutants of the environment, and an independent reading of the settings' documented bounds.

What is wrong to accept: a value outside its documented bounds, or of another form. What is right to accept: a plain
decimal within the bounds, an exact word, a name. Between them lies what the documents leave open, such as white space
around a number: either will do, as long as what comes out is within the bounds. Anything but a `SettingsError` is a
crash; its text is one line that names each refused variable, is short, and shows no secret.
"""

from __future__ import annotations

import os
import re
import time
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest.mock import patch

from benchmarks.fuzzing import tokens
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Found, Verdicts
from consumer.errors import SettingsError
from consumer.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

EPISODE_CASES: Final = 500
LONGEST_SENTENCE: Final = 700
"""Characters that the refusal of one variable may take."""

_SECRET: Final = "correct-horse-battery-staple"  # noqa: S105 -- no secret: what must not be shown
_PLAIN: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})").fullmatch
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,15})?").fullmatch
_TOPIC: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}").fullmatch
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]").search


class Rule(NamedTuple):
    """What is documented of one variable.

    Attributes:
        takes: whether a text must be accepted (True), must be refused (False), or either (None).
        is_within: whether a value that came out is within the bounds.
        edges: texts to try.
    """

    takes: Callable[[str], bool | None]
    is_within: Callable[[object], bool]
    edges: tuple[str, ...]


def _whole(least: int, most: int) -> Rule:
    def takes(text: str) -> bool | None:
        return least <= int(text) <= most if _PLAIN(text) else _unclear(text)

    edges = tuple(str(edge + step) for edge in (least, most) for step in (-1, 0, 1))
    return Rule(takes, lambda value: type(value) is int and least <= value <= most, edges)


def _real(least: float, most: float, *, with_least: bool) -> Rule:
    def is_within(value: object) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (least < value <= most or (with_least and value == least))  # type: ignore[operator]

    def takes(text: str) -> bool | None:
        return is_within(float(text)) if _DECIMAL(text) else _unclear(text)

    return Rule(
        takes, is_within, (*(f"{edge}{more}" for edge in (least, most) for more in ("", "1")), "0.5", "1", "nan")
    )


def _unclear(text: str) -> bool | None:
    """Tell that text without a single digit is no number; the rest the documents leave open."""
    return None if any(letter.isnumeric() for letter in text) else False


def _word(*words: str) -> Rule:
    return Rule(
        lambda text: True if text in words else None if text.strip().lower() in words else False,
        lambda value: isinstance(value, Enum) and value.value in words,
        (*words, words[0].upper(), f" {words[0]}", f"{words[0]},{words[-1]}"),
    )


def _topic() -> Rule:
    def is_topic(text: object) -> bool:
        return isinstance(text, str) and _TOPIC(text) is not None and text not in {".", ".."}

    return Rule(is_topic, is_topic, ("t", "a.b_c-D9", ".", "..", "x" * 249, "x" * 250, "a b", "ä", "a\n", "a/b"))


def _name() -> Rule:
    def is_name(text: object) -> bool:
        return isinstance(text, str) and 1 <= len(text) <= 200 and not _CONTROL(text) and _is_text(text)

    return Rule(is_name, is_name, ("g", "ä ö", "x" * 200, "x" * 201, "a\n", "\x7f", "\x1f", "..", "a/b", "😀" * 200))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_RULES: Final[dict[str, Rule]] = {
    "INPUT_TOPIC": _topic(),
    "OUTPUT_TOPIC": _topic(),
    "DEAD_LETTER_TOPIC": _topic(),
    "CONSUMER_GROUP": _name(),
    "INSTANCE_ID": _name(),
    "PROCESSING_GUARANTEE": _word("exactly_once", "at_least_once"),
    "MODEL_SCOPE": _word("partition", "store", "item"),
    "ON_GAP": _word("stop", "accept"),
    "COMMIT_INTERVAL_MS": _whole(1, 5_000),
    "METRICS_PORT": _whole(0, 65_535),
    "TRANSACTION_MAX_RECORDS": _whole(1, 1_000_000),
    "SEEN_IDS": _whole(1, 10_000_000),
    "ITEM_RETIRE_DAYS": _whole(1, 36_500),
    "INVALID_WINDOW_RECORDS": _whole(1, 10_000_000),
    "MAX_CLOCK_AHEAD_SECONDS": _whole(0, 1_000_000_000),
    "CHECKPOINT_KEEP": _whole(1, 1_000_000),
    "CHECKPOINT_BYTES_PER_SECOND": _whole(1, 10**12),
    "MAX_REPLAY_RECORDS": _whole(1, 10**15),
    "CHECKPOINT_INTERVAL_SECONDS": _real(0, 86_400, with_least=False),
    "SHUTDOWN_SECONDS": _real(0, 86_400, with_least=False),
    "MAX_INVALID_RATIO": _real(0, 1, with_least=True),
    "MAX_QUANTITY": _real(0, 1e6, with_least=False),
}


def judge_settings(seed: int, episode: int, cases: int = EPISODE_CASES) -> Verdicts:
    """Load settings from mutated environments."""
    rng = Random(f"settings:{seed}:{episode}")
    verdicts = Verdicts()
    for number in range(cases):
        changes, mutations = _environment(rng)
        started = time.thread_time()
        verdict, problem = _judge(changes)
        seconds = time.thread_time() - started
        if seconds > SLOWEST_SECONDS:
            problem = f"it took {seconds:.1f} s"
        verdicts.count(verdict, mutations, is_valid=verdict == "accepted", seconds=seconds)
        if problem is not None:
            where = f"seed {seed}, settings episode {episode}, case {number}"
            verdicts.found.append(Found(where, f"{problem}; {changes!r:.2000}"))
    return verdicts


def _judge(changes: dict[str, str]) -> tuple[str, str | None]:
    """Return the verdict, and what is wrong with it."""
    must = {name: _RULES[name].takes(text) for name, text in changes.items() if name in _RULES and text}
    refused = [name for name, takes in must.items() if takes is False]
    # A dictionary in its place: changing the process's own environment would race with whatever thread reads it.
    with patch.object(os, "environ", {"CHECKPOINT_SIGNING_KEY": _SECRET, **changes}):
        try:
            settings = load()
        except SettingsError as error:
            return "refused", _wrong_refusal(str(error), changes, must)
        except Exception as error:  # noqa: BLE001 -- whatever it is: the operator would get a traceback
            return "crashed", f"{type(error).__name__}: {error}"
    if refused:
        return "accepted", f"accepted in spite of {refused}"
    outside = [name for name, rule in _RULES.items() if not rule.is_within(getattr(settings, name.lower()))]
    return "accepted", f"{outside} came out beyond their bounds" if outside else _of_use(settings)


def _wrong_refusal(sentence: str, changes: dict[str, str], must: dict[str, bool | None]) -> str | None:
    if all(must.values()) and _is_text("".join(changes.values())):
        return f"everything is within the bounds, and refused: {sentence}"
    if not sentence.isprintable() or len(sentence) > LONGEST_SENTENCE * len(changes):
        return f"the refusal is not one short line: {sentence!r}"
    unnamed = [name for name, takes in must.items() if takes is False and f"{name}=" not in sentence]
    if unnamed:
        return f"the refusal does not name {unnamed}: {sentence}"
    return "the refusal shows a secret" if _SECRET in sentence else None


def _of_use(settings: Settings) -> str | None:
    """Return what goes wrong with settings that were accepted, where they are first used."""
    try:
        settings.signing_key()
        settings.checkpoint_location()
    except SettingsError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever it is: the operator would get a traceback
        return f"accepted, and in use {type(error).__name__}: {error}"
    return None


# --- mutants --------------------------------------------------------------------------------------------------------


def _environment(rng: Random) -> tuple[dict[str, str], list[str]]:
    changes, mutations = {}, []
    for name in rng.sample(list(_RULES), rng.choice((1, 1, 1, 1, 2, 3))):
        mutation = rng.choice((*_MUTATIONS, "edge", "edge", "edge"))
        changes[name] = _as_delivered(_MUTATIONS[mutation](rng, name))
        mutations.append(mutation)
    if rng.random() < 0.1:
        name = rng.choice(("CHECKPOINT_URL", "KAFKA_BOOTSTRAP_SERVERS", "MODEL", "ML_MODEL_PATH"))
        changes[name] = _as_delivered(tokens.identifier(rng))
        mutations.append("free text")
    if rng.random() < 0.05:
        changes["CHECKPOINT_SIGNING_KEY"] = _SECRET + _as_delivered(tokens.identifier(rng))
        mutations.append("free text")
    return changes, mutations


def _as_delivered(text: str) -> str:
    """Return a text as an environment delivers it: without NUL, and what is no UTF-8 in surrogates."""
    return os.fsdecode(text.replace("\0", "").encode("utf-8", "surrogatepass"))


_MUTATIONS: Final[dict[str, Callable[[Random, str], str]]] = {
    "edge": lambda rng, name: rng.choice(_RULES[name].edges),
    "edge of another": lambda rng, _: rng.choice(_RULES[rng.choice(list(_RULES))].edges),
    "whole number": lambda rng, _: str(rng.randint(0, 10 ** rng.randint(1, 20))),
    "number": lambda rng, _: tokens.number(rng),
    "text": lambda rng, _: tokens.identifier(rng),
    "white space": lambda rng, name: rng.choice((" ", "\t", "\n", "\u3000")) + rng.choice(_RULES[name].edges),
    "junk": lambda rng, _: tokens.junk(rng),
    "huge": lambda rng, _: rng.choice(("9", "x", "é", "\ud800", "1.")) * rng.choice((300, 5_000, 100_000)),
    "bytes": lambda rng, _: os.fsdecode(rng.randbytes(5)),
}
