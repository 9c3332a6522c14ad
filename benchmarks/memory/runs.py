"""The lives that are measured: a fixed set of items for long, and a state that grows large under load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.memory.books import Order
from benchmarks.memory.life import LOOK_SECONDS, PATIENCE_SECONDS, Life, Look, Restored, oldest_bound

if TYPE_CHECKING:
    from collections.abc import Sequence

FEW_ITEMS: Final = 1_000
_BEYOND: Final = 200_000  # so many events more, so that records still wait at the last look


class Growth(msgspec.Struct, frozen=True):
    """A worker over a fixed set of items, its windows full, its machine code loaded and two checkpoints written.

    Attributes:
        items: how many.
        events: consumed between the first look and the last one.
        seconds: between these two.
        resident_bytes: of each look, about four a second, all while more records waited.
    """

    items: int
    events: int
    seconds: float
    resident_bytes: list[int]


class Load(msgspec.Struct, frozen=True):
    """A worker with a large state, as fast as it goes.

    Attributes:
        resident_bytes: of each look.
        pauses_ms: for how long the loop stood still for each checkpoint.
        write_seconds: how long each was sealed, checked and written, beside the loop.
        events: consumed meanwhile.
        seconds: that this took.
        least_waiting: records that still waited for the worker, at any look at least.
        longest_still: the longest time without a sign of life that the watchdog saw; it looks once a second.
        oldest_transaction: no transaction took longer than so many seconds, by the buckets of its metric.
    """

    resident_bytes: list[int]
    pauses_ms: list[float]
    write_seconds: list[float]
    events: int
    seconds: float
    least_waiting: int
    longest_still: float
    oldest_transaction: float


class Large(msgspec.Struct, frozen=True):
    """A worker whose state grows from few items to many, its windows full and what it has of machine code loaded.

    Attributes:
        few: items at first.
        many: items in the end.
        few_load: resident bytes of each look at first, while more records waited.
        few_rest: likewise once none waited, the median.
        few_checkpoint: bytes of a checkpoint at first.
        load: with the large state.
        many_rest: as `few_rest`, with the large state.
        many_checkpoint: as `few_checkpoint`, with the large state.
        restored: the restart afterwards.
    """

    few: int
    many: int
    few_load: list[int]
    few_rest: int
    few_checkpoint: int
    load: Load
    many_rest: int
    many_checkpoint: int
    restored: Restored


def grow(life: Life, *, items: int, warm: int, events: int) -> Growth:
    """Let a worker go through so many events of so many items, after `warm` others.

    Args:
        life: nothing was sent yet.
        items: fewer than `warm`.
        warm: records that fill the windows.
        events: to be consumed once that is so, machine code is loaded and two checkpoints of it are written.
    """
    life.begin(Order(items, 0), Order(items, warm - items), Order(items, events))
    life.warm_up(warm)
    # A checkpoint's working memory stays with the process, and is not the state's growth: one that holds all is written
    # before, and one that shares with it, which takes 10 MB more to be put together.
    first = life.watch(lambda _look: len(life.checkpoints(warm)) > 1, "two checkpoints of full windows")[-1]
    end = first.consumed + events
    life.till.give(Order(items, first.consumed - warm + _BEYOND))
    looks = [first, *life.watch(lambda look: look.consumed >= end, f"{end} records")]
    return Growth(items, looks[-1].consumed - first.consumed, looks[-1].seconds - first.seconds, _resident(looks))


def enlarge(  # noqa: PLR0913 -- sizes, named
    life: Life, *, many: int, warm: int, checkpoints: int, lead: int, is_accelerated: bool
) -> Large:
    """Let a worker begin with few items, come to many, and write checkpoints of them under load.

    Args:
        life: nothing was sent yet.
        many: items in the end, each of which makes the state larger.
        warm: records that fill the windows.
        checkpoints: of the large state.
        lead: records that wait for the worker when it has come to all items.
        is_accelerated: this worker loads machine code.

    Raises:
        AssertionError: the first records were consumed before there was a look with machine code loaded.
    """
    few = min(FEW_ITEMS, many // 10)
    life.begin(Order(few, 0), Order(few, warm + max(warm, lead // 10)))
    looks = [life.warm_up(warm, is_accelerated=is_accelerated)]
    looks += life.watch(lambda look: look.consumed >= life.till.sent, "few items")
    few_load = _resident([look for look in looks if look.consumed < life.till.sent])
    few_rest, few_checkpoint, few_sent = life.rest(), _checkpoint_bytes(life), life.till.sent
    if not few_load:
        raise AssertionError("few items: all records were consumed before one look was taken under load")
    new, whole = many - few, life.till.end + 1 + many - few
    life.till.give(Order(many, 0), Order(many, lead))
    life.till.wait()
    life.watch(lambda look: look.consumed >= few_sent + new, f"{many} items")
    load = _under_load(life, whole, many, checkpoints, lead)
    many_rest, many_checkpoint = life.rest(), _checkpoint_bytes(life)
    return Large(few, many, few_load, few_rest, few_checkpoint, load, many_rest, many_checkpoint, life.restart())


def _under_load(life: Life, whole: int, items: int, checkpoints: int, lead: int) -> Load:
    """Watch until there are so many checkpoints of what is whole from that offset on, or time is up.

    The worker never runs out of records meanwhile.
    """
    life.longest_still = 0.0
    looks = [life.look()]
    before, waiting = life.metrics, [life.till.sent - looks[0].consumed]
    deadline = min(time.monotonic() + PATIENCE_SECONDS, life.ends_by)
    while len(life.checkpoints(whole)) < checkpoints and time.monotonic() < deadline:
        if life.till.is_idle() and waiting[-1] < lead // 2:
            life.till.give(Order(items, lead // 2))
        time.sleep(LOOK_SECONDS)
        looks.append(life.look())
        waiting.append(life.till.sent - looks[-1].consumed)
    written = life.checkpoints(whole)
    return Load(
        resident_bytes=_resident(looks),
        pauses_ms=[line["pause_ms"] for line in written],
        write_seconds=[line["seconds"] for line in written],
        events=looks[-1].consumed - looks[0].consumed,
        seconds=round(looks[-1].seconds - looks[0].seconds, 3),
        least_waiting=min(waiting),
        longest_still=life.longest_still,
        oldest_transaction=oldest_bound(before, life.metrics),
    )


def _resident(looks: Sequence[Look]) -> list[int]:
    return [look.resident_bytes for look in looks]


def _checkpoint_bytes(life: Life) -> int:
    newest: int = life.checkpoints(0)[-1]["state_bytes"]
    return newest
