"""A plain pickle of one model: how a pipeline is carried around by hand, and what a warm start begins with."""

from __future__ import annotations

import hashlib
import os
import pickle
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from consumer.checkpoint.unpickling import Admitted, UnsafePickleError, is_rust_panic, safe_loads
from consumer.errors import ModelError
from consumer.learning.regressor import is_regressor

if TYPE_CHECKING:
    from consumer.learning.features import Features
    from consumer.learning.regressor import Regressor

_A_SALE: Final[Features] = {
    "quantity": 2.0,
    "day_of_week": 5,
    "month": 7,
    "year": 2024,
    "is_sale": 1,
    "unit_cost": 1.25,
}


class ModelFileError(ModelError):
    """A file that should hold a model cannot be read, holds something else, or a model that cannot predict."""


class WarmStart(NamedTuple):
    """What models begin with.

    Attributes:
        data: the file's bytes.
        digest: SHA-256 of them, hexadecimal.
        admitted: what they may name.
    """

    data: bytes
    digest: str
    admitted: Admitted

    def new(self) -> Regressor:
        """Return a fresh copy of the model."""
        model: Regressor = safe_loads(self.data, self.admitted)
        return model


def save_model(model: Regressor, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path` atomically: a crash leaves the old file or the new one."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pickle.dump(model, file, protocol=5)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def load_model(path: str | os.PathLike[str], admitted: Admitted | None = None) -> Regressor | None:
    """Return the model that `save_model` wrote to `path`, or None where there is no such file.

    Args:
        path: the file.
        admitted: what it may name; River's classes by default.

    Raises:
        ModelFileError: it cannot be read, names something else, or holds no regressor.
    """
    data = _read(path)
    return None if data is None else _model(data, path, admitted or Admitted())


def read_warm_start(path: str | os.PathLike[str], admitted: Admitted | None = None) -> WarmStart | None:
    """Return what models begin with, or None where there is no such file.

    Args:
        path: the file, a plain pickle of a regressor.
        admitted: what it may name; River's classes by default.

    Raises:
        ModelFileError: it cannot be read, names something else, holds no regressor, or one that has no finite
            prediction for the base features.
    """
    data = _read(path)
    if data is None:
        return None
    admitted = admitted or Admitted()
    model = _model(data, path, admitted)
    problem = _problem(model)
    if problem is not None:
        raise ModelFileError(
            f"{path}: expected a model with a finite prediction for {', '.join(_A_SALE)}; {problem}: train it on these"
        )
    return WarmStart(data, hashlib.sha256(data).hexdigest(), admitted)


def _problem(model: Regressor) -> str | None:
    """Return what is wrong with a model's prediction for the base features; None where nothing is."""
    try:
        predicted: object = model.predict_one(dict(_A_SALE))
        is_good = isinstance(predicted, int | float) and not isinstance(predicted, bool) and isfinite(predicted)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_rust_panic(error):
            raise
        return f"it raised {type(error).__name__}"
    return None if is_good else f"it gave {predicted!r:.40}"


def _read(path: str | os.PathLike[str]) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFileError(
            f"{path}: expected a model's file; it cannot be read: {error.strerror or error}"
        ) from error


def _model(data: bytes, path: str | os.PathLike[str], admitted: Admitted) -> Regressor:
    try:
        model = safe_loads(data, admitted)
    except UnsafePickleError as error:
        raise ModelFileError(f"{path}: expected a model, pickled as save_model does; {error}") from error
    if isinstance(model, type) or not is_regressor(model):
        raise ModelFileError(
            f"{path}: expected a regressor with predict_one and learn_one; found {type(model).__name__}: save one with "
            "save_model or `checkpoints export`"
        )
    regressor: Regressor = model
    return regressor
