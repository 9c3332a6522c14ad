"""Snapshots of many models, taken while they learn on: what comes out is what was there when it began."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.learning.fingerprint import LearningSettings
from consumer.learning.model import ModelScope
from consumer.learning.model_sections import GROUP, MODEL_SECTIONS, joined, pickles_of
from consumer.learning.models import Models
from consumer.model_choice import model_kind
from consumer.record import Record
from schemas.transaction import Limits
from tests import core

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.learning import PartitionTask
    from consumer.learning.model_sections import Section

KINDS: Final = {name: model_kind(name) for name in ("linear", "guarded")}
SCOPES: Final = (ModelScope.STORE, ModelScope.ITEM)


def new_task(scope: ModelScope, model: str = "linear") -> PartitionTask:
    """A task without any state, whose items leave after two days."""
    learning = LearningSettings(model, scope, 50, 100, Limits(), item_retire_days=2)
    return core.new_task(learning, topic="sales", partition=0, model_id="0123456789ab", kind=KINDS[model])


def whole(sections: Mapping[str, Section]) -> dict[str, bytes]:
    """Sections in one piece each."""
    return {name: bytes(joined(section)) for name, section in sections.items()}


def pickled_now(task: PartitionTask) -> list[tuple[str, bytes]]:
    """The pickle of each of a task's models, made this moment."""
    kept = task._models._by_scope
    return [(key, pickle.dumps(each.model.state(), protocol=5)) for key, each in kept.items()]


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Sales of a few items in three stores; days pass, and an item that has run out leaves."""
    events = draw(
        st.lists(
            st.tuples(st.sampled_from("123"), st.sampled_from("abcd"), st.integers(0, 2), st.sampled_from([0, 0, 5])),
            max_size=40,
        )
    )
    records, day = [], 0
    for number, (store, sku, on, level) in enumerate(events):
        day += on if number % 4 == 0 else 0
        at = datetime(2025, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        fields = {"transaction_id": str(number), "store_id": store, "sku": sku, "quantity": -1 - number % 3}
        value = json.dumps({**fields, "occurred_at": at.isoformat(), "new_stock_level": level}).encode()
        records.append(Record(0, number, -1, b"s", value))
    return records


@settings(max_examples=250, deadline=None)
@given(logs(), st.sampled_from(SCOPES), st.sampled_from(sorted(KINDS)), st.data())
def test_a_snapshot_in_passing_is_one_at_once(
    records: list[Record], scope: ModelScope, model: str, data: st.DataObject
) -> None:
    """Whatever learns, leaves, comes anew, or was restored meanwhile: each byte is as if the loop had stood still."""
    task, twin = new_task(scope, model), new_task(scope, model)  # the twin is never restored
    under_way, wanted = None, {}
    actions = st.lists(st.sampled_from(["begin", "1 more", "2 more", "3 more", "restore"]), max_size=2)
    for record in [*records, None]:
        for action in data.draw(actions) if record is not None else ["begin", "99 more", "1 more"]:
            if action == "begin" and under_way is None:
                under_way, wanted, pickles = task.begin_snapshot(), twin.snapshot(), pickled_now(twin)
            elif action.endswith("more") and under_way is not None and under_way.advance(int(action.split()[0])):
                found = whole(under_way.sections())
                assert found == whole(wanted)
                assert list(pickles_of(found)) == pickles
                under_way = None
            elif action == "restore":
                sections, under_way = core.unpickled(task.snapshot()), None
                task = new_task(scope, model)
                task.restore(sections)
        if record is not None:
            assert task.process(record) == twin.process(record)
    assert task.model_count == twin.model_count


class Countable:
    """A model that counts how often it was pickled."""

    takes_batches = False

    def __init__(self, events_learned: int = 0) -> None:
        self.events_learned = events_learned
        self.pickled = 0

    def state(self) -> int:
        self.pickled += 1
        return self.events_learned


class CountableKind:
    """Makes countable models."""

    parameters: Final[Mapping[str, Any]] = {}

    def new(self) -> Any:
        return Countable()

    def restored(self, state: Any) -> Any:
        return Countable(state)


def many(number: int) -> Models:
    """So many models, one for each item."""
    models = Models(ModelScope.ITEM, CountableKind())
    for item in range(number):
        models.keep("s", str(item), models.new())
    return models


def step(models: Models, *items: int) -> None:
    """Let the models of items learn once."""
    for item in items:
        model = models.about_to_step("s", str(item))
        assert model is not None
        model.events_learned += 1


def pickled(models: Models) -> list[int]:
    """How often each model was pickled."""
    return [kept.model.pickled for kept in models._by_scope.values()]  # type: ignore[attr-defined]


def completed(models: Models) -> dict[str, int]:
    """A snapshot taken at once, unpickled."""
    snapshot = models.begin_snapshot()
    while not snapshot.advance(3):
        pass
    return core.models_of(whole(snapshot.sections()))


def test_only_what_has_stepped_is_pickled_again() -> None:
    """The pickle of a model is kept until it steps; restored ones bring theirs along."""
    models = many(4)
    assert completed(models) == {"0": 0, "1": 0, "2": 0, "3": 0}
    step(models, 1, 2, 2)
    assert completed(models) == {"0": 0, "1": 1, "2": 2, "3": 0}
    assert pickled(models) == [1, 2, 2, 1]
    restored = Models(ModelScope.ITEM, CountableKind())
    state = {"0": 0, "1": 1}
    restored.restore(state, {key: pickle.dumps(each, protocol=5) for key, each in state.items()})
    step(restored, 1)
    assert completed(restored) == {"0": 0, "1": 2}
    assert pickled(restored) == [0, 1]


def test_what_steps_meanwhile_is_pickled_first_and_once() -> None:
    """One that steps often costs the snapshot one pickle, whether it had come to it or not."""
    models = many(4)
    snapshot = models.begin_snapshot()
    assert not snapshot.advance(2)
    for _ in range(3):
        step(models, 0, 3)
    assert pickled(models) == [1, 1, 0, 1]
    models.keep("s", "4", models.new())
    models.drop(["2", "3"])
    models.keep("s", "3", models.new())
    assert not snapshot.advance(9)
    assert snapshot.advance(9)
    assert core.models_of(whole(snapshot.sections())) == {"0": 0, "1": 0, "2": 0, "3": 0}
    assert completed(models) == {"0": 3, "1": 0, "4": 0, "3": 0}
    assert pickled(models) == [2, 1, 1, 1]


def test_groups_stay_where_they_are() -> None:
    """A model that learns changes its own group; one that comes changes the last. Cuts say nothing of the content."""
    models = many(3 * GROUP - 5)

    def groups() -> list[bytes]:
        snapshot = models.begin_snapshot()
        while not snapshot.advance(50):
            pass
        found = snapshot.sections()["models.pickles"]
        assert isinstance(found, list)
        return found

    first = groups()
    step(models, GROUP + 1)
    models.keep("s", "new", models.new())
    second = groups()
    assert [one == other for one, other in zip(first, second, strict=True)] == [True, False, False]
    assert len(second) == len(first) == 3


def test_a_superseded_snapshot_cannot_go_on() -> None:
    """Two at a time would take each other's pickles."""
    models = many(2)
    first = models.begin_snapshot()
    with pytest.raises(AssertionError, match="once it is complete"):
        first.sections()
    step(models, 0)
    assert completed(models) == {"0": 1, "1": 0}
    with pytest.raises(AssertionError, match="superseded"):
        first.advance(1)


def test_one_model_is_pickled_at_once() -> None:
    """That of the whole partition steps without being asked for each event."""
    task = new_task(ModelScope.PARTITION)
    task.process(Record(0, 0, -1, b"s", _SALE))
    snapshot = task.begin_snapshot()
    task.process(Record(0, 1, -1, b"s", _SALE.replace(b'"1"', b'"2"')))
    while not snapshot.advance(1):
        pass
    (state,) = core.models_of(whole(snapshot.sections())).values()
    assert state[1] == 1
    assert set(MODEL_SECTIONS) < set(snapshot.sections())
    assert (snapshot.offset, task.next_offset) == (1, 2)


_SALE: Final = json.dumps(
    {
        "transaction_id": "1",
        "store_id": "s",
        "sku": "k",
        "quantity": -1,
        "occurred_at": "2025-01-01T10:00:00Z",
        "new_stock_level": 5,
    }
).encode()
