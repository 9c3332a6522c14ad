"""What a pickle may name: River's own classes, the standard types that they name, and what a model's factory declares.

Everything else is refused. A name that is admitted is admitted for one use: as a value only, to be made empty, or to be
called with arguments of one shape; so no constructor of River's ever runs with arguments that a file chose.
"""

from __future__ import annotations

import collections
import copy
import functools
import importlib
import math
import random
import statistics
import sys
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MOST_SHOWN: Final = 80


class UnsafePickleError(ValueError):
    """A pickle names what is not admitted, does what no honest one does, or cannot be read."""


class Call(Enum):
    """The shapes of arguments with which something may be called."""

    NEVER = "never"
    EMPTY = "no argument"
    ONE = "one argument"
    COPY = "one mapping that nothing else copies"
    PLAIN = "numbers only"
    DEQUE = "no argument, or no item and a length"
    METHOD = "an object and a name"
    VECTOR = "a mapping that nothing else copies, and three more"
    ANY = "any"


class Grant(NamedTuple):
    """What may be done with one name.

    Attributes:
        what: the class or function itself.
        call: how it may be called.
        makes: it may make an object without its constructor (`cls.__new__`).
        is_native: it is compiled code, which may end the process over an absurd size.
    """

    what: Any
    call: Call = Call.NEVER
    makes: bool = False
    is_native: bool = False


_METHODS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("river.drift.page_hinkley", "PageHinkley"): frozenset({"_test_both", "_test_down", "_test_up"}),
    ("river.feature_extraction.kernel_approx", "RBFSampler"): frozenset({"_random_weights"}),
    ("river.preprocessing.random_projection", "GaussianRandomProjector"): frozenset({"_rand_gauss"}),
    ("river.preprocessing.random_projection", "SparseRandomProjector"): frozenset({"_rand_weights_for_feature"}),
    ("river.preprocessing.scale_target", "TargetMinMaxScaler"): frozenset({"_scale", "_unscale"}),
    ("river.preprocessing.scale_target", "TargetStandardScaler"): frozenset({"_scale", "_unscale"}),
    ("river.tree.splitter.qo_splitter", "Slot"): frozenset(
        {"_update_estimator_multivariate", "_update_estimator_univariate"}
    ),
}
"""Methods that objects of River's keep bound to themselves, which do nothing but arithmetic."""


def _bound_method(owner: object, name: str) -> MethodType:
    """Stand in for `getattr`, as which a bound method is pickled: those listed, and no other attribute of anything."""
    kind = type(owner)
    if name not in _METHODS.get((kind.__module__, kind.__qualname__), ()):
        raise UnsafePickleError(
            f"the pickle would take an attribute of a {kind.__name__} (builtins.getattr, as which bound methods are "
            "pickled), which is not admitted, since it opens the way to everything: let the model keep no bound method"
        )
    return MethodType(vars(kind)[name], owner)


# As values: factories of default dictionaries, and functions of a TargetTransformRegressor.
_VALUES: Final = (
    *(bool, dict, float, int, list, set, str, tuple, copy.deepcopy),
    *(math.exp, math.expm1, math.log, math.log1p, math.sqrt),
)

_STANDARD: Final[Mapping[tuple[str, str], Grant]] = {
    **{(value.__module__, value.__qualname__): Grant(value) for value in _VALUES},
    ("builtins", "getattr"): Grant(_bound_method, Call.METHOD),
    ("collections", "Counter"): Grant(collections.Counter, Call.COPY),
    ("collections", "OrderedDict"): Grant(collections.OrderedDict, Call.EMPTY),
    ("collections", "defaultdict"): Grant(collections.defaultdict, Call.ONE),
    ("collections", "deque"): Grant(collections.deque, Call.DEQUE),
    ("functools", "partial"): Grant(functools.partial, Call.ONE),
    ("random", "Random"): Grant(random.Random, Call.EMPTY),
    ("statistics", "NormalDist"): Grant(statistics.NormalDist, makes=True),
}

_PACKAGES: Final = frozenset(
    {
        *("base", "compose", "conf", "drift", "dummy", "ensemble", "feature_extraction", "feature_selection", "forest"),
        *("imblearn", "linear_model", "metrics", "model_selection", "multioutput", "neighbors", "optim"),
        *("preprocessing", "proba", "rules", "sketch", "stats", "time_series", "tree", "utils"),
    }
)
"""River's packages that hold what a regressor consists of; not those that read files and sockets (datasets, stream)."""

_NATIVE: Final[Mapping[str, frozenset[str]]] = {
    "river._river_rust.drift": frozenset({"AdaptiveWindowing"}),
    "river._river_rust.stats": frozenset(
        {
            *("RsEWMean", "RsEWVar", "RsIQR", "RsKurtosis", "RsPeakToPeak", "RsQuantile", "RsRollingIQR"),
            *("RsRollingQuantile", "RsSkew"),
        }
    ),
}

_CALLED: Final[Mapping[tuple[str, str], Call]] = {
    ("river._river_rust.vectordict", "VectorDict"): Call.VECTOR,
    **{
        ("river.time_series.holt_winters", name): Call.PLAIN
        for name in ("AdditiveLevel", "AdditiveSeason", "MultiplicativeLevel", "MultiplicativeSeason", "Trend")
    },
}
"""River's classes whose pickles call them; all others are made empty and filled."""

_FUNCTIONS: Final = frozenset(
    {
        ("river._river_rust.vectordict", "euclidean_distance_dict"),
        ("river._river_rust.vectordict", "euclidean_distance_tuple"),
        ("river.utils.math", "minkowski_distance"),
        *(("river.forest.online_extra_trees", f"ExtraTrees._detection_mode_{mode}") for mode in ("all", "drop", "off")),
        *(
            (f"river.tree.splitter.{module}", f"{owner}._update_estimator_{kind}")
            for module, owner in (("ebst_splitter", "EBSTNode"), ("nominal_splitter_reg", "NominalSplitterReg"))
            for kind in ("univariate", "multivariate")
        ),
    }
)
"""River's functions that its models keep as values; the only names with a dot."""


class Admitted:
    """The classes and functions that a pickle may name.

    Args:
        extra_classes: what a model's factory declares: classes, and functions that the model keeps. A file may call
            them with whatever arguments it likes, so they must be harmless.

    Raises:
        TypeError: one of the extra classes is no class or function.
        ValueError: one of them is one of Python's built-in functions, such as getattr.
    """

    def __init__(self, extra_classes: Iterable[Any] = ()) -> None:
        self._extra: dict[tuple[str, str], Grant] = {}
        for each in extra_classes:
            if not isinstance(each, type | FunctionType | BuiltinFunctionType):
                raise TypeError(f"expected classes and functions that pickles may name; found {each!r:.80}")
            if not isinstance(each, type) and each.__module__ == "builtins":
                raise ValueError(f"builtins.{each.__name__} may not be admitted: with it a pickle can do anything")
            self._extra[each.__module__, each.__qualname__] = Grant(each, Call.ANY, makes=True)

    def find(self, module: str, name: str) -> Grant:
        """Return what may be done with a name.

        Raises:
            UnsafePickleError: it is not admitted.
        """
        grant = self._extra.get((module, name)) or _STANDARD.get((module, name)) or _river(module, name)
        if grant is None:
            shown = f"{module}.{name}"[:_MOST_SHOWN].encode("unicode_escape").decode()
            raise UnsafePickleError(
                f"the pickle names {shown}, which is not admitted; expected River's classes, the standard types that "
                "they name, and what the model's factory declares. If it is a class of your own model, let the model's "
                "factory declare it (pickled_classes); otherwise do not use this file"
            )
        return grant


def _river(module: str, name: str) -> Grant | None:
    """Return River's class or function of a name, None where there is none that is admitted."""
    if (module, name) in _FUNCTIONS:
        target: Any = importlib.import_module(module)
        for part in name.split("."):
            target = vars(target)[part]
        return Grant(target.__func__ if isinstance(target, staticmethod) else target)
    if (module, name) in _CALLED:
        return Grant(vars(importlib.import_module(module))[name], _CALLED[module, name])
    if name in _NATIVE.get(module, ()):
        return Grant(vars(importlib.import_module(module))[name], makes=True, is_native=True)
    parts = module.split(".")
    if parts[0] != "river" or len(parts) == 1 or parts[1] not in _PACKAGES or "datasets" in parts:
        return None
    importlib.import_module(f"river.{parts[1]}")  # and not `module`: a file may not choose what is imported
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    # Not what the module only imported, no metaclass, which could make new classes.
    if not isinstance(found, type) or issubclass(found, type | BaseException):
        return None
    return Grant(found, makes=True) if (found.__module__, found.__qualname__) == (module, name) else None
