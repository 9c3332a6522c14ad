"""The soak's instruments on a real broker: the comparison in its own process, and the lag that comes back to 0."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from benchmarks.shop import FAULT_SHARE, LINEAR, invalid_and_repeated
from benchmarks.soak.checker import Checker, CheckerError
from benchmarks.soak.lag import LagMeter
from consumer.simulate.faults import with_faults
from consumer.simulate.synthetic import synthetic_events
from tests import sabotage
from tests.kafka import read_all, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumer.simulate.events import ShopEvent
    from tests.stage import Stage

pytestmark = pytest.mark.broker


def events(number: int) -> Iterator[ShopEvent]:
    shop = synthetic_events(seed=1, limit=number, key_by="item")
    return with_faults(shop, invalid_share=FAULT_SHARE, repeat_share=FAULT_SHARE, seed=1)


def test_the_comparison_counts_what_is_equal_and_what_is_there_twice(new_stage: Callable[..., Stage]) -> None:
    """Every record is compared, in another process; one prediction more is one that is there twice."""
    stage = new_stage()
    with Checker(stage, LINEAR) as checker:
        sent = stage.send(events(2_000)).by_kind
        invalid, repeated = invalid_and_repeated(sent)
        stage.run_to_end()
        predictions = read_all(stage.bootstrap_servers, stage.output)
        copied = predictions[0][0]
        producer = Producer({"bootstrap.servers": stage.bootstrap_servers})
        producer.produce(stage.output, copied.value(), copied.key(), 0)
        assert producer.flush(10) == 0
        verdict = checker.finish(60)
    assert verdict.records == sum(sent.values())
    assert verdict.predictions == sum(map(len, predictions.values()))
    assert (verdict.dead_letters, verdict.repeats) == (invalid, repeated)
    assert (verdict.lost, verdict.doubled, verdict.differing, verdict.waiting) == (0, 1, 0, 0)
    assert verdict.findings == [f"partition 0: prediction of offset {_source_offset(copied.value())} doubled"]


def test_what_never_came_is_lost(new_stage: Callable[..., Stage]) -> None:
    """Without any worker, every answer is missing at the end, and until then it waits."""
    stage = new_stage()
    stage.send(events(500))
    with Checker(stage, LINEAR) as checker:
        wait_until(lambda: checker.verdict().waiting, 30, "the comparison to wait for an answer")
        assert checker.verdict().lost == 0
        verdict = checker.finish(60)
    assert verdict.lost == verdict.records - verdict.repeats > 0


def test_a_comparison_that_fails_is_heard_of(new_stage: Callable[..., Stage]) -> None:
    """A log whose beginning is gone ends it with the reason: no verdict comes from a process that has given up."""
    stage = new_stage(1)
    stage.send(events(500))
    sabotage.delete_records(stage, 100)
    with Checker(stage, LINEAR) as checker, pytest.raises(CheckerError, match="AUTO_OFFSET_RESET"):
        wait_until(lambda: checker.verdict().records, 30, "a verdict")


def test_the_lag_is_0_with_a_worker_and_not_without(new_stage: Callable[..., Stage]) -> None:
    """It counts from the moment that is named, and nothing is said where the time is up."""
    stage = new_stage()
    stage.send(events(500))
    began = time.monotonic()
    with LagMeter(stage) as meter:
        assert sum(meter.ends().values()) > 500
        assert meter.seconds_to_zero(began, 1.0, began + 1.0, lambda: None) is None
        with stage.worker():
            seconds = meter.seconds_to_zero(began, 1.0, began + 60, lambda: None)
    assert seconds is not None
    assert 1.0 < seconds < 60


def _source_offset(value: bytes | None) -> int:
    return int((value or b"").rsplit(b'"source_offset":', 1)[1].rstrip(b"}"))
