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
from consumer.learning.model_sections import (
    LENGTHS,
    MODELS,
    PICKLES,
    has_former_models,
    joined,
    model_sections,
    pickles_of,
)

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


def pickled(sections: dict[str, bytes]) -> dict[str, bytes]:
    """Return the pickle of each model in honest sections, by its key; of the former format, too."""
    if has_former_models(sections):
        former = pickle.loads(sections[MODELS])  # noqa: S301 -- our own
        return {key: pickle.dumps(model, protocol=5) for key, model in former.items()}
    return dict(pickles_of(sections))


def _put(sections: dict[str, bytes], pickled: dict[str, bytes]) -> None:
    sections.update({name: bytes(joined(body)) for name, body in model_sections(pickled).items()})


def _one(rng: Random, sections: dict[str, bytes], change: Callable[[bytes], bytes]) -> bytes:
    """Change the pickle of one model; return the new one."""
    found = pickled(sections)
    key = rng.choice(list(found))
    found[key] = change(found[key])
    _put(sections, found)
    return found[key]


def _models(rng: Random, sections: dict[str, bytes], change: Callable[[str, Any], tuple[str, Any]]) -> bool:
    """Change the models by scope, and pickle them as a worker would."""
    changed = [change(key, pickle.loads(data)) for key, data in pickled(sections).items()]  # noqa: S301 -- our own
    protocol = rng.choice((4, 5))
    _put(sections, {key: pickle.dumps(model, protocol=protocol) for key, model in changed})
    return True


def _opcodes(rng: Random, sections: dict[str, bytes]) -> bool:
    _one(rng, sections, lambda data: pickles.mutant(rng, data))
    return False


def _bytes_of_models(rng: Random, sections: dict[str, bytes]) -> bool:
    _one(rng, sections, lambda data: damaged(rng, data))
    return False


def _cuts_of_models(rng: Random, sections: dict[str, bytes]) -> bool:
    """Say of a byte that it is another model's."""
    lengths = [int.from_bytes(sections[LENGTHS][at : at + 4], "little") for at in range(0, len(sections[LENGTHS]), 4)]
    one, other = rng.randrange(len(lengths)), rng.randrange(len(lengths))
    by = rng.choice((1, 2, lengths[one]))
    lengths[one], lengths[other] = max(0, lengths[one] - by), lengths[other] + by
    sections[LENGTHS] = b"".join(each.to_bytes(4, "little") for each in lengths)
    return False


def _former(_rng: Random, sections: dict[str, bytes]) -> bool:
    """Write the models as state format 3 had them, for `--adopt-state`: one pickle of all."""
    models = {key: pickle.loads(data) for key, data in pickled(sections).items()}  # noqa: S301 -- our own
    del sections[LENGTHS], sections[PICKLES]
    sections[MODELS] = pickle.dumps(models, protocol=5)
    return True


def _opcodes_of_former(rng: Random, sections: dict[str, bytes]) -> bool:
    _former(rng, sections)
    sections[MODELS] = pickles.mutant(rng, sections[MODELS])
    return False


def _bytes_of_another(rng: Random, sections: dict[str, bytes]) -> bool:
    name = rng.choice([name for name in sections if name != PICKLES])
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


def _optimised(rng: Random, sections: dict[str, bytes]) -> bool:
    _one(rng, sections, pickletools.optimize)
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
    def changed(data: bytes) -> bytes:
        pieces = pickles.opcodes(data)
        floats = [place for place, piece in enumerate(pieces) if piece[:1] == b"G"]
        for place in rng.sample(floats, min(len(floats), 5)):
            number = rng.choice((rng.uniform(-1e9, 1e9), 0.0, 5e-324, 1.7e308, math.inf))
            pieces[place] = b"G" + struct.pack(">d", number)
        return b"".join(pieces)

    model = _one(rng, sections, changed)
    # A model may refuse numbers that are not finite, and guarded knows its pipeline's settings by heart.
    return b"gates" not in model and struct.pack(">d", math.inf) not in model


CONTENT: Final[dict[str, Callable[[Random, dict[str, bytes]], bool]]] = {
    "opcodes": _opcodes,
    "more opcodes": _opcodes,
    "bytes of the pickle": _bytes_of_models,
    "cuts between pickles": _cuts_of_models,
    "models of the former format": _former,
    "opcodes of the former format": _opcodes_of_former,
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
    if MODELS in sections:
        try:
            parts = [sections[MODELS]] if has_former_models(sections) else pickled(sections).values()
            named = {name for part in parts for name in pickles.names(part)}
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
