"""Which bucket `CHECKPOINT_URL` opens, and what is said where it cannot be opened; no endpoint."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from consumer.checkpoint.bucket import Bucket, _sentence
from consumer.checkpoint.bucket_store import BucketStore
from consumer.checkpoint.store import CheckpointName, UnreachableError
from consumer.errors import SettingsError
from consumer.settings import Settings
from consumer.stores import open_store
from tests.objects import FaultProxy, Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME: Final = CheckpointName("group", "topic", 0, 7, "d" * 64)
SECRET: Final = "c2VjcmV0LXRoYXQtbm8tbG9nLW1heS1zaG93"  # noqa: S105 -- of nothing


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)


def opened(url: str) -> str:
    """Open the store of a URL and name it."""
    return open_store(Settings(checkpoint_url=url), dict).where()


def test_each_scheme_opens_its_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is asked of it yet, so that it need not be there."""
    assert opened("s3://bucket/prefix") == "bucket s3://bucket/prefix"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    assert opened("az://container/prefix") == "bucket az://container/prefix"
    account = tmp_path / "account.json"
    account.write_text(json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
    assert opened("gs://bucket") == "bucket gs://bucket"


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is no dependency of those who keep checkpoints elsewhere; whoever needs it is told the command."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "consumer.checkpoint.bucket", raising=False)
    with pytest.raises(SettingsError, match=re.escape('`pip install "smart-inventory[objects]"`')):
        opened("s3://bucket/prefix")
    assert opened("file:checkpoints").startswith("directory ")


@pytest.mark.parametrize(
    ("url", "variables", "said"),
    [
        ("az://container", {}, "Account must be specified"),
        ("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT": "/nowhere/account.json"}, "Unable to open service account file"),
        ("s3://bucket", {"AWS_SKIP_SIGNATURE": "maybe"}, 'failed to parse "maybe"'),
    ],
)
def test_what_the_library_refuses(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], said: str
) -> None:
    """Its own variables are settings too: a sentence and exit code 2."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(said)) as raised:
        opened(url)
    assert f"CHECKPOINT_URL={url}" in str(raised.value)


def test_a_shared_access_signature_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's credentials may be part of each address, and addresses are part of each error."""
    for name, value in {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_SAS_KEY": f"sv=2024&sig={SECRET}",
        "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnreachableError) as raised:
        Bucket("az", "container/prefix").get("path")
    assert SECRET not in str(raised.value)
    error = Exception(f"Generic S3 error: Error performing GET https://b/x?sig={SECRET} in 1.5ms - HTTP error: sending")
    assert _sentence(error) == "HTTP error: sending"


def test_without_tls_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is written with http:// is taken; no other connection ever goes without TLS."""
    for name, value in {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="Connection refused"):
        Bucket("s3", "bucket").get("path")
    assert _allows_http(Bucket("s3", "bucket"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    assert not _allows_http(Bucket("s3", "bucket"))


def _allows_http(bucket: Bucket) -> bool:
    options: Any = bucket._store.client_options
    return str(options["allow_http"]).lower() == "true"


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_scheme_speaks_to_its_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str) -> None:
    """All three are called, bounded and understood in one way: a store that is busy, and one that says nothing."""
    with FaultProxy(1) as endpoint:
        address = f"http://127.0.0.1:{endpoint.port}"
        account = {"gcs_base_url": address, "disable_oauth": True}
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "client_email": "", "private_key": "", "private_key_id": ""}))
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
            "AZURE_STORAGE_ENDPOINT": address,
            "GOOGLE_SERVICE_ACCOUNT": str(file),
            "GOOGLE_ENDPOINT": address,
        }.items():
            monkeypatch.setenv(name, value)
        store = BucketStore(Bucket(scheme, "bucket/prefix", 1.0))
        for mode, said in ((Mode.BUSY, "503 Service Unavailable"), (Mode.SILENT, "no answer within 1 s")):
            endpoint.mode = mode
            calls: tuple[Callable[[], Any], ...] = (
                lambda: store.write(NAME, b"state"),
                lambda: store.read(NAME),
                lambda: store.names(NAME.group, NAME.topic, NAME.partition),
                lambda: store.check(NAME.group, NAME.topic),
            )
            for call in calls:
                with pytest.raises(UnreachableError, match=said) as raised:
                    call()
                assert SECRET not in str(raised.value)
        assert {"PUT", "GET"} <= set(endpoint.requests)
