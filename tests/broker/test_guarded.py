"""The default model, killed and restored: the same bytes as without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.shop import real_transactions
from tests.kafka import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stage import Stage

pytestmark = pytest.mark.broker


def test_guarded_is_a_function_of_the_log(new_stage: Callable[..., Stage]) -> None:
    """Kill -9 in mid-stream, recovery from signed checkpoints: predictions equal an undisturbed run's to the byte."""
    stage = new_stage(partitions=2)
    stage.send(real_transactions(20_000, seed=21))
    settings = {"MODEL": "guarded", "CHECKPOINT_SIGNING_KEY": "a key", "CHECKPOINT_INTERVAL_SECONDS": "0.2"}
    stage.run_to_end(**settings)
    undisturbed = stage.published()
    assert sum(map(len, undisturbed.values())) > 20_000

    stage.renew_group()
    with stage.worker(**settings, TRANSACTION_MAX_RECORDS="500", COMMIT_INTERVAL_MS="20") as worker:
        wait_until(stage.checkpointed, 60, "a checkpoint that a committed offset refers to")
        worker.kill()
    again = stage.run_to_end(**settings)
    assert again.events("checkpoint_restored")
    assert stage.published() == undisturbed
