"""The demonstration, put together on a broker."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Final

from benchmarks.load import CommittedOffsets, Feeder
from benchmarks.recovery_demo.director import Director
from benchmarks.recovery_demo.plan import plan
from benchmarks.recovery_demo.summary import Summary
from benchmarks.recovery_demo.teller import Teller
from benchmarks.recovery_demo.watcher import Watcher
from benchmarks.shop import LINEAR
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.recovery_demo.views import View
    from tests.kafka import Broker

SEED: Final = 20261124
RATE: Final = 2_000
PARTITIONS: Final = 4
FAULT_SHARE: Final = 0.01
SETTINGS: Final = {"MODEL": "linear", "PROCESSING_GUARANTEE": "exactly_once", "CHECKPOINT_INTERVAL_SECONDS": "2"}


def demonstrate(  # noqa: PLR0913 -- what can be chosen, and what tests break
    broker: Broker,
    directory: Path,
    *,
    kills: int,
    seed: int,
    rate: int,
    view: View,
    root: Path | None = None,
    settings: Mapping[str, str] = SETTINGS,
) -> Summary:
    """Kill the worker so many times and return how it ended; the processes that it started are gone by then.

    Args:
        broker: where topics are made.
        directory: for checkpoints and logs.
        kills: how many.
        seed: of kills and events.
        rate: events a second.
        view: who is shown what.
        root: where the worker's code lies, if not here.
        settings: the worker's.
    """
    rng = random.Random(seed)
    stage = Stage(broker.bootstrap_servers, directory, partitions=PARTITIONS, prefix="recovery", root=root)
    with contextlib.ExitStack() as stack:
        if not broker.controllable:  # the user's own: it outlives this
            stack.callback(stage.delete_topics)
        offsets = CommittedOffsets(stage)
        stack.callback(offsets.close)
        watcher = stack.enter_context(Watcher(stage, LINEAR))
        feeder = stack.enter_context(
            Feeder(stage, rate=rate, seed=seed, fault_share=FAULT_SHARE, source="synthetic", key_by="item")
        )
        aims = plan(kills, rng)
        teller = Teller(view, aims, watcher.comparison)
        director = Director(
            stage,
            watcher=watcher,
            offsets=offsets,
            feeder=feeder,
            rng=rng,
            teller=teller,
            settings=settings,
        )
        director.run(aims)
    summary = Summary(teller.tally, teller.snapshot(), seed)
    view.close(summary)
    return summary
