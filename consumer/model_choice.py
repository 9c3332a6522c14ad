"""`MODEL`: which model a worker runs, River's or one of the user's own."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from consumer.checkpoint.unpickling import Admitted
from consumer.errors import ModelError, SettingsError
from consumer.learning.guarded_kind import GuardedKind
from consumer.learning.health import examine, infinite_on_purpose
from consumer.learning.linear import get_ml_pipeline
from consumer.learning.pickled import pickled
from consumer.learning.regressor import RegressorKind, is_regressor

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.learning.health import Place
    from consumer.learning.model import ModelKind
    from consumer.learning.regressor import Regressor

_GUARDED: Final = "guarded"
_LINEAR: Final = "linear"
_REGRESSOR: Final = "a new, untrained regressor with predict_one(features) and learn_one(features, level)"
_is_own: Final = re.compile(r"\w+(\.\w+)*:\w+").fullmatch
_without_addresses: Final = re.compile(r" at 0x[0-9a-fA-F]+").sub


def is_own(model: str) -> bool:
    """Tell whether `MODEL` has the form of a user's own, module:function."""
    return _is_own(model) is not None


def model_kind(model: str, warm_start: Callable[[], Regressor] | None = None) -> ModelKind:
    """Return the kind of model that `MODEL` names.

    Args:
        model: guarded, linear, or module:function.
        warm_start: returns the pipeline that a new model begins with, in the place of an untrained one.

    Raises:
        SettingsError: there is none of that name, or the user's function makes none.
        ModelError: the warm start is no good for it.
    """
    if model == _GUARDED:
        try:
            return GuardedKind(warm_start)
        except ValueError as error:
            raise ModelError(f"ML_MODEL_PATH: {error}") from error
    kind = regressor_kind(model)
    if warm_start is None:
        return kind
    broken = examine(warm_start()).infinite - kind.infinite_on_purpose
    if broken:
        names = ", ".join(sorted(f"{name or 'a number without a name'} = {value}" for name, value in broken))
        raise ModelError(f"ML_MODEL_PATH: expected a model whose numbers are finite; found {names:.200}. Train it anew")
    return RegressorKind(warm_start, kind.parameters, kind.infinite_on_purpose)


def regressor_kind(model: str) -> RegressorKind:
    """Return the kind of model where `MODEL` names a regressor of levels, untrained: linear, or module:function.

    Raises:
        SettingsError: there is none of that name, or the user's function makes none.
    """
    if model == _GUARDED:
        raise SettingsError(
            f"MODEL={model!r} is checked by this software's own tests; expected module:function, or linear"
        )
    factory = _factory(model)
    if not is_own(model):
        return RegressorKind(factory, {"parameters": repr(factory())})
    new = _made(model, factory)
    parameters = _parameters(model, new, _made(model, factory))
    infinite = infinite_on_purpose(new) | _declared_infinite(model, factory)
    if infinite:
        parameters["infinite on purpose"] = sorted(map(list, infinite))
    return RegressorKind(factory, parameters, infinite)


def admitted_classes(model: str) -> Admitted:
    """Return what the pickles of a `MODEL` may name.

    Raises:
        SettingsError: there is no such model, or what it declares may not be admitted.
    """
    if not is_own(model):
        return Admitted()
    try:
        return Admitted(_declared(model, _factory(model), "pickled_classes", "classes of your own"))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"MODEL={model!r}: its function's pickled_classes: {error}") from error


def _factory(model: str) -> Callable[[], Regressor]:
    """Return the function that makes the regressors of `MODEL`."""
    if model == _LINEAR:
        return get_ml_pipeline
    if not is_own(model):
        raise SettingsError(f"MODEL={model!r}: expected guarded, linear, or module:function for a model of your own")
    module_name, _, name = model.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _import_failed(model, module_name, error) from error
        raise SettingsError(
            f"MODEL={model!r}: there is no module {error.name}; install it beside smart-inventory, or add its "
            "directory to PYTHONPATH"
        ) from error
    except Exception as error:
        raise _import_failed(model, module_name, error) from error
    function = getattr(module, name, None)
    if not callable(function):
        found = f"{name} is a {type(function).__name__}" if hasattr(module, name) else f"it has no {name}"
        raise SettingsError(f"MODEL={model!r}: expected a function of {module_name} that returns {_REGRESSOR}; {found}")
    factory: Callable[[], Regressor] = function
    return factory


def _import_failed(model: str, module: str, error: Exception) -> SettingsError:
    return SettingsError(f"MODEL={model!r}: importing {module} raised {type(error).__name__}: {error}; mend the module")


def _made(model: str, factory: Callable[[], Regressor]) -> Regressor:
    try:
        made = factory()
    except Exception as error:
        raise SettingsError(
            f"MODEL={model!r}: expected a function that takes nothing and returns {_REGRESSOR}; "
            f"it raised {type(error).__name__}: {error}"
        ) from error
    if isinstance(made, type) or not is_regressor(made):
        what = f"the class {made.__name__} itself" if isinstance(made, type) else f"a {type(made).__name__}"
        raise SettingsError(f"MODEL={model!r}: expected a function that returns {_REGRESSOR}; it returned {what}")
    return made


def _parameters(model: str, new: Regressor, another: Regressor) -> dict[str, Any]:
    """Return what tells one configuration from another: for people as text, and all that a new model holds as a digest.

    Not every text tells: an ARFRegressor's is `[]`, and a class of the user's own may have none.
    """
    if new is another:
        raise SettingsError(
            f"MODEL={model!r}: expected a new regressor with each call; it returned the same one twice. "
            "Build it inside the function"
        )
    try:
        both = [(_without_addresses("", repr(each)), pickled(each).digest()) for each in (new, another)]
    except Exception as error:
        raise SettingsError(
            f"MODEL={model!r}: expected a regressor that can be pickled, since checkpoints hold it; "
            f"that raised {type(error).__name__}: {error}"
        ) from error
    if both[0] != both[1]:
        raise SettingsError(
            f"MODEL={model!r}: expected equal regressors from two calls; they differ, so no restart could go on with "
            "the same one. Give its random numbers a fixed seed, and keep clocks and counters out of it"
        )
    text, digest = both[0]
    return {"parameters": text, "new model": digest}


def _declared_infinite(model: str, factory: Callable[[], Regressor]) -> frozenset[Place]:
    """Return where the user's models may become infinite later on without being broken."""
    names = _declared(model, factory, "may_be_infinite", "names of attributes")
    return frozenset((str(name), number) for name in names for number in ("inf", "-inf"))


def _declared(model: str, factory: Callable[[], Regressor], attribute: str, what: str) -> tuple[Any, ...]:
    declared = getattr(factory, attribute, ())
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise SettingsError(
            f"MODEL={model!r}: expected a tuple of {what} as its function's {attribute}; found {declared!r:.80}"
        )
    return tuple(declared)
