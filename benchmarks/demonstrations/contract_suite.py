"""What the worker relies on, shown on the simulated cluster and on a real broker, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Report
from tests.contract.arena import RealArena, SimulatedArena
from tests.contract.behaviours import BEHAVIOURS, Behaviour

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.arena import Arena
    from tests.kafka import Broker

SEED: Final = 0
SIMULATED_SEEDS: Final = 20


def demonstrate(report: Report, broker: Broker, _directory: Path) -> None:
    """Show each behaviour in both places."""
    table = Table("behaviour", "simulated", "real", title="What the worker relies on")
    differing = 0
    shown: dict[str, list[str]] = {}
    for behaviour in BEHAVIOURS:
        simulated = next(
            (problem for seed in range(SIMULATED_SEEDS) if (problem := _problem(behaviour, SimulatedArena(seed)))), ""
        )
        began = time.monotonic()
        arena = RealArena(broker.bootstrap_servers)
        real = _problem(behaviour, arena)
        arena.close()
        seconds = time.monotonic() - began
        print(
            f"  {behaviour.name}: {simulated or real or f'as it should, {seconds:.1f} s on the real one'}", flush=True
        )
        table.add_row(behaviour.name, simulated or "so", real or "so")
        shown[behaviour.name] = [simulated or "so", real or "so"]
        differing += bool(simulated or real)
    Console(width=120).print(table)
    report.counts["behaviours"] = shown
    report.add(Figure("behaviours, each on both", len(BEHAVIOURS), ">=", 20))
    report.add(Figure("behaviours that one of them does not show", differing, "=", 0))


def _problem(behaviour: Behaviour, arena: Arena) -> str:
    """Return why an arena does not behave so; nothing where it does."""
    try:
        behaviour.show(arena)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 -- whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"
    return ""
