"""A model of the user's own on a real broker: killed and undisturbed, what readers see is the same, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.shop import LINEAR, real_transactions
from consumer.errors import ExitCode
from tests.kafka import wait_until
from tests.models.shop_models import growing_tree
from tests.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stage import Stage

pytestmark = [pytest.mark.broker, pytest.mark.cold]  # PYTHONPATH, and a model that may follow the hash seed

MODELS: Final = str(ROOT / "tests" / "models")


def own(name: str) -> dict[str, str]:
    """The settings of a worker that runs a model of the shop's module, found by PYTHONPATH."""
    return {"MODEL": f"shop_models:{name}", "PYTHONPATH": MODELS}


def committed(stage: Stage) -> int:
    """How many offsets the group has committed."""
    return sum(max(0, answer.offset) for answer in stage.committed().values())


@pytest.mark.parametrize("events", [5_000, pytest.param(10_000, marks=pytest.mark.deep)])
def test_a_tree_killed_twice(new_stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    """Kill -9 in mid-stream and recovery: byte-identical to the independent loop, in which River alone learned."""
    stage = new_stage()
    stage.send(real_transactions(events, seed=11))
    settings = own("growing_tree") | {"TRANSACTION_MAX_RECORDS": "300", "CHECKPOINT_INTERVAL_SECONDS": "0.5"}
    for target in (events // 5, events * 2 // 5):
        with stage.worker(**settings) as worker:
            wait_until(lambda at_least=target: committed(stage) > at_least, 60, "some commits")  # type: ignore[misc]
            wait_until(stage.checkpointed, 60, "a checkpoint to be referred to")
            worker.kill()
    assert committed(stage) < events
    last = stage.run_to_end(**settings)
    assert last.events("checkpoint_restored")
    assert not last.events("model_checked")  # that was before the first event

    monkeypatch.syspath_prepend(MODELS)
    truth = stage.truth(LINEAR._replace(model="shop_models:growing_tree"), regressor=growing_tree)
    assert stage.differences(truth) == []
    assert truth.counts["predictions"] >= events


def test_a_class_of_ones_own_comes_back_from_a_checkpoint(new_stage: Callable[..., Stage]) -> None:
    """What the function declares is admitted by the safe unpickler: the next start goes on from the checkpoint."""
    stage = new_stage(partitions=1)
    stage.send(real_transactions(500, seed=12))
    stage.run_to_end(**own("drifting"))
    with stage.worker(**own("drifting")) as again:
        wait_until(lambda: again.events("partition_live"), 30, "the partition to be live")
        (restored,) = again.events("checkpoint_restored")
        assert restored["offset"] == restored["committed_offset"]
        assert again.terminate() == 0


def test_a_faulty_model_has_cost_nothing(new_stage: Callable[..., Stage]) -> None:
    """A model that fails its checks stops the worker with its own code before anything is committed or published."""
    stage = new_stage(partitions=1)
    stage.send(real_transactions(50, seed=13))
    with stage.worker("worker-0", "--stop-at-end", **own("Forgetful")) as worker:
        assert worker.wait() == ExitCode.MODEL
    (line,) = worker.events("stopped_by_error")
    assert "goes on after pickling as if nothing had happened: expected equal predictions" in line["reason"]
    assert committed(stage) == 0
    assert all(answer.offset < 0 for answer in stage.committed().values())
    assert stage.published() == {0: []}
