"""Percentiles are measured values, by the nearest rank."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.percentiles import percentile, percentiles

VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(1, 1.0), (50, 50.0), (50.1, 51.0), (99, 99.0), (99.1, 100.0), (100, 100.0)],
)
def test_nearest_rank(percent: float, expected: float) -> None:
    """Of 1 to 100, the p-th percentile is p itself, and a hair more is the next one."""
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == expected


@given(values=VALUES, percent=st.floats(min_value=0.001, max_value=100))
def test_enough_values_are_not_above_it_and_too_few_are_below_it(values: list[float], percent: float) -> None:
    """It is a value, at least so many percent do not exceed it, and of all below it that is not so."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert sum(value < found for value in values) < len(values) * percent / 100


def test_all_of_them_at_once() -> None:
    """Count, median, p99 and maximum; of few values p99 is the maximum."""
    assert percentiles([3.0, 1.0, 2.0]) == (3, 2.0, 3.0, 3.0)
    assert percentiles(range(1, 201)) == (200, 100, 198, 200)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 100.5)])
def test_nothing_is_made_up(values: list[float], percent: float) -> None:
    """Of no values there is no percentile, and none of a percentage that means nothing."""
    with pytest.raises(ValueError, match="expected values"):
        percentile(values, percent)
