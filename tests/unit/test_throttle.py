"""The bound on a checkpoint store's bytes a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumer.checkpoint.throttle import Throttle

RATE = 1_000


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds


def test_the_first_piece_goes_at_once_and_the_next_one_when_its_time_is_up() -> None:
    """Each pays afterwards for what it has taken."""
    time = Time()
    throttle = Throttle(RATE, time.clock, time.sleep)
    throttle.take(500)
    assert time.slept == []
    throttle.take(2_000)
    assert time.slept == [0.5]
    throttle.take(1)
    assert time.slept == [0.5, 2.0]


def test_what_was_paid_while_nothing_passed_is_not_asked_again() -> None:
    """A writer that is slower than the bound never waits; and after a long pause no burst follows."""
    time = Time()
    throttle = Throttle(RATE, time.clock, time.sleep)
    for _ in range(5):
        throttle.take(1_000)
        time.now += 1.5
    assert time.slept == []
    time.now += 3_600
    throttle.take(1_000)
    throttle.take(1_000)
    assert time.slept == [1.0]


@given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 3)), min_size=2))
def test_no_stretch_of_time_passes_more_than_its_share(pieces: list[tuple[int, float]]) -> None:
    """Between any two moments pass at most the bytes of that time and one piece."""
    time = Time()
    throttle = Throttle(RATE, time.clock, time.sleep)
    passed = []
    for size, pause in pieces:
        throttle.take(size)
        passed.append((time.now, size))
        time.now += pause
    for first in range(len(passed)):
        for last in range(first + 1, len(passed)):
            between = sum(size for _, size in passed[first:last])
            assert between <= RATE * (passed[last][0] - passed[first][0]) + 1e-6
