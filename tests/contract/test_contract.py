"""The contract suite: each behaviour on the simulated cluster and on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.arena import RealArena, SimulatedArena
from tests.contract.behaviours import BEHAVIOURS, Behaviour

if TYPE_CHECKING:
    from tests.kafka import Broker


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.show.__name__)
def test_simulated(behaviour: Behaviour, seed: int) -> None:
    """The simulation behaves so, whatever its network decides."""
    behaviour.show(SimulatedArena(seed))


@pytest.mark.broker
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.show.__name__)
def test_real(behaviour: Behaviour, broker: Broker) -> None:
    """A real broker behaves so."""
    arena = RealArena(broker.bootstrap_servers)
    try:
        behaviour.show(arena)
    finally:
        arena.close()
