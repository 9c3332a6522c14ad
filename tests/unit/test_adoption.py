"""Another meaning: refused by name, or adopted on purpose and anchored where it was."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import msgspec
import pytest

from consumer.errors import StateError
from consumer.learning.model_sections import MODEL_SECTIONS
from tests.core import models_of
from tests.scripted import TOPIC, Shop, event
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.worker import Worker


def test_a_changed_setting_is_named(shop: Shop) -> None:
    """The refusal says what was and what is, and the ways on; nothing is unpickled for it."""
    reason = shop.refusal(StateError, seen_ids=7)
    assert "SEEN_IDS was 100000, is 7" in reason
    assert "MAX_QUANTITY" not in reason
    assert "--adopt-state" in reason
    assert "new CONSUMER_GROUP with a new OUTPUT_TOPIC" in reason


def test_another_river_is_named(shop: Shop) -> None:
    """A checkpoint of an older River is refused by name."""
    header, _ = unseal(shop.path(60).read_bytes())
    shop.rewrite(60, header={"meaning": {**header.meaning, "river": "0.21.0"}, "fingerprint": "ab" * 32})
    shop.commit(60, fingerprint="ab" * 32, checkpoint_digest=shop.path(60).stem.split("-")[1])
    assert "river was 0.21.0, is " in shop.refusal(StateError)


def test_another_hash_seed_is_named(shop: Shop) -> None:
    """The seed follows from the group and the signing key; it is no part of the fingerprint."""
    reason = shop.refusal(StateError, hash_seed="1")
    assert "PYTHONHASHSEED was 0, is 1" in reason
    assert "fingerprint" not in reason


def test_without_a_checkpoint_the_difference_has_no_name(shop: Shop) -> None:
    """Where no header can be read, the refusal says only that the fingerprints differ, and why not more."""
    shop.spoil(60)
    reason = shop.refusal(StateError, seen_ids=7)
    assert "fingerprint was" in reason
    assert "its checkpoint, which could say more, cannot be used" in reason


def test_another_log_is_refused(shop: Shop) -> None:
    """A topic created anew is another log, whatever is allowed."""
    shop.log.topic = TOPIC._replace(topic_id="other")
    reason = shop.refusal(StateError, allow="adopt_state rebuild publish_anew")
    assert "was committed with topic id topic-id; this worker has other" in reason
    assert "deleted and created anew" in reason
    assert "--adopt-state" not in reason


def test_adopted_state_goes_on_under_the_new_meaning(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """Ledger, identities and models are kept: the predictions are the former meaning's, the model_id is the new."""
    shop.grow(80)
    outputs = shop.run(seen_ids=7, allow="adopt_state")
    expected = truth(80)
    assert outputs[:60] == expected[:60]
    former_id, model_id = shop.predictions()[0]["model_id"], shop.worker._identity.model_id
    assert former_id != model_id
    assert outputs[60:] == [each.replace(former_id.encode(), model_id.encode()) for each in expected[60:]]
    assert shop.restores() == {"adopted": 1}
    line = shop.line("state_adopted")
    assert line["kept"] == ["ledger", "identities", "models"]
    assert line["change"] == "SEEN_IDS was 100000, is 7"
    assert shop.reference().adopted_offset == 60


def test_models_of_the_former_state_format_are_adopted(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """One pickle of all models, as state format 3 had it: they go on as the format's change had never been."""
    path = shop.path(60)
    header, sections = unseal(path.read_bytes())
    models = pickle.dumps(models_of(sections), protocol=5)
    former = {name: body for name, body in sections.items() if name not in MODEL_SECTIONS} | {"models": models}
    sealed, data = seal(header.identity(), 0, 60, former)
    path.unlink()
    path.with_name(path.name.replace(header.digest, sealed.digest)).write_bytes(data)
    shop.commit(60, checkpoint_digest=sealed.digest)
    shop.grow(80)
    outputs = shop.run(seen_ids=7, allow="adopt_state")
    former_id, model_id = shop.predictions()[0]["model_id"], shop.worker._identity.model_id
    assert outputs[60:] == [each.replace(former_id.encode(), model_id.encode()) for each in truth(80)[60:]]
    assert shop.line("state_adopted")["kept"] == ["ledger", "identities", "models"]


def test_the_adopted_window_is_cut(shop: Shop) -> None:
    """Of the remembered identities the newest `SEEN_IDS` stay: an older event is new again, a younger one is not."""
    again = ((60, 52), (61, 59))
    shop.log.records += [msgspec.structs.replace(event(number), offset=offset) for offset, number in again]
    shop.run(seen_ids=7, allow="adopt_state")
    assert [each["transaction_id"] for each in shop.predictions()[60:]] == ["52"]


def test_models_of_another_scope_begin_anew(shop: Shop) -> None:
    """Where `MODEL_SCOPE` changed, the models mean something else: new ones begin, the ledger goes on."""
    shop.grow(61)
    shop.run(model_scope="item", allow="adopt_state")
    (new,) = shop.predictions()[60:]
    assert new["events_learned"] == 0
    assert new["level_before"] == 5
    (assigned,) = shop.worker._assignment
    assert assigned.state.model_count == 1
    line = shop.line("state_adopted")
    assert line["kept"] == ["ledger", "identities"]


def test_adoption_is_committed_before_any_output(shop: Shop) -> None:
    """The new meaning's reference, at the very offset, precedes the first output and the first fetch."""
    shop.grow(80)
    shop.run(seen_ids=7, allow="adopt_state")
    journal = shop.log.connections[-1].journal
    assert journal.index("commit") < journal.index("start") < journal.index("produce")


def test_adoption_happens_even_where_nothing_is_left_to_read(shop: Shop) -> None:
    """A start with --stop-at-end that is told to adopt does not leave before it has, though all is committed."""
    shop.run(seen_ids=7, allow="adopt_state")
    assert shop.restores() == {"adopted": 1}
    assert shop.reference().fingerprint == shop.worker._identity.fingerprint


def test_adoption_of_nothing_new_is_a_plain_restore(shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """The flag acts only where the meaning differs."""
    shop.grow(80)
    assert shop.run(allow="adopt_state rebuild resume_after_output") == truth(80)
    assert shop.restores() == {"checkpoint": 1}


def test_adoption_needs_a_clean_stop(shop: Shop) -> None:
    """Between a checkpoint and a higher committed offset the old meaning would have to be replayed."""
    digest = shop.path(40).stem.split("-")[1]
    shop.commit(60, checkpoint_offset=40, checkpoint_digest=digest)
    reason = shop.refusal(StateError, seen_ids=7, allow="adopt_state")
    assert "its checkpoint stands at offset 40, and the committed offset is 60" in reason
    assert "stop cleanly" in reason


@pytest.mark.parametrize("damage", ["spoilt", "missing", "another state"])
def test_only_the_committed_state_is_adopted(shop: Shop, damage: str) -> None:
    """An adopted state is verified like any other; there is no lower rung to go to."""
    if damage == "spoilt":
        shop.spoil(60)
    elif damage == "missing":
        shop.path(60).unlink()
    else:
        shop.rewrite(60, progress=lambda progress: (*progress[:2], 59, progress[3]))
        shop.commit(60, checkpoint_digest=shop.path(60).stem.split("-")[1])
    assert "adopted" in shop.refusal(StateError, seen_ids=7, allow="adopt_state rebuild")


def test_a_partition_without_records_is_adopted(new_worker: Callable[..., Worker], tmp_path: Path) -> None:
    """An empty partition has no checkpoint and nothing to lose: the new meaning begins there."""
    shop = Shop(new_worker, tmp_path / "checkpoints", [0])
    shop.grow(5)
    shop.run(seen_ids=7, allow="adopt_state")
    assert [each["events_learned"] for each in shop.predictions()] == [0, 1, 2, 3, 4]
    assert shop.reference().adopted_offset is None


def adopted(shop: Shop) -> None:
    """Let a worker adopt the state at 60 and go on to 80."""
    shop.grow(80)
    shop.run(seen_ids=7, allow="adopt_state")


def test_the_adopting_checkpoint_is_a_rung(shop: Shop) -> None:
    """Falling from a damaged checkpoint, the ladder finds it, and its replay holds."""
    adopted(shop)
    shop.keep(60, 80)
    shop.spoil(80)
    shop.grow(90)
    shop.run(seen_ids=7)
    line = shop.line("older_checkpoint_restored")
    assert (line["offset"], line["committed_offset"]) == (60, 80)
    assert "replay_differs" not in shop.restores()
    assert [each["events_learned"] for each in shop.predictions()] == list(range(90))


def test_the_adopting_checkpoint_is_the_lowest_rung(shop: Shop) -> None:
    """Below it lies another meaning: nothing there leads to this state, a replay from the first offset least of all."""
    adopted(shop)
    shop.keep(20, 40, 80)
    shop.spoil(80)
    reason = shop.refusal(StateError, seen_ids=7)
    assert "no rung of the recovery ladder down to the state adopted at 60" in reason
    assert "replay_from_first" not in shop.events()


def test_nothing_below_an_adoption_is_a_rung_even_of_the_same_meaning(shop: Shop) -> None:
    """A setting changed and changed back: the older checkpoints fit again by name, but lead to another state."""
    adopted(shop)
    shop.grow(90)
    shop.run(allow="adopt_state")
    shop.grow(100)
    shop.run()
    assert shop.reference().adopted_offset == 80
    shop.keep(20, 40, 100)
    shop.spoil(100)
    assert "down to the state adopted at 80" in shop.refusal(StateError)
    assert shop.restores() == {"unusable_checkpoint": 1}


def test_the_adopting_checkpoint_is_never_pruned(shop: Shop) -> None:
    """While it is the lowest rung, it stays, however many came after it."""
    adopted(shop)
    for records in range(90, 150, 10):
        shop.grow(records)
        shop.run(seen_ids=7, checkpoint_keep=1)
    left = sorted({int(path.name.split("-")[0]) for path in shop.directory.rglob("*.checkpoint")})
    assert 60 in left
    assert 80 not in left
    assert 40 not in left
