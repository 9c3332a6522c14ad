"""Python's collector of cycles, kept from walking through all models again and again.

A model of `linear` is some 75 objects that may be part of a cycle. For 20,000 of them one look at all takes a second,
for which the loop stands still, and there is such a look each time that a quarter more has come. What has come to stay
is therefore set aside, in no time; it goes all the same when nothing refers to it any more.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODELS: Final = 1_000
"""So many may come before they are set aside: some milliseconds' worth of looking."""


class Collector:
    """What the collector of this process is to pass over."""

    def __init__(self) -> None:
        self._aside = 0

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Let it not look at what is being made; `settle` comes after."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_enabled:
                gc.enable()

    def settle(self, models: int) -> None:
        """Set aside what has come; look at all of it again where most of it has gone, since cycles may be left over.

        Args:
            models: how many there are in memory.
        """
        if 2 * models < self._aside:
            gc.unfreeze()
            self._aside = 0
        if models >= self._aside + _MODELS:
            gc.freeze()
            self._aside = models
