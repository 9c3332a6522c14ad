"""`smart-inventory checkpoints` on a bucket, as an operator with nothing but its URL uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from typer.testing import CliRunner

from consumer import cli
from consumer.checkpoint.bucket import Bucket
from consumer.checkpoint.bucket_store import BucketStore
from consumer.checkpoint.envelope import Identity
from consumer.checkpoint.store import CheckpointName
from consumer.errors import ExitCode
from tests.sealing import seal
from tests.unit.test_checkpoints_command import sections, trained

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from typer.testing import Result

    from tests.objects import Endpoint

GROUP: Final = "smart-inventory"
TOPIC: Final = "inventory.transactions"


def test_every_command_works_on_a_bucket(
    s3_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Listed, shown by partition and by URL, verified, exported and signed anew; damage is found."""
    for name, value in s3_endpoint.environment().items():
        monkeypatch.setenv(name, value)
    url = f"{s3_endpoint.new_bucket()}/shop"
    store = BucketStore(Bucket("s3", url))
    identity = Identity(GROUP, TOPIC, "topic-id", "0123456789ab", "ab" * 32, "17", {"MODEL": "linear"})
    for offset in (100, 200):
        header, data = seal(identity, 0, offset, sections({"": (trained(), 40)}), None)
        store.write(CheckpointName(GROUP, TOPIC, 0, offset, header.digest), data)

    def invoke(*command: str, **variables: str) -> Result:
        environment = {"CHECKPOINT_URL": f"s3://{url}", "CONSUMER_GROUP": GROUP, "INPUT_TOPIC": TOPIC, **variables}
        return CliRunner(env=environment).invoke(cli.app, ["checkpoints", *command])

    def answer(*command: str, **variables: str) -> Any:
        return json.loads(invoke(*command, "--json", **variables).stdout)

    listed = answer("list")
    assert [(row["offset"], row["signed"]) for row in listed] == [(100, False), (200, False)]
    assert listed[1]["bytes"] == len(data)
    assert all(row["file"].startswith(f"s3://{url}/{GROUP}/") and row["written"] for row in listed)
    assert answer("show", "0")["offset"] == 200
    assert answer("show", listed[0]["file"])["offset"] == 100
    assert [row["usable"] for row in answer("verify", "--all")] == [True, True]
    exported = invoke("export", "0:100", "--to", str(tmp_path / "model.pkl"))
    assert "partition 0 at offset 100" in exported.stdout
    assert invoke("sign", CHECKPOINT_SIGNING_KEY="key").stdout.startswith("2 checkpoints signed anew")
    assert [row["signed"] for row in answer("list")] == [True, True]
    damaged, _ = store.names(GROUP, TOPIC, 0)
    store.write(damaged, data[:-5])
    result = invoke("verify", CHECKPOINT_SIGNING_KEY="key")
    assert result.exit_code == ExitCode.STATE
    assert f"not usable: {listed[0]['file']}" in result.stdout


def test_a_bucket_that_is_not_there_is_one_sentence(s3_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to look at, and no traceback."""
    for name, value in s3_endpoint.environment().items():
        monkeypatch.setenv(name, value)
    result = CliRunner(env={"CHECKPOINT_URL": "s3://no-such-bucket"}).invoke(cli.app, ["checkpoints", "list"])
    assert result.exit_code == ExitCode.STATE
    (sentence,) = result.stderr.splitlines()
    assert "The specified bucket does not exist" in sentence
    assert "CHECKPOINT_URL" in sentence
