"""The simulated group coordinator: static members, generations, sessions, and cooperative rebalances.

A rebalance here has Kafka's two halves (KIP-429): first the members are told what to give up, and only when each of
them has done so, within a poll of its own, are those partitions given to others. Generations change in the background:
a client knows the new one before its callbacks were served. A member that is frozen or dead holds a rebalance up until
its session ends; a restarted static member (KIP-345) takes its former self's place without one, and fences it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

SESSION_SECONDS: Final = 10.0


class Client(Protocol):
    """The member's side: hears of its assignment in the background, serves it in its next poll."""

    def is_responsive(self) -> bool:
        """Tell whether its background thread runs: neither dead nor frozen."""

    def told(self, *, gained: Iterable[int] | None = None, revoked: Iterable[int] | None = None) -> None:
        """Take note of what the coordinator says, a first assignment of nothing included; served in the next poll."""


@dataclass(eq=False)
class Member:
    """One member of the group.

    Attributes:
        instance_id: its static name.
        client: who it is now; a restarted one takes the place of the former.
        expires_at: when its session ends unless a heartbeat comes.
        owned: what it holds, as the coordinator sees it.
        leaving: what it was told to give up and still holds.
        is_new: it was told nothing yet.
    """

    instance_id: str
    client: Client
    expires_at: float
    owned: set[int] = field(default_factory=set)
    leaving: set[int] = field(default_factory=set)
    is_new: bool = True


class GroupCoordinator:
    """One group over one input topic.

    Attributes:
        generation: changes with every rebalance.
        members: by instance id.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.generation = 0
        self.members: dict[str, Member] = {}
        self._is_unbalanced = False

    def join(self, instance_id: str, client: Client, now: float) -> None:
        """Let a client in; one of a known name takes over what its former self held."""
        member = self.members.get(instance_id)
        if member is None:
            self.members[instance_id] = Member(instance_id, client, now + SESSION_SECONDS)
            self._is_unbalanced = True
        else:
            member.client, member.expires_at = client, now + SESSION_SECONDS
            member.owned |= member.leaving
            member.leaving = set()
            self._is_unbalanced = True
            client.told(gained=sorted(member.owned))
        self.advance(now)

    def is_member(self, instance_id: str, client: Client) -> bool:
        """Tell whether a client still is who it says: not expired, and not replaced by another of its name."""
        member = self.members.get(instance_id)
        return member is not None and member.client is client

    def is_replaced(self, instance_id: str, client: Client) -> bool:
        """Tell whether another client took the name."""
        member = self.members.get(instance_id)
        return member is not None and member.client is not client

    def released(self, instance_id: str, client: Client, partitions: Iterable[int], now: float) -> None:
        """Take note that a member has given up what it was told to."""
        if self.is_member(instance_id, client):
            self.members[instance_id].leaving -= set(partitions)
            self._is_unbalanced = True
            self.advance(now)

    def advance(self, now: float) -> None:
        """Take heartbeats, end sessions, and rebalance if that is due and everybody answers."""
        for member in list(self.members.values()):
            if member.client.is_responsive():
                member.expires_at = now + SESSION_SECONDS
            elif now >= member.expires_at:
                del self.members[member.instance_id]
                self._is_unbalanced = True
        if self._is_unbalanced and all(member.client.is_responsive() for member in self.members.values()):
            self._rebalance()

    def _rebalance(self) -> None:
        self._is_unbalanced = False
        if not self.members:
            return
        self.generation += 1
        target = self._target()
        held = {number for member in self.members.values() for number in member.owned | member.leaving}
        for name, wanted in target.items():
            member = self.members[name]
            revoked = member.owned - wanted
            gained = {number for number in wanted - member.owned if number not in held}
            member.owned = (member.owned - revoked) | gained
            member.leaving |= revoked
            if revoked:
                member.client.told(revoked=sorted(revoked))
            if gained or member.is_new:
                member.client.told(gained=sorted(gained))
            member.is_new = False

    def _target(self) -> dict[str, set[int]]:
        """Return a balanced assignment that moves as little as possible."""
        names = sorted(self.members)
        most = -(-self.partitions // len(names))
        least, extra = divmod(self.partitions, len(names))
        target: dict[str, set[int]] = {name: set() for name in names}
        for name in names:
            kept = sorted(self.members[name].owned)[: most if extra > 0 else least]
            extra -= len(kept) > least
            target[name].update(kept)
        free = [number for number in range(self.partitions) if not any(number in each for each in target.values())]
        for number in free:
            target[min(names, key=lambda name: (len(target[name]), name))].add(number)
        return target
