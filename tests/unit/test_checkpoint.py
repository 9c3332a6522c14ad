"""Checkpoints: what is written can be trusted, what was damaged is found out, what is superseded goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.checkpoint import load_model, save_model
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import EnvelopeError, Identity
from consumer.checkpoint.reference import (
    MAX_METADATA_BYTES,
    Reference,
    UnreadableReferenceError,
    decode_reference,
)
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import BackgroundWriter, Sealing, Snapshot, Written
from consumer.learning import get_ml_pipeline
from consumer.learning.ledger import Ledger
from tests.core import model_sections
from tests.kafka import wait_until
from tests.sealing import seal, unseal

if TYPE_CHECKING:
    from consumer.checkpoint.envelope import Data

IDENTITY = Identity("group", "topic", "topic-id", "a" * 12, "a" * 64, "17", {})
SECTIONS = {**model_sections({}), **{name: bytes(body) for name, body in Ledger().snapshot().items()}}
OFFSETS = st.integers(0, 2**63 - 1)


def reference(**changed: Any) -> Reference:
    values: dict[str, Any] = {
        "checkpoint_offset": 10,
        "checkpoint_digest": "b" * 64,
        "topic_id": "HVRlfS5YQPm6f3rlQW",
        "fingerprint": "a" * 64,
        "hash_seed": "4294967295",
        "first_offset": 0,
        "records_applied": 10,
        "chain": "c" * 16,
    }
    return Reference(**(values | changed))


# The reference


@given(OFFSETS, OFFSETS, OFFSETS, st.booleans())
def test_reference_round_trip(first: int, above: int, applied: int, has_checkpoint: bool) -> None:
    """Any honest reference survives, in at most 512 bytes and without NUL."""
    offset = min(first + above, 2**63 - 1)
    written = reference(
        first_offset=first,
        records_applied=applied,
        checkpoint_offset=offset if has_checkpoint else None,
        checkpoint_digest="b" * 64 if has_checkpoint else None,
    )
    metadata = written.encode()
    assert len(metadata.encode()) <= MAX_METADATA_BYTES
    assert "\x00" not in metadata
    assert decode_reference(metadata) == written


@pytest.mark.parametrize(
    "changed",
    [
        {"checkpoint_offset": None},
        {"checkpoint_digest": None},
        {"checkpoint_digest": "../../etc/passwd"},
        {"checkpoint_digest": "B" * 64},
        {"checkpoint_offset": 3, "first_offset": 4},
        {"first_offset": -1},
        {"records_applied": -1},
        {"chain": "x" * 16},
        {"chain": ""},
    ],
    ids=str,
)
def test_contradictory_reference(changed: dict[str, Any]) -> None:
    """Numbers and digests that no honest reference holds are refused."""
    with pytest.raises(UnreadableReferenceError, match="contradicts itself"):
        decode_reference(reference(**changed).encode())


@pytest.mark.parametrize("metadata", [None, "", "x" * 513, "null", "[]", "{}", '{"v":2}', '{"v":true}', "\ud800", "{"])
def test_foreign_metadata(metadata: str | None) -> None:
    """What another tool wrote is refused in words."""
    with pytest.raises(UnreadableReferenceError):
        decode_reference(metadata)


@given(st.text(max_size=600))
def test_hostile_metadata(metadata: str) -> None:
    """Whatever anyone commits raises this one error and nothing else."""
    with pytest.raises(UnreadableReferenceError):
        decode_reference(metadata)


@given(st.sampled_from("odtfhsncv"), st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.lists(st.none())))
def test_a_field_of_another_type(field: str, value: object) -> None:
    """One field of another type never passes for an honest reference, nor for another error."""
    fields = msgspec.json.decode(reference().encode()) | {field: value}
    metadata = msgspec.json.encode(fields).decode()
    try:
        decoded = decode_reference(metadata)
    except UnreadableReferenceError:
        return
    assert field in "tfh"  # any text may be an id; it is compared with ours later
    assert isinstance(value, str)
    assert decoded.encode() == metadata


# The envelope


def test_envelope_round_trip() -> None:
    """Header and sections come back, and the header says whose state it is."""
    header, data = seal(IDENTITY, 3, 17, SECTIONS)
    found, sections = unseal(data)
    assert sections == SECTIONS
    assert found == header
    assert (found.identity(), found.partition, found.offset) == (IDENTITY, 3, 17)
    assert seal(IDENTITY, 3, 17, SECTIONS)[1] == data


def test_every_flipped_byte_is_found() -> None:
    """No single changed byte goes unnoticed, wherever it stands."""
    _, data = seal(IDENTITY, 3, 17, SECTIONS)
    for index in range(len(data)):
        with pytest.raises(EnvelopeError):
            unseal(data[:index] + bytes([data[index] ^ 0x20]) + data[index + 1 :])


def test_every_truncation_is_found() -> None:
    """No cut goes unnoticed, nor anything appended."""
    _, data = seal(IDENTITY, 3, 17, SECTIONS)
    for length in range(len(data)):
        with pytest.raises(EnvelopeError):
            unseal(data[:length])
    with pytest.raises(EnvelopeError):
        unseal(data + b"\x00")


# The directory


def name(offset: int, digest: str = "d" * 64, group: str = "g", partition: int = 0) -> CheckpointName:
    return CheckpointName(group, "t", partition, offset, digest)


@pytest.mark.parametrize("group", ["g", "..", ".", "a/b", "größe", "g" * 200, "-", "a%2Fb"])
def test_directory_keeps_what_it_was_given(tmp_path: Path, group: str) -> None:
    """Whatever a group is called, its files stay below the root and come back."""
    store = DirectoryStore(tmp_path / "root")
    store.write(name(5, group=group), b"five")
    store.write(name(40, group=group), b"forty")
    assert store.read(name(5, group=group)) == b"five"
    assert store.read(name(6, group=group)) is None
    assert store.names(group, "t", 0) == [name(5, group=group), name(40, group=group)]
    assert store.names(group, "t", 1) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "root"]
    store.delete(name(5, group=group))
    store.delete(name(5, group=group))
    assert store.names(group, "t", 0) == [name(40, group=group)]


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Temporary and other files are no checkpoints."""
    store = DirectoryStore(tmp_path)
    store.write(name(5), b"five")
    (folder,) = {path.parent for path in tmp_path.rglob("*.checkpoint")}
    for other in ("notes.txt", "5-dd.checkpoint", f"{5:020d}-{'d' * 64}.1234.tmp"):
        (folder / other).write_bytes(b"")
    assert store.names("g", "t", 0) == [name(5)]


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_failing_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A write that fails at fsync or rename is an error and leaves neither a checkpoint nor a temporary file."""
    store = DirectoryStore(tmp_path)
    store.write(name(4), b"four")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write(name(5), b"five")
    monkeypatch.undo()
    assert store.names("g", "t", 0) == [name(4)]
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".checkpoint"]


def test_the_file_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: fsync the file, rename it, fsync the directory."""
    store = DirectoryStore(tmp_path)
    store.write(name(4), b"four")
    order: list[str] = []
    replace = Path.replace

    def noted(path: Path, target: Path) -> Path:
        order.append("rename")
        return replace(path, target)

    monkeypatch.setattr("os.fsync", lambda _descriptor: order.append("fsync"))
    monkeypatch.setattr(Path, "replace", noted)
    store.write(name(5), b"five")
    assert order == ["fsync", "rename", "fsync"]


# The writer


class Store(DirectoryStore):
    """A directory whose next writes fail as told."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fails: list[Exception] = []

    def write(self, name: CheckpointName, data: Data) -> None:
        if self.fails:
            raise self.fails.pop(0)
        super().write(name, data)


def finished(writer: BackgroundWriter) -> Written:
    written = writer.finished(10)
    assert written is not None
    return written


def test_writer_outlives_failures(tmp_path: Path) -> None:
    """A store that fails, even in an unforeseen way, costs that checkpoint and not the thread."""
    store = Store(tmp_path)
    store.fails = [StoreError("disk full"), ZeroDivisionError("unforeseen")]
    writer = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted()))
    for offset in (1, 2, 3):
        writer.submit(Snapshot(None, 0, offset, SECTIONS))
    first, second, third = (finished(writer) for _ in range(3))
    assert (first.name, first.error) == (None, "disk full")
    assert (second.name, second.error) == (None, "ZeroDivisionError: unforeseen")
    assert third.name is not None
    assert third.snapshot.offset == third.name.offset == 3
    data = store.read(third.name)
    assert data is not None
    assert unseal(data)[0].digest == third.name.digest
    writer.close()


def test_writer_prunes_below_only(tmp_path: Path) -> None:
    """Only the partition's checkpoints below the offset go."""
    store = DirectoryStore(tmp_path)
    group, topic = IDENTITY.group, IDENTITY.topic
    for partition, offset in ((0, 1), (0, 5), (0, 9), (1, 1)):
        store.write(CheckpointName(group, topic, partition, offset, "d" * 64), b"")
    writer = BackgroundWriter(Sealing(store, IDENTITY, admitted=Admitted()))
    writer.prune(0, 5)
    wait_until(lambda: len(store.names(group, topic, 0)) == 2, 10, "the prune")
    assert [each.offset for each in store.names(group, topic, 0)] == [5, 9]
    assert [each.offset for each in store.names(group, topic, 1)] == [1]
    writer.close()


# A model by hand


def test_model_file_round_trip(tmp_path: Path) -> None:
    """A saved model continues as the one that was saved; an absent file is None."""
    path = tmp_path / "model.pickle"
    assert load_model(path) is None
    model = get_ml_pipeline()
    for number in range(20):
        model.learn_one({"a": number, "b": 1.0}, number * 2.0)
    save_model(model, path)
    loaded = load_model(path)
    assert loaded is not None
    for each in (model, loaded):
        each.learn_one({"a": 3.0, "b": 2.0}, 1.0)
    assert loaded.predict_one({"a": 5.0, "b": 1.0}) == model.predict_one({"a": 5.0, "b": 1.0})
    assert list(tmp_path.iterdir()) == [path]
