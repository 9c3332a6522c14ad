"""A plain pickle of one model: how a pipeline is carried around by hand."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumer.learning.regressor import Regressor


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


def load_model(path: str | os.PathLike[str]) -> Regressor | None:
    """Return the model that `save_model` wrote to `path`, or None where there is no such file.

    Unpickling runs code that the file names: load only what you wrote yourself.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    model: Regressor = pickle.loads(data)  # noqa: S301 -- said in the docstring; the worker does not read such files
    return model
