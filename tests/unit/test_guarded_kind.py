"""The kind of `guarded`: all that gives it its meaning, and only its own states."""

from __future__ import annotations

import ast
import math
import pickle
from copy import deepcopy
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from consumer.learning import gate, guarded, share
from consumer.learning.guarded_kind import GuardedKind
from consumer.learning.ledger import Ledger
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.share import get_share_pipeline
from consumer.simulate.synthetic import synthetic_events
from schemas.transaction import KNOWN_TYPES, MILLION, Limits, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from consumer.learning.model import StockModel
    from schemas.transaction import Event

KIND: Final = GuardedKind()


@cache
def shop() -> list[Event]:
    """A shop's events; receipts are two units short, so there is something to learn."""
    events = []
    for made in synthetic_events(seed=4, limit=1_500):
        event = decode(made.value, made.timestamp_ms, Limits())
        if event.quantity_millionths > 0 and event.level_millionths is not None:
            event = msgspec.structs.replace(event, new_stock_level=event.level_millionths / MILLION - 2.0)
        events.append(event)
    return events


def stepped(model: StockModel, ledger: Ledger, events: Iterable[Event]) -> list[float | None]:
    """What a model predicts for these events."""
    predicted = []
    for event in events:
        posting = ledger.look(event.sku, event.quantity_millionths, event.level_millionths, event.occurred_us)
        ledger.enter(event.sku, posting)
        predicted.append(model.step(event, posting))
    return predicted


@cache
def trained_bytes() -> bytes:
    """The state of a model that has learned from some events."""
    model = KIND.new()
    stepped(model, Ledger(), shop()[:700])
    return pickle.dumps(model.state())


def trained() -> dict[str, Any]:
    """That state, anew."""
    state: dict[str, Any] = pickle.loads(trained_bytes())
    return state


def test_a_restored_model_goes_on_as_if_nothing_had_happened() -> None:
    """Wherever the checkpoint falls: the same predictions, the same state in the end."""
    undisturbed, ledger = KIND.new(), Ledger()
    expected = stepped(undisturbed, ledger, shop())
    for cut in (0, 1, 63, 64, 65, 700):
        model, ledger = KIND.new(), Ledger()
        found = stepped(model, ledger, shop()[:cut])
        model = KIND.restored(pickle.loads(pickle.dumps(model.state())))
        found += stepped(model, ledger, shop()[cut:])
        assert found == expected
        assert model.events_learned == undisturbed.events_learned


def test_every_constant_is_in_the_fingerprint() -> None:
    """A number that changes predictions changes the meaning: none can be forgotten."""
    for module in (gate, share, guarded):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = {
            target.id
            for node in tree.body
            if isinstance(node, ast.AnnAssign | ast.Assign)
            for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
            if isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_")
        }
        assert names, module
        for name in names:
            assert KIND.parameters[name] == getattr(module, name)
    assert KIND.parameters["known types"] == sorted(KNOWN_TYPES)
    assert KIND.parameters["pipeline"] == repr(get_share_pipeline())
    assert msgspec.json.encode(KIND.parameters)


def test_the_meaning_of_guarded_is_pinned() -> None:
    """A digest of all that gives its predictions their meaning: whoever changes it asks every user to adopt a state."""
    digest = sha256(msgspec.json.encode(KIND.parameters, order="deterministic")).hexdigest()
    assert digest[:16] == "710e08f66e9b35be"


def with_part(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Replace a part of the state."""
    return lambda state: state | {key: value}


def with_share(place: int, value: object) -> Callable[[dict[str, Any]], object]:
    """Replace a part of the share."""
    return lambda state: state | {"share": (*state["share"][:place], value, *state["share"][place + 1 :])}


def with_broken_weight(state: dict[str, Any]) -> object:
    """A weight that is not finite."""
    state["share"][0]["lin_reg"]._weights["month"] = math.nan
    return state


def with_uneven_counts(state: dict[str, Any]) -> object:
    """A pipeline that the straight-line step does not take, and machine code would take for another one."""
    state["share"][0]["scale"].counts["month"] += 1
    return state


FOREIGN: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "no dictionary": list,
    "the state of linear": lambda _: (get_ml_pipeline(), 3),
    "a part missing": lambda state: {key: state[key] for key in ("events_learned", "share")},
    "a count that is a text": with_part("events_learned", "7"),
    "a count below 0": with_part("events_learned", -1),
    "a count beyond 64 bits": with_part("events_learned", 2**63),
    "a pipeline of uneven counts": with_uneven_counts,
    "gates of three": with_part("gates", {("s", "sale"): (1, 0.0, 0.0)}),
    "a gate of text": with_part("gates", {("s", "sale", 1): (1, 0.0, "much")}),
    "a gate that is not finite": with_part("gates", {("s", "sale", 1): (1, 0.0, math.inf)}),
    "a gate of no type": with_part("gates", {("s", "lend", 1): (1, 0.0, 0.0)}),
    "a gate of no magnitude": with_part("gates", {("s", "sale", 9): (1, 0.0, 0.0)}),
    "a gate below all magnitudes": with_part("gates", {("s", "sale", -1): (1, 0.0, 0.0)}),
    "a spread of no type": with_share(4, {"lend": 0.1}),
    "more votes than it remembers": with_part("gates", {("s", "sale", 1): (101, 0.0, 0.0)}),
    "another pipeline": with_share(0, get_ml_pipeline()),
    "no pipeline": with_share(0, None),
    "a weight that is not finite": with_broken_weight,
    "a bound missing": with_share(1, (0.0,) * 5),
    "a bound that is not finite": with_share(2, (math.nan,) * 6),
    "a refresh that never comes": with_share(3, 0),
    "a spread that is not finite": with_share(4, {"sale": math.inf}),
    "a share too short": lambda state: state | {"share": state["share"][:4]},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_states_are_refused(name: str) -> None:
    """A state that is none of such a model's is refused when it is restored, not at some later event."""
    foreign = FOREIGN[name](trained())
    with pytest.raises(ValueError, match=r"^expected (the|a|finite)"):
        KIND.restored(foreign)


def test_its_own_states_are_taken() -> None:
    """The states above differ from a good one in just that."""
    assert KIND.restored(trained()).events_learned > 0
    assert KIND.restored(deepcopy(KIND.new().state())).events_learned == 0


def test_a_warm_start_is_judged_at_once() -> None:
    """A pipeline that such a model did not train is refused when the kind is made, and a good one is copied."""
    with pytest.raises(ValueError, match="expected a pipeline that MODEL=guarded trained"):
        GuardedKind(get_ml_pipeline)
    pipeline = trained()["share"][0]
    new = GuardedKind(lambda: pipeline).new()
    assert new.pipeline is not pipeline
    assert new.pipeline["lin_reg"].weights == pipeline["lin_reg"].weights
