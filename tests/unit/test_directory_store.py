"""Checkpoints in a directory: whole or absent, durable before success is reported, and nobody else's."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.checkpoint import directory
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.paths import component, name_at, path_of
from consumer.checkpoint.store import CheckpointName, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST: Final = "ab" * 32
NAME: Final = CheckpointName("smart-inventory", "inventory.transactions", 3, 42, DIGEST)
LONGEST_FILE_NAME: Final = 255


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store in a directory that does not exist yet."""
    return DirectoryStore(tmp_path / "checkpoints")


def files(root: Path) -> list[Path]:
    """Every file below a directory."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def failing(*_arguments: object, **_named: object) -> None:
    """Stand for a system call on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def crashing(*_arguments: object, **_named: object) -> None:
    """Stand for the process's end: nothing after it is done."""
    raise SystemExit


def test_round_trip(store: DirectoryStore) -> None:
    """What was written under a name is read under it, byte for byte, and listed."""
    store.write(NAME, b"\x00state\xff")
    assert store.read(NAME) == b"\x00state\xff"
    assert store.names(NAME.group, NAME.topic, NAME.partition) == [NAME]


def test_file_name_is_the_documented_one(store: DirectoryStore, tmp_path: Path) -> None:
    """An operator finds a checkpoint by group, topic, partition and offset; the layout is on disk and stays."""
    store.write(NAME, b"state")
    expected = f"checkpoints/smart-inventory/inventory%2Etransactions/3/00000000000000000042-{DIGEST}.checkpoint"
    assert files(tmp_path) == [tmp_path / expected]


def test_absent_is_none_and_empty(store: DirectoryStore) -> None:
    """A store that was never written to is no failure: nothing is there."""
    assert store.read(NAME) is None
    assert store.names(NAME.group, NAME.topic, NAME.partition) == []
    store.delete(NAME)


def test_delete_removes_one(store: DirectoryStore) -> None:
    """Deleting takes away that checkpoint only, and deleting it again is no error."""
    other = replace(NAME, offset=43)
    store.write(NAME, b"a")
    store.write(other, b"b")
    store.delete(NAME)
    store.delete(NAME)
    assert store.read(NAME) is None
    assert store.names(NAME.group, NAME.topic, NAME.partition) == [other]


def test_writing_again_is_harmless(store: DirectoryStore) -> None:
    """A worker that died between writing and committing writes the same object again."""
    store.write(NAME, b"state")
    store.write(NAME, b"state")
    assert store.read(NAME) == b"state"
    assert store.names(NAME.group, NAME.topic, NAME.partition) == [NAME]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_failed_write_leaves_nothing(store: DirectoryStore, tmp_path: Path, call: str) -> None:
    """A disk that is full at any step raises StoreError, and neither the file nor a temporary one remains."""
    store.write(replace(NAME, offset=1), b"old")  # so that the folders are there
    before = files(tmp_path)
    with mock.patch(call, failing), pytest.raises(StoreError, match="No space left"):
        store.write(NAME, b"new")
    assert files(tmp_path) == before
    assert store.read(NAME) is None


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_crash_while_writing_leaves_the_old_file(store: DirectoryStore, call: str) -> None:
    """A process that ends before the rename leaves what was there before; its temporary file counts for nothing."""
    store.write(NAME, b"old")
    with mock.patch(call, crashing), pytest.raises(SystemExit):
        store.write(NAME, b"new and longer")
    assert store.read(NAME) == b"old"
    assert store.names(NAME.group, NAME.topic, NAME.partition) == [NAME]


def test_crash_before_the_rename_leaves_no_checkpoint(store: DirectoryStore) -> None:
    """A checkpoint is there whole or not at all."""
    with mock.patch("pathlib.Path.replace", crashing), pytest.raises(SystemExit):
        store.write(NAME, b"new")
    assert store.read(NAME) is None
    assert store.names(NAME.group, NAME.topic, NAME.partition) == []


def test_durable_before_success(store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is on disk before the rename, and the rename before success: power may fail right after."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        done.append(f"fsync {path.relative_to(tmp_path)}" if path.is_dir() else f"fsync file of {path.stat().st_size}")
        fsync(descriptor)

    def noting_replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    store.write(NAME, b"state")
    topic = "checkpoints/smart-inventory/inventory%2Etransactions"
    assert done == [
        # each new folder's entry in its parent
        "fsync .",
        "fsync checkpoints",
        "fsync checkpoints/smart-inventory",
        f"fsync {topic}",
        "fsync file of 5",
        "rename",
        f"fsync {topic}/3",
    ]


def test_failed_fsync_of_the_folder_is_no_success(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rename may not survive a crash, the write is reported as failed: no reference will name it."""
    store.write(replace(NAME, offset=1), b"old")
    monkeypatch.setattr(directory, "_fsync_folder", failing)
    with pytest.raises(StoreError):
        store.write(NAME, b"state")


@given(st.sets(st.integers(0, 2**63 - 1), min_size=1, max_size=6))
def test_names_are_in_offset_order(offsets: set[int]) -> None:
    """The lowest offset comes first, as a number and not as text, in whatever order the files were written."""
    listed = [Path(f"{offset:020d}-{DIGEST}.checkpoint") for offset in offsets]
    with mock.patch.object(Path, "iterdir", return_value=iter(listed)):
        names = DirectoryStore(Path("any")).names("g", "t", 0)
    assert [name.offset for name in names] == sorted(offsets)


def test_names_ignore_foreign_files(store: DirectoryStore, tmp_path: Path) -> None:
    """Temporary files, an operator's copies and notes are no checkpoints: they are neither listed nor pruned."""
    store.write(NAME, b"state")
    (folder,) = (path.parent for path in files(tmp_path))
    good = f"{42:020d}-{DIGEST}.checkpoint"
    for foreign in (
        f"{43:020d}-{DIGEST}.4711.tmp",
        f"{good}.bak",
        f"copy of {good}",
        f"42-{DIGEST}.checkpoint",
        f"{44:020d}-{DIGEST.upper()}.checkpoint",
        f"{45:020d}-abc.checkpoint",
        f"{good}\n",
        "README",
        ".nfs0001",
    ):
        (folder / foreign).write_bytes(b"")
    assert store.names(NAME.group, NAME.topic, NAME.partition) == [NAME]


def test_partitions_topics_and_groups_are_apart(store: DirectoryStore) -> None:
    """A listing never shows another partition's, topic's or group's checkpoints."""
    names = [
        NAME,
        replace(NAME, partition=4),
        replace(NAME, partition=33),
        replace(NAME, topic="inventory.transactions2"),
        replace(NAME, group="smart"),
    ]
    for name in names:
        store.write(name, repr(name).encode())
    for name in names:
        assert store.names(name.group, name.topic, name.partition) == [name]
        assert store.read(name) == repr(name).encode()


@pytest.mark.parametrize(
    "group",
    ["..", ".", "a/b", "../../etc", "/", "a b", "%2E", "%", "*", "-rf", "~", "ünï", "日本", "\u202e", "con", "x" * 200],
)
def test_any_group_is_one_folder(store: DirectoryStore, tmp_path: Path, group: str) -> None:
    """A group's name is the operator's to choose; it can never leave the store's directory."""
    name = replace(NAME, group=group)
    store.write(name, b"state")
    assert store.read(name) == b"state"
    assert store.names(name.group, name.topic, name.partition) == [name]
    (path,) = files(tmp_path)
    parts = path.relative_to(tmp_path).parts
    assert (len(parts), parts[0], ".." in parts) == (5, "checkpoints", False)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_encoding_is_safe_and_unambiguous(one: str, other: str) -> None:
    """Two groups never share a folder, and no encoded name means anything to a file system."""
    assert (component(one) == component(other)) == (one == other)
    assert not set(component(one)) & set("/\\.\x00 *?")


@pytest.mark.parametrize(
    ("group", "topic"),
    [("ü" * 43, "t"), ("日" * 200, "t"), ("a." * 100, "t"), ("g", "shop.eu.north.1." + "x" * 233)],
    ids=["accents", "ideographs", "dots", "topic"],
)
def test_every_allowed_name_can_be_stored(store: DirectoryStore, group: str, topic: str) -> None:
    """Whatever CONSUMER_GROUP (200 characters) and INPUT_TOPIC (249) may be, its checkpoints can be written."""
    name = CheckpointName(group, topic, 0, 1, DIGEST)
    store.write(name, b"state")
    assert store.names(group, topic, 0) == [name]


def test_the_longest_plain_names_fit() -> None:
    """The longest group and topic of plain characters stay within a file name's 255 bytes."""
    assert max(len(component("g" * 200)), len(component("t" * 249))) <= LONGEST_FILE_NAME


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda store: store.read(NAME), "cannot read"),
        (lambda store: store.names(NAME.group, NAME.topic, NAME.partition), "cannot list"),
        (lambda store: store.write(NAME, b""), "cannot write a checkpoint below"),
        (lambda store: store.delete(NAME), "cannot delete"),
    ],
)
def test_unusable_directory_is_a_store_error(
    tmp_path: Path, call: Callable[[DirectoryStore], object], sentence: str
) -> None:
    """A path that is no directory raises StoreError in words; absent is something else and would lose the state."""
    root = tmp_path / "checkpoints"
    root.write_text("a file in the way")
    with pytest.raises(StoreError, match=sentence) as caught:
        call(DirectoryStore(root))
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_unreadable_is_not_absent(store: DirectoryStore, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that is there but cannot be read is an error: only a missing one is None."""

    def unreadable(_path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    store.write(NAME, b"state")
    monkeypatch.setattr(Path, "read_bytes", unreadable)
    with pytest.raises(StoreError, match=os.strerror(number)):
        store.read(NAME)


def test_deleting_removes_what_a_killed_worker_left(store: DirectoryStore, tmp_path: Path) -> None:
    """A temporary file goes with a later prune once it is an hour old: nobody writes that long. Others stay."""
    store.write(NAME, b"state")
    (folder,) = (path.parent for path in files(tmp_path))
    old, young = folder / f"{41:020d}-{DIGEST}.4711.tmp", folder / f"{43:020d}-{DIGEST}.4712.tmp"
    foreign = folder / "notes.tmp"
    for path, age in ((old, 3700), (young, 3500), (foreign, 10_000)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    store.delete(NAME)
    assert files(tmp_path) == sorted([young, foreign])


def test_temporary_files_that_cannot_be_removed_fail_no_prune(store: DirectoryStore) -> None:
    """They cost only space: the checkpoint itself is deleted all the same."""
    store.write(NAME, b"state")
    with mock.patch.object(Path, "iterdir", failing):
        store.delete(NAME)
    assert store.read(NAME) is None


def test_listing_is_in_order_and_of_whom_was_asked(store: DirectoryStore) -> None:
    """An operator's listing goes by group, topic, partition as a number, and offset."""
    names = [
        replace(NAME, group="a.b", partition=2, offset=7),
        replace(NAME, group="a.b", partition=2, offset=30),
        replace(NAME, group="a.b", partition=10, offset=1),
        replace(NAME, group="smart", topic="other"),
        NAME,
    ]
    for name in reversed(names):
        store.write(name, b"state")
    assert [each.name for each in store.kept()] == names
    assert [each.label for each in store.kept("a.b")] == [str(store.path(name)) for name in names[:3]]
    assert [each.size for each in store.kept(NAME.group, NAME.topic)] == [5]
    assert store.kept("a*", "*") == []


def test_listing_shows_no_foreign_files(store: DirectoryStore, tmp_path: Path) -> None:
    """What no worker wrote is none of the operator's listing either, nor is a file of the very name elsewhere."""
    store.write(NAME, b"state")
    path = store.path(NAME)
    for foreign in ("04", "x", "-1"):
        path.parent.with_name(foreign).mkdir()
        (path.parent.with_name(foreign) / path.name).write_bytes(b"")
    (path.parent / "notes.checkpoint").write_bytes(b"")
    assert [each.name for each in store.kept()] == [NAME]
    copy = tmp_path / path.name
    copy.write_bytes(b"state")
    assert store.kept_at(copy) is None


@pytest.mark.parametrize("group", ["a.b/c", "~", "ü" * 200, f"{'a' * 100}~{'0' * 32}"])
def test_a_path_leads_to_its_name_and_back(group: str) -> None:
    """Even where the name was too long for a folder, what is listed is found again."""
    path = path_of(replace(NAME, group=group))
    found = name_at(path)
    assert found is not None
    assert path_of(found) == path
    assert (found.group == group) == (len(group) <= 200 and "ü" not in group)


def test_where_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator on this host is told the absolute path, whatever the worker's own directory was."""
    monkeypatch.chdir(tmp_path)
    assert DirectoryStore(Path("checkpoints")).where() == f"directory {tmp_path / 'checkpoints'}"


# Whether it can be written at all


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    """It makes the folders that will be needed, and writes and removes a file."""
    DirectoryStore(tmp_path / "new").check("g", "t")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
    assert (tmp_path / "new" / "g" / "t").is_dir()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """Even root cannot make a directory of it."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="a file stands where a directory is expected"):
        DirectoryStore(tmp_path / "file").check("g", "t")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room on that disk"),
        (errno.EACCES, "let the worker's user"),
        (errno.EROFS, "mount it writable"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_to_do_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str) -> None:
    """The system's words, and what it takes to have them go away; the trial's file goes either way."""

    def refused(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    (tmp_path / "g" / "t").mkdir(parents=True)
    with pytest.raises(StoreError, match=remedy):
        DirectoryStore(tmp_path).check("g", "t")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
