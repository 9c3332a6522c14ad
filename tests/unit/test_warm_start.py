"""`ML_MODEL_PATH`: what new models begin with, part of what predictions mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from consumer.assembly import learning_settings, warm_start_of
from consumer.broker import InputTopic
from consumer.checkpoint import save_model
from consumer.checkpoint.model_file import ModelFileError
from consumer.errors import ModelError, SettingsError
from consumer.learning import get_features, get_ml_pipeline
from consumer.learning.fingerprint import fingerprint
from consumer.learning.ledger import Posting
from consumer.learning.share import get_share_pipeline
from consumer.model_choice import model_kind
from consumer.settings import Settings
from schemas.transaction import Event, Limits, decode

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = InputTopic("topic-id", 1, 1_048_588)
SALE = b'{"transaction_id":"t","store_id":"s","sku":"k","quantity":-2,"occurred_at":"2024-03-01T10:00:00Z"}'


def sale() -> Event:
    """One sale."""
    return decode(SALE, -1, Limits())


def trained() -> Any:
    """The reference pipeline, after one event."""
    pipeline: Any = get_ml_pipeline()
    pipeline.learn_one(get_features(sale()), 7.0)
    return pipeline


def digest(settings: Settings) -> str:
    """The fingerprint of a worker with these settings."""
    warm = warm_start_of(settings, is_required=False)
    kind = model_kind(settings.model, None if warm is None else warm.new)
    return fingerprint(learning_settings(settings, TOPIC, warm), kind.parameters).digest


def test_new_models_begin_with_it(tmp_path: Path) -> None:
    """Each of them with a copy of its own, and none of its events counted."""
    save_model(trained(), tmp_path / "model.pkl")
    warm = warm_start_of(Settings(model="linear", ml_model_path=str(tmp_path / "model.pkl")), is_required=True)
    assert warm is not None
    kind = model_kind("linear", warm.new)
    wanted = trained().predict_one(get_features(sale()))
    assert wanted != 0
    first, second = kind.new(), kind.new()
    assert first.step(sale(), Posting(None, 90_000_000, is_late=False)) == wanted
    assert first.events_learned == 1
    assert second.step(sale(), Posting(None, None, is_late=False)) == wanted
    assert second.events_learned == 0


def test_it_is_part_of_the_meaning(tmp_path: Path) -> None:
    """Another file, another fingerprint; a set but absent one means what an unset one means: a new model."""
    path = tmp_path / "model.pkl"
    unset = digest(Settings(model="linear"))
    with_path = Settings(model="linear", ml_model_path=str(path))
    assert digest(with_path) == unset
    save_model(trained(), path)
    first = digest(with_path)
    other = trained()
    other.learn_one(get_features(sale()), 8.0)
    save_model(other, path)
    assert len({unset, first, digest(with_path)}) == 3


@pytest.mark.parametrize("path", [None, "nowhere/model.pkl"])
def test_an_absent_one_is_refused_only_where_it_is_required(path: str | None) -> None:
    """`run --require-warm-start` names the setting, and says what to do."""
    settings = Settings(model="linear", ml_model_path=path)
    assert warm_start_of(settings, is_required=False) is None
    with pytest.raises(SettingsError, match=r"--require-warm-start: .*ML_MODEL_PATH"):
        warm_start_of(settings, is_required=True)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    """A damaged file does not become a new model unnoticed."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"no pickle")
    with pytest.raises(ModelFileError, match="expected a model"):
        warm_start_of(Settings(model="linear", ml_model_path=str(path)), is_required=False)


def test_guarded_takes_only_its_own(tmp_path: Path) -> None:
    """The pipeline of a guarded model is one; the reference's, which diverges, is refused with the way on."""
    own, foreign = tmp_path / "own.pkl", tmp_path / "foreign.pkl"
    save_model(get_share_pipeline(), own)
    save_model(trained(), foreign)
    warm = warm_start_of(Settings(ml_model_path=str(own)), is_required=True)
    assert warm is not None
    assert model_kind("guarded", warm.new).new().events_learned == 0
    warm = warm_start_of(Settings(ml_model_path=str(foreign)), is_required=True)
    assert warm is not None
    with pytest.raises(ModelError, match="export it from a checkpoint of MODEL=guarded"):
        model_kind("guarded", warm.new)
