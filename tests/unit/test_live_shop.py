"""A shop told as of now: its times, its ids, and nothing else of it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson

from consumer.simulate.live import as_of_now
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import Limits, decode

BEGIN = 1_800_000_000.25


def _fields(value: bytes | None) -> dict[str, Any]:
    assert value is not None
    fields: dict[str, Any] = orjson.loads(value)
    return fields


class Clock:
    """Gives these times, one after another, the last one again and again."""

    def __init__(self, *times: float) -> None:
        self._times = list(times)

    def __call__(self) -> float:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


def test_the_present_is_their_time() -> None:
    """Each event happens when it is asked for, in the record's time stamp too; all else is the shop's."""
    shop = list(synthetic_events(seed=3, limit=200))
    live = list(as_of_now(iter(shop), Clock(*(BEGIN + number / 10 for number in range(200)))))
    for number, (before, after) in enumerate(zip(shop, live, strict=True)):
        old, new = _fields(before.value), _fields(after.value)
        moment = datetime.fromisoformat(new["occurred_at"])
        assert abs(moment.timestamp() - (BEGIN + number / 10)) < 0.002
        assert after.timestamp_ms == round(moment.timestamp() * 1000)
        assert moment.tzinfo == UTC
        assert after.key == before.key
        kept = old.keys() - {"transaction_id", "occurred_at"}
        assert {name: new[name] for name in kept} == {name: old[name] for name in kept}
        decode(after.value, after.timestamp_ms, Limits())


def test_a_later_run_shares_no_id() -> None:
    """A shop that opens again, with the same seed, sends nothing that was sent before."""
    first, second = (
        {_fields(event.value)["transaction_id"] for event in as_of_now(synthetic_events(seed=0, limit=300), Clock(at))}
        for at in (BEGIN, BEGIN + 0.001)
    )
    assert first
    assert first.isdisjoint(second)


def test_time_never_runs_backwards() -> None:
    """A clock that is set back makes no event late."""
    live = as_of_now(synthetic_events(seed=0, limit=4), Clock(BEGIN, BEGIN + 5, BEGIN - 60, BEGIN + 6))
    stamps = [event.timestamp_ms for event in live]
    assert all(earlier <= later for earlier, later in pairwise(stamps))
    assert stamps[2] == stamps[1]


def test_events_are_made_when_asked_for() -> None:
    """Nothing is read ahead: a rate of one a second gives times a second apart."""
    clock = Clock(BEGIN, BEGIN + 1)
    live = as_of_now(synthetic_events(seed=0), clock)
    assert next(live).timestamp_ms == 1_800_000_000_250
    assert next(live).timestamp_ms == 1_800_000_001_250
