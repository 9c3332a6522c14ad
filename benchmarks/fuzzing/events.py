"""Structure-aware mutants of a shop's records: one to four mutations each, repeats of earlier ones among them."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.fuzzing import member_mutations, record_mutations
from benchmarks.fuzzing.draft import Draft, Mutation, Surroundings
from consumer.record import Record

if TYPE_CHECKING:
    from random import Random

_GENTLE: Final = member_mutations.GENTLE + record_mutations.GENTLE
"""At least a fifth of all mutants are to be valid."""

_ALL: Final = _GENTLE + member_mutations.HARSH + record_mutations.HARSH
_STORES: Final = ("330", "Käse", "s-7", "漢/1")
_SKUS: Final = tuple(f"sku{number}" for number in range(8))
_BEGIN: Final = datetime(2017, 1, 1, tzinfo=UTC)
_REMEMBERED: Final = 64


class Mutant(NamedTuple):
    """One record, and the names of the mutations that made it."""

    record: Record
    mutations: tuple[str, ...]


class Mutator:
    """An endless shop in one partition, each of whose records is mutated one to four times.

    Args:
        rng: draws everything.
        partition: the partition that the records claim.
        limit: bytes above which a record is `too_large`; sizes are aimed at it.
        clock_ahead_seconds: the bound on the future, to be met and passed.
        first_offset: the first record's offset.
    """

    def __init__(
        self, rng: Random, *, partition: int, limit: int, clock_ahead_seconds: int, first_offset: int = 0
    ) -> None:
        self._rng = rng
        self._partition = partition
        self._offset = first_offset
        self._number = 0
        self._now = _BEGIN
        self._around = Surroundings(limit, clock_ahead_seconds, deque(maxlen=_REMEMBERED))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all mutations but repeats."""
        return tuple(_name(mutation) for mutation in _ALL)

    def mutant(self) -> Mutant:
        """Return the next record."""
        rng = self._rng
        draft, mutations = self._base(), []
        if self._around.past and rng.random() < 0.12:
            name, draft = self._again(draft)
            mutations.append(name)
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2)) if mutations else rng.choice((1, 1, 1, 1, 2, 2, 3, 4))):
            mutation = rng.choice(_GENTLE if rng.random() < 0.45 else _ALL)
            mutation(self._around, rng, draft)
            mutations.append(_name(mutation))
        self._around.past.append(draft)
        self._offset += 1 if rng.random() < 0.98 else rng.randint(2, 50)
        record = Record(self._partition, self._offset, draft.timestamp_ms, draft.key, draft.value(), draft.headers)
        return Mutant(record, tuple(mutations))

    def _base(self) -> Draft:
        """Return a valid event of the shop."""
        rng = self._rng
        self._number += 1
        self._now += timedelta(seconds=rng.randrange(900))
        occurred = self._now - timedelta(hours=rng.randrange(48)) if rng.random() < 0.1 else self._now
        if rng.random() < 0.2:
            occurred = occurred.astimezone(timezone(timedelta(minutes=rng.randrange(-1439, 1440))))
        store, sku = rng.choice(_STORES), rng.choice(_SKUS)
        is_sale = rng.random() < 0.8
        quantity = rng.randint(1, 12) if rng.random() < 0.7 else rng.randrange(10**7) / 1e6
        fields = [
            ('"transaction_id"', f'"t{self._number}"'),
            ('"store_id"', f'"{store}"'),
            ('"sku"', f'"{sku}"'),
            ('"quantity"', f"{-quantity if is_sale else quantity}"),
            ('"occurred_at"', f'"{occurred.isoformat()}"'),
        ]
        if rng.random() < 0.7:
            fields.append(('"new_stock_level"', str(rng.randint(-5, 400))))
        if rng.random() < 0.7:
            fields.append(('"transaction_type"', '"sale"' if is_sale else '"receipt"'))
        if rng.random() < 0.5:
            fields.append(('"unit_cost"', f"{rng.randrange(5000) / 100}"))
        if rng.random() < 0.3:
            fields.append(('"line_id"', f'"{rng.randrange(3)}"'))
        timestamp_ms = int(self._now.timestamp() * 1000) + rng.randrange(5000)
        return Draft(fields, timestamp_ms, store.encode())

    def _again(self, fresh: Draft) -> tuple[str, Draft]:
        """Return an earlier record once more: as it was, written otherwise, or contradicting itself."""
        rng = self._rng
        back = min(len(self._around.past), 1 + int(rng.expovariate(0.1)))  # mostly within a small window's reach
        draft = self._around.past[-back].copy()
        draft.timestamp_ms = fresh.timestamp_ms
        form = rng.randrange(3)
        if form == 1:
            rng.shuffle(draft.fields)
            draft.comma = rng.choice((", ", ",\n\t", ","))
            return "reformatted_repeat", draft
        if form == 2:
            name = rng.choice(
                ("quantity", "unit_cost", "new_stock_level", "corrects", "transaction_type", "occurred_at")
            )
            draft.put(name, _other_content(rng, name))
            return "conflicting_repeat", draft
        return "repeat", draft


def _name(mutation: Mutation) -> str:
    return mutation.__name__.strip("_")


def _other_content(rng: Random, name: str) -> str:
    if name in member_mutations.NUMBERS:
        return rng.choice(("0", "-1", "2", "0.000001", '"3"', "null"))
    if name == "occurred_at":
        return f'"2017-01-0{rng.randint(1, 9)}T00:00:00.{rng.choice(("000001", "000002", "0000011"))}Z"'
    return rng.choice(('"sale"', '"receipt"', '"loan"', "null", '"t1"'))
