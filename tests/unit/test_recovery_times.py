"""How long a restart and a takeover took is read off correctly, and too long is too long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.recovery_times import arrivals
from benchmarks.recovery_times.arrivals import Arrivals
from benchmarks.recovery_times.bounds import restart_figures, takeover_bound, takeover_figures
from benchmarks.recovery_times.story import owned, steps
from tests.kafka.deadline import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.figures import Figure


class NoReader:
    """Stands in for the thread that reads: the test takes its place."""

    failure: Exception | None = None

    def __init__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


class NoStage:
    """As much of a stage as a reader's start needs."""

    partitions = 4
    output = "out"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Arrivals:
    """What a reader saw, told by the test."""
    monkeypatch.setattr(arrivals, "TopicReader", NoReader)
    return Arrivals(NoStage())  # type: ignore[arg-type]


def missed(figures: Iterable[Figure]) -> list[str]:
    return [figure.what for figure in figures if not figure.is_met]


# What the reader sees


def test_what_was_committed_before_the_mark_is_not_new(seen: Arrivals) -> None:
    """The last predictions of the dead worker may arrive after its death; the next one's begin at the mark."""
    seen.mark({0: 100, 1: 50})
    seen.note(0, 99, 10.0)
    with pytest.raises(DeadlineExceededError):
        seen.wait_for_any(0)
    seen.note(1, 50, 11.0)
    seen.note(1, 51, 12.0)
    assert seen.wait_for_any(0) == 11.0


def test_a_takeover_is_over_with_the_last_partition(seen: Arrivals) -> None:
    """All of the dead worker's partitions must go on; those of the survivor say nothing."""
    seen.mark({0: 100, 1: 100, 2: 100, 3: 100})
    seen.note(0, 100, 10.0)
    seen.note(2, 100, 11.0)
    with pytest.raises(DeadlineExceededError, match=r"\[2, 3\]"):
        seen.wait_for({2, 3}, 0)
    seen.note(3, 105, 14.0)
    assert seen.wait_for({2, 3}, 0) == {2: 11.0, 3: 14.0}


def test_the_next_mark_forgets_the_last_one(seen: Arrivals) -> None:
    """What a former restart reached does not end the next one at once."""
    seen.mark({0: 100})
    seen.note(0, 100, 10.0)
    seen.mark({0: 200})
    with pytest.raises(DeadlineExceededError):
        seen.wait_for_any(0)


def test_twice_and_out_of_order_are_counted(seen: Arrivals) -> None:
    """Offsets of a partition's predictions rise, with holes where a record has none."""
    for offset in (1, 2, 5, 5, 4, 6):
        seen.note(0, offset, 0.0)
    seen.note(1, 1, 0.0)
    assert (seen.seen, seen.out_of_turn) == (7, 2)


def test_the_longest_gap_counts_from_the_mark(seen: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two predictions, before the first and after the last, in the partitions that are asked for."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    seen.mark({})
    for at in (101.0, 104.0, 105.0):
        seen.note(0, int(at), at)
        seen.note(1, int(at), at)
    now = 106.0
    assert seen.longest_gap({0, 1}) == 3.0
    assert seen.longest_gap({0, 2}) == 6.0
    seen.mark({})
    assert seen.longest_gap({0}) == 0.0


def test_a_reader_that_failed_ends_the_waiting(seen: Arrivals) -> None:
    """Its reason is told, and not a deadline."""
    seen._reader.failure = RuntimeError("the broker is gone")
    with pytest.raises(RuntimeError, match="the broker is gone"):
        seen.wait_for_any(10)


# What the worker's log says


def test_steps_are_seconds_since_the_start() -> None:
    """Of a step that each partition has for itself, the last counts; other lines do not."""
    lines = [
        {"event": "serving", "timestamp": "1970-01-01T00:01:00.500000Z"},
        {"event": "retry", "timestamp": "1970-01-01T00:01:00.700000Z"},
        {"event": "partition_live", "timestamp": "1970-01-01T00:01:01.000000Z"},
        {"event": "partition_live", "timestamp": "1970-01-01T00:01:02.250000Z"},
    ]
    assert steps(lines, 60.0) == {"serving": 0.5, "live": 2.25}


def test_partitions_that_a_worker_has() -> None:
    """Gained ones, without those that were revoked or lost since."""
    lines = [
        {"event": "partitions_gained", "partitions": [0, 1, 2, 3]},
        {"event": "partitions_revoked", "partitions": [2, 3]},
        {"event": "partitions_lost", "partitions": [0, 1]},
        {"event": "partitions_gained", "partitions": [1, 3]},
    ]
    assert owned(lines) == {1, 3}
    assert owned([]) == set()


# What is too long


@pytest.mark.parametrize(("scan", "bound"), [(10.0, 23.0), (1.0, 14.0), (0.0, 13.0)])
def test_the_bound_of_a_takeover(scan: float, bound: float) -> None:
    """Whichever is longer, the group's way to notice or the coordinator's way to abort, and 3 s."""
    assert takeover_bound(scan) == bound


def test_the_median_restart_counts() -> None:
    """Half of the restarts may take longer, not more; all that were planned must have been made."""
    assert missed(restart_figures([2.9, 3.0, 9.0], 3, [1.0])) == []
    assert missed(restart_figures([2.9, 3.1, 9.0], 3, [1.0])) == [
        "seconds from restart to a new committed prediction, median"
    ]
    assert missed(restart_figures([2.9], 3, [1.0])) == ["restarts of the same INSTANCE_ID after kill -9"]


def test_each_takeover_counts() -> None:
    """One that takes longer than its bound misses it, whatever the others took."""
    assert missed(takeover_figures([10.0, 23.0], 2, 10.0)) == []
    assert missed(takeover_figures([10.0, 10.0, 10.0, 23.1], 4, 10.0)) == [
        "seconds from kill to a new prediction in every partition, max, scan interval 10 s"
    ]
    assert missed(takeover_figures([10.0, 14.1], 2, 1.0)) == [
        "seconds from kill to a new prediction in every partition, max, scan interval 1 s"
    ]
