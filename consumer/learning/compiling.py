"""How machine code is made of a function: by Numba, when its module is imported."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled_now(signature: str, *, allocates: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function now; keep the result on disk where that is possible.

    Args:
        signature: as Numba writes them.
        allocates: whether it makes arrays. Where it does not, references to those that it is given need not be counted,
            which takes small functions more time than what they do (an option of Numba's own that it does not document;
            without it, the code is only slower).
    """

    def compile_it(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
        fast = options if allocates else options | {"_nrt": False}
        made: Callable[..., Any]
        # There may be nowhere to keep it, a full disk, or a damaged file of an earlier process.
        for tried in (fast | {"cache": True}, fast):
            with suppress(Exception):
                made = numba.njit(signature, **tried)(function)
                return made
        made = numba.njit(signature, **options)(function)
        return made

    return compile_it
