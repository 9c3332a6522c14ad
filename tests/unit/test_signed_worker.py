"""A worker with a signing key: what it writes is signed, and what it reads must be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.store import CheckpointName
from tests.core import model_sections
from tests.pickles import Exploit
from tests.scripted import Shop
from tests.sealing import seal, signed, unseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from consumer.worker import Worker

KEY: Final = "a key of the shop's own"


@pytest.fixture
def guarded_shop(new_worker: Callable[..., Worker], tmp_path: Path) -> Shop:
    """Forty records done by a worker with a key, checkpoints at 20 and 40, the last one referenced."""
    made = Shop(new_worker, tmp_path / "checkpoints")
    for records in (20, 40):
        made.grow(records)
        made.run(checkpoint_signing_key=KEY)
    made.keep(20, 40)
    made.grow(60)
    return made


def test_checkpoints_are_signed_and_read_again(guarded_shop: Shop, truth: Callable[[int], list[bytes]]) -> None:
    """Every file carries the key's signature, and the next worker of the same key takes the referenced one."""
    for offset in (20, 40):
        data = guarded_shop.path(offset).read_bytes()
        assert unseal(data, KEY.encode())[0].offset == offset
        with pytest.raises(EnvelopeError):
            unseal(data)
    assert guarded_shop.run(checkpoint_signing_key=KEY) == truth(60)
    assert guarded_shop.restores() == {"checkpoint": 1}


def test_the_key_is_in_no_log(guarded_shop: Shop) -> None:
    """Neither a good start nor a refused file shows it."""
    guarded_shop.run(checkpoint_signing_key=KEY)
    guarded_shop.grow(70)
    guarded_shop.run(checkpoint_signing_key="hunter2")
    assert guarded_shop.events().count("checkpoint_unusable") >= 2
    assert KEY not in repr(guarded_shop.lines)
    assert "hunter2" not in repr(guarded_shop.lines)


def unsigned(path: Path) -> None:
    header, sections = unseal(path.read_bytes(), KEY.encode())
    path.write_bytes(seal(header.identity(), header.partition, header.offset, sections)[1])


def of_another_key(path: Path) -> None:
    path.write_bytes(signed(path.read_bytes(), b"another key"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [unsigned, of_another_key, cut])
def test_what_the_key_did_not_sign_is_a_rung_that_fails(
    guarded_shop: Shop, truth: Callable[[int], list[bytes]], damage: Callable[[Path], None]
) -> None:
    """The same state without the signature is refused, and the rung below takes its place."""
    damage(guarded_shop.path(40))
    assert guarded_shop.run(checkpoint_signing_key=KEY) == truth(60)
    assert guarded_shop.restores() == {"unusable_checkpoint": 1, "older_checkpoint": 1}
    assert "expected a checkpoint signed with" in guarded_shop.line("checkpoint_unusable")["reason"]


@pytest.mark.parametrize(("key", "said"), [(None, "is not set; found a signed one"), ("other", "another signature")])
def test_a_worker_without_the_key_reads_nothing(
    guarded_shop: Shop, truth: Callable[[int], list[bytes]], key: str | None, said: str
) -> None:
    """Where the key was lost, no file is believed: all is learned again."""
    assert guarded_shop.run(checkpoint_signing_key=key) == truth(60)
    assert guarded_shop.restores() == {"unusable_checkpoint": 2, "replay_from_first": 1}
    refusals = [line["reason"] for line in guarded_shop.lines if line["event"] == "checkpoint_unusable"]
    assert [said in reason for reason in refusals] == [True, True]


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
def test_a_hostile_pickle_under_right_digests_runs_nothing(
    new_worker: Callable[..., Worker], tmp_path: Path, truth: Callable[[int], list[bytes]], key: str | None
) -> None:
    """Whoever has the store, the committed offsets and even the key gets no code into the worker."""
    shop = Shop(new_worker, tmp_path / "checkpoints")
    shop.grow(40)
    shop.run(checkpoint_signing_key=key)
    shop.keep(40)
    path, proof = shop.path(40), tmp_path / "proof"
    secret = None if key is None else key.encode()
    header, sections = unseal(path.read_bytes(), secret)
    sections |= model_sections({"": (Exploit(os.system, f"touch {proof}"), 40)})
    forged, data = seal(header.identity(), 0, 40, sections, secret)
    path.with_name(path.name.replace(header.digest, forged.digest)).write_bytes(data)
    path.unlink()
    shop.commit(40, checkpoint_digest=forged.digest)
    shop.grow(60)
    assert shop.run(checkpoint_signing_key=key) == truth(60)
    assert "posix.system" in shop.line("checkpoint_unusable")["reason"]
    assert not proof.exists()


def test_names_do_not_depend_on_the_key(guarded_shop: Shop) -> None:
    """A signature changes neither a file's name nor the reference to it: signing anew is safe."""
    header, _ = unseal(guarded_shop.path(40).read_bytes(), KEY.encode())
    name = CheckpointName("g", "in", 0, 40, header.digest)
    assert guarded_shop.reference().checkpoint_digest == name.digest


def test_nothing_that_a_restore_would_refuse_is_referenced(
    new_worker: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that grows an inadmissible part keeps its old reference, and the log names the class."""
    shop = Shop(new_worker, tmp_path / "checkpoints", (20,))
    shop.grow(40)

    def with_a_stranger(self: Any) -> Any:
        return Exploit(os.system, "true"), self.events_learned

    monkeypatch.setattr("consumer.learning.regressor.RegressorModel.state", with_a_stranger)
    shop.run()
    assert shop.reference().checkpoint_offset == 20
    reasons = [
        line["reason"] for line in shop.lines if line["event"] == "checkpoint_failed"
    ]  # a busy machine: tried twice
    assert reasons
    assert all("posix.system" in reason for reason in reasons)
    assert [int(path.name.split("-")[0]) for path in shop.directory.rglob("*.checkpoint")] == [20]
