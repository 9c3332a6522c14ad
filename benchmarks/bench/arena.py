"""The one broker and the one input, and each contender's turn on it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka.admin import AdminClient

from benchmarks.bench import ROOT
from benchmarks.bench.roster import Publishes
from benchmarks.bench.verification import Agreement, check_copies, check_events, check_predictions
from consumer.simulate.sender import send
from tests.kafka import read_all, wait_until_stable
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.bench.roster import Contender
    from consumer.simulate.events import ShopEvent

_RUN_SECONDS: Final = 600.0
_READ_SECONDS: Final = 120.0
_LAST_LINES: Final = 20


class ContenderError(Exception):
    """A contender's process failed, or did not end in time."""


class Run(msgspec.Struct, frozen=True):
    """One contender's turn, as its own process measured it.

    Attributes:
        events: valid input events processed.
        seconds: from the first fetch or batch to the end of the work.
        cpu_seconds: user and system time of the whole process in that span.
        peak_bytes: the most memory that the process ever held resident.
    """

    events: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU an event."""
        return self.cpu_seconds / self.events * 1e6


class Arena:
    """Holds one input topic; each turn gets a new group and new output topics.

    Args:
        bootstrap_servers: the broker.
        directory: for checkpoints.
        events: the input, all valid and distinct.
        partitions: of every topic.

    Attributes:
        events: how many there are.
    """

    def __init__(
        self, bootstrap_servers: str, directory: Path, *, events: Iterable[ShopEvent], partitions: int
    ) -> None:
        self._stage = Stage(bootstrap_servers, directory, partitions=partitions, prefix="bench")
        self._directory = directory
        self._agreement = Agreement()
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})  # it outlives the broker
        calm = {"log_level": "3"}  # a coordinator that is still loading is no news
        self.events = send(events, bootstrap_servers=bootstrap_servers, topic=self._stage.input, config=calm).sent
        self._inputs = self._values(self._stage.input)

    def turn(self, contender: Contender) -> Run:
        """Run a contender over the whole input and check what it did.

        Raises:
            ContenderError: it failed.
            VerificationError: it did not do the work.
        """
        self._stage.renew_group()
        self._stage.directory = self._directory / self._stage.group
        self._stage.directory.mkdir()
        run = _run(contender, self._stage.environment(**contender.settings))
        self._verify(contender, run)
        outputs = [self._stage.output, self._stage.dead_letters]
        for deleted in self._admin.delete_topics(outputs).values():  # else a run would fill the disk
            deleted.result()
        return run

    def _verify(self, contender: Contender, run: Run) -> None:
        label = contender.label
        check_events(label, run.events, self.events)
        if contender.publishes is Publishes.NOTHING:
            return
        published = self._values(self._stage.output)
        if contender.publishes is Publishes.COPY:
            check_copies(label, published, self._inputs)
            return
        ends = {partition: len(values) for partition, values in self._inputs.items()}
        digest = check_predictions(label, (value for values in published.values() for value in values), ends)
        if contender.model is not None:
            self._agreement.check(label, contender.model, digest)

    def _values(self, topic: str) -> dict[int, list[bytes | None]]:
        """Read a topic back as a read_committed reader sees it."""
        wait_until_stable(self._stage.bootstrap_servers, topic)
        read = read_all(self._stage.bootstrap_servers, topic, deadline_seconds=_READ_SECONDS)
        return {partition: [message.value() for message in messages] for partition, messages in read.items()}


def _run(contender: Contender, environment: dict[str, str]) -> Run:
    try:
        done = subprocess.run(
            contender.command,
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ContenderError(f"{contender.label} did not end within {_RUN_SECONDS:.0f} s") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        last = "\n".join([*done.stderr.splitlines()[-_LAST_LINES:], *lines[-_LAST_LINES:]])
        raise ContenderError(f"{contender.label} ended with {done.returncode}; its last lines:\n{last}")
    return msgspec.json.decode(lines[-1], type=Run)
