"""Time on the simulated cluster: what is late arrives once, also where its arrival lets more time pass."""

from __future__ import annotations

import pytest

from consumer.errors import AbortError
from consumer.testing.cluster import SimulatedCluster
from consumer.testing.faults import NoFaults
from consumer.testing.producer import SimulatedProducer


def test_a_late_effect_that_waits_does_not_bring_another_twice() -> None:
    """Two late calls are due, and the first one waits for the coordinator: each takes effect once."""
    cluster = SimulatedCluster(1, seed=1, faults=NoFaults())
    arrived: list[str] = []

    def wait_then_arrive() -> None:
        cluster.advance(1.0)
        arrived.append("first")

    cluster.later(wait_then_arrive)
    cluster.later(lambda: arrived.append("second"))
    cluster.advance(20.0)
    cluster.advance(20.0)
    assert sorted(arrived) == ["first", "second"]
    assert cluster.is_quiet()


def test_a_failed_delivery_fails_every_commit_until_the_abort() -> None:
    """Whoever commits again after a record was lost must hear of it again: the real client does not forget it."""
    cluster = SimulatedCluster(1, seed=1, faults=NoFaults())
    producer = SimulatedProducer(cluster, "id")
    producer.init()
    producer.produce("out", 0, None, b"value", None)
    producer.lose_queued()
    for _ in range(2):
        with pytest.raises(AbortError, match="not delivered"):
            producer.flush()
