"""How machine code is made of a function: by Numba, when its module is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled_now(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function now; keep the result on disk where that is possible."""

    def compile_it(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"error_model": "numpy", "nogil": True}
        try:
            compiled = numba.njit(signature, cache=True, **options)(function)
        except Exception:  # noqa: BLE001 -- nowhere to keep it, a full disk, or a damaged file of an earlier process
            compiled = numba.njit(signature, **options)(function)
        made: Callable[..., Any] = compiled
        return made

    return compile_it
