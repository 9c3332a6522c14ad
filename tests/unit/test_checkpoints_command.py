"""`smart-inventory checkpoints`: what an operator sees of the files, and that nothing bad is called usable."""

from __future__ import annotations

import hmac
import json
import os
import pickle
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
from river import linear_model, preprocessing
from typer.testing import CliRunner

from consumer import cli, stores
from consumer.checkpoint import load_model
from consumer.checkpoint.catalogue import Catalogue, LooseFile
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import Identity
from consumer.checkpoint.export import learned
from consumer.checkpoint.lineage import Lineage, Sharing
from consumer.checkpoint.model_file import read_warm_start
from consumer.checkpoint.paths import stated_in
from consumer.checkpoint.store import CheckpointName, Kept
from consumer.checkpoint.unpickling import Admitted
from consumer.checkpoint.writer import Sealing, Snapshot
from consumer.commands import terminal
from consumer.errors import ExitCode, StateError
from consumer.learning import get_ml_pipeline
from consumer.learning.ledger import Ledger
from consumer.learning.model_sections import joined
from consumer.learning.state import encode_state
from consumer.settings import Settings
from tests.pickles import Exploit
from tests.sealing import seal, signed, unseal
from tests.unit.test_admitted_models import events, hoeffding

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

KEY: Final = "a key of the shop's own"
GROUP: Final = "smart-inventory"
TOPIC: Final = "inventory.transactions"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name == "CHECKPOINT_PREVIOUS_KEY":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CHECKPOINT_URL", f"file:{tmp_path / 'store'}")
    monkeypatch.setattr(terminal.output, "_width", 200)  # the property would stay set


def invoke(*command: str, **variables: str) -> Result:
    """Run a command in this process."""
    return CliRunner(env=variables).invoke(cli.app, ["checkpoints", *command])


def rows(*command: str, **variables: str) -> list[dict[str, Any]]:
    """What a command prints as JSON."""
    read: list[dict[str, Any]] = json.loads(invoke(*command, "--json", **variables).stdout)
    return read


def one_sentence(result: Result, code: ExitCode, *words: str) -> None:
    """Check that a command failed as documented."""
    assert result.exit_code == code, result.output
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith("smart-inventory: ")
    for word in words:
        assert word in sentence


def trained(number: int = 40) -> Any:
    """The reference, having learned something."""
    pipeline = get_ml_pipeline()
    for features, level in events(1, number):
        pipeline.learn_one(features, level)
    return pipeline


def sections(models: Any) -> dict[str, bytes]:
    """A task's state around these models."""
    ledger = Ledger()
    ledger.post("a\x1fb", 1, 2, 3)
    ledger.sweep(3, 400)
    plain = {"progress": (0, 0, 0, (b"", b"", 0)), "ledger": ledger.snapshot(), "identities": b"", "invalid": []}
    return {name: bytes(joined(section)) for name, section in encode_state({**plain, "models": models}).items()}


def keep(  # noqa: PLR0913 -- what a checkpoint is, with defaults
    root: Path,
    *,
    models: Any = None,
    partition: int = 0,
    offset: int = 100,
    group: str = GROUP,
    topic: str = TOPIC,
    key: str | None = None,
) -> Path:
    """Put a checkpoint into the store; return its file."""
    identity = Identity(group, topic, "topic-id", "0123456789ab", "ab" * 32, "17", {"MODEL": "linear", "SEEN_IDS": 9})
    state = sections({"": (trained(), 40)} if models is None else models)
    header, data = seal(identity, partition, offset, state, None if key is None else key.encode())
    store = DirectoryStore(root / "store")
    name = CheckpointName(group, topic, partition, offset, header.digest)
    store.write(name, data)
    return store.path(name)


def forge(path: Path, models: bytes, key: str | None = None) -> Path:
    """Put other models into a file's place, with digest, name and signature made right again."""
    header, state = unseal(path.read_bytes(), None if key is None else key.encode())
    state |= {
        "models.lengths": len(models).to_bytes(4, "little"),
        "models.pickles": models,
    }
    forged, data = seal(
        header.identity(), header.partition, header.offset, state, None if key is None else key.encode()
    )
    path.unlink()
    other = path.with_name(path.name.replace(header.digest, forged.digest))
    other.write_bytes(data)
    return other


# list


def test_list(tmp_path: Path) -> None:
    """Of the group and topic of the settings, in the order of partition and offset."""
    keep(tmp_path, partition=10, offset=7)
    keep(tmp_path, partition=2, offset=1200)
    path = keep(tmp_path, partition=2, offset=300, key=KEY)
    keep(tmp_path, group="another")
    keep(tmp_path, topic="another")
    listed = rows("list")
    assert [(row["partition"], row["offset"], row["signed"]) for row in listed] == [
        (2, 300, True),
        (2, 1200, False),
        (10, 7, False),
    ]
    assert listed[0] == {
        "group": GROUP,
        "topic": TOPIC,
        "partition": 2,
        "offset": 300,
        "file": str(path),
        "bytes": path.stat().st_size,
        "parents": 0,
        "written": listed[0]["written"],
        "model_id": "0123456789ab",
        "signed": True,
        "digest": path.name[21:33],
    }
    table = invoke("list")
    assert table.exit_code == 0
    for shown in ("partition", "1,200", "0123456789ab", "yes", path.name[21:33]):
        assert shown in table.stdout


def test_list_of_all_groups(tmp_path: Path) -> None:
    """With --all, whose they are is shown as well."""
    keep(tmp_path, group="another")
    keep(tmp_path)
    assert [row["group"] for row in rows("list", "--all")] == ["another", GROUP]
    assert "another" in invoke("list", "--all").stdout
    assert [row["group"] for row in rows("list", CONSUMER_GROUP="another")] == ["another"]


def test_list_shows_what_cannot_be_read(tmp_path: Path) -> None:
    """A damaged file is named with the reason, and hides no other."""
    damaged = keep(tmp_path, offset=1)
    keep(tmp_path, offset=2)
    damaged.write_bytes(b"half")
    first, second = rows("list")
    assert first["problem"] == "expected a checkpoint; 4 bytes are too few for one"
    assert second["offset"] == 2
    assert f"cannot be read: {damaged}: expected a checkpoint; 4 bytes" in invoke("list").stdout


def test_a_file_that_goes_meanwhile_fails_no_listing(tmp_path: Path) -> None:
    """A running worker prunes: what was listed may be gone when it is opened."""
    path = keep(tmp_path)
    catalogue = Catalogue(DirectoryStore(tmp_path / "store"), GROUP, TOPIC)
    (kept,) = catalogue.kept()
    path.unlink()
    assert catalogue.describe(kept).problem == "it is not there any more"
    assert catalogue.describe(LooseFile(path)).problem == "No such file or directory"


@pytest.mark.parametrize("command", ["list", "verify"])
@pytest.mark.parametrize("options", [[], ["--all"]], ids=["own", "all"])
def test_an_empty_store_is_said(tmp_path: Path, command: str, options: list[str]) -> None:
    """Nothing there is no success: most often the variables are other ones than the worker's."""
    one_sentence(
        invoke(command, *options), ExitCode.STATE, "expected checkpoints", str(tmp_path / "store"), "CHECKPOINT_URL"
    )


# show


def test_show(tmp_path: Path) -> None:
    """The header, by partition, by offset or by file; unsealed by nobody."""
    keep(tmp_path, offset=100)
    path = keep(tmp_path, offset=200, key=KEY)
    for which in ("0", "0:200", str(path)):
        shown = json.loads(invoke("show", which, "--json").stdout)
        assert (shown["offset"], shown["signed"], shown["file"]) == (200, True, str(path))
        assert shown["meaning"] == {"MODEL": "linear", "SEEN_IDS": 9}
        assert [each["name"] for each in shown["sections"]] == [
            *("progress", "ledger", "ledger.levels", "ledger.observed", "ledger.days", "ledger.lengths", "ledger.keys"),
            *("identities", "invalid", "models", "models.lengths", "models.pickles"),
        ]
    table = invoke("show", "0:100").stdout
    for word in ("meaning: SEEN_IDS", "section: models", "topic-id", "river"):
        assert word in table


def test_show_unpickles_nothing(tmp_path: Path) -> None:
    """A hostile file can be looked at."""
    proof = tmp_path / "proof"
    path = forge(keep(tmp_path), pickle.dumps(Exploit(os.system, f"touch {proof}")))
    assert json.loads(invoke("show", str(path), "--json").stdout)["offset"] == 100
    assert not proof.exists()


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("7", ["partition 7", "found none", "checkpoints list"]),
        ("0:7", ["partition 0 at offset 7", "found none"]),
        ("nothing.checkpoint", ["expected a file, PARTITION or PARTITION:OFFSET", "'nothing.checkpoint'"]),
        ("-1", []),
        ("0:", ["expected a file"]),
    ],
)
@pytest.mark.parametrize("command", [["show"], ["verify"], ["export", "--to", "model.pkl"]], ids=lambda each: each[0])
def test_what_is_not_there(tmp_path: Path, command: list[str], which: str, words: list[str]) -> None:
    """A wrong word is answered with the right ones."""
    keep(tmp_path)
    result = invoke(*command, which)
    if not words:
        assert result.exit_code == ExitCode.USAGE  # the parser takes it for an option
        return
    one_sentence(result, ExitCode.STATE, *words)


def test_two_at_one_offset(tmp_path: Path) -> None:
    """Two files at one offset (one of them an orphan) are named; neither is chosen."""
    paths = [keep(tmp_path, models={"": (trained(number), number)}) for number in (3, 4)]
    one_sentence(invoke("show", "0:100"), ExitCode.STATE, "found 2", *map(str, paths))


# verify


def test_verify(tmp_path: Path) -> None:
    """Every file of the group is checked as a restore checks it."""
    for offset in (100, 200):
        keep(tmp_path, offset=offset)
    result = invoke("verify")
    assert result.exit_code == 0
    assert [(row["offset"], row["usable"], row["reason"]) for row in rows("verify")] == [
        (100, True, ""),
        (200, True, ""),
    ]


def damage(path: Path, how: str) -> Path:
    """Do something to a file."""
    data = path.read_bytes()
    if how == "flipped":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "cut":
        path.write_bytes(data[:-20])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "unreadable":
        path.unlink()
        path.mkdir()
    elif how == "another offset":
        path = path.rename(path.with_name(f"{101:020d}{path.name[20:]}"))
    elif how == "another partition":
        other = path.parent.with_name("1")
        other.mkdir()
        path = path.rename(other / path.name)
    elif how == "signed":
        path.write_bytes(signed(data, KEY.encode()))
    elif how == "hostile":
        path = forge(path, pickle.dumps(Exploit(os.system, "touch proof")))
    elif how == "plain section":
        header, state = unseal(data)
        state["ledger"] = pickle.dumps({})
        forged, data = seal(header.identity(), 0, 100, state)
        path.unlink()
        path = path.with_name(path.name.replace(header.digest, forged.digest))
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("flipped", "does not match its digest"),
        ("cut", "bytes of state"),
        ("empty", "too few"),
        ("unreadable", "cannot read"),
        ("another offset", "its name says offset 101"),
        ("another partition", "it was moved"),
        ("signed", "found a signed one: set it"),
        ("hostile", "section 'models': the pickle names posix.system"),
        ("plain section", "section 'ledger' is not of its type"),
    ],
)
def test_verify_finds_every_bad_file(tmp_path: Path, how: str, reason: str) -> None:
    """One bad file among good ones: its row has the reason, the others are usable, and the exit code says so."""
    keep(tmp_path, offset=50)
    path = damage(keep(tmp_path), how)
    result = invoke("verify")
    assert result.exit_code == ExitCode.STATE
    assert reason in " ".join(result.stdout.split())
    assert f"not usable: {path}" in result.stdout
    (bad,) = [row for row in rows("verify") if not row["usable"]]
    assert bad["file"] == str(path)
    assert reason in bad["reason"]
    assert len(rows("verify")) == 2
    assert invoke("verify", "0:50").exit_code == 0


def test_verify_with_a_key(tmp_path: Path) -> None:
    """With the key, its own files are usable; those of another key, unsigned and re-signed ones are not."""
    good = keep(tmp_path, offset=1, key=KEY)
    keep(tmp_path, offset=2, key="another")
    keep(tmp_path, offset=3)
    assert [row["usable"] for row in rows("verify", CHECKPOINT_SIGNING_KEY=KEY)] == [True, False, False]
    assert [row["usable"] for row in rows("verify")] == [False, False, True]
    data = good.read_bytes()[:-33] + b"x"
    good.write_bytes(data + hmac.digest(b"a guess", data, "sha256"))
    assert rows("verify", "0:1", CHECKPOINT_SIGNING_KEY=KEY)[0]["reason"].startswith("expected a checkpoint signed")


def test_a_hostile_file_of_the_right_key_runs_nothing(tmp_path: Path) -> None:
    """A stolen key is no way into the process: digest and signature right, the pickle is refused all the same."""
    proof = tmp_path / "proof"
    hostile = pickle.dumps({"": (Exploit(os.system, f"touch {proof}"), 1)}, protocol=5)
    forge(keep(tmp_path, key=KEY), hostile, KEY)
    for command in (["verify"], ["export", "0", "--to", str(tmp_path / "model.pkl")]):
        result = invoke(*command, CHECKPOINT_SIGNING_KEY=KEY)
        assert result.exit_code == ExitCode.STATE
        assert "posix.system" in result.output
    assert not proof.exists()
    assert not (tmp_path / "model.pkl").exists()


def test_the_key_is_never_shown(tmp_path: Path) -> None:
    """Whatever goes wrong, the key is in no output."""
    keep(tmp_path, key="another")
    model = str(tmp_path / "model.pkl")
    for command in (["list"], ["show", "0"], ["verify"], ["export", "0", "--to", model], ["sign"]):
        output = invoke(*command, CHECKPOINT_SIGNING_KEY=KEY, CHECKPOINT_PREVIOUS_KEY="a former key").output
        assert KEY not in output
        assert "a former key" not in output


def test_a_copy_can_be_verified(tmp_path: Path) -> None:
    """A file that was copied out of the store under a name of its own makes no claim by its name."""
    copy = tmp_path / "ticket-4711.bin"
    copy.write_bytes(keep(tmp_path).read_bytes())
    assert invoke("verify", str(copy)).exit_code == 0


# export


def test_export_is_a_warm_start(tmp_path: Path) -> None:
    """What is exported is read as ML_MODEL_PATH is, and goes on as the worker's model."""
    keep(tmp_path)
    to = tmp_path / "model.pkl"
    result = invoke("export", "0", "--to", str(to))
    assert result.exit_code == 0, result.output
    assert "partition 0 at offset 100" in result.stdout
    assert "40 events" in result.stdout
    start = read_warm_start(to)
    assert start is not None
    for features, _ in events(2, 20):
        assert start.new().predict_one(features) == trained().predict_one(features)


def test_export_of_weights(tmp_path: Path) -> None:
    """The numbers alone give the model's predictions, without River."""
    keep(tmp_path)
    weights = tmp_path / "weights.json"
    assert invoke("export", "0", "--to", str(tmp_path / "m"), "--weights", str(weights)).exit_code == 0
    read = json.loads(weights.read_text())
    assert read["events_learned"] == 40
    for features, _ in events(2, 20):
        by_hand = read["intercept"]
        for name, value in features.items():
            of = read["features"][name]
            if of["variance"]:
                by_hand += of["weight"] * (value - of["mean"]) / of["variance"] ** 0.5
        assert by_hand == pytest.approx(trained().predict_one(features), abs=1e-9)


@pytest.mark.parametrize("scope_key", ["s2", "s:2"])
def test_export_of_one_of_several(tmp_path: Path, scope_key: str) -> None:
    """With a model for each store or item, the key says which; an item's is written as a record's key is."""
    keep(tmp_path, models={"s1": (trained(1), 1), scope_key.replace(":", "\x1f"): (trained(2), 2)})
    to = str(tmp_path / "model.pkl")
    assert "2 events" in invoke("export", "0", "--to", to, "--scope-key", scope_key).stdout
    loaded = load_model(to)
    assert loaded is not None
    (features, _), *_ = events(3, 1)
    assert loaded.predict_one(features) == trained(2).predict_one(features)
    for wrong in ([], ["--scope-key", "s3"], ["--scope-key", ""]):
        one_sentence(
            invoke("export", "0", "--to", to, *wrong), ExitCode.USAGE, "--scope-key", "the 2 models, such as", scope_key
        )


def test_export_with_a_key_where_there_is_one_model(tmp_path: Path) -> None:
    """Where one model serves the partition, a key is a mistake."""
    keep(tmp_path)
    result = invoke("export", "0", "--to", str(tmp_path / "m"), "--scope-key", "s1")
    one_sentence(result, ExitCode.USAGE, "expected none", "leave it out")
    assert not (tmp_path / "m").exists()


def test_export_where_nothing_was_learned(tmp_path: Path) -> None:
    """A checkpoint without a model is said to be one."""
    keep(tmp_path, models={})
    one_sentence(invoke("export", "0", "--to", str(tmp_path / "m")), ExitCode.STATE, "nothing was learned yet")


@pytest.mark.parametrize(
    "model",
    [hoeffding(), preprocessing.MinMaxScaler() | linear_model.LinearRegression(), linear_model.LinearRegression()],
    ids=["tree", "another-scaler", "no-pipeline"],
)
def test_export_of_weights_that_there_are_not(tmp_path: Path, model: Any) -> None:
    """Only a scaler before a regression has weights and moments; then no file is written at all."""
    keep(tmp_path, models={"": (model, 0)})
    result = invoke("export", "0", "--to", str(tmp_path / "m"), "--weights", str(tmp_path / "w"))
    one_sentence(result, ExitCode.USAGE, "--weights: expected a StandardScaler before a LinearRegression; found ")
    assert not (tmp_path / "m").exists()
    assert invoke("export", "0", "--to", str(tmp_path / "m")).exit_code == 0


def test_export_to_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A path that cannot be written is named."""
    keep(tmp_path)
    for options in (["--to", "/nowhere/m"], ["--to", str(tmp_path / "m"), "--weights", "/nowhere/w"]):
        one_sentence(invoke("export", "0", *options), ExitCode.USAGE, "cannot write /nowhere/")


def test_export_of_a_damaged_file(tmp_path: Path) -> None:
    """What may not be used is not exported."""
    path = damage(keep(tmp_path), "flipped")
    result = invoke("export", "0", "--to", str(tmp_path / "m"))
    one_sentence(result, ExitCode.STATE, str(path), "does not match its digest")


@pytest.mark.parametrize(
    "entry",
    [(trained(3), 3), {"share": (trained(3), (), (), 64, {}), "events_learned": 3, "gates": {}}],
    ids=["pair", "guarded"],
)
def test_entries_of_every_model(entry: Any) -> None:
    """Whatever MODEL wrote the entry, its pipeline and count are found."""
    assert learned(entry).events_learned == 3
    assert learned(entry).pipeline.predict_one({"quantity": 1.0})


@pytest.mark.parametrize(
    "entry",
    [
        None,
        (),
        (trained(1),),
        (5, 5),
        (trained(1), "x"),
        {"share": (trained(1),)},
        {"share": (), "events_learned": 1},
        [1, 2],
    ],
)
def test_entries_of_no_model(entry: Any) -> None:
    """Anything else is said to be none."""
    with pytest.raises(StateError, match="found neither"):
        learned(entry)


# sign


def test_signing_anew(tmp_path: Path) -> None:
    """A change of key leaves content and names, takes the former key, and can be said again."""
    paths = [keep(tmp_path, offset=offset, key="former") for offset in (1, 2)]
    variables = {"CHECKPOINT_SIGNING_KEY": KEY, "CHECKPOINT_PREVIOUS_KEY": "former"}
    assert invoke("sign", **variables).stdout == "2 checkpoints signed anew, 0 were signed already\n"
    assert invoke("sign", **variables).stdout == "0 checkpoints signed anew, 2 were signed already\n"
    assert sorted((tmp_path / "store").rglob("*.checkpoint")) == paths
    assert [row["usable"] for row in rows("verify", CHECKPOINT_SIGNING_KEY=KEY)] == [True, True]


def test_signing_for_the_first_time(tmp_path: Path) -> None:
    """Unsigned files are signed where no former key is given."""
    keep(tmp_path)
    assert invoke("sign", CHECKPOINT_SIGNING_KEY=KEY).exit_code == 0
    assert rows("verify", CHECKPOINT_SIGNING_KEY=KEY)[0]["usable"]


@pytest.mark.parametrize("previous", ["", "wrong"])
def test_what_cannot_be_verified_is_not_signed(tmp_path: Path, previous: str) -> None:
    """Signing vouches for a file: one that the former key did not sign, or that does harm, is left as it is."""
    path = keep(tmp_path, key="former")
    before = path.read_bytes()
    result = invoke("sign", CHECKPOINT_SIGNING_KEY=KEY, CHECKPOINT_PREVIOUS_KEY=previous)
    one_sentence(result, ExitCode.STATE, str(path), "CHECKPOINT_PREVIOUS_KEY")
    assert path.read_bytes() == before
    path.unlink()
    hostile = forge(keep(tmp_path), pickle.dumps(Exploit(os.system, "touch proof"), protocol=5))
    before = hostile.read_bytes()
    one_sentence(invoke("sign", CHECKPOINT_SIGNING_KEY=KEY), ExitCode.STATE, "posix.system")
    assert hostile.read_bytes() == before


def test_signing_without_a_key(tmp_path: Path) -> None:
    """There must be one to sign with."""
    keep(tmp_path)
    one_sentence(invoke("sign"), ExitCode.USAGE, "CHECKPOINT_SIGNING_KEY is not set")


# checkpoints that share shards


def keep_chain(root: Path, key: str | None = None) -> list[Path]:
    """Put three checkpoints into the store, the later ones of which share with the ones before; return their files."""
    identity = Identity(GROUP, TOPIC, "topic-id", "0123456789ab", "ab" * 32, "17", {"MODEL": "linear", "SEEN_IDS": 9})
    store, lineage = DirectoryStore(root / "store"), Lineage()
    signing_key = None if key is None else key.encode()
    sharing = Sharing(shard_bytes=256, least_bytes=0, least_saved=0.01, most_read=9.0)
    sealing = Sealing(store, identity, admitted=Admitted(), key=signing_key, sharing=sharing)
    files = []
    for number in range(3):
        state = sections({"": (trained(40 + number), 40 + number)})
        state["later"] = b"x" * 5_000 + bytes([number]) * 256
        written = sealing.write(Snapshot(None, 0, 100 + number, state, lineage=lineage))
        assert written.name is not None
        files.append(store.path(written.name))
    return files


def test_a_chain_is_listed_and_shown(tmp_path: Path) -> None:
    """How many earlier files a checkpoint needs, and which."""
    first, second, _ = keep_chain(tmp_path)
    assert [row["parents"] for row in rows("list")][:2] == [0, 1]
    shown = json.loads(invoke("show", "0:101", "--json").stdout)
    assert [(each["offset"], each["digest"]) for each in shown["parents"]] == [(100, stated_in(first.name)[1])]  # type: ignore[index]
    assert [each["shards"] for each in shown["sections"] if each["name"] == "later"] == [21]
    assert "parent: 100" in invoke("show", str(second)).stdout


@pytest.mark.parametrize("key", [None, KEY])
def test_a_chain_is_verified_and_exported(tmp_path: Path, key: str | None) -> None:
    """With its parents; without one of them, or with a damaged one, it may not be used, and the row says which."""
    variables = {} if key is None else {"CHECKPOINT_SIGNING_KEY": key}
    first, _, _ = keep_chain(tmp_path, key)
    assert [row["usable"] for row in rows("verify", **variables)] == [True, True, True]
    to = str(tmp_path / "model.pkl")
    assert "42 events" in invoke("export", "0", "--to", to, **variables).stdout
    whole = first.read_bytes()
    first.write_bytes(whole[:-40])
    assert [row["usable"] for row in rows("verify", **variables)] == [False, False, False]
    first.unlink()
    reason = "the checkpoint at offset 102 shares with the one at offset 100, "
    assert rows("verify", "0", **variables)[0]["reason"].startswith(reason)
    one_sentence(invoke("export", "0", "--to", to, **variables), ExitCode.STATE, reason, "which is missing")


def test_a_copied_chain_is_verified_beside_its_parents(tmp_path: Path) -> None:
    """A checkpoint that was copied elsewhere needs its parents: from beside it, or from the store."""
    files = keep_chain(tmp_path)
    copies = tmp_path / "copies"
    copies.mkdir()
    copy = copies / files[2].name
    copy.write_bytes(files[2].read_bytes())
    assert invoke("verify", str(copy)).exit_code == 0
    shutil.rmtree(tmp_path / "store")
    assert "which is missing" in rows("verify", str(copy))[0]["reason"]
    moved = keep_chain(tmp_path)
    assert moved == files
    for each in files[:2]:
        each.rename(copies / each.name)
    files[2].unlink()
    assert invoke("verify", str(copy)).exit_code == 0


def test_a_chain_is_signed_anew(tmp_path: Path) -> None:
    """File after file: a parent may have the new signature already when its child is verified with the former key."""
    keep_chain(tmp_path, "former")
    variables = {"CHECKPOINT_SIGNING_KEY": KEY, "CHECKPOINT_PREVIOUS_KEY": "former"}
    assert invoke("sign", **variables).stdout == "3 checkpoints signed anew, 0 were signed already\n"
    assert [row["usable"] for row in rows("verify", CHECKPOINT_SIGNING_KEY=KEY)] == [True, True, True]


# another store than a directory


class FarStore(DirectoryStore):
    """A store whose checkpoints are no files of this machine, to all who ask."""

    def kept(self, group: str | None = None, topic: str | None = None) -> list[Kept]:
        """List them under names that no disk knows."""
        return [
            each._replace(label=f"far://{each.name.partition}/{each.name.offset}", written=None)
            for each in super().kept(group, topic)
        ]


@pytest.fixture
def _far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stores, "open_store", lambda *_: FarStore(tmp_path / "store"))


@pytest.mark.usefixtures("_far")
def test_a_store_that_is_no_directory(tmp_path: Path) -> None:
    """Every command works on it, by the store's own words for a place."""
    keep(tmp_path, offset=1)
    damage(keep(tmp_path, offset=2), "flipped")
    assert [(row["file"], row["written"]) for row in rows("list")] == [("far://0/1", None), ("far://0/2", None)]
    assert "?" in invoke("list").stdout
    assert json.loads(invoke("show", "far://0/1", "--json").stdout)["offset"] == 1
    assert [row["usable"] for row in rows("verify")] == [True, False]
    assert "not usable: far://0/2" in invoke("verify").stdout
    assert invoke("export", "0:1", "--to", str(tmp_path / "model.pkl")).exit_code == 0
    one_sentence(invoke("show", "far://0/9"), ExitCode.STATE, "expected a file", "far://0/9")
    result = invoke("sign", CHECKPOINT_SIGNING_KEY=KEY)
    one_sentence(result, ExitCode.STATE, "far://0/2", "1 checkpoints before it")
    assert rows("verify", "0:1", CHECKPOINT_SIGNING_KEY=KEY)[0]["usable"]


@pytest.mark.usefixtures("_far")
def test_a_checkpoint_of_a_far_store_that_was_moved(tmp_path: Path) -> None:
    """What lies where another partition's belong is found out there too."""
    damage(keep(tmp_path), "another partition")
    assert "it was moved" in rows("verify")[0]["reason"]
