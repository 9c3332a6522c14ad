"""Trying the worker without a broker.

`WorkerTestDriver` is for users: feed events, read predictions and dead letters, crash and recover, with a model of
one's own if need be. Behind it are a simulated Kafka (`SimulatedCluster`), simulated stores, and the faults that may
befall them; the project's own exploration (`tests/explore`) is built on these.
"""

from __future__ import annotations

from consumer.testing.cluster import SimulatedBroker, SimulatedCluster
from consumer.testing.driver import DeadLetter, WorkerTestDriver
from consumer.testing.faults import Crash, Fault, Faults, NoFaults
from consumer.testing.process import SimulatedProcess
from consumer.testing.store import Disk, SimulatedStore
from consumer.testing.topic_store import SimulatedTopicStore

__all__ = [
    "Crash",
    "DeadLetter",
    "Disk",
    "Fault",
    "Faults",
    "NoFaults",
    "SimulatedBroker",
    "SimulatedCluster",
    "SimulatedProcess",
    "SimulatedStore",
    "SimulatedTopicStore",
    "WorkerTestDriver",
]
