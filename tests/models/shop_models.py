"""Models as a shop's own data scientist writes them, good ones and faulty ones; imported by name, as MODEL does."""

# ruff: noqa: ARG002 -- both verbs have the parameters that River gives them

from __future__ import annotations

import ctypes
import math
import random
import struct
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
from river import compose, forest, linear_model, neighbors, optim, preprocessing, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from river.base import Regressor

Features = dict[str, float]

# Good ones


def growing_tree() -> Any:
    """A tree of standardised features that splits early and often."""
    return preprocessing.StandardScaler() | tree.HoeffdingTreeRegressor(grace_period=50, delta=1e-3)


def small_forest() -> Any:
    """A forest with a fixed seed."""
    return preprocessing.StandardScaler() | forest.ARFRegressor(n_models=2, seed=7)


def larger_forest() -> Any:
    """The same with one tree more."""
    return preprocessing.StandardScaler() | forest.ARFRegressor(n_models=3, seed=7)


def neighbours() -> Any:
    """The last events that look alike."""
    return preprocessing.StandardScaler() | neighbors.KNNRegressor(engine=neighbors.LazySearch(window_size=50))


def adaptive_rate() -> Any:
    """Quantiles in compiled Rust before a regression with Adam."""
    scaler: Any = preprocessing.RobustScaler()  # type: ignore[no-untyped-call]
    return scaler | linear_model.LinearRegression(optimizer=optim.Adam())


class Drifting:
    """A class of the user's own: the mean of the last levels."""

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate
        self.level = 0.0

    def predict_one(self, x: Features) -> float:
        """Return the mean."""
        return self.level

    def learn_one(self, x: Features, y: float) -> None:
        """Move it towards the level."""
        self.level += self.rate * (y - self.level)


def drifting() -> Drifting:
    """Make one, and declare its class."""
    return Drifting()


drifting.pickled_classes = (Drifting,)  # type: ignore[attr-defined]


def with_numpy() -> Any:
    """A regression that keeps its state in arrays of NumPy's."""
    return preprocessing.StandardScaler() | linear_model.BayesianLinearRegression()


with_numpy.pickled_classes = (np.dtype, np._core.numeric._frombuffer)  # type: ignore[attr-defined]


def two_branches() -> Any:
    """Its features come in the order of a set of strings: the last digit follows the hash seed."""
    branches = compose.Select("quantity", "unit_cost") + compose.Select("is_sale")
    return branches | preprocessing.StandardScaler() | linear_model.LinearRegression()


# Faulty ones


class Mean:
    """What the faulty ones have in common: the mean of all levels."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0

    def predict_one(self, x: Features) -> Any:
        """Return the mean."""
        return self.mean

    def learn_one(self, x: Features, y: float) -> None:
        """Add a level."""
        self.count += 1
        self.mean += (y - self.mean) / self.count


class Silent(Mean):
    """Knows no answer at first."""

    def predict_one(self, x: Features) -> Any:
        """Return None until there is a level."""
        return self.mean if self.count else None


class Talking(Mean):
    """Answers in words later on."""

    def predict_one(self, x: Features) -> Any:
        """Return a text after some events."""
        return self.mean if self.count < 9 else "much"


class Late(Mean):
    """Cannot do without sales."""

    def learn_one(self, x: Features, y: float) -> None:
        """Divide by what is 0 at times."""
        super().learn_one(x, y / x["is_sale"])


class Proud(Mean):
    """Does not take the contract's largest values."""

    def learn_one(self, x: Features, y: float) -> None:
        """Refuse them."""
        if x["unit_cost"] > 1e5:
            raise ValueError("too dear")
        super().learn_one(x, y)


class Dicing(Mean):
    """Adds chance, not seeded, made when it is first needed."""

    def predict_one(self, x: Features) -> Any:
        """Return the mean and some noise."""
        return self.mean + random.random()


class Unpicklable(Mean):
    """Holds a function that no pickle can name."""

    def __init__(self) -> None:
        super().__init__()
        self.root: Callable[[float], float] = lambda level: level**0.5


class LaterUnpicklable(Mean):
    """Comes to hold one."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn, and keep a function."""
        super().learn_one(x, y)
        self.root: Callable[[float], float] = lambda level: level**0.5


class Turning(Mean):
    """Comes back from a pickle as something else."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say so."""
        return float, (self.mean,)


class Forgetful(Mean):
    """Leaves a part of what it knows out of the pickle."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the mean alone."""
        return {"mean": self.mean, "count": min(self.count, 1)}


class Touchy(Mean):
    """Is changed by being pickled."""

    def __getstate__(self) -> dict[str, Any]:
        """Round the mean."""
        self.mean = round(self.mean)
        return self.__dict__


class Sharing(Mean):
    """Keeps what it knows in its class."""

    levels: list[float] = []  # noqa: RUF012 -- that is the fault

    def predict_one(self, x: Features) -> Any:
        """Return the mean of what all of its class have seen."""
        return sum(self.levels) / max(1, len(self.levels))

    def learn_one(self, x: Features, y: float) -> None:
        """Add a level to them all."""
        self.levels.append(y)


class Counting(Mean):
    """Learns from being asked."""

    def predict_one(self, x: Features) -> Any:
        """Return the mean, a little higher each time."""
        self.mean += 0.25
        return self.mean


class Exploding(Mean):
    """Becomes NaN after a while."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn, until it is too much."""
        super().learn_one(x, y)
        if self.count > 300:
            self.mean = math.inf - math.inf


NEVER_RETURNS: Final = 12.34
"""The unit_cost of an event that no check brings, and that two models do not get over."""


class Spinning(Mean):
    """Searches for ever for what is not there."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn, unless it is that event."""
        super().learn_one(x, y)
        if x["unit_cost"] == NEVER_RETURNS:
            self.search()

    def search(self) -> None:
        """Find no end."""
        while self.mean < math.inf:
            self.mean += 0.0


class Gripping(Mean):
    """Calls a library that holds the interpreter's lock and does not return."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn, unless it is that event."""
        super().learn_one(x, y)
        if x["unit_cost"] == NEVER_RETURNS:
            self.call()

    def call(self) -> None:
        """Sleep in C without letting the lock go."""
        ctypes.PyDLL(None).sleep(3_600)


def spinning() -> Spinning:
    """Make one, and declare its class."""
    return Spinning()


def gripping() -> Gripping:
    """Make one, and declare its class."""
    return Gripping()


spinning.pickled_classes = (Spinning,)  # type: ignore[attr-defined]
gripping.pickled_classes = (Gripping,)  # type: ignore[attr-defined]


class Hiding(Mean):
    """Keeps a number in bytes of its own."""

    def __getstate__(self) -> bytes:
        """Return them."""
        return struct.pack("<qd", self.count, self.mean)

    def __setstate__(self, state: bytes) -> None:
        """Read them."""
        self.count, self.mean = struct.unpack("<qd", state)


class Ceiling(Mean):
    """Comes to hold infinity on purpose."""

    def learn_one(self, x: Features, y: float) -> None:
        """Learn, and say that there is no limit."""
        super().learn_one(x, y)
        self.limits = {"ceiling": math.inf}


def ceiling() -> Ceiling:
    """Make one, and declare where infinity is meant."""
    return Ceiling()


ceiling.may_be_infinite = ["ceiling"]  # type: ignore[attr-defined]
ceiling.pickled_classes = [Ceiling]  # type: ignore[attr-defined]


def unscaled() -> Any:
    """A regression that real levels blow up."""
    return linear_model.LinearRegression(optimizer=optim.SGD(1e150), clip_gradient=1e300)


def seedless_forest() -> Any:
    """A forest whose seed comes from the machine."""
    return preprocessing.StandardScaler() | forest.ARFRegressor(n_models=2)


# No factories

NUMBER = 3
ONE = Mean()
no_function: Regressor | None = None


def same_each_time() -> Mean:
    """Return one and the same."""
    return ONE


def raising() -> NoReturn:
    """Fail."""
    raise RuntimeError("no licence")


def nothing() -> None:
    """Forget to return it."""


def its_class() -> type:
    """Return the class instead of an object."""
    return Mean


def with_a_parameter(rate: float) -> Drifting:
    """Ask for what nobody gives."""
    return Drifting(rate)


def declaring_text() -> Mean:
    """Declare a name instead of a class."""
    return Mean()


declaring_text.pickled_classes = "Mean"  # type: ignore[attr-defined]


def declaring_a_number() -> Mean:
    """Declare an object instead of its class."""
    return Mean()


declaring_a_number.pickled_classes = [Mean, 3]  # type: ignore[attr-defined]


def declaring_a_way_in() -> Mean:
    """Declare what no pickle may call."""
    return Mean()


declaring_a_way_in.pickled_classes = [eval]  # type: ignore[attr-defined]
