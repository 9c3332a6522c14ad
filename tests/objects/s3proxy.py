"""S3Proxy as a Java process of this machine: S3's protocol, signatures included, over a temporary directory."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from tests.kafka import BrokerUnavailableError, unique, wait_until
from tests.kafka.apache import _watch
from tests.kafka.broker import free_port
from tests.kafka.jars import Installation, install

if TYPE_CHECKING:
    from collections.abc import Iterator

_POM: Final = Path(__file__).with_name("pom.xml")
_LOGGING: Final = Path(__file__).with_name("logback.xml")
_READY_SECONDS: Final = 60.0
_IDENTITY: Final = "tests"
SECRET: Final = "a secret that no log may show"  # noqa: S105 -- of a server that lives as long as the test


class Endpoint:
    """An S3 endpoint; it ends with this process, however that ends (see tests/kafka/watcher.py).

    Args:
        installation: its jars and a Java.
    """

    def __init__(self, installation: Installation) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="s3-endpoint-"))
        self._data = self._directory / "data"
        self._data.mkdir()
        (self._directory / "s3proxy.properties").write_text(
            f"s3proxy.endpoint=http://127.0.0.1:{self.port}\n"
            "s3proxy.authorization=aws-v2-or-v4\n"
            f"s3proxy.identity={_IDENTITY}\n"
            f"s3proxy.credential={SECRET}\n"
            "jclouds.provider=filesystem-nio2\njclouds.identity=none\njclouds.credential=none\n"
            f"jclouds.filesystem.basedir={self._data}\n",
            encoding="utf-8",
        )
        self._command = [
            installation.java,
            *("-Xmx192m", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Dlogback.configurationFile={_LOGGING}"),
            *("-cp", str(installation.jars / "*"), "org.gaul.s3proxy.Main", "--properties", "s3proxy.properties"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it on the data that it has; return once it takes connections."""
        with (self._directory / "out").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        _watch(self._process, self._directory)
        atexit.register(self.stop)
        wait_until(self._takes_connections, _READY_SECONDS, "the S3 endpoint")
        return self

    def kill(self) -> None:
        """End it as kill -9 does; its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
        atexit.unregister(self.stop)

    def new_bucket(self) -> str:
        """Make a bucket and return its name."""
        name = unique("bucket")
        (self._data / name).mkdir()
        return name

    def objects(self, bucket: str) -> list[Path]:
        """Return what the disk holds of a bucket, unfinished uploads and all."""
        return sorted(path for path in (self._data / bucket).rglob("*") if path.is_file())

    def environment(self, port: int | None = None) -> dict[str, str]:
        """Return the variables with which the library speaks to it, or to a proxy before it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": _IDENTITY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def _takes_connections(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._directory / "out").read_text(encoding="utf-8", errors="replace")[-2_000:])
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def s3_installation() -> Installation:
    """Return its jars and a fitting Java; the first call on a machine downloads the jars.

    Raises:
        BrokerUnavailableError: there is no Java, or the jars cannot be had.
    """
    return install("s3proxy", _POM)


def session_endpoint() -> Iterator[Endpoint]:
    """Yield a ready endpoint and stop it afterwards; skips without Java or Maven, and fails in CI."""
    try:
        installation = s3_installation()
    except BrokerUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    endpoint = Endpoint(installation)
    try:
        yield endpoint.start()
    finally:
        endpoint.stop()
