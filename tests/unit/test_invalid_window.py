"""The limit on invalid events: counted in records, part of the state, judged where the log says so."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import SettingsError
from consumer.learning.fingerprint import LearningSettings
from consumer.learning.invalid_window import InvalidWindow
from consumer.learning.model import ModelScope
from consumer.record import Record
from consumer.skips import SkipRange, parse_skip
from schemas.transaction import Limits
from tests.core import new_task, unpickled


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 20), st.integers(0, 200))
def test_the_ratio_is_that_of_the_last_records(log: list[bool], size: int, cut: int) -> None:
    """At each invalid record: the share among the last `size`, 0 before so many were seen, a restart or not."""
    window = InvalidWindow(size)
    last: deque[bool] = deque(maxlen=size)
    for ordinal, is_invalid in enumerate(log, start=1):
        if ordinal == cut:
            state, window = window.snapshot(), InvalidWindow(size)
            window.restore(state)
        last.append(is_invalid)
        if is_invalid:
            window.add(ordinal)
            assert window.ratio(ordinal) == (sum(last) / size if ordinal >= size else 0.0)


def _bad(offset: int) -> Record:
    return Record(0, offset, -1, None, b"no json")


def test_a_task_counts_and_remembers() -> None:
    """Its share of invalid events survives a restart, as part of its state."""
    learning = LearningSettings("linear", ModelScope.PARTITION, 100, 4, Limits())
    task = new_task(learning, topic="t", partition=0, model_id="m")
    for offset in range(3):
        task.process(_bad(offset))
    assert task.invalid_ratio() == 0.0
    again = new_task(learning, topic="t", partition=0, model_id="m")
    again.restore(unpickled(task.snapshot()))
    again.skip(_bad(3))
    again.process(_bad(4))
    assert again.invalid_ratio() == 0.75  # a skipped record is none of the invalid ones
    assert again.records_applied == 5
    assert again.tally.skipped == 1


def test_a_skipped_record_is_an_outcome_of_its_own() -> None:
    """A replay that does not skip what was skipped arrives at another digest."""
    learning = LearningSettings("linear", ModelScope.PARTITION, 100, 4, Limits())
    skipping = new_task(learning, topic="t", partition=0, model_id="m")
    reading = new_task(learning, topic="t", partition=0, model_id="m")
    skipping.skip(_bad(0))
    reading.process(_bad(0))
    assert skipping.chain.digest() != reading.chain.digest()
    assert skipping.next_offset == reading.next_offset == 1


def test_a_range_to_skip() -> None:
    """Partition, first and last offset, both included."""
    assert parse_skip("3:10-12") == SkipRange(3, 10, 12)
    assert [offset for offset in range(20) if parse_skip("3:10-12").covers(3, offset)] == [10, 11, 12]
    assert not parse_skip("3:10-12").covers(2, 11)


@pytest.mark.parametrize("text", ["", "3", "3:10", "3:12-10", "-1:0-1", "0:1-x", "0:1-2 ", "0:1-2,1:3-4", "\u0663:1-2"])
def test_another_form_of_range_is_refused(text: str) -> None:
    """With what was expected, and an example."""
    with pytest.raises(SettingsError, match="expected PARTITION:FROM-TO, such as"):
        parse_skip(text)
