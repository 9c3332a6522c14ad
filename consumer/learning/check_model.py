"""The contract of a model of the user's own, as checks that it must pass before it learns from a log.

What the guarantees rest on: a model that is pickled and unpickled goes on as if nothing had happened (restarts, and the
undoing of an event that breaks it), and the same events give the same bits (replays).
"""

from __future__ import annotations

import pickle
import struct
from enum import StrEnum
from functools import cached_property
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consumer.learning.health import examine, hidden_in
from consumer.learning.model import BrokenModelError
from consumer.learning.regressor import is_regressor
from consumer.learning.step import prequential_step
from consumer.learning.typical import EVENTS, EXTREMES, predictions, typical_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.learning.health import Place
    from consumer.learning.regressor import Regressor

_PIECE_BYTES: Final = 50_000
"""A model is pickled after each event if it is smaller, else after every second, third...: a check takes seconds."""

_ALWAYS: Final = 20


class Severity(StrEnum):
    """What a finding means for the start of a worker."""

    PASSED = "passed"
    WARNING = "warning"
    FAULT = "fault"


class Finding(NamedTuple):
    """What came of one check.

    Attributes:
        check: what was checked.
        severity: a fault keeps the worker from starting, a warning does not.
        sentence: what was expected, what came, and what to do; empty where there is nothing to say.
    """

    check: str
    severity: Severity
    sentence: str


def check_model(
    factory: Callable[[], Regressor],
    load: Callable[[bytes], Any],
    infinite_on_purpose: frozenset[Place] = frozenset(),
    beat: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Check the models of a factory; return a finding for each check, in order.

    Where a model takes no events, or is not deterministic, or cannot be pickled, that is the last one.

    Args:
        factory: makes a new, untrained model.
        load: unpickles as the worker will; raises ValueError with a sentence where it refuses.
        infinite_on_purpose: where the models hold infinite numbers that break nothing.
        beat: called before each check, which takes seconds.
    """
    trial = _Trial(factory, load, infinite_on_purpose)
    findings = []
    for name, check, is_basic in _CHECKS:
        beat()
        try:
            severity, sentence = check(trial)
        except BaseException as error:
            if (
                not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime"
            ):  # a panic in compiled Rust
                raise
            severity = Severity.FAULT
            sentence = f"expected no exception; {type(error).__name__} came: {error}. Mend the model"
        findings.append(Finding(name, severity, sentence))
        if is_basic and severity is Severity.FAULT:
            break
    return findings


_Result = tuple[Severity, str]
_PASSED: Final[_Result] = (Severity.PASSED, "")


class _Trial:
    """One factory on trial; each method is a check."""

    def __init__(
        self, factory: Callable[[], Regressor], load: Callable[[bytes], Any], infinite_on_purpose: frozenset[Place]
    ) -> None:
        self._new = factory
        self._load = load
        self._infinite_on_purpose = infinite_on_purpose
        self._samples = list(typical_samples())

    def predicts_untrained(self) -> _Result:
        for sample in (*self._samples[:_ALWAYS], *EXTREMES):
            predicted = self._new().predict_one(sample.features.copy())
            if not _is_number(predicted):
                return Severity.FAULT, (
                    f"expected a number from predict_one before the first learn_one; {_shown(predicted)} came. "
                    "Let it return 0.0, say, until it knows better"
                )
        return _PASSED

    def takes_events(self) -> _Result:
        model = self._new()
        for number, (features, level) in enumerate(self._samples):
            given = features.copy()
            predicted = model.predict_one(given)
            if not _is_number(predicted):
                return Severity.FAULT, (
                    f"expected a number from predict_one; after {number} events {_shown(predicted)} came. "
                    "Let it always return one"
                )
            model.learn_one(given, level)
        return _PASSED

    def is_picklable(self) -> _Result:
        for data in (pickle.dumps(self._new(), protocol=5), self._trained):
            again = _unpickled(data)
            if not is_regressor(again):
                return Severity.FAULT, (
                    f"expected a regressor from unpickling; {_shown(again)} came. Mend its __reduce__ or __setstate__"
                )
        return _PASSED

    def is_admitted(self) -> _Result:
        for data in (pickle.dumps(self._new(), protocol=5), self._trained):
            try:
                self._load(data)
            except ValueError as error:
                return Severity.FAULT, str(error)
        return _PASSED

    def goes_on_after_pickling(self) -> _Result:
        def pickled(model: Regressor) -> Regressor:
            pickle.dumps(model, protocol=5)
            return model

        def restored(model: Regressor) -> Regressor:
            return _unpickled(pickle.dumps(model, protocol=5))

        for what, between in (("pickled", pickled), ("pickled and unpickled", restored)):
            differs_at = self._first_difference_with(between)
            if differs_at is not None:
                return Severity.FAULT, (
                    f"expected equal predictions from a model that was {what} as it learned; they differ from event "
                    f"{differs_at} on. Keep what it knows in attributes that are pickled, and let pickling change none"
                )
        return _PASSED

    def is_deterministic(self) -> _Result:
        differs_at = _first_difference(self._undisturbed, predictions(self._new(), self._samples))
        if differs_at is None:
            return _PASSED
        return Severity.FAULT, (
            f"expected equal predictions from two new models; they differ from event {differs_at} on. Give its random "
            "numbers a fixed seed, and let models share nothing"
        )

    def stays_finite(self) -> _Result:
        model = self._new()
        for number, sample in enumerate(self._samples):
            predictions(model, [sample])
            broken = examine(model).infinite - self._infinite_on_purpose if self._is_turn(number) else None
            if broken:
                places = ", ".join(f"{name or 'an unnamed number'} = {value}" for name, value in sorted(broken)[:3])
                return Severity.FAULT, (
                    f"expected finite numbers after each event; {number + 1} typical ones left {places}. Scale the "
                    "features; where infinity is meant, name the attribute in the function's may_be_infinite"
                )
        return _PASSED

    def predicts_finite_levels(self) -> _Result:
        unfit = sum(not isfinite(*struct.unpack("<d", each)) for each in self._undisturbed)
        if not unfit:
            return _PASSED
        return Severity.WARNING, (
            f"expected finite predictions; {unfit} of {EVENTS} typical ones are not, and would be published as null"
        )

    def bears_extremes(self) -> _Result:
        run, _, _ = prequential_step(_unpickled(self._trained), self._infinite_on_purpose)
        broken = 0
        for sample in EXTREMES:
            try:
                run(sample.features.copy(), sample.level)
            except BrokenModelError:
                broken += 1
        if not broken:
            return _PASSED
        return Severity.WARNING, (
            f"expected it to bear the largest values that the contract allows; {broken} of {len(EXTREMES)} such events "
            "break it, are undone and would become dead letters (broke_model). Bound the features to prevent it"
        )

    def learns_nothing_from_predicting(self) -> _Result:
        def asked(model: Regressor) -> Regressor:
            for sample in self._samples[:3]:
                model.predict_one(sample.features.copy())
            return model

        differs_at = self._first_difference_with(asked)
        if differs_at is None:
            return _PASSED
        return Severity.WARNING, (
            f"expected predict_one to teach it nothing; where it is asked more often, predictions differ from event "
            f"{differs_at} on. The worker asks exactly once for each event, so that is allowed"
        )

    def hides_nothing(self) -> _Result:
        hidden = hidden_in(_unpickled(self._trained))
        if not hidden:
            return _PASSED
        return Severity.WARNING, (
            f"expected numbers that can be seen; {', '.join(sorted(hidden))} is pickled as bytes of its own, in which "
            "one that is not finite would go unnoticed"
        )

    def is_of_a_size(self) -> _Result:
        new, half = self._new(), self._new()
        predictions(half, self._samples[: EVENTS // 2])
        sizes = [len(pickle.dumps(model, protocol=5)) for model in (new, half)]
        return Severity.PASSED, (
            f"{sizes[0]:,} bytes untrained, {sizes[1]:,} after {EVENTS // 2} events, {len(self._trained):,} after "
            f"{EVENTS}; each event costs the time to pickle that"
        )

    @cached_property
    def _trained(self) -> bytes:
        model = self._new()
        predictions(model, self._samples)
        return pickle.dumps(model, protocol=5)

    @cached_property
    def _undisturbed(self) -> list[bytes]:
        return predictions(self._new(), self._samples)

    def _is_turn(self, number: int) -> bool:
        return number < _ALWAYS or number % (1 + len(self._trained) // _PIECE_BYTES) == 0

    def _first_difference_with(self, between: Callable[[Regressor], Regressor]) -> int | None:
        """Return the first event whose prediction differs where `between` has its way between two events."""

        def in_turn(number: int, model: Regressor) -> Regressor:
            return between(model) if self._is_turn(number) else model

        return _first_difference(self._undisturbed, predictions(between(self._new()), self._samples, in_turn))


_CHECKS: Final[Sequence[tuple[str, Callable[[_Trial], _Result], bool]]] = (
    ("predicts before it has learned", _Trial.predicts_untrained, True),
    ("takes typical events", _Trial.takes_events, True),
    ("is deterministic", _Trial.is_deterministic, True),
    ("can be pickled", _Trial.is_picklable, True),
    ("is admitted by the safe unpickler", _Trial.is_admitted, False),
    ("goes on after pickling as if nothing had happened", _Trial.goes_on_after_pickling, False),
    ("keeps its numbers finite", _Trial.stays_finite, False),
    ("predicts finite levels", _Trial.predicts_finite_levels, False),
    ("bears the largest values", _Trial.bears_extremes, False),
    ("learns nothing from predicting", _Trial.learns_nothing_from_predicting, False),
    ("hides no numbers", _Trial.hides_nothing, False),
    ("size", _Trial.is_of_a_size, False),
)
"""What is checked, how, and whether a fault in it would only come up again in the checks that follow."""


def _first_difference(expected: Sequence[bytes], found: Sequence[bytes]) -> int | None:
    return next((index for index, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1]), None)


def _unpickled(data: bytes) -> Regressor:
    again: Regressor = pickle.loads(data)  # noqa: S301 -- pickled in this process, from the user's own model
    return again


def _is_number(predicted: object) -> bool:
    return isinstance(predicted, Real) and not isinstance(predicted, bool)


def _shown(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
