"""A model carried around by hand: the same model afterwards, and never half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from river import linear_model, preprocessing

from consumer.checkpoint import load_model, save_model
from consumer.checkpoint.model_file import ModelFileError, read_warm_start
from consumer.checkpoint.unpickling import Admitted
from consumer.errors import ExitCode
from consumer.learning.features import FEATURE_NAMES
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


# What is not to be loaded


class Own:
    """A regressor of a user's own."""

    def predict_one(self, x: Features) -> Any:
        """Predict the quantity, where there is one."""
        return x["quantity"]

    def learn_one(self, x: Features, y: float) -> None:
        """Learn nothing."""


class Odd(Own):
    """One whose prediction is what it was made with, or an exception."""

    def __init__(self, prediction: Any) -> None:
        self.prediction = prediction

    def predict_one(self, x: Features) -> Any:  # noqa: ARG002 -- whatever it is asked
        """Predict it."""
        if isinstance(self.prediction, str):
            raise KeyError(self.prediction)
        return self.prediction


def written(path: Path, value: Any, protocol: int = 5) -> Path:
    """A file of any pickle."""
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (os.system, r"the pickle names posix\.system, which is not admitted"),
        (Own(), r"the pickle names tests\.unit\.test_model_file\.Own.*let the model's factory declare it"),
        ({"": (get_ml_pipeline(), 5)}, "expected a regressor with predict_one and learn_one; found dict"),
        (None, "found NoneType"),
        (preprocessing.StandardScaler(), "found StandardScaler"),
        (linear_model.LinearRegression, "found "),
    ],
    ids=["function", "undeclared", "checkpoint", "none", "transformer", "class"],
)
@pytest.mark.parametrize("read", [load_model, read_warm_start])
def test_what_is_no_model_is_refused(tmp_path: Path, read: Any, value: Any, said: str) -> None:
    """A file of anything else is one sentence that names the file, and nothing in it is run."""
    path = written(tmp_path / "model.pkl", value)
    with pytest.raises(ModelFileError, match=said) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: expected a ")
    assert caught.value.exit_code is ExitCode.MODEL


@pytest.mark.parametrize("read", [load_model, read_warm_start])
def test_a_damaged_file_is_refused(tmp_path: Path, read: Any) -> None:
    """Cut, empty, of an old protocol, unreadable: one sentence each."""
    whole = pickle.dumps(trained(), protocol=5)
    for data in (b"", whole[:-1], b"no pickle", pickle.dumps(trained(), protocol=2)):
        (tmp_path / "model.pkl").write_bytes(data)
        with pytest.raises(ModelFileError, match="expected a model, pickled as save_model does"):
            read(tmp_path / "model.pkl")
    with pytest.raises(ModelFileError, match="it cannot be read: Is a directory"):
        read(tmp_path)


def test_what_a_factory_declares_is_loaded(tmp_path: Path) -> None:
    """A regressor of the user's own is read where it is admitted."""
    path = written(tmp_path / "model.pkl", Own())
    assert isinstance(load_model(path, Admitted([Own])), Own)
    start = read_warm_start(path, Admitted([Own]))
    assert start is not None
    assert isinstance(start.new(), Own)


# The warm start


def test_a_warm_start_begins_anew_each_time(tmp_path: Path) -> None:
    """Each model begins with a copy of its own, as the file has it, whatever the others have learned since."""
    path = tmp_path / "model.pkl"
    model = trained()
    save_model(model, path)
    start = read_warm_start(path)
    assert start is not None
    assert start.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    first, second = start.new(), start.new()
    path.unlink()
    learn(first, examples(3, 50))
    assert learn(second, examples(2, 100)) == learn(start.new(), examples(2, 100)) == learn(model, examples(2, 100))


def test_an_absent_warm_start_is_none(tmp_path: Path) -> None:
    """An absent file is no error here: whether it may be absent is the caller's to say."""
    assert read_warm_start(tmp_path / "model.pkl") is None


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (float("nan"), "it gave nan"),
        (float("-inf"), "it gave -inf"),
        (None, "it gave None"),
        (True, "it gave True"),
        ([1.0], "it gave"),
        (10**400, "it raised OverflowError"),
        ("a secret", "it raised KeyError"),
    ],
    ids=str,
)
def test_a_warm_start_must_predict_a_finite_number(tmp_path: Path, prediction: Any, said: str) -> None:
    """A model that was trained on other features, or diverged, is found out before the first event."""
    path = written(tmp_path / "model.pkl", Odd(prediction))
    with pytest.raises(
        ModelFileError, match=f"a finite prediction for quantity, day_of_week.*; {said}.*: train it"
    ) as told:
        read_warm_start(path, Admitted([Odd]))
    assert "secret" not in str(told.value)


class Asked(Own):
    """One that notes what it was asked for."""

    names: tuple[str, ...] = ()

    def predict_one(self, x: Features) -> float:
        """Note it."""
        Asked.names = tuple(x)
        return 0.0


@pytest.mark.parametrize("prediction", [0, -3, 2.5])
def test_any_finite_number_will_do(tmp_path: Path, prediction: float) -> None:
    """A model may well predict a whole number, or one below zero."""
    assert read_warm_start(written(tmp_path / "model.pkl", Odd(prediction)), Admitted([Odd])) is not None


def test_a_warm_start_is_asked_for_the_base_features(tmp_path: Path) -> None:
    """It is asked for exactly the features that events have, in their order."""
    assert read_warm_start(written(tmp_path / "model.pkl", Asked()), Admitted([Asked])) is not None
    assert Asked.names == FEATURE_NAMES
