"""The prequential step: predict for an event, then learn from it.

Any model can do it with its own two verbs. For exactly the `linear` pipeline straight-line code does the same
arithmetic in the same order, hence to the same bits (tests compare them), in a fifth of the time; see
docs/decisions/0004-straight-line-step.md. Either way an event that breaks the model leaves no trace in it.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from river import compose, linear_model, optim, preprocessing

from consumer.learning.features import FEATURE_NAMES, features_of
from consumer.learning.health import examine
from consumer.learning.model import BrokenModelError
from consumer.learning.numbers import Numbers, numbers_of, parameters_of, put_back

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumer.learning.arrays import Doubles
    from consumer.learning.features import Features
    from consumer.learning.health import Place
    from consumer.learning.regressor import Regressor
    from schemas.transaction import Event


_MODERATE: Final = 1e100
_LARGEST_CLIP: Final = 1e12  # River's own default


class Step(NamedTuple):
    """How one model predicts and learns.

    Attributes:
        run: of (features, level): predict, and where `level` is not None, learn it; return the prediction. Raises
            BrokenModelError where that would leave a number that is not finite; the model is then as before.
        run_many: the same for many events and their levels, None where an event may break the model: then each is to be
            looked at alone.
        flush: return the model, brought up to date, before it is read or pickled. It may be another object than the one
            that the step was made for.
    """

    run: Callable[[Features, float | None], float]
    flush: Callable[[], Regressor]
    run_many: Callable[[Sequence[Event], list[float | None]], list[float]] | None = None


class CompiledStep(NamedTuple):
    """The same by machine code.

    Attributes:
        run: see `Step`.
        flush: likewise.
        run_many: likewise; never None.
        run_rows: the same for rows of features, (n, 6), and levels in units, NaN where nothing is to be learned.
    """

    run: Callable[[Features, float | None], float]
    flush: Callable[[], Regressor]
    run_many: Callable[[Sequence[Event], list[float | None]], list[float]]
    run_rows: Callable[[Doubles, Doubles], Doubles]


def prequential_step(model: Regressor, infinite_on_purpose: frozenset[Place] = frozenset()) -> Step:
    """Return the fastest step that there is for this model.

    Args:
        model: learns with every call of the step.
        infinite_on_purpose: where its kind holds infinite numbers that break nothing.
    """
    return _straight_line_step(model) if _is_linear(model) else _plain_step(model, infinite_on_purpose)


def _plain_step(model: Regressor, infinite_on_purpose: frozenset[Place]) -> Step:
    # Before the prediction, since that may change a model, too (a scaler's dictionaries enter what they are asked for).
    before = examine(model).data

    def run(features: Features, level: float | None) -> float:
        nonlocal model, before
        predicted = float(model.predict_one(features))
        if level is not None:
            model.learn_one(features, level)
        now = examine(model)
        if not now.infinite <= infinite_on_purpose:
            model = pickle.loads(before)  # noqa: S301 -- what this very function pickled, and kept in memory
            raise BrokenModelError
        before = now.data
        return predicted

    def flush() -> Regressor:
        return model

    return Step(run, flush)


def compiled_step(model: Any, module: Any) -> CompiledStep:  # noqa: ANN401 -- a pipeline that has straight-line code
    """Return the same step through compiled code, by far faster for many events and slower for one.

    Args:
        model: has a `run_many`; up to date.
        module: `consumer.learning.compiled`.
    """
    import numpy as np  # noqa: PLC0415 -- the compiled code brought it

    from consumer.learning.arrays import PipelineArrays, feature_rows  # noqa: PLC0415

    arrays = PipelineArrays(model)

    def run_rows(rows: Doubles, levels: Doubles) -> Doubles:
        predictions = np.empty(len(levels))
        module.linear_steps(arrays.numbers, arrays.parameters, arrays.deviations, rows, levels, predictions)
        return predictions

    def run(features: Features, level: float | None) -> float:
        row = np.array([list(features.values())], np.float64)
        return float(run_rows(row, np.array([level], np.float64))[0])

    def run_many(events: Sequence[Event], levels: list[float | None]) -> list[float]:
        predicted: list[float] = run_rows(feature_rows(events), np.array(levels, np.float64)).tolist()
        return predicted

    return CompiledStep(run, arrays.flush, run_many, run_rows)


def _is_linear(model: Any) -> bool:  # noqa: ANN401 -- whatever a checkpoint or a user brings
    """Recognise the reference pipeline: exactly its classes and kinds of parameters, its features or none yet."""
    if type(model) is not compose.Pipeline or list(model.steps) != ["scale", "lin_reg"]:
        return False
    scaler, regression = model["scale"], model["lin_reg"]
    constant = optim.schedulers.Constant
    return (
        type(scaler) is preprocessing.StandardScaler
        and scaler.with_std
        and scaler.window_size is None
        and type(regression) is linear_model.LinearRegression
        and (regression.l1, regression.l2) == (0, 0)
        and type(regression.loss) is optim.losses.Squared
        and type(regression.optimizer) is optim.SGD
        and type(regression.initializer) is optim.initializers.Zeros
        and type(regression.optimizer.lr) is constant
        and type(regression.intercept_lr) is constant
        and tuple(scaler.counts) in {(), FEATURE_NAMES}
        and len(set(scaler.counts.values())) <= 1
        and tuple(regression.weights) in {(), FEATURE_NAMES}
        and _stays_finite(scaler, regression)
    )


def _stays_finite(scaler: Any, regression: Any) -> bool:  # noqa: ANN401 -- parts of a River pipeline
    """Tell whether no event within the contract's bounds can ever make a number of this pipeline infinite.

    Then the straight-line step need not look: features are at most 1e6 in size and levels are finite. A mean stays
    among what it began with and the features, a variance below the square of their range. After n events a scaled
    feature is at most √n in size, a gradient at most `clip_gradient`: a weight moves by less than 1e12 √n an event,
    and from 1e100 there is no way to 1e308. Every other pipeline takes the plain step, which looks after each event.
    """
    rates = (regression.optimizer.lr.learning_rate, regression.intercept_lr.learning_rate)
    moved = (*scaler.means.values(), *regression.weights.values(), regression.intercept)
    return (
        all(0.0 <= rate <= 1.0 for rate in rates)
        and 0.0 <= regression.clip_gradient <= _LARGEST_CLIP
        and all(-_MODERATE < number < _MODERATE for number in moved)
        and all(0.0 <= variance < _MODERATE for variance in scaler.vars.values())
    )


def _lines(template: str) -> str:
    return "\n".join(template.format(i=i) for i in range(len(FEATURE_NAMES)))


def _list(template: str) -> str:
    return ", ".join(template.format(i=i) for i in range(len(FEATURE_NAMES)))


# StandardScaler keeps Welford's running moments; LinearRegression takes one step of SGD on the squared loss. Operators
# and their order are River's: a sum that begins with 0.0, a gradient of 2 * (prediction - level), then clipped. A
# standard deviation (s) is kept for the next prediction, which would take the same root of the same variance.
_SOURCE: Final = f"""
def build(state, rate, intercept_rate, clip):
    n, iterations, intercept, means, variances, weights = state
    {_list("m{i}")} = means
    {_list("v{i}")} = variances
    {_list("w{i}")} = weights
    {_list("s{i}")} = [v ** 0.5 for v in variances]

    def run(features, level):
        nonlocal n, iterations, intercept, {_list("m{i}, v{i}, s{i}, w{i}")}
        {_list("x{i}")} = features.values()
{_lines("        d{i} = x{i} - m{i}")}
        predicted = 0.0
{_lines("        predicted += w{i} * (d{i} / s{i} if s{i} else 0.0)")}
        predicted += intercept
        if level is None:
            return predicted
        n += 1
        total = 0.0
{
    _lines('''        m{i} += d{i} / n
        e{i} = x{i} - m{i}
        v{i} += (d{i} * e{i} - v{i}) / n
        s{i} = v{i} ** 0.5
        z{i} = e{i} / s{i} if s{i} else 0.0
        total += w{i} * z{i}''')
}
        gradient = 2 * ((total + intercept) - level)
        if gradient > clip:
            gradient = clip
        elif gradient < -clip:
            gradient = -clip
        intercept -= intercept_rate * gradient
{_lines("        w{i} -= rate * (z{i} * gradient)")}
        iterations += 1
        return predicted

    def state():
        return n, iterations, intercept, ({_list("m{i}")}), ({_list("v{i}")}), ({_list("w{i}")})

    return run, state
"""
_namespace: Final[dict[str, Any]] = {}
exec(compile(_SOURCE, "<straight-line step>", "exec"), _namespace)  # noqa: S102 -- our own text, nothing of it from outside


def _straight_line_step(model: Any) -> Step:  # noqa: ANN401 -- a River pipeline, recognised above
    run, read = _namespace["build"](numbers_of(model), *parameters_of(model))

    def run_many(events: Sequence[Event], levels: list[float | None]) -> list[float]:
        return [run(features_of(event), level) for event, level in zip(events, levels, strict=True)]

    def flush() -> Any:  # noqa: ANN401 -- the same pipeline
        put_back(model, Numbers(*read()))
        return model

    return Step(run, flush, run_many)
