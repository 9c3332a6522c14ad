"""A model carried around by hand: the same model afterwards, and never half of one."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from consumer.checkpoint import load_model, save_model
from consumer.learning.linear import get_ml_pipeline

if TYPE_CHECKING:
    from consumer.learning.features import Features
    from consumer.learning.regressor import Regressor


def examples(seed: int, number: int) -> list[tuple[Features, float]]:
    """Features and levels of the usual ranges."""
    rng = random.Random(seed)
    made: list[tuple[Any, float]] = []
    for _ in range(number):
        features = {
            "quantity": float(rng.randrange(40)),
            "day_of_week": rng.randrange(7),
            "month": rng.randrange(1, 13),
            "year": 2017,
            "is_sale": rng.randrange(2),
            "unit_cost": rng.uniform(0, 20),
        }
        made.append((features, float(rng.randrange(200))))
    return made


def learn(model: Regressor, rows: list[tuple[Features, float]]) -> list[float]:
    """Predict, then learn, each in turn; return the predictions."""
    predictions = []
    for features, level in rows:
        predictions.append(model.predict_one(features))
        model.learn_one(features, level)
    return predictions


def trained() -> Regressor:
    """A model that has learned something."""
    model = get_ml_pipeline()
    learn(model, examples(1, 200))
    return model


def test_a_loaded_model_goes_on_as_the_saved_one(tmp_path: Path) -> None:
    """Saving and loading change nothing: the loaded model predicts and goes on learning the same to the bit."""
    model = trained()
    save_model(model, tmp_path / "model.pickle")
    loaded = load_model(tmp_path / "model.pickle")
    assert loaded is not None
    assert loaded is not model
    assert learn(loaded, examples(2, 200)) == learn(model, examples(2, 200))


def test_absent_is_none(tmp_path: Path) -> None:
    """Where no model was saved, there is none: the caller begins a new pipeline."""
    assert load_model(tmp_path / "model.pickle") is None


def test_paths_may_be_text(tmp_path: Path) -> None:
    """A path from an environment variable is text."""
    save_model(trained(), str(tmp_path / "model.pickle"))
    assert load_model(str(tmp_path / "model.pickle")) is not None


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    """After saving there is one file, the new model's."""
    path = tmp_path / "model.pickle"
    path.write_bytes(b"an older model")
    save_model(trained(), path)
    assert load_model(path) is not None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pickle.dump"])
def test_a_failed_save_leaves_the_old_file(tmp_path: Path, call: str) -> None:
    """A full disk or a crash at any step leaves the file that was there, whole."""
    path = tmp_path / "model.pickle"
    path.write_bytes(b"an older model")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch(call, side_effect=full), pytest.raises(OSError, match="No space left"):
        save_model(trained(), path)
    assert path.read_bytes() == b"an older model"


def test_the_data_is_durable_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename may reach the disk before the data does: without the fsync a crash leaves an empty file."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor: int) -> None:
        done.append(f"fsync {'nothing' if os.fstat(descriptor).st_size == 0 else 'data'}")
        fsync(descriptor)

    def noting_replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    save_model(trained(), tmp_path / "model.pickle")
    assert done[:2] == ["fsync data", "rename"]


def test_a_failed_save_leaves_no_temporary_file(tmp_path: Path) -> None:
    """A disk that is full is not filled further by leftovers."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch("os.fsync", side_effect=full), pytest.raises(OSError, match="No space left"):
        save_model(trained(), tmp_path / "model.pickle")
    assert list(tmp_path.iterdir()) == []
