"""Lost offsets: no way on without the operator, and two with."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consumer.broker import Committed
from consumer.errors import StateError
from consumer.record import Record
from tests.scripted import DEAD_LETTERS, OUTPUT, TOPIC, Shop, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.worker import Worker


def heavier(models: Any) -> Any:
    """The same models, one weight a little off."""
    for pipeline, _ in models.values():
        pipeline["lin_reg"].intercept += 1e-9
    return models


def reset_by_a_tool(shop: Shop) -> None:
    shop.log.committed = Committed(33, None)


LOSSES = pytest.mark.parametrize("lose", [Shop.lose_offsets, reset_by_a_tool])


@LOSSES
@pytest.mark.parametrize("is_store_lost", [False, True])
def test_lost_offsets_stop(shop: Shop, lose: Callable[[Shop], None], *, is_store_lost: bool) -> None:
    """Where the store or the output knows the partition, the operator chooses between going on and beginning anew."""
    lose(shop)
    if is_store_lost:
        shutil.rmtree(shop.directory)
    reason = shop.refusal(StateError)
    assert "run --resume-after-output" in reason
    assert "run --publish-anew" in reason
    assert "new CONSUMER_GROUP" in reason


def test_a_partition_that_nothing_knows_is_fresh(shop: Shop) -> None:
    """Neither store nor output knows it: it begins as a first start does."""
    shop.lose_offsets()
    shutil.rmtree(shop.directory)
    shop.log.published = {OUTPUT: [], DEAD_LETTERS: []}
    shop.run()
    assert shop.restores() == {"fresh": 1}


def test_an_output_that_retention_emptied_knows_the_partition(shop: Shop) -> None:
    """That results were there once is enough to ask."""
    shop.lose_offsets()
    shutil.rmtree(shop.directory)
    shop.log.cut_topics = {OUTPUT}
    assert "the output topic out knows it" in shop.refusal(StateError)
    assert "retention has removed all of them" in shop.refusal(StateError, allow="resume_after_output")


@LOSSES
@pytest.mark.parametrize("is_store_lost", [False, True])
def test_resume_publishes_nothing_twice_and_skips_nothing(
    shop: Shop, truth: Callable[[int], list[bytes]], lose: Callable[[Shop], None], *, is_store_lost: bool
) -> None:
    """`--resume-after-output` goes on right after the last published record, whatever was lost of the rest."""
    lose(shop)
    if is_store_lost:
        shutil.rmtree(shop.directory)
    shop.grow(80)
    assert shop.run(allow="resume_after_output") == truth(80)
    rung = "replay_from_first" if is_store_lost else "older_checkpoint"
    assert shop.restores() == {rung: 1, "resumed": 1}
    journal = shop.log.connections[-1].journal
    assert journal.index("commit") < journal.index("produce")
    shop.grow(90)
    assert shop.run() == truth(90)
    assert shop.restores() == {"checkpoint": 1}


@LOSSES
def test_publish_anew_publishes_everything_again(
    shop: Shop, truth: Callable[[int], list[bytes]], lose: Callable[[Shop], None]
) -> None:
    """`--publish-anew` begins at the log's start as if for the first time."""
    lose(shop)
    shop.grow(80)
    expected = truth(90)
    assert shop.run(allow="publish_anew") == expected[:60] + expected[:80]
    assert shop.restores() == {"published_anew": 1}
    shop.grow(90)
    assert shop.run() == expected[:60] + expected


@pytest.mark.parametrize("permission", ["resume_after_output", "publish_anew"])
def test_with_its_offset_a_partition_is_restored_as_always(
    shop: Shop, truth: Callable[[int], list[bytes]], permission: str
) -> None:
    """Both flags act only on partitions whose offset is lost."""
    shop.grow(80)
    assert shop.run(allow=permission) == truth(80)
    assert shop.restores() == {"checkpoint": 1}


def bad(offset: int) -> Record:
    return Record(0, offset, 1_800_000_000_000, b"s", b"not an event")


@pytest.mark.parametrize("tail", ["dead letter", "repeats", "both", "dead letters only"])
def test_both_tails_count_and_repeats_may_come_again(
    new_worker: Callable[..., Worker], tmp_path: Path, tail: str
) -> None:
    """The last published record may be a dead letter; trailing repeats leave no trace and publish none again."""
    shop = Shop(new_worker, tmp_path / "checkpoints")
    shop.grow(30)
    records = shop.log.records
    if tail == "dead letters only":
        records[:] = [bad(offset) for offset in range(30)]
    if tail in {"dead letter", "both"}:
        records.append(bad(30))
    if tail in {"repeats", "both"}:
        records += [msgspec.structs.replace(event(7), offset=len(records) + place) for place in range(3)]
    shop.run()
    shop.grow(50)
    undisturbed = Shop(new_worker, tmp_path / "undisturbed")
    undisturbed.log.records += records
    shop.lose_offsets()
    shop.run(allow="resume_after_output")
    undisturbed.run()
    assert published(shop) == published(undisturbed)
    assert shop.restores()["resumed"] == 1


def published(shop: Shop) -> dict[str, list[bytes | None]]:
    """Return what each topic holds; between topics there is no order."""
    return {topic: [record.value for record in records] for topic, records in shop.log.published.items()}


def test_resume_takes_a_checkpoint_below_the_output_s_end(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """A checkpoint above the last published record was never committed: the one below begins the replay."""
    shop.lose_offsets()
    for topic in shop.log.published.values():
        del topic[50:]
    del shop.log.outputs[50:]
    assert shop.run(allow="resume_after_output") == truth(60)
    line = shop.line("older_checkpoint_restored")
    assert (line["offset"], line["committed_offset"]) == (40, 50)


def test_resume_is_held_to_what_was_published(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """A checkpoint whose replay would have published something else is no rung."""
    shop.lose_offsets()
    shop.path(60).unlink()
    shop.rewrite(40, models=heavier)
    shop.grow(80)
    assert shop.run(allow="resume_after_output") == truth(80)
    assert shop.restores() == {"older_checkpoint": 2, "replay_differs": 1, "resumed": 1}


def published_by_another(shop: Shop) -> None:
    shop.log.published[OUTPUT][-1] = Record(0, 0, 0, b"s", b'{"x": 1}')


def of_another_partition(shop: Shop) -> None:
    value = json.loads(shop.log.outputs[-1])
    shop.log.published[OUTPUT][-1] = Record(0, 0, 0, b"s", json.dumps({**value, "source_partition": 1}).encode())


def beyond_the_log(shop: Shop) -> None:
    del shop.log.records[50:]


def changed(shop: Shop) -> None:
    value = json.loads(shop.log.outputs[-1])
    shop.log.published[OUTPUT][-1] = Record(0, 0, 0, b"s", json.dumps({**value, "level_before": 6}).encode())


def one_too_many(shop: Shop) -> None:
    """Another group's dead letter, above what this one has predicted."""
    headers: list[tuple[str, bytes | None]] = [
        ("error.topic", b"in"),
        ("error.partition", b"0"),
        ("error.offset", b"62"),
    ]
    shop.grow(70)
    shop.log.published[DEAD_LETTERS].append(Record(0, 0, 0, b"s", b"x", headers))


def a_foreign_dead_letter(shop: Shop) -> None:
    headers: list[tuple[str, bytes | None]] = [("error.topic", b"elsewhere"), ("error.partition", b"0")]
    shop.log.published[DEAD_LETTERS].append(Record(0, 0, 0, b"s", b"x", headers))


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (published_by_another, "is none that this worker publishes"),
        (of_another_partition, "is none that this worker publishes"),
        (a_foreign_dead_letter, "is none that this worker publishes"),
        (beyond_the_log, "its log ends at 50"),
        (changed, "another prediction for offset 59 than out holds"),
        (one_too_many, "a prediction for offset 60, which was not published"),
    ],
)
def test_resume_is_refused_where_the_output_tells_otherwise(
    shop: Shop, happens: Callable[[Shop], None], words: str
) -> None:
    """Where the outputs do not fit this log and this worker, going on after them would lose or repeat."""
    shop.lose_offsets()
    for offset in (20, 40, 60):  # else there is nothing to replay and to compare
        shop.path(offset).unlink()
    happens(shop)
    assert words in shop.refusal(StateError, allow="resume_after_output")


def test_resume_under_another_meaning_is_refused(shop: Shop) -> None:
    """Lost offsets are no way round the fingerprint: what the replay gives has another model_id."""
    shop.lose_offsets()
    reason = shop.refusal(StateError, allow="resume_after_output", seen_ids=7)
    assert "another prediction for offset 59" in reason
    assert "another fingerprint" in reason


@pytest.mark.parametrize("permission", ["", "resume_after_output", "publish_anew"])
def test_a_recreated_topic_is_another_log(shop: Shop, permission: str) -> None:
    """A deleted topic takes its offsets along; its checkpoints tell that the log is another."""
    shop.lose_offsets()
    shop.log.topic = TOPIC._replace(topic_id="other")
    reason = shop.refusal(StateError, allow=permission)
    assert "its checkpoints are of topic id topic-id, while the topic has other" in reason
