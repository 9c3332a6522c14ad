"""Machine code for the models' steps, where it can be had: the same bits in a fraction of the time.

Nothing depends on whether it is there but speed. It is loaded beside the loop once that is worth it, and models take to
it between two batches; their state goes back into the very objects that a checkpoint holds.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from schemas.transaction import MILLION, Event, parse_moment

_TRIED: Final = 20_000
_EVENTS: Final = 600


class Machine(NamedTuple):
    """The modules of compiled code, whose functions take arrays.

    Attributes:
        steps: `consumer.learning.compiled`: the models' steps.
        parsing: events out of JSON.
        hashing: the digests of their identities and contents.
        taking: the window of identities and the ledger.
        encoding: predictions as JSON.
    """

    steps: Any
    parsing: Any
    hashing: Any
    taking: Any
    encoding: Any


class _Loaded:
    """What the process has loaded; written once, by `load`."""

    machine: Machine | None = None


def machine() -> Machine | None:
    """Return the compiled code where it was loaded and found to be exact, else None."""
    return _Loaded.machine


def load() -> str | None:
    """Load the compiled steps and try them; return why they are not to be used, None where they are.

    That takes a second, and some more where no earlier process has compiled them: call it beside the loop.
    """
    try:
        from consumer.learning import compiled, encoding, hashing, parsing, taking  # noqa: PLC0415 -- this takes long

        loaded = Machine(compiled, parsing, hashing, taking, encoding)
        from consumer.learning.machine_trial import tasks_agree  # noqa: PLC0415 -- which brings tasks, which ask this

        if not takes_exact_roots(compiled):
            return "its roots differ from Python's in their last bits on this machine"
        if not steps_agree(compiled):
            return "its steps differ from Python's on this machine"
        if not tasks_agree(loaded):
            return "its records differ from Python's on this machine"
    except Exception as error:  # noqa: BLE001 -- a compiler may fail in any way, and nothing depends on it
        return f"{type(error).__name__}: {error}"
    _Loaded.machine = loaded
    return None


def unload() -> None:
    """Forget what was loaded; models that took to it keep it."""
    _Loaded.machine = None


def takes_exact_roots(module: Any) -> bool:  # noqa: ANN401 -- `consumer.learning.compiled`
    """Compare roots with Python's, bit for bit: there a compiler is free to choose, and one in 1,200 would differ."""
    numbers = [1e-9 * 1.002**place for place in range(_TRIED)]
    found = np.array(numbers)
    module.roots(found, 0.5)
    return bool(found.tolist() == [number**0.5 for number in numbers])


def steps_agree(module: Any) -> bool:  # noqa: ANN401 -- `consumer.learning.compiled`
    """Step both models through some events either way: whatever else is amiss, such as code kept from another day."""
    from consumer.learning.arrays import PipelineArrays  # noqa: PLC0415
    from consumer.learning.guarded import GuardedModel  # noqa: PLC0415 -- which asks this module for compiled code
    from consumer.learning.guarded_arrays import GuardedArrays  # noqa: PLC0415
    from consumer.learning.linear import get_ml_pipeline  # noqa: PLC0415
    from consumer.learning.step import compiled_step, prequential_step  # noqa: PLC0415

    events = [_event(number) for number in range(_EVENTS)]
    levels: list[float | None] = [None if number % 7 == 0 else number % 97 / 3 for number in range(_EVENTS)]
    plain, fast = prequential_step(get_ml_pipeline()), compiled_step(get_ml_pipeline(), module)
    if plain.run_many is None or plain.run_many(events, levels) != fast.run_many(events, levels):
        return False
    befores = [100 * MILLION] * _EVENTS
    lates = [False] * _EVENTS
    guarded = GuardedModel()
    arrays = GuardedArrays(module, guarded.state()["share"], {}, 0)
    if arrays.steps(events, befores, lates) != guarded.python_steps(events, befores, lates):
        return False
    (pipeline, *rest), state = arrays.share(), guarded.state()
    wanted_pipeline, *wanted_rest = state["share"]
    numbers, wanted_numbers = (PipelineArrays(each).numbers.tolist() for each in (pipeline, wanted_pipeline))
    gates = {key: gate.snapshot() for key, gate in arrays.gates().items()}
    return (rest, gates, numbers) == (wanted_rest, state["gates"], wanted_numbers)


def _event(number: int) -> Event:
    """Return an event of one of two stores, one in four a receipt of which a fifth to a sixth is missing."""
    is_receipt = number % 4 == 0
    quantity = (number % 50 + 10) * MILLION if is_receipt else -(number % 3 + 1) * MILLION
    missing = quantity // (5 + number % 2) if is_receipt else 0
    occurred_at = f"2025-{number // 60 % 12 + 1:02d}-{number % 28 + 1:02d}T12:00:00Z"
    return Event(
        transaction_id=str(number),
        store_id=f"s{number % 2}",
        sku=f"{number % 11}",
        quantity=quantity / MILLION,
        occurred_at=occurred_at,
        unit_cost=number % 13 / 8,
        quantity_millionths=quantity,
        level_millionths=100 * MILLION + quantity - missing,
        moment=parse_moment(occurred_at),
    )
