"""Mutants of checkpoint files: changed bytes, and changed content under a digest and a signature that fit it.

What is wrong to accept, written down:

- A file of which any byte differs from what was sealed, or that was sealed with another key, or with one where none
  is expected, or with none where one is: `unseal` refuses it with `EnvelopeError`, whatever stands in it.
- Under a digest and a signature that fit: `unseal` gives back exactly the sections that were sealed. A pickle that
  names anything but River's classes for regressors and the standard types of `pickles.is_permitted` is refused with
  `UnsafePickleError`; so is a plain section that is not of its type. No class of River's may be changed by reading.
- `PartitionTask.restore` takes the state or raises the `KeyError` or `ValueError` that it documents.

What is right to refuse is anything else; what Python's pickler writes of such a model, and an untouched file under its
own key, must be accepted, with an equal state. That a state of a valid signature makes sense nobody can promise.
"""

from __future__ import annotations

import pickle
import pickletools
import sys
import time
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from river import compose, linear_model, neighbors, optim, preprocessing, rules, tree

from benchmarks.fuzzing import pickles
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Found, Verdicts
from consumer.checkpoint.envelope import EnvelopeError, Identity, seal, unseal
from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, decode_sections
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.model import ModelScope
from consumer.learning.regressor import RegressorKind, train_model
from consumer.learning.task import PartitionTask
from consumer.record import Record
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.model import ModelKind

EPISODE_CASES: Final = 250

_KEYS: Final = (None, b"k" * 32, b"another key", b"\0")
_ADMITTED: Final = Admitted()
_IDENTITY: Final = Identity("group", "sales", "topic-id", "0123456789ab", "f" * 64, "0", {"MODEL": "linear", "n": [1]})


def _scaled(regressor: Any) -> Any:  # noqa: ANN401 -- River's have no common type here
    return compose.Pipeline(("scale", preprocessing.StandardScaler()), ("model", regressor))


_MODELS: Final[dict[str, Callable[[], Any]]] = {
    "adam": lambda: _scaled(linear_model.LinearRegression(optimizer=optim.Adam(0.01))),
    "passive": lambda: _scaled(linear_model.PARegressor()),
    "tree": lambda: tree.HoeffdingTreeRegressor(grace_period=20),
    "rules": lambda: rules.AMRules(n_min=20),
    "adaptive": lambda: tree.HoeffdingAdaptiveTreeRegressor(grace_period=20, seed=1),
    "neighbours": lambda: neighbors.KNNRegressor(n_neighbors=2),
}


class Honest(NamedTuple):
    """A checkpoint as a worker would have written it.

    Attributes:
        name: of its model.
        sections: the task's snapshot.
        kind: makes the models, to restore it.
    """

    name: str
    sections: dict[str, bytes]
    kind: ModelKind


@cache
def honest() -> tuple[Honest, ...]:
    """Return checkpoints of several models and scopes, each after some dozens of events."""
    events = list(synthetic_events(seed=1, skus=5, limit=60))
    made = []
    for scope in (ModelScope.PARTITION, ModelScope.STORE):
        task = _task(RegressorKind(get_ml_pipeline, {}), scope)
        for offset, event in enumerate(events):
            task.process(Record(0, offset, event.timestamp_ms, event.key, event.value))
        made.append(Honest(f"linear, one for each {scope.value}", task.snapshot(), RegressorKind(get_ml_pipeline, {})))
    for name, factory in _MODELS.items():
        model = factory()
        for event in events:
            transaction = decode(event.value, -1, Limits())
            train_model(model, transaction, transaction.new_stock_level or 0.0)
        models = pickle.dumps({"": (model, len(events))}, protocol=5)
        made.append(Honest(name, {**made[0].sections, "models": models}, RegressorKind(factory, {})))
    return tuple(made)


def _task(kind: ModelKind, scope: ModelScope = ModelScope.PARTITION) -> PartitionTask:
    return PartitionTask(
        topic="sales",
        partition=0,
        first_offset=0,
        settings=LearningSettings("linear", scope, 50, 100, Limits()),
        model_id="0123456789ab",
        model_kind=kind,
        partitions=1,
    )


# --- files ----------------------------------------------------------------------------------------------------------


def judge_checkpoints(seed: int, episode: int, cases: int = EPISODE_CASES) -> Verdicts:
    """Unseal, decode and restore mutants, every other one sealed anew."""
    rng = Random(f"checkpoints:{seed}:{episode}")
    verdicts = Verdicts()
    before = _classes()
    for number in range(cases):
        origin = rng.choice(honest())
        started = time.thread_time()
        if number % 2:
            mutation, verdict, is_valid, problem = _judge_resealed(rng, origin)
        else:
            mutation, verdict, is_valid, problem = _judge_file(rng, origin)
        seconds = time.thread_time() - started
        verdicts.count(verdict, (mutation,), is_valid=is_valid, seconds=seconds)
        if seconds > SLOWEST_SECONDS:
            problem = f"it took {seconds:.1f} s"
        if problem is not None:
            where = f"seed {seed}, checkpoint episode {episode}, case {number}, {mutation} of {origin.name}"
            verdicts.found.append(Found(where, problem))
    changed = _changes(before)
    if changed:
        verdicts.found.append(Found(f"seed {seed}, checkpoint episode {episode}", f"classes were changed: {changed}"))
    return verdicts


Judgement = tuple[str, str, bool, str | None]
"""(mutation, verdict, whether it is valid, what is wrong with the verdict)."""


def _judge_file(rng: Random, origin: Honest) -> Judgement:
    """Change a sealed file, or read it under another key."""
    key, other = rng.choice(_KEYS), rng.choice(_KEYS)
    data = seal(_IDENTITY, 0, 60, origin.sections, key)[1]
    mutation = rng.choice(("untouched", "untouched", "other key", "bytes", "bytes", "length", "header", "spliced"))
    changed, read_with = data, key
    if mutation == "other key":
        read_with = other
    elif mutation == "bytes":
        changed = _bytes(rng, data)
    elif mutation == "length":
        place = rng.randrange(20)
        changed = data[:place] + rng.randbytes(rng.choice((1, 2, 4))) + data[place + rng.choice((1, 2, 4)) :]
    elif mutation == "header":
        text = rng.choice((b'"', b":", b",", b"0", b"sales", b"name", b"{", b"digest", b"offset", b"60", b"group"))
        changed = data.replace(text, rng.choice((b"", b" " + text, text * 2, b"\0", b"1", b"null")), rng.choice((1, 1, 2, -1)))
    elif mutation == "spliced":
        another = seal(_IDENTITY, 0, 61, rng.choice(honest()).sections, other)[1]
        place = rng.randrange(min(len(data), len(another)))
        changed = data[:place] + another[place:]
    is_valid = changed == data and read_with == key
    try:
        _, sections = unseal(changed, read_with)
    except EnvelopeError:
        return mutation, "refused by the envelope", False, "an untouched file is refused" if is_valid else None
    except Exception as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        return mutation, "crashed", False, f"{type(error).__name__}: {error}; file {changed.hex()[:2000]}"
    problem = None if is_valid and sections == origin.sections else f"a changed file is accepted: {changed.hex()[:2000]}"
    return mutation, "accepted", is_valid, problem


def _bytes(rng: Random, data: bytes) -> bytes:
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


# --- content --------------------------------------------------------------------------------------------------------


def _judge_resealed(rng: Random, origin: Honest) -> Judgement:
    """Change the content and seal it anew, with digest and signature."""
    mutation, sections, is_honest = _content(rng, origin)
    key = rng.choice(_KEYS)
    try:
        _, unsealed = unseal(seal(_IDENTITY, 0, 60, sections, key)[1], key)
    except EnvelopeError as error:
        return mutation, "refused by the envelope", False, f"a sealed file is refused: {error}"
    shown = "; ".join(f"{name}: {body.hex()[:1500]}" for name, body in sections.items() if body != origin.sections.get(name))
    if unsealed != sections:
        return mutation, "accepted", False, f"other sections come out than were sealed: {shown}"
    try:
        state = decode_sections(unsealed, _ADMITTED)
    except UnsafePickleError as error:
        problem = f"an honest state is refused: {error}; {shown}" if is_honest else None
        return mutation, "refused by the unpickler", False, problem
    except BaseException as error:  # noqa: BLE001 -- compiled code raises what is no Exception
        return mutation, "crashed", False, f"{type(error).__name__}: {error}; {shown}"
    problem = _wrongly_accepted(sections, state)
    if problem is not None:
        return mutation, "accepted", False, f"{problem}; {shown}"
    try:
        _task(origin.kind).restore(state)
    except (KeyError, ValueError) as error:
        problem = f"an honest state cannot be restored: {error!r}; {shown}" if is_honest else None
        return mutation, "refused by the task", False, problem
    except Exception as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        return mutation, "crashed", False, f"restore raised {type(error).__name__}: {error}; {shown}"
    return mutation, "accepted", True, None


def _content(rng: Random, origin: Honest) -> tuple[str, dict[str, bytes], bool]:
    """Return a name for the change, the changed sections, and whether they are what a worker could have written."""
    sections = dict(origin.sections)
    kind = rng.randrange(10)
    if kind <= 1:
        sections["models"] = pickles.mutant(rng, sections["models"])
        return "opcodes", sections, False
    if kind == 2:
        sections["models"] = _bytes(rng, sections["models"])
        return "bytes of the pickle", sections, False
    if kind == 3:
        name = rng.choice([name for name in sections if name != "models"])
        sections[name] = _bytes(rng, sections[name] or b"\0")
        return f"bytes of {name}", sections, False
    if kind == 4:
        name = rng.choice(list(sections))
        other = rng.choice(("drop", "empty", "swap", "rename"))
        body = sections.pop(name)
        if other == "empty":
            sections[name] = b""
        elif other == "swap":
            sections[name] = rng.choice(list(origin.sections.values()))
        elif other == "rename":
            sections[rng.choice(("", "é", "models2", "x" * 1000))] = body
        return "sections", sections, sections == origin.sections
    if kind == 5:
        name, value = _plain_value(rng)
        sections[name] = msgspec.msgpack.encode(value)
        return "values of plain sections", sections, False
    if kind == 6:
        sections["models"] = pickletools.optimize(sections["models"])
        return "memo optimised", sections, True
    models = pickle.loads(sections["models"])  # noqa: S301 -- our own
    if kind == 7:
        models = {f"{scope}{rng.choice(('', 'é', chr(0)))}{rng.randrange(9)}": model for scope, model in models.items()}
        sections["models"] = pickle.dumps(models, protocol=rng.choice((4, 5)))
        return "scopes renamed", sections, True
    if kind == 8:
        models = {scope: (model, rng.choice((0, 1, 2**31, 2**63, 2**80))) for scope, (model, _) in models.items()}
        sections["models"] = pickle.dumps(models, protocol=rng.choice((4, 5)))
        return "other count of events", sections, True
    pieces = pickles.opcodes(pickle.dumps(models, protocol=5))
    floats = [place for place, piece in enumerate(pieces) if piece[:1] == b"G"]
    for place in rng.sample(floats, min(len(floats), 5)):
        pieces[place] = b"G" + rng.randbytes(8)
    sections["models"] = b"".join(pieces)
    return "other floats", sections, bool(floats)


def _plain_value(rng: Random) -> tuple[str, Any]:
    """Return a plain section and some value for it."""
    numbers = (0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 1.5, None, "1", [], {})
    return rng.choice(
        (
            ("progress", [rng.choice(numbers), rng.choice(numbers), rng.choice(numbers), [b"12345678", b"", 0]]),
            ("progress", [60, 0, 60, [rng.choice((b"", b"x", None)), b"links", rng.choice(numbers)]]),
            ("ledger", {rng.choice(("a\x1fb", "", "\x1f", "é")): [rng.choice(numbers), rng.choice(numbers)]}),
            ("identities", rng.choice((b"", b"x" * 23, b"x" * 24, b"x" * 48, "text", None, [1]))),
            ("invalid", [rng.choice(numbers) for _ in range(3)]),
        )
    )


def _wrongly_accepted(sections: dict[str, bytes], state: dict[str, Any]) -> str | None:
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
        type(value) is dict
        and all(
            type(item) is str and len(entry) == 2 and (entry[0] is None or _is_number(entry[0])) and _is_number(entry[1])
            for item, entry in value.items()
        )
    ),
    "identities": lambda value: type(value) is bytes,
    "invalid": lambda value: type(value) is list and all(_is_number(each) for each in value),
}


def _classes() -> dict[type, dict[str, Any]]:
    """Return River's classes that are loaded now, with what they consist of."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("river.")]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    return {each: dict(vars(each)) for each in found if each.__module__.startswith("river.")}


def _changes(before: dict[type, dict[str, Any]]) -> list[str]:
    return [
        f"{each.__module__}.{each.__qualname__}.{name}"
        for each, members in before.items()
        for name in members.keys() | vars(each).keys()
        if name not in {"__doc__", "_abc_impl", "__abstractmethods__"} and members.get(name) is not vars(each).get(name)
    ]
