"""The models' steps over many events, compiled to machine code by Numba.

Operators and their order are those of `consumer.learning.step` and `consumer.learning.guarded`, hence every bit is.
Two traps are kept out. A compiler takes a root for `x ** 0.5`, which differs from the C library's `pow` in one of 1,200
numbers: so the exponent is an argument, which it cannot see. And nothing may be reordered or fused: no fast math.
`consumer.learning.acceleration` compares both before it lets a worker use this.

Importing this module compiles, or loads what an earlier process has compiled: a second, or ten.
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import Any, Final

import numpy as np

from consumer.learning.compiling import compiled_now

# Where a pipeline's numbers stand in its array.
COUNT: Final = 0
ITERATIONS: Final = 1
INTERCEPT: Final = 2
MEANS: Final = 3
VARIANCES: Final = 9
WEIGHTS: Final = 15

# And its parameters.
RATE: Final = 0
INTERCEPT_RATE: Final = 1
CLIP: Final = 2
HALF: Final = 3

# And the constants of share and gate. They are arguments: code that is kept on disk must not hold those of an older
# version, and Numba looks at this file alone to find out whether it still fits.
DEVIATIONS: Final = 0
FIRST_SPREAD: Final = 1
LARGEST_SHARE: Final = 2
LEAST_SPREAD: Final = 3
REFRESH: Final = 4
SPREAD_RATE: Final = 5
USUAL_SQUARED: Final = 6
CLEAR_WIN: Final = 7
LARGEST_VOTE: Final = 8
LEAST_ERROR: Final = 9
LEAST_VOTES: Final = 10
MEMORY: Final = 11
LEAST: Final = 12
MOST: Final = 18

# What an event is to `guarded_steps`.
UNOBSERVED: Final = 0
OBSERVED: Final = 1
LATE: Final = 2
UNKNOWN: Final = 3

_FEATURES: Final = 6
_MILLION: Final = 1e6


@compiled_now("float64(float64[::1], float64[::1], float64[::1])", allocates=False)
def _predict(pipeline: Any, deviations: Any, x: Any) -> float:  # noqa: ANN401 -- arrays
    """Return the prediction for scaled features; `deviations` holds the roots of the variances."""
    predicted = 0.0
    for i in range(_FEATURES):
        deviation = deviations[i]
        scaled = (x[i] - pipeline[MEANS + i]) / deviation if deviation != 0.0 else 0.0
        predicted += pipeline[WEIGHTS + i] * scaled
    return predicted + pipeline[INTERCEPT]  # type: ignore[no-any-return]


@compiled_now("void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64)", allocates=False)
def _learn(pipeline: Any, parameters: Any, deviations: Any, scaled: Any, x: Any, target: float) -> None:  # noqa: ANN401, PLR0913, PLR0917 -- arrays
    """Take one step: Welford's moments, then SGD on the squared loss; `scaled` is a place to work in."""
    pipeline[COUNT] += 1.0
    count = pipeline[COUNT]
    total = 0.0
    for i in range(_FEATURES):
        before = x[i] - pipeline[MEANS + i]
        mean = pipeline[MEANS + i] + before / count
        after = x[i] - mean
        variance = pipeline[VARIANCES + i]
        variance += (before * after - variance) / count
        deviation = variance ** parameters[HALF]
        pipeline[MEANS + i], pipeline[VARIANCES + i], deviations[i] = mean, variance, deviation
        scaled[i] = after / deviation if deviation != 0.0 else 0.0
        total += pipeline[WEIGHTS + i] * scaled[i]
    gradient = 2.0 * ((total + pipeline[INTERCEPT]) - target)
    clip = parameters[CLIP]
    if gradient > clip:
        gradient = clip
    elif gradient < -clip:
        gradient = -clip
    pipeline[INTERCEPT] -= parameters[INTERCEPT_RATE] * gradient
    rate = parameters[RATE]
    for i in range(_FEATURES):
        pipeline[WEIGHTS + i] -= rate * (scaled[i] * gradient)
    pipeline[ITERATIONS] += 1.0


@compiled_now("void(float64[::1], float64[::1], float64[::1], float64[:, ::1], float64[::1], float64[::1])")
def linear_steps(pipeline: Any, parameters: Any, deviations: Any, features: Any, levels: Any, predictions: Any) -> None:  # noqa: ANN401, PLR0913, PLR0917 -- arrays
    """Predict for each row of features, then learn its level where that is a number.

    Args:
        pipeline: the pipeline's numbers.
        parameters: its parameters.
        deviations: the roots of its variances.
        features: (n, 6).
        levels: (n), in units; NaN where there is none.
        predictions: (n), filled.
    """
    scaled = np.empty(_FEATURES)
    for row in range(len(levels)):
        x = features[row]
        predictions[row] = _predict(pipeline, deviations, x)
        if not isnan(levels[row]):
            _learn(pipeline, parameters, deviations, scaled, x, levels[row])


@compiled_now("float64(float64, float64)", allocates=False)
def _bounded(value: float, largest: float) -> float:
    if -largest <= value <= largest:
        return value
    return -largest if value < -largest else largest


@compiled_now("void(float64[::1], float64[::1], float64[::1])", allocates=False)
def _bound_features(x: Any, lows: Any, highs: Any) -> None:  # noqa: ANN401 -- arrays
    """Take fourth roots of quantity and cost, and bound all features."""
    x[0], x[5] = sqrt(sqrt(x[0])), sqrt(sqrt(x[5]))
    for i in range(_FEATURES):
        if not lows[i] <= x[i] <= highs[i]:
            x[i] = lows[i] if x[i] < lows[i] else highs[i]


@compiled_now("void(float64[::1], float64[::1], float64[::1], float64[::1])", allocates=False)
def _refresh(pipeline: Any, constants: Any, lows: Any, highs: Any) -> None:  # noqa: ANN401 -- arrays
    """Let the features' bounds follow their moments."""
    for i in range(_FEATURES):
        reach = constants[DEVIATIONS] * sqrt(pipeline[VARIANCES + i])
        low, high = pipeline[MEANS + i] - reach, pipeline[MEANS + i] + reach
        lows[i] = max(low, constants[LEAST + i])
        highs[i] = min(high, constants[MOST + i])


@compiled_now("void(float64[::1], float64[::1], float64, float64)", allocates=False)
def _vote(gate: Any, constants: Any, missing: float, corrected_by: float) -> None:  # noqa: ANN401 -- arrays
    """Count one observed event: votes, the error without, the error corrected, and whether the gate is open then."""
    left = missing - corrected_by
    without, corrected = missing * missing, left * left
    if gate[3] != 0.0:
        largest = constants[LARGEST_VOTE] * gate[1]
        without, corrected = min(without, largest), min(corrected, largest)
    if gate[0] < constants[MEMORY]:
        gate[0] += 1.0
    gate[1] += (without - gate[1]) / gate[0]
    gate[2] += (corrected - gate[2]) / gate[0]
    has_earned = (
        gate[0] >= constants[LEAST_VOTES]
        and gate[1] > constants[LEAST_ERROR]
        and gate[2] < constants[CLEAR_WIN] * gate[1]
    )
    gate[3] = 1.0 if has_earned else 0.0


@compiled_now(
    "void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], int64[::1], "
    "float64[::1], int64[::1], int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], int64[:, ::1], "
    "float64[::1], int64[::1])"
)
def guarded_steps(  # noqa: C901, PLR0913, PLR0915, PLR0917 -- what is called, crosses over into machine code, once
    pipeline: Any,  # noqa: ANN401 -- arrays, all of them
    parameters: Any,  # noqa: ANN401
    constants: Any,  # noqa: ANN401
    deviations: Any,  # noqa: ANN401
    lows: Any,  # noqa: ANN401
    highs: Any,  # noqa: ANN401
    counters: Any,  # noqa: ANN401
    spreads: Any,  # noqa: ANN401
    spread_order: Any,  # noqa: ANN401
    gate_at: Any,  # noqa: ANN401
    gates: Any,  # noqa: ANN401
    gate_codes: Any,  # noqa: ANN401
    features: Any,  # noqa: ANN401
    events: Any,  # noqa: ANN401
    predictions: Any,  # noqa: ANN401
    learned: Any,  # noqa: ANN401
) -> None:
    """Step through many events.

    Args:
        pipeline: the share's numbers.
        parameters: its parameters.
        constants: those of share and gate.
        deviations: the roots of its variances.
        lows: its features' lower bounds.
        highs: the upper ones.
        counters: events until the bounds are refreshed, gates, kinds with a spread, events learned from.
        spreads: by kind; NaN where there is none yet.
        spread_order: (kinds): in the order in which they got one.
        gate_at: by code (store, kind, magnitude), the gate's row; -1 where there is none yet.
        gates: (rows, 4): votes, error without, error corrected, whether open; room for one more an event.
        gate_codes: (rows): of each gate its code.
        features: (n, 6), unbounded; changed.
        events: (n, 6): before, quantity and observed level in millionths, all within 2**53; OBSERVED, UNOBSERVED, LATE
            or UNKNOWN; kind; code.
        predictions: (n), filled, in units; NaN where the item is unknown.
        learned: (n), filled: how many events had been learned from before each.
    """
    scaled = np.empty(_FEATURES)
    for row in range(len(predictions)):
        learned[row] = counters[3]
        what = events[row, 3]
        if what >= LATE:
            predictions[row] = events[row, 0] / _MILLION if what == LATE else nan
            continue
        quantity = events[row, 1]
        expected = events[row, 0] + quantity
        predicted = expected / _MILLION
        predictions[row] = predicted
        if quantity == 0:
            continue  # of which there is no share
        size = abs(quantity)
        kind, code = events[row, 4], events[row, 5]
        at = gate_at[code]
        is_open = at >= 0 and gates[at, 3] != 0.0
        x = features[row]
        if what == UNOBSERVED:
            if is_open:
                _bound_features(x, lows, highs)
                predictions[row] = predicted + _bounded(_predict(pipeline, deviations, x), constants[LARGEST_SHARE]) * (
                    size / _MILLION
                )
            continue
        missing = _bounded((events[row, 2] - expected) / size, constants[LARGEST_SHARE])

        _bound_features(x, lows, highs)
        share = _predict(pipeline, deviations, x)
        spread = spreads[kind]
        if isnan(spread):
            spread = constants[FIRST_SPREAD]
            spread_order[counters[2]] = kind
            counters[2] += 1
        target = missing
        surprise = missing - share
        squared = surprise * surprise
        largest = constants[USUAL_SQUARED] * max(spread, constants[LEAST_SPREAD])
        if squared > largest:
            squared = largest
            target = share + (sqrt(largest) if surprise > 0.0 else -sqrt(largest))
        spreads[kind] = spread + (squared - spread) * constants[SPREAD_RATE]
        _learn(pipeline, parameters, deviations, scaled, x, target)
        counters[0] -= 1
        if counters[0] == 0:
            _refresh(pipeline, constants, lows, highs)
            counters[0] = int(constants[REFRESH])
        share = _bounded(share, constants[LARGEST_SHARE])

        if is_open:
            predictions[row] = predicted + share * (size / _MILLION)
        if at < 0:
            at = counters[1]
            gate_at[code], gate_codes[at] = at, code
            gates[at] = 0.0
            counters[1] += 1
        _vote(gates[at], constants, missing, share)
        counters[3] += 1


@compiled_now("void(float64[::1], float64)", allocates=False)
def roots(numbers: Any, half: float) -> None:  # noqa: ANN401 -- an array
    """Take the root of each number as the steps do."""
    for i in range(len(numbers)):
        numbers[i] = numbers[i] ** half
