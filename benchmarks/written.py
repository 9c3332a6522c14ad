"""The part of a document that a run writes: between two comments, everything else is left alone."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """One document's written part.

    Attributes:
        command: what writes it.
    """

    command: str

    def of(self, content: str) -> str:
        """Return the part with this content."""
        return f"{self._begin}\n{content}\n{self._end}"

    def put_into(self, page: str, content: str) -> str:
        """Return the page with this content in its part.

        Raises:
            ValueError: it has not exactly one.
        """
        part = re.compile(f"{re.escape(self._begin)}.*?{re.escape(self._end)}", re.DOTALL)
        changed, number = part.subn(lambda _match: self.of(content), page)
        if number != 1:
            raise ValueError(f"expected one block between {self._begin!r} and {self._end!r}, found {number}")
        return changed

    @property
    def _begin(self) -> str:
        return f"<!-- Written by {self.command}; edits are lost. -->"

    @property
    def _end(self) -> str:
        return f"<!-- The end of what {self.command} writes. -->"
