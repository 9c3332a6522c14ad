"""The contract suite for a user's own models: each fault is found by the check that is meant for it."""

# ruff: noqa: ARG002 -- both verbs have the parameters that River gives them

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from river import tree

from consumer.checkpoint.unpickling import Admitted, safe_loads
from consumer.learning.check_model import _CHECKS, Finding, Severity, check_model
from consumer.learning.features import FEATURE_NAMES
from consumer.learning.health import infinite_on_purpose
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.typical import EVENTS, EXTREMES, predictions, predictions_digest, typical_samples
from tests.models import shop_models

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES: Final = [name for name, _, _ in _CHECKS]


def loader(factory: Any) -> Callable[[bytes], Any]:
    """The worker's unpickler, with what a factory declares."""
    admitted = Admitted(getattr(factory, "pickled_classes", ()))
    return lambda data: safe_loads(data, admitted)


def checked(factory: Callable[[], Any], load: Callable[[bytes], Any] = pickle.loads) -> dict[str, Finding]:
    """Findings by check."""
    findings = check_model(factory, load, infinite_on_purpose(factory()))
    assert [finding.check for finding in findings] == NAMES[: len(findings)]
    return {finding.check: finding for finding in findings}


GOOD: Final = (
    get_ml_pipeline,
    shop_models.growing_tree,
    shop_models.small_forest,
    shop_models.neighbours,
    shop_models.adaptive_rate,
    shop_models.drifting,
    shop_models.with_numpy,
    shop_models.two_branches,
)


@pytest.mark.parametrize("factory", GOOD)
def test_good_models_pass(factory: Callable[[], Any]) -> None:
    """River's models and a declared class of the user's own pass every check, the safe unpickler's included."""
    findings = checked(factory, loader(factory))
    assert list(findings) == NAMES
    assert {check: finding.sentence for check, finding in findings.items() if check != "size"} == dict.fromkeys(
        NAMES[:-1], ""
    )
    assert {finding.severity for finding in findings.values()} == {Severity.PASSED}


FAULTS: Final[dict[type, tuple[str, str]]] = {
    shop_models.Silent: ("predicts before it has learned", "expected a number from predict_one before the first"),
    shop_models.Talking: ("takes typical events", "after 9 events a str came"),
    shop_models.Late: ("takes typical events", "expected no exception; ZeroDivisionError came: float division by zero"),
    shop_models.Dicing: ("is deterministic", "from two new models; they differ from event 0 on"),
    shop_models.Sharing: ("is deterministic", "from two new models; they differ from event"),
    shop_models.LaterUnpicklable: ("can be pickled", "expected no exception; "),
    shop_models.Turning: ("can be pickled", "expected a regressor from unpickling; a float came"),
    shop_models.Forgetful: (
        "goes on after pickling as if nothing had happened",
        "that was pickled and unpickled as it learned; they differ from event",
    ),
    shop_models.Touchy: ("goes on after pickling as if nothing had happened", "that was pickled as it learned; they"),
    shop_models.Exploding: ("keeps its numbers finite", "301 typical ones left mean = nan"),
    shop_models.Ceiling: ("keeps its numbers finite", "1 typical ones left ceiling = inf"),
    shop_models.Proud: ("bears the largest values", "expected no exception; ValueError came: too dear"),
}


@pytest.mark.parametrize("factory", FAULTS, ids=lambda factory: factory.__name__)
def test_each_fault_is_found(factory: type) -> None:
    """A model that a worker could not keep its promises with is refused, and the sentence says why."""
    check, text = FAULTS[factory]
    findings = checked(factory)
    faults = [finding for finding in findings.values() if finding.severity is Severity.FAULT]
    assert [fault.check for fault in faults] == [check]
    assert text in faults[0].sentence
    assert faults[0].sentence.startswith("expected")


WARNINGS: Final[dict[Callable[[], Any], tuple[str, str]]] = {
    shop_models.Counting: ("learns nothing from predicting", "predictions differ from event 0 on"),
    shop_models.Hiding: ("hides no numbers", "shop_models.Hiding is pickled as bytes of its own"),
}


@pytest.mark.parametrize("factory", WARNINGS, ids=lambda factory: factory.__name__)
def test_what_is_allowed_is_said(factory: Callable[[], Any]) -> None:
    """What weakens no promise, but should be known, is a warning: the worker starts."""
    check, text = WARNINGS[factory]
    findings = checked(factory)
    assert list(findings) == NAMES
    assert {name for name, finding in findings.items() if finding.severity is not Severity.PASSED} == {check}
    assert findings[check].severity is Severity.WARNING
    assert text in findings[check].sentence


def test_a_model_that_extremes_break() -> None:
    """An event that breaks it is undone in the worker, so this is no fault, and the number of such events is told."""
    findings = checked(tender)
    assert findings["bears the largest values"].severity is Severity.WARNING
    assert "2 of 6 such events break it" in findings["bears the largest values"].sentence
    assert all(finding.severity is not Severity.FAULT for finding in findings.values())


class tender(shop_models.Mean):  # noqa: N801 -- in the place of a function
    """Overflows at the largest levels."""

    def learn_one(self, x: dict[str, float], y: float) -> None:
        """Learn, with a number that grows too fast."""
        super().learn_one(x, y)
        self.power = y * 1e300 if y > 0 else 0.0


def test_unbounded_arithmetic_is_found() -> None:
    """A regression without scaled features leaves the finite numbers on a shop's quite usual events."""
    findings = checked(shop_models.unscaled)
    assert findings["keeps its numbers finite"].severity is Severity.FAULT
    assert "Scale the features" in findings["keeps its numbers finite"].sentence
    assert findings["predicts finite levels"].severity is Severity.WARNING


def test_infinity_that_was_declared_is_no_fault() -> None:
    """With the places that a function declares, the same model passes."""
    declared = frozenset({("ceiling", "inf")})
    findings = check_model(shop_models.Ceiling, pickle.loads, declared)
    assert {finding.severity for finding in findings} == {Severity.PASSED}


def test_a_class_that_was_not_declared_is_named() -> None:
    """What the safe unpickler would refuse at the next restart is refused at the start, the class in the sentence."""
    findings = checked(shop_models.Drifting, loader(None))
    finding = findings["is admitted by the safe unpickler"]
    assert finding.severity is Severity.FAULT
    assert "shop_models.Drifting, which is not admitted" in finding.sentence
    assert "pickled_classes" in finding.sentence
    assert list(findings) == NAMES


def test_the_size_is_stated() -> None:
    """A tree that grows shows how it grows: each event costs as much."""
    sentence = checked(shop_models.growing_tree)["size"].sentence
    untrained, half, _, whole, _ = (int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", sentence))
    assert 1_000 < untrained < half < whole < 100_000


def test_large_models_are_checked_at_intervals() -> None:
    """A model of megabytes is not pickled after each of its events: a check stays a matter of seconds."""
    pickles = [0]

    class Heavy(shop_models.Mean):
        """Half a megabyte of ballast."""

        def __init__(self) -> None:
            super().__init__()
            self.ballast = "x" * 500_000

        def __reduce__(self) -> tuple[Any, ...]:
            pickles[0] += 1
            return shop_models.Mean, (), {"mean": self.mean, "count": self.count, "ballast": self.ballast}

    checked(Heavy)
    assert pickles[0] < EVENTS


def test_one_check_s_features_are_not_another_s() -> None:
    """A model that changes the dictionary it is given changes no other check's events."""

    class Greedy(shop_models.Mean):
        """Takes a feature out."""

        def learn_one(self, x: dict[str, float], y: float) -> None:
            super().learn_one(x, y + x.pop("quantity"))

    before = list(typical_samples())
    trained = predictions(Greedy(), before)
    assert before == list(typical_samples())
    assert trained == predictions(Greedy(), before)


def test_what_no_model_may_swallow_comes_out() -> None:
    """Interrupting a check interrupts it."""

    class Interrupted(shop_models.Mean):
        """Is interrupted as it learns."""

        def learn_one(self, x: dict[str, float], y: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_model(Interrupted, pickle.loads)


# The events


def test_typical_events_are_a_shop_s() -> None:
    """Within the contract, the same each time, sales and restocks, two years: a tree finds something to split."""
    samples = list(typical_samples())
    assert samples == list(typical_samples())
    assert len(samples) == EVENTS
    assert {tuple(sample.features) for sample in samples} == {FEATURE_NAMES}
    for name, low, high in (
        ("quantity", 1, 99),
        ("day_of_week", 0, 6),
        ("month", 1, 12),
        ("year", 2017, 2018),
        ("is_sale", 0, 1),
        ("unit_cost", 0.5, 8.0),
    ):
        values = {sample.features[name] for sample in samples}
        assert (min(values), max(values)) == (low, high) or name == "quantity", name
        assert min(values) >= low
        assert max(values) <= high
    learner = tree.HoeffdingTreeRegressor()
    predictions(learner, samples)
    assert learner.height > 1


def test_extremes_are_the_contract_s_ends() -> None:
    """Zeros, the largest quantity, cost, year and level, of either sign, are among them."""
    ends = [{sample.features[name] for sample in EXTREMES} for name in FEATURE_NAMES]
    assert [(min(values), max(values)) for values in ends] == [
        (0.0, 1e6),
        (0, 6),
        (1, 12),
        (2000, 9999),
        (0, 1),
        (0.0, 1e6),
    ]
    assert {sample.level for sample in EXTREMES} == {-1e9, 0.0, 1e9}


def test_the_digest_tells_models_apart() -> None:
    """Equal for equal models, and another for another."""
    assert predictions_digest(shop_models.growing_tree) == predictions_digest(shop_models.growing_tree)
    assert predictions_digest(shop_models.small_forest) != predictions_digest(shop_models.larger_forest)
