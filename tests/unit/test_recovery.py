"""The recovery ladder against a scripted cluster: which rung is taken, and what stops the worker."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from consumer.errors import LogGapError, StateError
from tests.core import model_sections, models_of
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.scripted import Shop

# The ladder


def test_the_referenced_checkpoint_is_the_first_rung(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """After a clean stop the next start takes the referenced checkpoint and nothing else."""
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"checkpoint": 1}


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swapped(path: Path) -> None:
    """Another checkpoint, whole and honest, under the referenced one's name."""
    (other,) = path.parent.glob("00000000000000000020-*")
    path.write_bytes(other.read_bytes())


def forged(path: Path) -> None:
    """Another state at the same offset, sealed by its own digest, under the referenced one's name."""
    header, sections = unseal(path.read_bytes())
    models = model_sections(heavier(models_of(sections)))
    _, data = seal(header.identity(), 0, header.offset, {**sections, **models})
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flipped, cut, empty, swapped, forged])
def test_a_damaged_checkpoint_goes_one_rung_down(
    shop: Shop, truth: Callable[[int], list[bytes]], damage: Callable[[Path], None]
) -> None:
    """The newest older checkpoint takes its place, with a longer replay, and nobody sees a difference."""
    damage(shop.path(60))
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}
    line = shop.line("older_checkpoint_restored")
    assert (line["offset"], line["committed_offset"]) == (40, 60)
    assert shop.counted("records_replayed") == 20


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ((60, 40), {"unusable_checkpoint": 2, "older_checkpoint": 1}),
        ((60, 40, 20), {"unusable_checkpoint": 3, "replay_from_first": 1}),
    ],
)
def test_the_ladder_goes_on_down(
    shop: Shop, truth: Callable[[int], list[bytes]], spoilt: tuple[int, ...], expected: dict[str, int]
) -> None:
    """Rung after rung, down to a replay from the first offset ever learned."""
    shop.spoil(*spoilt)
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == expected
    assert shop.events().count("checkpoint_unusable") == len(spoilt)


def heavier(models: Any) -> Any:
    """The same models, one weight a little off."""
    for pipeline, _ in models.values():
        pipeline["lin_reg"].intercept += 1e-9
    return models


def test_a_subtly_wrong_state_is_found_out(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """An older checkpoint, whole and of the right identity, whose model is off by a hair: its replay tells."""
    shop.rewrite(40, models=heavier)
    shop.spoil(60)
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 2, "replay_differs": 1}


@pytest.mark.parametrize(
    "sections",
    [
        {"progress": lambda progress: (progress[0] + 1, *progress[1:])},
        {"progress": lambda progress: (progress[0], progress[1] + 1, *progress[2:])},
        {"progress": lambda _: None},
        {"models": lambda _: {"": 7}},
    ],
    ids=["stands elsewhere", "began elsewhere", "no progress", "no models"],
)
def test_a_state_that_contradicts_its_header_is_passed_over(
    shop: Shop, truth: Callable[[int], list[bytes]], sections: dict[str, Any]
) -> None:
    """What was sealed wrongly has a good digest and is still no state to begin with."""
    shop.rewrite(40, **sections)
    shop.spoil(60)
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 2, "older_checkpoint": 1}


@pytest.mark.parametrize("field", ["fingerprint", "hash_seed", "topic_id"])
def test_an_older_checkpoint_of_another_identity_is_passed_over(
    shop: Shop, truth: Callable[[int], list[bytes]], field: str
) -> None:
    """A lower rung must be of this very log and meaning."""
    shop.rewrite(40, header={field: "other"})
    shop.spoil(60)
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 2, "older_checkpoint": 1}


def test_no_rung_holds(shop: Shop) -> None:
    """Where nothing arrives at what was committed, the refusal says what each rung gave."""
    shop.commit(60, chain="0" * 16)
    reason = shop.refusal(StateError)
    assert "leads partition 0 to offset 60" in reason
    assert "the checkpoint at offset 20: it gave 60 records with digest" in reason
    assert f"where 60 records with digest {'0' * 16} were committed" in reason
    assert "a replay of all" in reason
    assert "CONSUMER_GROUP" in reason
    assert shop.restores() == {"checkpoint": 1, "older_checkpoint": 2, "replay_from_first": 1, "replay_differs": 4}


def test_a_checkpoint_above_the_committed_offset_is_not_believed(
    shop: Shop, truth: Callable[[int], list[bytes]]
) -> None:
    """Whoever may commit to the group may name a checkpoint that is ahead of it: the rung below takes over."""
    reference = shop.reference()
    shop.grow(80)
    shop.run()
    ahead = shop.reference()
    shop.commit(
        60,
        checkpoint_offset=80,
        checkpoint_digest=ahead.checkpoint_digest,
        chain=reference.chain,
        records_applied=reference.records_applied,
    )
    del shop.log.outputs[60:]
    assert shop.run() == truth(80)
    assert shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}


def test_an_unreferenced_checkpoint_is_a_rung(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """A worker that died between a checkpoint and its commit leaves one that the next start may use all the same."""
    shop.commit(60, checkpoint_offset=None, checkpoint_digest=None)
    shop.grow(80)
    assert shop.run() == truth(80)
    assert shop.restores() == {"older_checkpoint": 1}


def test_a_log_that_ends_below_the_committed_offset_stops(shop: Shop) -> None:
    """A log that lost its end (an unclean election) is noticed while replaying, and where nothing is replayed."""
    del shop.log.records[50:]
    assert "the log ends at 50" in shop.refusal(LogGapError)
    shop.spoil(60)
    assert "ends at offset 50, below the committed offset 60" in shop.refusal(LogGapError)


# A missing checkpoint


def test_a_missing_checkpoint_stops(shop: Shop) -> None:
    """Another host's directory looks just like a lost one: the operator decides."""
    shop.path(60).unlink()
    reason = shop.refusal(StateError)
    assert f"it is missing in the directory {shop.directory}" in reason
    assert "run --rebuild" in reason
    assert shop.restores() == {}


def test_an_unreadable_checkpoint_stops(shop: Shop) -> None:
    """What cannot be read just now is not lost either."""
    path = shop.path(60)
    path.unlink()
    path.mkdir()
    assert "cannot be read" in shop.refusal(StateError)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("file", {"rebuilt": 1, "older_checkpoint": 1}),
        ("directory", {"rebuilt": 1, "replay_from_first": 1}),
    ],
)
def test_rebuild_goes_on_without_it(
    shop: Shop, truth: Callable[[int], list[bytes]], what: str, expected: dict[str, int]
) -> None:
    """`--rebuild` takes the next rung: an older checkpoint where there is one, else the whole log."""
    if what == "file":
        shop.path(60).unlink()
    else:
        shutil.rmtree(shop.directory)
    shop.grow(80)
    assert shop.run(allow="rebuild") == truth(80)
    assert shop.restores() == expected
    assert "checkpoint_missing" in shop.events()


def test_a_reference_to_what_cannot_be_used_is_renewed_at_once(shop: Shop) -> None:
    """Restored from an older file at the very committed offset, the worker says so without waiting for a record."""
    digest = shop.path(40).name.split("-")[1].split(".")[0]
    shop.commit(60, checkpoint_offset=40, checkpoint_digest=digest)
    shop.spoil(40)
    worker = shop.new_worker(shop.log, end=1_000, checkpoint_url=f"file:{shop.directory}")
    worker.begin()
    for _ in range(50):
        worker.step()
    assert worker.is_settled
    assert (shop.log.committed and shop.log.committed.offset) == 60
    assert shop.reference().checkpoint_offset == 60
