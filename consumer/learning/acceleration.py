"""Machine code for the models' steps, where it can be had: the same bits in a fraction of the time.

Nothing depends on whether it is there but speed. It is loaded beside the loop once that is worth it, and models take to
it between two batches; their state goes back into the very objects that a checkpoint holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

_TRIED: Final = 20_000


class _Loaded:
    """What the process has loaded; written once, by `load`."""

    module: ModuleType | None = None


def compiled() -> Any:  # noqa: ANN401 -- `consumer.learning.compiled`, whose functions take arrays
    """Return `consumer.learning.compiled` where it was loaded and found to be exact, else None."""
    return _Loaded.module


def load() -> str | None:
    """Load the compiled steps and try them; return why they are not to be used, None where they are.

    That takes a second, and some more where no earlier process has compiled them: call it beside the loop.
    """
    try:
        from consumer.learning import compiled as module  # noqa: PLC0415 -- that is what takes so long
    except Exception as error:  # noqa: BLE001 -- a compiler may fail in any way, and nothing depends on it
        return f"{type(error).__name__}: {error}"
    if not takes_exact_roots(module):
        return "its roots differ from Python's in their last bits on this machine"
    _Loaded.module = module
    return None


def unload() -> None:
    """Forget what was loaded; models that took to it keep it."""
    _Loaded.module = None


def takes_exact_roots(module: Any) -> bool:  # noqa: ANN401 -- see `compiled`
    """Compare roots with Python's, bit for bit: there a compiler is free to choose, and one in 1,200 would differ."""
    numbers = [1e-9 * 1.002**place for place in range(_TRIED)]
    found = np.array(numbers)
    module.roots(found, 0.5)
    return bool(found.tolist() == [number**0.5 for number in numbers])
