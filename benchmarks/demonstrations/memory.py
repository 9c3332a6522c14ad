"""What a worker's state takes and its checkpoints cost: items that stay the same, a million items, a model for each."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.bench.calibration import calibrate
from benchmarks.claims import calibrate_at_rest, doubts
from benchmarks.figures import Report, provenance
from benchmarks.memory.bounds import growth_figures, item_figures, model_figures
from benchmarks.memory.life import Life
from benchmarks.memory.runs import enlarge, grow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.figures import Figure
    from tests.kafka import Broker

SEED: Final = 20261128
SIZES: Final = {"EVENTS": 10_000_000, "ITEMS": 1_000_000, "CHECKPOINTS": 150, "MODELS": 100_000}
FIXED_ITEMS: Final = 50_000
WINDOW: Final = 100_000  # SEEN_IDS as it is by default
WARM: Final = 3 * WINDOW
MODEL_CHECKPOINTS: Final = 10
MODEL_INTERVAL_SECONDS: Final = "1"  # as soon as the one before is written: to pickle all models takes longer
MODEL_WARM: Final = 120_000  # without machine code, which is for one model that all items share, each takes its time
MODEL_LEAD: Final = 400_000
INTERVAL_SECONDS: Final = "0.5"
MOST_SECONDS: Final = 24 * 60.0


def demonstrate(report: Report, broker: Broker, directory: Path) -> None:
    """Let three workers live, one after the other; EVENTS=, ITEMS=, CHECKPOINTS= and MODELS= make it shorter.

    Given as 0, EVENTS=, ITEMS= or MODELS= leaves out its part.
    """
    sizes = {name: int(os.environ.get(name) or usual) for name, usual in SIZES.items()}
    events, items, checkpoints, models = sizes.values()
    fixed = min(FIXED_ITEMS, items or FIXED_ITEMS)
    servers = broker.bootstrap_servers
    calibrations, ends_by = [calibrate_at_rest()], time.monotonic() + MOST_SECONDS
    found: dict[str, object] = {}

    # The settings are the defaults but for what is said; a stage has MODEL=linear.
    if events:
        with Life(servers, directory / "growth", SEED, ends_by, MODEL="guarded") as life:
            growth = grow(life, items=fixed, warm=WARM, events=events)
        _report(report, growth_figures(growth, events))
        found["growth"] = msgspec.to_builtins(growth)
        calibrations.append(calibrate())

    lead = events or MODEL_LEAD
    if items:
        often = {"MODEL": "guarded", "CHECKPOINT_INTERVAL_SECONDS": INTERVAL_SECONDS}
        with Life(servers, directory / "items", SEED + 1, ends_by, **often) as life:
            large = enlarge(life, many=items, warm=WARM, checkpoints=checkpoints, lead=lead, is_accelerated=True)
        _report(report, item_figures(large, checkpoints))
        found["items"] = msgspec.to_builtins(large)
        calibrations.append(calibrate())

    if models:
        by_item = {
            "MODEL": "linear",
            "MODEL_SCOPE": "item",
            "CHECKPOINT_INTERVAL_SECONDS": MODEL_INTERVAL_SECONDS,
        }
        with Life(servers, directory / "models", SEED + 2, ends_by, **by_item) as life:
            many_models = enlarge(
                life,
                many=models,
                warm=MODEL_WARM,
                checkpoints=min(checkpoints, MODEL_CHECKPOINTS),
                lead=min(lead, MODEL_LEAD),
                is_accelerated=False,
            )
        _report(report, model_figures(many_models))
        found["models"] = msgspec.to_builtins(many_models)
        calibrations.append(calibrate())

    report.counts.update(sizes=sizes, **found, calibrations=msgspec.to_builtins(calibrations))
    shortened = [name for name in SIZES if os.environ.get(name)]
    doubtful = doubts(
        calibrations, shortened_by=shortened, is_clean=provenance(report.started)["is_clean"], slow_is_harder=True
    )
    for doubt in doubtful:
        print(f"  not to be claimed: {doubt}", flush=True)
    report.is_claimed = not doubtful


def _report(report: Report, figures: Iterable[Figure]) -> None:
    for figure in figures:
        report.add(figure)
