"""What River's models need of the allow-list, found out by pickling all of them; and which are left out, and why."""

from __future__ import annotations

import importlib
import inspect
import math
import pickle
import pkgutil
import random
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import river
from river import (
    base,
    compose,
    drift,
    dummy,
    ensemble,
    feature_extraction,
    forest,
    imblearn,
    linear_model,
    neighbors,
    optim,
    preprocessing,
    rules,
    stats,
    time_series,
    tree,
    utils,
)

from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, safe_loads
from consumer.learning.features import FEATURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumer.learning.features import Features

ADMITTED: Final = Admitted()
EVENTS: Final = 250
NUMPY: Final = "numpy."  # whose results depend on the processor, and whose pickles call a dozen of its functions
NOT_ADMITTED: Final = {
    "BanditRegressor": "river.bandit.",  # keeps a bound `clone` of its metric
    "BayesianLinearRegression": NUMPY,
    "EWARegressor": NUMPY,  # only as River's own tests build it, around a PARegressor
    "FFMRegressor": "river.facto.",  # NumPy throughout
    "FMRegressor": "river.facto.",
    "FwFMRegressor": "river.facto.",
    "HOFMRegressor": "river.facto.",
    "PARegressor": NUMPY,  # and a bound method of its own
}
"""River's regressors that are refused, and what in their pickles is."""

NO_ARGUMENTS_OF_THEIR_OWN: Final = {
    # Bases and parts of others, which the others' pickles cover.
    *("AdaptiveRegressor", "ETRegressor", "RegRule", "TargetMinMaxScaler", "TargetStandardScaler"),
    "TargetTransformRegressor",
}
NEED_SEVERAL_TARGETS: Final = {"ISOUPTreeRegressor"}


def events(seed: int, number: int = EVENTS) -> Iterator[tuple[Features, float]]:
    """Base features and levels that depend on them, so that trees have something to split."""
    rng = random.Random(seed)
    for _ in range(number):
        row = (
            *(abs(rng.gauss(0, 5)), rng.randrange(7), rng.randrange(1, 13)),
            *(2017 + rng.randrange(2), rng.randrange(2), rng.uniform(0, 20)),
        )
        features = dict(zip(FEATURE_NAMES, row, strict=True))
        yield features, 5 + 2 * features["quantity"] + (30 if features["is_sale"] else 0) + rng.gauss(0, 1)


def regressors() -> list[type[Any]]:
    """Every class of River's that can be a regressor of levels."""
    found = set()
    for module in pkgutil.walk_packages(river.__path__, "river."):
        parts = module.name.split(".")
        if {"datasets", "stream", "checks", "compat", "envs", "_river_rust"} & set(parts) or parts[-1].startswith(
            "test"
        ):
            continue
        for each in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(each, type)
                and issubclass(each, base.Regressor)
                and each.__module__.startswith("river.")
                and not inspect.isabstract(each)
                and each.__name__ not in NO_ARGUMENTS_OF_THEIR_OWN | NEED_SEVERAL_TARGETS
                and not each.__name__.startswith("Base")
            ):
                found.add(each)
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def cases() -> Iterator[Any]:
    """Each regressor, with each set of parameters that River itself tests it with."""
    for each in regressors():
        for number, parameters in enumerate(each._unit_test_params()):
            yield pytest.param(each, parameters, id=f"{each.__name__}-{number}")


def assert_admitted(model: Any, learn: Callable[[Any, int], list[Any]]) -> None:
    """Check that a model passes, unlearned and learned, and goes on to the bit as if it had never been pickled."""
    fresh = safe_loads(pickle.dumps(model, protocol=5), ADMITTED)
    assert learn(fresh, 1) == learn(model, 1)
    data = pickle.dumps(model, protocol=5)
    assert safe_loads(pickle.dumps(model, protocol=4), ADMITTED) is not None
    loaded = safe_loads(data, ADMITTED)
    assert type(loaded) is type(model)
    # An ordinary unpickler is the measure: some models go on a little differently after any pickling.
    assert learn(loaded, 2) == learn(pickle.loads(data), 2)


def learn_levels(model: Any, seed: int) -> list[Any]:
    """Predict, then learn."""
    predictions = []
    for features, level in events(seed):
        try:
            predictions.append(model.predict_one(features))
            model.learn_one(features, level)
        except (ArithmeticError, ValueError) as error:  # of models that have their troubles: they go on all the same
            predictions.append(type(error))
    return [repr(each) for each in predictions]  # as text: NaN equals itself there


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of factorization machines that diverge
@pytest.mark.parametrize(("kind", "parameters"), list(cases()))
def test_rivers_regressors(kind: type[Any], parameters: dict[str, Any]) -> None:
    """Each of River's regressors is admitted whole, or is refused for the reason that is written down."""
    reason = NOT_ADMITTED.get(kind.__name__)
    model = kind(**parameters)
    if reason is None:
        assert_admitted(model, learn_levels)
        return
    learn_levels(model, 1)
    with pytest.raises(UnsafePickleError, match=f"the pickle names {reason}.*, which is not admitted"):
        safe_loads(pickle.dumps(model, protocol=5), ADMITTED)


def test_what_is_left_out_exists() -> None:
    """The list of what is refused names regressors that River has, and no others."""
    assert set(NOT_ADMITTED) < {each.__name__ for each in regressors()}


# What a factory of a user's own may well return, beyond what River tests its regressors with.


def before_linear(*steps: Any, rate: float = 0.001) -> Any:
    """A pipeline of these steps before a linear regression."""
    return compose.Pipeline(*steps, linear_model.LinearRegression(optim.SGD(rate)))


def scaled(**parameters: Any) -> Any:
    """A linear regression of scaled features."""
    return compose.Pipeline(preprocessing.StandardScaler(), linear_model.LinearRegression(**parameters))


def hoeffding(**parameters: Any) -> Any:
    """A tree that splits early."""
    return tree.HoeffdingTreeRegressor(grace_period=20, **parameters)


def reversed_features(features: dict[Any, Any]) -> dict[Any, Any]:
    """Stand for a function of a user's own."""
    return dict(reversed(features.items()))


def holt_winters(*, is_multiplicative: bool) -> Any:
    """A forecaster of weeks."""
    kind: Any = time_series.HoltWinters
    return kind(alpha=0.3, beta=0.1, gamma=0.2, seasonality=7, multiplicative=is_multiplicative)


def bare(kind: Any) -> Any:
    """A part without parameters."""
    return kind()


def adwin(delta: float) -> Any:
    """A detector of drift."""
    return drift.ADWIN(delta=delta)  # type: ignore[no-untyped-call]


OPTIMIZERS: Final = (
    *(optim.AMSGrad, optim.AdaBound, optim.AdaDelta, optim.AdaGrad, optim.AdaMax, optim.Adam, optim.FTRLProximal),
    *(optim.Momentum, optim.NesterovMomentum, optim.RMSProp, optim.SGD),
)
LOSSES: Final = (
    *(optim.losses.Absolute, optim.losses.Cauchy, optim.losses.EpsilonInsensitiveHinge, optim.losses.Huber),
    *(optim.losses.Poisson, optim.losses.Quantile, optim.losses.Squared),
)
TRANSFORMERS: Final = (
    *(preprocessing.AdaptiveStandardScaler, preprocessing.Binarizer, preprocessing.FeatureHasher),
    *(preprocessing.MaxAbsScaler, preprocessing.MinMaxScaler, preprocessing.Normalizer, preprocessing.OneHotEncoder),
    *(preprocessing.OrdinalEncoder, preprocessing.RobustScaler, preprocessing.StandardScaler),
    feature_extraction.PolynomialExtender,
)
STATISTICS: Final = (
    *(stats.EWMean(0.3), stats.EWVar(0.2), stats.IQR(), stats.Kurtosis(), stats.MAD(), stats.Max(), stats.Mean()),
    *(stats.Min(), stats.PeakToPeak(), stats.Quantile(0.7), stats.RollingIQR(20), stats.RollingMax(9), stats.Sum()),
    *(stats.RollingQuantile(0.5, 20), stats.Shift(1), stats.Skew()),
)
WHOLE: Final[dict[str, Callable[[], Any]]] = {
    "averager": lambda: scaled(optimizer=optim.Averager(optim.SGD(0.01))),
    "schedulers": lambda: scaled(
        optimizer=optim.SGD(optim.schedulers.InverseScaling(0.01)),
        intercept_lr=optim.schedulers.Optimal(optim.losses.Squared()),
        initializer=optim.initializers.Constant(0.1),
        l2=0.01,
    ),
    "union": lambda: before_linear(
        compose.TransformerUnion(
            compose.Select("quantity", "unit_cost") | preprocessing.StandardScaler(),
            compose.Select("day_of_week") | preprocessing.OneHotEncoder(),
            compose.Discard("month", "year") | compose.Prefixer("own_") | bare(preprocessing.StatImputer),
        )
    ),
    "grouper": lambda: before_linear(
        compose.Grouper(preprocessing.StandardScaler(), by="is_sale"), compose.Renamer({"month": "m"})
    ),
    "by-type": lambda: before_linear(compose.SelectType(float), bare(preprocessing.PreviousImputer), rate=1e-4),
    "target-standard": lambda: preprocessing.TargetStandardScaler(scaled()),
    "target-min-max": lambda: preprocessing.TargetMinMaxScaler(scaled()),
    "target-root": lambda: compose.TargetTransformRegressor(scaled(), math.sqrt, float),
    "random-features": lambda: before_linear(feature_extraction.RBFSampler(seed=1)),
    "gaussian-projection": lambda: before_linear(preprocessing.GaussianRandomProjector(3, seed=1)),
    "sparse-projection": lambda: before_linear(preprocessing.SparseRandomProjector(3, seed=1)),
    "clipper": lambda: preprocessing.PredClipper(scaled(), 0, 100),
    "tree-model-of-its-own": lambda: hoeffding(leaf_model=scaled(), max_depth=3),
    "tree-nominal": lambda: hoeffding(nominal_attributes=["day_of_week", "is_sale"]),
    "tree-mean": lambda: hoeffding(leaf_prediction="mean"),
    "tree-model": lambda: hoeffding(leaf_prediction="model"),
    "tree-qo": lambda: hoeffding(splitter=tree.splitter.QOSplitter()),
    "tree-ebst": lambda: hoeffding(splitter=bare(tree.splitter.EBSTSplitter)),
    "tree-tebst": lambda: hoeffding(splitter=tree.splitter.TEBSTSplitter(2)),
    "tree-adaptive": lambda: tree.HoeffdingAdaptiveTreeRegressor(grace_period=20, drift_detector=adwin(0.1), seed=1),
    "tree-sgt": lambda: tree.SGTRegressor(grace_period=20, feature_quantizer=tree.splitter.DynamicQuantizer()),
    "forest-arf": lambda: forest.ARFRegressor(n_models=3, grace_period=20, seed=1),
    "forest-arf-page-hinkley": lambda: forest.ARFRegressor(
        n_models=3,
        grace_period=20,
        seed=1,
        drift_detector=drift.PageHinkley(),
        warning_detector=bare(drift.NoDrift),
    ),
    "forest-amf": lambda: forest.AMFRegressor(n_estimators=3, seed=1),
    "forest-oxt-drop": lambda: forest.OXTRegressor(n_models=3, grace_period=20, seed=1, detection_mode="drop"),
    "forest-oxt-off": lambda: forest.OXTRegressor(n_models=3, grace_period=20, seed=1, detection_mode="off"),
    "rules": lambda: rules.AMRules(n_min=20, drift_detector=adwin(0.002)),
    "neighbors": lambda: preprocessing.StandardScaler() | neighbors.KNNRegressor(),
    "neighbors-lazy": lambda: neighbors.KNNRegressor(engine=neighbors.LazySearch(window_size=30)),
    "bagging": lambda: ensemble.BaggingRegressor(hoeffding(), n_models=3, seed=1),
    "patches": lambda: ensemble.SRPRegressor(hoeffding(), n_models=3, drift_detector=adwin(0.001), seed=1),
    "weighted": lambda: ensemble.EWARegressor([scaled(), hoeffding()]),
    "hard-sampling": lambda: imblearn.HardSamplingRegressor(scaled(), p=0.3, size=20, seed=1),
    "statistic-of-the-target": lambda: before_linear(
        compose.TransformerUnion(
            feature_extraction.TargetAgg(by="day_of_week", how=utils.Rolling(stats.Mean, window_size=10)),
            feature_extraction.Agg(on="quantity", by=["month", "is_sale"], how=stats.EWMean(0.3)),
        )
    ),
}


@pytest.mark.parametrize(
    "build",
    [
        *(pytest.param(lambda each=each: scaled(optimizer=each()), id=each.__name__) for each in OPTIMIZERS),
        *(pytest.param(lambda each=each: scaled(loss=each()), id=each.__name__) for each in LOSSES),
        *(pytest.param(lambda each=each: before_linear(each()), id=each.__name__) for each in TRANSFORMERS),
        *(
            pytest.param(lambda each=each: dummy.StatisticRegressor(each.clone()), id=f"statistic-{each!r:.30}")
            for each in STATISTICS
        ),
        *(pytest.param(build, id=name) for name, build in WHOLE.items()),
    ],
)
def test_what_a_factory_may_return(build: Callable[[], Any]) -> None:
    """Optimizers, losses, transformers, statistics, trees, forests and rules in the combinations that people make."""
    assert_admitted(build(), learn_levels)


@pytest.mark.parametrize(
    "build",
    [
        lambda: holt_winters(is_multiplicative=False),
        lambda: holt_winters(is_multiplicative=True),
        lambda: time_series.SNARIMAX(p=2, d=1, q=1, m=7, sp=1, sd=1, sq=1),
    ],
    ids=["additive", "multiplicative", "snarimax"],
)
def test_time_series(build: Callable[[], Any]) -> None:
    """Forecasters are no regressors, but a user's own regressor may be made of them."""

    def learn(model: Any, seed: int) -> list[Any]:
        for _, level in events(seed, 60):
            model.learn_one(abs(level) + 1)
        return [repr(each) for each in model.forecast(horizon=7)]

    assert_admitted(build(), learn)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (
            lambda: forest.ARFRegressor(n_models=2, seed=1, drift_detector=drift.KSWIN(window_size=20, stat_size=5)),
            NUMPY,
        ),
        (lambda: scaled(initializer=optim.initializers.Normal(seed=1)), NUMPY),
        (lambda: before_linear(compose.FuncTransformer(reversed_features)), f"{__name__}.reversed_features"),
    ],
    ids=["kswin", "normal", "own-function"],
)
def test_parts_that_are_left_out(build: Callable[[], Any], named: str) -> None:
    """Parts that keep NumPy's objects or a user's own functions are refused by name."""
    model = build()
    for features, level in events(1, 60):
        model.learn_one(features, level)
    with pytest.raises(UnsafePickleError, match=f"the pickle names {re.escape(named)}"):
        safe_loads(pickle.dumps(model, protocol=5), ADMITTED)
