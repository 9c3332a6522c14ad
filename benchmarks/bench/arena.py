"""The one broker and the one input, and each contender's turn on it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka.admin import AdminClient

from benchmarks.bench import ROOT
from benchmarks.bench.inputs import Input, copy, first_of
from benchmarks.bench.roster import Publishes
from benchmarks.bench.verification import Agreement, check_copies, check_events, check_predictions
from consumer.simulate.sender import send
from tests.kafka import create_topics, read_all, unique, wait_until_stable
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from confluent_kafka import Message

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
    """Holds the input; each turn gets a new group and new output topics.

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
        self._input = Input(self._stage.input, self._values(self._stage.input))
        self._first: dict[int, Input] = {}

    def turn(self, contender: Contender) -> Run:
        """Run a contender over the input, or the first events of it that it takes, and check what it did.

        Raises:
            ContenderError: it failed.
            VerificationError: it did not do the work.
        """
        self._stage.renew_group()
        self._stage.directory = self._directory / self._stage.group
        self._stage.directory.mkdir()
        given = self._given(contender)
        run = _run(contender, self._stage.environment(**contender.settings, INPUT_TOPIC=given.topic))
        self._verify(contender, given, run)
        outputs = [self._stage.output, self._stage.dead_letters]
        for deleted in self._admin.delete_topics(outputs).values():  # else a run would fill the disk
            deleted.result()
        return run

    def _given(self, contender: Contender) -> Input:
        """Return the contender's input; the first events lie in a topic of their own, made when first asked for."""
        most = contender.most_events
        if most is None or most >= self.events:
            return self._input
        if most not in self._first:
            topic = unique("bench-first")
            create_topics(self._stage.bootstrap_servers, {topic: self._stage.partitions}, {"retention.ms": "-1"})
            first = first_of(self._records(self._stage.input), most)
            messages = (message for partition in first.values() for message in partition)
            copy(messages, bootstrap_servers=self._stage.bootstrap_servers, topic=topic)
            self._first[most] = Input(topic, first_of(self._input.values, most))
            check_copies(topic, self._values(topic), self._first[most].values)
        return self._first[most]

    def _verify(self, contender: Contender, given: Input, run: Run) -> None:
        label = contender.label
        check_events(label, run.events, given.events)
        if contender.publishes is Publishes.NOTHING:
            return
        published = self._values(self._stage.output)
        if contender.publishes is Publishes.COPY:
            check_copies(label, published, given.values)
            return
        predicted = check_predictions(label, (value for values in published.values() for value in values), given.ends)
        if contender.model is not None:
            self._agreement.check(label, contender.model, predicted)

    def _values(self, topic: str) -> dict[int, list[bytes | None]]:
        """Read a topic's values back as a read_committed reader sees them."""
        read = self._records(topic)
        return {partition: [message.value() for message in messages] for partition, messages in read.items()}

    def _records(self, topic: str) -> dict[int, list[Message]]:
        wait_until_stable(self._stage.bootstrap_servers, topic)
        return read_all(self._stage.bootstrap_servers, topic, deadline_seconds=_READ_SECONDS)


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
