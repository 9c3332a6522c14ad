"""A record still in parts: members of its JSON as texts, key, headers, and what is done to the bytes at last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from random import Random

    from schemas.dead_letter import Headers


@dataclass(slots=True)
class Draft:
    """A record still in parts.

    Attributes:
        fields: (name, value) of the object's members, each as JSON text.
        comma: what stands between two members.
        ends: what stands before and after them.
        damage: what is done to the encoded value at last.
        is_value_none: the record is a tombstone.
    """

    fields: list[tuple[str, str]]
    timestamp_ms: int
    key: bytes | None
    headers: Headers | None = None
    comma: str = ","
    ends: tuple[str, str] = ("{", "}")
    damage: list[Callable[[bytes], bytes]] = field(default_factory=list)
    is_value_none: bool = False

    def copy(self) -> Draft:
        """Return a draft that can be changed apart from this one."""
        headers = None if self.headers is None else list(self.headers)
        return replace(self, fields=list(self.fields), headers=headers, damage=list(self.damage))

    def value(self) -> bytes | None:
        """Return the record's value."""
        if self.is_value_none:
            return None
        text = self.comma.join([f"{name}:{token}" for name, token in self.fields])
        value = f"{self.ends[0]}{text}{self.ends[1]}".encode("utf-8", "surrogatepass")
        for damage in self.damage:
            value = damage(value)
        return value

    def place(self, name: str) -> int | None:
        """Return where the member of this name stands, None where there is none."""
        quoted = f'"{name}"'
        return next((place for place, (written, _) in enumerate(self.fields) if written == quoted), None)

    def put(self, name: str, token: str) -> None:
        """Give a member this value, in its place or at the end."""
        place, pair = self.place(name), (f'"{name}"', token)
        if place is None:
            self.fields.append(pair)
        else:
            self.fields[place] = pair


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a mutation may aim at beyond the draft itself.

    Attributes:
        limit: bytes above which a record is `too_large`.
        clock_ahead_seconds: the bound on the future.
        past: earlier drafts, as they were sent.
    """

    limit: int
    clock_ahead_seconds: int
    past: deque[Draft]


Mutation = Callable[[Surroundings, "Random", Draft], None]
"""Changes a draft in one respect."""
