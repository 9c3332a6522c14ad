"""Changed content of checkpoints, and an independent reading of what may be in one."""

from __future__ import annotations

import math
import pickle
import pickletools
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.fuzzing import pickles
from consumer.learning.columns import NO_NUMBER
from consumer.learning.ledger_columns import ABSURD, COLUMNS, LEDGER, LedgerColumns

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random


def damaged(rng: Random, data: bytes) -> bytes:
    """Return bytes with one run of them changed, dropped, inserted, cut off or doubled."""
    place, salt = rng.randrange(len(data)), rng.randbytes(rng.randint(1, 5))
    return rng.choice(
        (
            data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :],
            data[:place] + salt + data[place + len(salt) :],
            data[:place] + salt + data[place:],
            data[:place] + data[place + len(salt) :],
            data[:place],
            data[place:],
            data + salt,
            data + data,
        )
    )


def _models(rng: Random, sections: dict[str, bytes], change: Callable[[str, Any], tuple[str, Any]]) -> bool:
    """Change the models by scope, and pickle them as a worker would."""
    models = pickle.loads(sections["models"])  # noqa: S301 -- our own
    changed = dict(change(scope, model) for scope, model in models.items())
    sections["models"] = pickle.dumps(changed, protocol=rng.choice((4, 5)))
    return True


def _opcodes(rng: Random, sections: dict[str, bytes]) -> bool:
    sections["models"] = pickles.mutant(rng, sections["models"])
    return False


def _bytes_of_models(rng: Random, sections: dict[str, bytes]) -> bool:
    sections["models"] = damaged(rng, sections["models"])
    return False


def _bytes_of_another(rng: Random, sections: dict[str, bytes]) -> bool:
    name = rng.choice([name for name in sections if name != "models"])
    sections[name] = damaged(rng, sections[name] or b"\0")
    return False


def _sections(rng: Random, sections: dict[str, bytes]) -> bool:
    """Drop, empty, swap or rename one."""
    name, swapped = rng.choice(list(sections)), rng.choice(list(sections.values()))
    body = sections.pop(name)
    other_name = rng.choice(("", "é", "models2", "x" * 1000))
    sections.update(rng.choice(({}, {name: b""}, {name: swapped}, {other_name: body})))
    return False


def _values(rng: Random, sections: dict[str, bytes]) -> bool:
    name, value = _plain_value(rng)
    is_raw = isinstance(value, bytes) and name not in {"progress", "invalid", LEDGER}
    sections[name] = value if is_raw else msgspec.msgpack.encode(value)
    return False


def _optimised(_rng: Random, sections: dict[str, bytes]) -> bool:
    sections["models"] = pickletools.optimize(sections["models"])
    return True


def _scopes(rng: Random, sections: dict[str, bytes]) -> bool:
    more = rng.choice(("", "é", "\0", "x" * 300))
    return _models(rng, sections, lambda scope, model: (f"{scope}{more}", model))


def _counts(rng: Random, sections: dict[str, bytes]) -> bool:
    learned = rng.choice((0, 1, 2**31, 2**53 - 1))

    def counted(scope: str, model: Any) -> tuple[str, Any]:  # noqa: ANN401 -- a model's state
        is_guarded = isinstance(model, dict)
        return scope, {**model, "events_learned": learned} if is_guarded else (model[0], learned)

    return _models(rng, sections, counted)


def _floats(rng: Random, sections: dict[str, bytes]) -> bool:
    pieces = pickles.opcodes(sections["models"])
    floats = [place for place, piece in enumerate(pieces) if piece[:1] == b"G"]
    for place in rng.sample(floats, min(len(floats), 5)):
        pieces[place] = b"G" + struct.pack(">d", rng.choice((rng.uniform(-1e9, 1e9), 0.0, 5e-324, 1.7e308, math.inf)))
    sections["models"] = b"".join(pieces)
    # A model may refuse numbers that are not finite, and guarded knows its pipeline's settings by heart.
    return b"gates" not in sections["models"] and struct.pack(">d", math.inf) not in sections["models"]


CONTENT: Final[dict[str, Callable[[Random, dict[str, bytes]], bool]]] = {
    "opcodes": _opcodes,
    "more opcodes": _opcodes,
    "bytes of the pickle": _bytes_of_models,
    "bytes of a plain section": _bytes_of_another,
    "sections": _sections,
    "values of plain sections": _values,
    "memo optimised": _optimised,
    "scopes renamed": _scopes,
    "other count of events": _counts,
    "other floats": _floats,
}
"""Each changes the sections in place, and tells whether they are what a worker could have written."""


def _plain_value(rng: Random) -> tuple[str, Any]:
    """Return a plain section and some value for it."""
    numbers: tuple[Any, ...] = (0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, None, "1", [], {})
    return rng.choice(
        (
            ("progress", [rng.choice(numbers), rng.choice(numbers), rng.choice(numbers), [b"12345678", b"", 0]]),
            ("progress", [60, 0, 60, [rng.choice((b"", b"x", None)), b"links", rng.choice(numbers)]]),
            (LEDGER, rng.choices(numbers, k=2)),
            (rng.choice(COLUMNS), rng.randbytes(rng.choice((0, 1, 2, 4, 8, 40)))),
            ("identities", rng.choice((b"", b"x" * 23, b"x" * 24, b"x" * 48, "text", None, [1]))),
            ("invalid", [rng.choice(numbers) for _ in range(3)]),
        )
    )


def wrongly_accepted(sections: dict[str, bytes], state: dict[str, Any]) -> str | None:
    """Return why a state should have been refused, None where it should not."""
    if "models" in sections:
        try:
            named = pickles.names(sections["models"])
        except Exception as error:  # noqa: BLE001 -- whatever the other reader makes of it
            return f"Python's own unpickler refuses what is accepted: {type(error).__name__}: {error}"
        foreign = sorted(name for name in named if not pickles.is_permitted(name))
        if foreign:
            return f"a pickle is accepted that names {foreign}"
    wrong = [name for name, check in _TYPES.items() if name in state and not check(state[name])]
    return f"plain sections of another type are accepted: {wrong}" if wrong else None


def _is_number(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**64


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "progress": lambda value: (
        type(value) is tuple
        and len(value) == 4
        and all(_is_number(each) for each in value[:3])
        and [type(each) for each in value[3]] == [bytes, bytes, int]
    ),
    "ledger": lambda value: (
        type(value) is LedgerColumns
        and {len(column) for column in value[1:-1]} == {len(set(value.items()))}
        and "".join(value.items()).encode() == value.keys.tobytes()
        and all(level == NO_NUMBER or abs(level) < ABSURD for level in value.levels.tolist())
    ),
    "identities": lambda value: len(bytes(value)) % 24 == 0,
    "invalid": lambda value: type(value) is list and all(_is_number(each) for each in value),
}
