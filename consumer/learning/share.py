"""The share that the books miss of a quantity, learned by the pipeline of `linear` from bounded features.

Why not that pipeline as it is: on real data it diverges, because a feature that was constant for n events and then
moves lies √n deviations off, and because quantities are heavy-tailed. Here nothing that goes in is unbounded, hence
nothing inside: no weight moves by more than 0.02 an event.
"""

from __future__ import annotations

from copy import deepcopy
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from river import compose, linear_model, optim, preprocessing

from consumer.learning.features import FEATURE_NAMES, get_features
from consumer.learning.step import prequential_step

if TYPE_CHECKING:
    from consumer.learning.features import Features
    from schemas.transaction import StockTransaction

LARGEST_SHARE: Final = 0.25
"""No event counts for more and no correction is larger: a shelf that loses a quarter needs a person, not a model."""

# The range of the features. Quantity and cost go in as their fourth roots, which tames the tails and still tells 1 from
# 10 from 1,000; 32 is the root of 1,048,576. What a year has to say about a share is said by 2100.
LEAST: Final = (0.0, 0.0, 1.0, 2000.0, 0.0, 0.0)
MOST: Final = (32.0, 6.0, 12.0, 2100.0, 1.0, 32.0)

# Within that range a feature enters at most this many deviations from its mean; these bounds follow the moments every
# so many events. That keeps a scaled feature below 8.5 in size: after n events and up to 64 more the variance is still
# n / (n + 64) of the bounds' own and the mean still between the bounds, so 2 * 3 / √½ is the worst; and before event 66
# √65 is. Six of them square to 432. A step of SGD multiplies its event's error by 1 - 2 (432 + 1) * 0.002, which is
# above -1: it cannot diverge.
DEVIATIONS: Final = 3.0
REFRESH: Final = 64
RATE: Final = 0.002
MAX_GRADIENT: Final = 1.0

# What one event teaches is bounded by what events of its type usually teach: 4 times the root mean square. It is never
# bounded to less than 4 * 0.001, so that there is always a way to news, and begins at `LARGEST_SHARE`.
USUAL_TIMES: Final = 4.0
LEAST_SPREAD: Final = 0.001 * 0.001
FIRST_SPREAD: Final = (LARGEST_SHARE / USUAL_TIMES) * (LARGEST_SHARE / USUAL_TIMES)
SPREAD_RATE: Final = 0.01

_LARGEST_WARM_WEIGHT: Final = 10.0


def get_share_pipeline() -> Any:  # noqa: ANN401 -- River's types are too wide to help
    """Return a new pipeline: standardised features into a linear regression by SGD, as `linear` has it, but slower.

    It begins with the two corners of the features' range, which miss nothing: so no feature is ever without variance.
    """
    pipeline = compose.Pipeline(
        ("scale", preprocessing.StandardScaler()),
        (
            "lin_reg",
            linear_model.LinearRegression(optimizer=optim.SGD(RATE), intercept_lr=RATE, clip_gradient=MAX_GRADIENT),
        ),
    )
    for corner in (LEAST, MOST):
        pipeline.learn_one(dict(zip(FEATURE_NAMES, corner, strict=True)), 0.0)
    return pipeline


def copy_of(pipeline: Any) -> Any:  # noqa: ANN401 -- whatever a file held
    """Return a copy of a pipeline to start from.

    Raises:
        ValueError: it is not of the kind that `get_share_pipeline` makes, or training cannot have given its numbers.
    """
    if repr(pipeline) != repr(get_share_pipeline()) or list(getattr(pipeline, "steps", ())) != ["scale", "lin_reg"]:
        raise ValueError(
            "expected a pipeline that MODEL=guarded trained, got another one; export it from a checkpoint of "
            "MODEL=guarded, or start without one"
        )
    if not _is_sound(pipeline["scale"], pipeline["lin_reg"]):
        raise ValueError(
            "expected moments and weights as MODEL=guarded trains them, got others in the pipeline; export it from a "
            "checkpoint of MODEL=guarded, or start without one"
        )
    return deepcopy(pipeline)


def _is_sound(scaler: Any, regression: Any) -> bool:  # noqa: ANN401 -- the two parts of a River pipeline
    """Tell whether a pipeline's numbers are such that the bounds above hold; NaN fails every comparison."""
    weights = regression.weights
    if any(tuple(part) != FEATURE_NAMES for part in (scaler.counts, scaler.means, scaler.vars, weights)):
        return False
    return (
        len(set(scaler.counts.values())) == 1
        and scaler.counts[FEATURE_NAMES[0]] >= len((LEAST, MOST))
        and all(
            low <= scaler.means[name] <= high and 0.0 < scaler.vars[name] <= (high - low) * (high - low)
            for name, low, high in zip(FEATURE_NAMES, LEAST, MOST, strict=True)
        )
        and all(abs(weight) <= _LARGEST_WARM_WEIGHT for weight in (regression.intercept, *weights.values()))
    )


class Share:
    """What share of an event's quantity the books miss: below 0 where stock goes missing.

    Attributes:
        pipeline: the River pipeline; up to date after `snapshot`.
    """

    __slots__ = ("_flush", "_highs", "_lows", "_run", "_spreads", "_until_refresh", "pipeline")

    def __init__(self, pipeline: Any = None, *, state: tuple[Any, ...] | None = None) -> None:  # noqa: ANN401 -- see above
        """Begin anew, with a copy of a pipeline, or where a `snapshot` was (its pipeline becomes this one's own).

        Raises:
            ValueError: see `copy_of`.
        """
        self._spreads: dict[str, float]
        if state is not None:
            self.pipeline, self._lows, self._highs, self._until_refresh, self._spreads = state
            self._run, self._flush, _ = prequential_step(self.pipeline)
            return
        self.pipeline = get_share_pipeline() if pipeline is None else copy_of(pipeline)
        self._run, self._flush, _ = prequential_step(self.pipeline)
        self._spreads = {}
        self._refresh()

    def expect(self, transaction: StockTransaction) -> float:
        """Return the share to be expected, without learning."""
        return bounded(self._run(self._features(transaction), None))

    def expect_and_learn(self, transaction: StockTransaction, kind: str, share: float) -> float:
        """Return the share that was to be expected, then learn the one that the books missed.

        Args:
            transaction: the event.
            kind: its effective type.
            share: what the books missed of its quantity, at most `LARGEST_SHARE` in size.
        """
        features = self._features(transaction)
        expected = self._run(features, None)
        surprise = share - expected
        squared = surprise * surprise
        spread = self._spreads.get(kind, FIRST_SPREAD)
        largest = USUAL_TIMES * USUAL_TIMES * max(spread, LEAST_SPREAD)
        if squared > largest:
            squared = largest
            share = expected + (sqrt(largest) if surprise > 0.0 else -sqrt(largest))
        self._spreads[kind] = spread + (squared - spread) * SPREAD_RATE
        self._run(features, share)
        self._until_refresh -= 1
        if not self._until_refresh:
            self._refresh()
        return bounded(expected)

    def snapshot(self) -> tuple[Any, ...]:
        """Return the state: the live pipeline, and plain types."""
        self._flush()
        return self.pipeline, self._lows, self._highs, self._until_refresh, self._spreads.copy()

    def _refresh(self) -> None:
        """Let the features' bounds follow their moments."""
        self._flush()
        means, variances = self.pipeline["scale"].means, self.pipeline["scale"].vars
        reach = {name: DEVIATIONS * sqrt(variances[name]) for name in FEATURE_NAMES}
        self._lows = tuple(
            max(least, means[name] - reach[name]) for name, least in zip(FEATURE_NAMES, LEAST, strict=True)
        )
        self._highs = tuple(
            min(most, means[name] + reach[name]) for name, most in zip(FEATURE_NAMES, MOST, strict=True)
        )
        self._until_refresh = REFRESH

    def _features(self, transaction: StockTransaction) -> Features:
        """Return the base features, bounded; written out, because it is done for every event."""
        quantity, day, month, year, is_sale, cost = get_features(transaction).values()
        quantity, cost = sqrt(sqrt(quantity)), sqrt(sqrt(cost))
        low_quantity, low_day, low_month, low_year, low_sale, low_cost = self._lows
        top_quantity, top_day, top_month, top_year, top_sale, top_cost = self._highs
        return {
            "quantity": quantity
            if low_quantity <= quantity <= top_quantity
            else _nearest(quantity, low_quantity, top_quantity),
            "day_of_week": day if low_day <= day <= top_day else _nearest(day, low_day, top_day),
            "month": month if low_month <= month <= top_month else _nearest(month, low_month, top_month),
            "year": year if low_year <= year <= top_year else _nearest(year, low_year, top_year),
            "is_sale": is_sale if low_sale <= is_sale <= top_sale else _nearest(is_sale, low_sale, top_sale),
            "unit_cost": cost if low_cost <= cost <= top_cost else _nearest(cost, low_cost, top_cost),
        }


def bounded(share: float) -> float:
    """Return the share, or the largest one with its sign."""
    return share if -LARGEST_SHARE <= share <= LARGEST_SHARE else _nearest(share, -LARGEST_SHARE, LARGEST_SHARE)


def _nearest(value: float, low: float, top: float) -> float:
    return low if value < low else top
