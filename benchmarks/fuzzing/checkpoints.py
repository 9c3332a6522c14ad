"""Mutants of checkpoint files: changed bytes, and changed content under a digest and a signature that fit it.

What is wrong to accept, written down:

- A file of which any byte differs from what was sealed, or that was sealed with another key, or with one where none
  is expected, or with none where one is: `unseal` refuses it with `EnvelopeError`, whatever stands in it.
- A checkpoint that shares shards, of whose files any byte differs, or one is missing or another one's: it is refused
  with `EnvelopeError` or `MissingCheckpointError`; and so is one whose header, under a digest and a signature that fit,
  asks for other shards, from other parents, or for more than they hold, unless the state that comes out is the same.
- Under a digest and a signature that fit: `unseal` gives back exactly the sections that were sealed. A pickle that
  names anything but River's classes for regressors and the standard types of `pickles.is_permitted` is refused with
  `UnsafePickleError`; so is a plain section that is not of its type. No class of River's may be changed by reading.
- `PartitionTask.restore` takes the state or raises the `KeyError` or `ValueError` that it documents.

What is right to refuse is anything else; what Python's pickler writes of such a model, and an untouched file under its
own key, must be accepted, with an equal state. That a state of a valid signature makes sense nobody can promise.
"""

from __future__ import annotations

import pickle
import sys
import time
from random import Random
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fuzzing.chains import judge_chain
from benchmarks.fuzzing.content import CONTENT, damaged, pickled, wrongly_accepted
from benchmarks.fuzzing.honest import honest, new_task
from benchmarks.fuzzing.verdicts import SLOWEST_SECONDS, Found, Verdicts
from consumer.checkpoint.envelope import EnvelopeError, Identity
from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, decode_sections
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from benchmarks.fuzzing.honest import Honest

EPISODE_CASES: Final = 250

_KEYS: Final = (None, b"k" * 32, b"another key", b"\0")
_ADMITTED: Final = Admitted()
_ABSENT: Final = object()
_IDENTITY: Final = Identity("group", "sales", "topic-id", "0123456789ab", "f" * 64, "0", {"MODEL": "linear", "n": [1]})


def judge_checkpoints(seed: int, episode: int, cases: int = EPISODE_CASES) -> Verdicts:
    """Unseal, decode and restore mutants, every other one sealed anew."""
    rng = Random(f"checkpoints:{seed}:{episode}")
    verdicts = Verdicts()
    before = _classes()
    for number in range(cases):
        origin = rng.choice(honest())
        started = time.thread_time()
        if number % 10 == 0:
            mutation, verdict, is_valid, problem = judge_chain(rng, origin.sections, rng.choice(_KEYS))
        elif number % 2:
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
        changed = damaged(rng, data)
    elif mutation == "length":
        place = rng.randrange(20)
        changed = data[:place] + rng.randbytes(rng.choice((1, 2, 4))) + data[place + rng.choice((1, 2, 4)) :]
    elif mutation == "header":
        text = rng.choice((b'"', b":", b",", b"0", b"sales", b"name", b"{", b"digest", b"offset", b"60", b"group"))
        changed = data.replace(
            text, rng.choice((b"", b" " + text, text * 2, b"\0", b"1", b"null")), rng.choice((1, 1, 2, -1))
        )
    elif mutation == "spliced":
        another = seal(_IDENTITY, 0, 61, rng.choice(honest()).sections, other)[1]
        same = next(place for place, (left, right) in enumerate(zip(data, another, strict=False)) if left != right)
        place = rng.randrange(same + 1, max(same + 2, min(len(data), len(another))))  # more than the other file alone
        changed = data[:place] + another[place:]
    is_valid = changed == data and read_with == key
    try:
        _, sections = unseal(changed, read_with)
    except EnvelopeError:
        return mutation, "refused by the envelope", False, "an untouched file is refused" if is_valid else None
    except Exception as error:  # noqa: BLE001 -- whatever it is: it would stop the worker
        return mutation, "crashed", False, f"{type(error).__name__}: {error}; file {changed.hex()[:2000]}"
    problem = (
        None if is_valid and sections == origin.sections else f"a changed file is accepted: {changed.hex()[:2000]}"
    )
    return mutation, "accepted", is_valid, problem


def _judge_resealed(rng: Random, origin: Honest) -> Judgement:
    """Change the content and seal it anew, with digest and signature."""
    mutation = rng.choice(list(CONTENT))
    sections = dict(origin.sections)
    is_honest = CONTENT[mutation](rng, sections) or sections == origin.sections
    verdict, problem = _read(rng, sections, origin, is_honest=is_honest)
    if problem is None and is_honest and verdict != "accepted":
        problem = f"an honest state is {verdict}"
    if problem is not None:
        changed = {name: body for name, body in sections.items() if body != origin.sections.get(name)}
        problem += "".join(f"; {name}: {body.hex()[:1500]}" for name, body in changed.items())
    return mutation, verdict, verdict == "accepted", problem


def _read(rng: Random, sections: dict[str, bytes], origin: Honest, *, is_honest: bool) -> tuple[str, str | None]:
    """Seal and read sections as a worker does; return the verdict, and what is wrong with it in any case."""
    key = rng.choice(_KEYS)
    try:
        _, unsealed = unseal(seal(_IDENTITY, 0, 60, sections, key)[1], key)
        if unsealed != sections:
            return "accepted", "other sections come out than were sealed"
        state = decode_sections(unsealed, _ADMITTED)
        problem = wrongly_accepted(sections, state)
        if is_honest and not _are_equal(state["models"], sections):
            problem = "another state comes out than was pickled"
        if problem is None:
            new_task(origin.kind).restore(state)
    except EnvelopeError as error:
        return "refused by the envelope", f"what was sealed is refused: {error}"
    except UnsafePickleError:
        return "refused by the unpickler", None
    except (KeyError, ValueError):
        return "refused by the task", None
    except BaseException as error:  # noqa: BLE001 -- compiled code raises what is no Exception
        return "crashed", f"{type(error).__name__}: {error}"
    return "accepted", problem


def _are_equal(models: dict[str, Any], sections: dict[str, bytes]) -> bool:
    """Tell whether models are those that were pickled."""
    expected = {key: pickle.dumps(pickle.loads(data)) for key, data in pickled(sections).items()}  # noqa: S301 -- honest
    return {key: pickle.dumps(model) for key, model in models.items()} == expected


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
        if name not in {"__slotnames__", "_abc_impl"}  # caches of copyreg and abc
        and members.get(name, _ABSENT) is not vars(each).get(name, _ABSENT)
    ]
