"""Apache Kafka as a Java process of this machine, a combined KRaft broker and controller."""

import atexit
import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from .broker import Broker, BrokerError, free_port, wait_until_ready
from .jars import Installation
from .settings import sasl_listener, server_properties

_LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")
_WATCHER = Path(__file__).with_name("watcher.py")
_READY_SECONDS = 60.0  # 2 to 4 s on two idle cores.
_FORMAT_SECONDS = 60.0
_TAIL_LINES = 30


class ApacheBroker(Broker):
    """A broker in its own process group, with its data in a temporary directory.

    It ends with this process, however that ends (by SIGKILL too, on Linux; see watcher.py). A fork of this process
    does not own it.
    """

    def __init__(
        self, installation: Installation, directory: Path, port: int, heap_megabytes: int, jvm: Sequence[str] = ()
    ) -> None:
        """Describe a broker that does not run yet; `start` is the way to get one that does."""
        super().__init__(f"127.0.0.1:{port}")
        self.sasl_servers: str | None = None
        self._directory = directory
        self._owner = os.getpid()
        self._java = [
            installation.java,
            f"-Xmx{heap_megabytes}m",
            # Against G1, two cores: the start took 2.1 to 2.4 s instead of 2.2 to 3.5, and no GC threads compete.
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",  # A broker that limps on after one fails tests in misleading ways.
            "-XX:-UsePerfData",  # Its file outside our directory would survive SIGKILL.
            *jvm,
            f"-Dlog4j2.configurationFile={_LOG_CONFIGURATION}",
            f"-Dkafka.log.file={directory / 'broker.log'}",
            "-cp",
            str(installation.jars / "*"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        installation: Installation,
        *,
        heap_megabytes: int = 512,
        properties: Mapping[str, str] | None = None,
        jvm: Sequence[str] = (),
        users: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a new, empty broker that is ready; `properties` win over those of settings.py.

        `jvm` are further options of Java. With `users` (name: password) it listens at `sasl_servers` too, where they
        may do what ACLs grant them.

        Raises:
            BrokerError: It did not become ready in 60 s, or ended; the message holds the end of its log.

        """
        directory = Path(tempfile.mkdtemp(prefix="kafka-broker-"))
        port = free_port()
        broker = cls(installation, directory, port, heap_megabytes, jvm)
        controller_port = free_port()
        extra = dict(properties or {})
        if users:
            sasl_port = free_port()
            broker.sasl_servers = f"127.0.0.1:{sasl_port}"
            ports = {"broker_port": port, "sasl_port": sasl_port, "controller_port": controller_port}
            extra = {**sasl_listener(**ports, users=users), **extra}
        atexit.register(broker.stop)
        try:
            (directory / "server.properties").write_text(
                server_properties(
                    broker_port=port,
                    controller_port=controller_port,
                    data=str(directory / "data"),
                    extra=extra,
                ),
                encoding="utf-8",
            )
            broker._format(new_cluster_id())
            broker._launch()
        except BaseException:  # Ctrl-C included: nothing may stay behind.
            broker.stop()
            raise
        return broker

    def freeze(self) -> None:
        """Send SIGSTOP and wait until no thread of the broker runs."""
        process = self._running("freeze")
        process.send_signal(signal.SIGSTOP)
        # WNOWAIT leaves the news in place, so that a second freeze and Popen find it too.
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Send SIGCONT."""
        self._running("thaw").send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end, which frees the ports."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._watcher is not None:
            self._watcher.wait()  # It ends by itself once the broker has.
        self._process = self._watcher = None

    def restart(self) -> None:
        """Kill the broker if it runs, start it on the same directory and wait until it is ready."""
        if not self._directory.is_dir():
            message = "cannot restart a stopped broker: its data is deleted; start a new one"
            raise BrokerError(message)
        self._launch()

    def stop(self) -> None:
        """Kill the broker and delete its directory. No orderly shutdown: it can hang, and the data goes anyway."""
        if os.getpid() != self._owner:
            return
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
        atexit.unregister(self.stop)

    def _format(self, cluster: str) -> None:
        process = self._spawn("kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties")
        try:
            code = process.wait(_FORMAT_SECONDS)
        except subprocess.TimeoutExpired as error:
            message = f"formatting the data directory took more than {_FORMAT_SECONDS:g} s\n{self._tail()}"
            raise BrokerError(message) from error
        if code:
            message = f"formatting the data directory failed with exit code {code}\n{self._tail()}"
            raise BrokerError(message)

    def _launch(self) -> None:
        self._spawn("kafka.Kafka", "server.properties")
        try:
            wait_until_ready(self.bootstrap_servers, _READY_SECONDS, check=lambda: self._running("wait for"))
        except BrokerError as error:
            message = f"{error}\n{self._tail()}"
            self.kill()
            raise BrokerError(message) from error

    def _spawn(self, *command: str) -> "subprocess.Popen[bytes]":
        """Run a Java program in the place of the one before, which is killed if it still runs."""
        self.kill()
        with (self._directory / "broker.out").open("ab") as output:
            self._process = subprocess.Popen(
                [*self._java, *command],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests; they still need the broker to clean up.
            )
        self._watcher = _watch(self._process, self._directory)
        return self._process

    def _running(self, verb: str) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            why = "was killed" if self._process is None else f"ended with exit code {self._process.returncode}"
            message = f"cannot {verb} the broker at {self.bootstrap_servers}: it {why}"
            raise BrokerError(message)
        return self._process

    def _tail(self) -> str:
        lines: list[str] = []
        for name in ("broker.out", "broker.log"):
            path = self._directory / name
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace")
                lines += [f"--- end of {name}", *text.splitlines()[-_TAIL_LINES:]]
        return "\n".join(lines)


def new_cluster_id() -> str:
    """Return what all nodes of a new cluster are formatted with."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:].rstrip("=")  # "-..." reads as an option


def _watch(broker: "subprocess.Popen[bytes]", directory: Path) -> "subprocess.Popen[bytes] | None":
    if sys.platform != "linux":  # No pidfds: there, a test run ended by SIGKILL leaves its broker behind.
        return None
    handles = os.pidfd_open(os.getpid()), os.pidfd_open(broker.pid)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHER), *map(str, handles), str(directory)],
            pass_fds=handles,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Whatever ends the tests' process group must not end it too.
        )
    finally:
        for handle in handles:
            os.close(handle)
