"""A stage for the real thing: topics of its own, real worker processes, and the independent truth to hold them to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from consumer.checkpoint.reference import decode_reference
from consumer.learning.fingerprint import fingerprint
from consumer.metrics import PREFIX
from consumer.model_choice import model_kind
from consumer.simulate.sender import send
from schemas.dead_letter import EXPECTED, MESSAGES
from tests.kafka import create_topics, read_all, unique, wait_until, wait_until_stable
from tests.messages import dead_letter, input_record, prediction
from tests.nursery import nursery
from tests.oracle import PartitionOracle, Published, differences, reference_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from confluent_kafka import Message

    from consumer.learning.fingerprint import LearningSettings
    from consumer.simulate.events import ShopEvent
    from consumer.simulate.sender import SendReport
    from tests.nursery import Forked

_NO_COORDINATOR = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}
ROOT = Path(__file__).parent.parent


class Truth(NamedTuple):
    """What the independent loop says of an input topic.

    Attributes:
        published: by partition, what must be published, in offset order.
        counts: records, predictions, dead letters and repeats; of the predictions, those learned from, late, of an
            unknown type, without a level before.
        reasons: dead letters by reason.
        misrouted: items by what was wrong with the way of their first event.
    """

    published: dict[int, list[Published]]
    counts: dict[str, int]
    reasons: dict[str, int]
    misrouted: dict[str, int]


class WorkerProcess:
    """One `smart-inventory run` process, its log in a file."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *arguments: str,
        root: Path = ROOT,
        forks: bool = False,
    ) -> None:
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0  # earlier workers of this name logged there too
        self.started_at = time.monotonic()
        self.process: subprocess.Popen[bytes] | Forked
        if forks and root == ROOT:
            self.process = nursery().start({**os.environ, **environment}, log, *arguments)
            return
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "consumer", "run", *arguments],
                env={**os.environ, **environment},
                cwd=root,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return its log lines, only those of one event if `name` is given."""
        lines = (_json(line) for line in self.log.read_bytes()[self._from :].splitlines())
        return [line for line in lines if line and (name is None or line.get("event") == name)]

    def metrics(self) -> dict[str, float]:
        """Scrape its /metrics: values by name and labels, as they stand there, without the prefix."""
        (serving,) = wait_until(lambda: self.events("serving"), 30, "the worker to serve")
        with urllib.request.urlopen(f"http://127.0.0.1:{serving['port']}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith(PREFIX))
        return {name.removeprefix(PREFIX): float(value) for name, value in pairs}

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(seconds)

    def terminate(self, seconds: float = 30) -> int:
        """Ask it to finish and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it with SIGKILL, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Stop it with SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


def _json(line: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def oracle_of(
    learning: LearningSettings,
    topic: str,
    partition: int,
    *,
    partitions: int | None = None,
    regressor: Callable[[], Any] = reference_pipeline,
) -> PartitionOracle:
    """Return the independent loop of one partition under these settings, nothing fed yet."""
    return PartitionOracle(
        topic=topic,
        partition=partition,
        model_id=fingerprint(learning, model_kind(learning.model).parameters).model_id,
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        max_quantity=learning.limits.max_quantity,
        max_clock_ahead_seconds=learning.limits.max_clock_ahead_seconds,
        seen_ids=learning.seen_ids,
        item_retire_days=learning.item_retire_days,
        scope=learning.scope.value,
        partitions=partitions,
        regressor=regressor,
    )


class Stage:
    """Topics, a group and a checkpoint directory that nobody else uses."""

    def __init__(  # noqa: PLR0913 -- where, and whence its workers come
        self,
        bootstrap_servers: str,
        directory: Path,
        *,
        partitions: int,
        prefix: str = "stage",
        root: Path | None = None,
        forks: bool = False,
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.directory = directory
        self.partitions = partitions
        self.root = root or ROOT
        self._forks = forks
        self._prefix = prefix
        self.input = unique(f"{prefix}-in")
        # Event times lie in the past: under the default retention the broker would delete them within minutes.
        create_topics(bootstrap_servers, {self.input: partitions}, {"retention.ms": "-1"})
        self.group, self.output, self.dead_letters = "", "", ""
        self.renew_group()

    def renew_group(self) -> None:
        """Take a new group with new output topics, as an operator does to read the input from its beginning."""
        self.group = unique(f"{self._prefix}-group")
        self.output, self.dead_letters = (unique(f"{self._prefix}-{end}") for end in ("out", "dead"))
        create_topics(
            self.bootstrap_servers,
            {self.output: self.partitions, self.dead_letters: self.partitions},
            {"retention.ms": "-1", "max.message.bytes": "1200000"},
        )

    def environment(self, instance: str = "worker-0", **settings: str) -> dict[str, str]:
        """Return a worker's environment."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "INPUT_TOPIC": self.input,
            "OUTPUT_TOPIC": self.output,
            "DEAD_LETTER_TOPIC": self.dead_letters,
            "CONSUMER_GROUP": self.group,
            "INSTANCE_ID": instance,
            "CHECKPOINT_URL": f"file:{self.directory / 'checkpoints'}",
            "METRICS_PORT": "0",
            "MODEL": "linear",  # the one that the independent loop knows
            **settings,
        }

    def worker(self, instance: str = "worker-0", *arguments: str, **settings: str) -> WorkerProcess:
        """Start a worker."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / f"{instance}.log"
        return WorkerProcess(self.environment(instance, **settings), log, *arguments, root=self.root, forks=self._forks)

    def run_to_end(
        self, instance: str = "worker-0", seconds: float = 120, /, *, flags: Sequence[str] = (), **settings: str
    ) -> WorkerProcess:
        """Run a worker until it has done what is there, and check that it ended well."""
        worker = self.worker(instance, "--stop-at-end", *flags, **settings)
        code = worker.wait(seconds)
        if code != 0:
            raise AssertionError(f"the worker ended with {code}: {worker.log.read_text()[-3000:]}")
        return worker

    def send(self, events: Iterable[ShopEvent], *, rate: float | None = None) -> SendReport:
        """Write events to the input topic."""
        return send(events, bootstrap_servers=self.bootstrap_servers, topic=self.input, config={}, rate=rate)

    def committed(self) -> dict[int, TopicPartition]:
        """Return the group's committed offsets with their metadata."""
        reader = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.group})
        try:
            return self.committed_through(reader)
        finally:
            reader.close()

    def committed_through(self, reader: Consumer) -> dict[int, TopicPartition]:
        """Return the same through a consumer of the group that is there already."""
        answers = wait_until(lambda: self._ask(reader), 30, "the group's coordinator to answer")
        return {answer.partition: answer for answer in answers}

    def _ask(self, reader: Consumer) -> list[TopicPartition]:
        """Ask for the committed offsets; nothing while a broker that has just started looks for its coordinator."""
        asked = [TopicPartition(self.input, number) for number in range(self.partitions)]
        try:
            return reader.committed(asked, timeout=30)
        except KafkaException as exception:
            if exception.args[0].code() not in _NO_COORDINATOR:
                raise
            return []

    def checkpointed(self) -> set[int]:
        """Return the partitions whose committed offset refers to a checkpoint: a restart finds one there."""
        references = {
            partition: decode_reference(answer.metadata)
            for partition, answer in self.committed().items()
            if answer.offset >= 0
        }
        return {partition for partition, reference in references.items() if reference.checkpoint_offset is not None}

    def ends(self, *, isolation: str = "read_committed") -> dict[int, int]:
        """Return where each of the input's partitions ends now, for a reader of this isolation."""
        owned = {"group.id": unique("ends"), "isolation.level": isolation}
        reader = Consumer({"bootstrap.servers": self.bootstrap_servers, **owned})
        try:
            return wait_until(lambda: self._ends(reader), 30, "each partition to have a leader")
        finally:
            reader.close()

    def _ends(self, reader: Consumer) -> dict[int, int]:
        """Ask for the ends; nothing while a broker that was frozen is not their leader again."""
        partitions = [TopicPartition(self.input, number) for number in range(self.partitions)]
        try:
            return {each.partition: reader.get_watermark_offsets(each, timeout=30)[1] for each in partitions}
        except KafkaException as exception:
            if exception.args[0].code() not in {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._UNKNOWN_PARTITION}:
                raise
            return {}

    def delete_topics(self) -> None:
        """Delete the input and the present output topics: a long run's would fill the disk, or stay with a user."""
        admin = AdminClient(
            {"bootstrap.servers": self.bootstrap_servers, "log_level": 0}
        )  # its parting words are no news
        for deleted in admin.delete_topics([self.input, self.output, self.dead_letters]).values():
            deleted.result(timeout=30)

    def wait_until_done(self, seconds: float) -> None:
        """Wait until the group has committed up to the present end of the input."""
        ends = self.ends()
        wait_until(
            lambda: all(answer.offset >= ends[number] for number, answer in self.committed().items()),
            seconds,
            f"the group to reach {ends}",
        )

    def inputs(self, *, seconds: float = 120) -> dict[int, list[Message]]:
        """Read the input back from the broker."""
        return read_all(self.bootstrap_servers, self.input, deadline_seconds=seconds)

    def oracle(
        self,
        learning: LearningSettings,
        partition: int,
        *,
        regressor: Callable[[], Any] = reference_pipeline,
    ) -> PartitionOracle:
        """Return the independent loop of one partition, nothing fed yet."""
        return oracle_of(learning, self.input, partition, partitions=self.partitions, regressor=regressor)

    def truth(
        self,
        learning: LearningSettings,
        *,
        seconds: float = 120,
        records: Mapping[int, list[Message]] | None = None,
        skipped: Collection[tuple[int, int]] = (),
        regressor: Callable[[], Any] = reference_pipeline,
    ) -> Truth:
        """Feed the input, read back from the broker unless `records` has it, to the independent loop.

        Args:
            learning: the settings that predictions depend on.
            seconds: how long reading back may take.
            records: what the input held.
            skipped: (partition, offset) of records that are passed over.
            regressor: makes the model, where it is not the reference.
        """
        records = self.inputs(seconds=seconds) if records is None else records
        published: dict[int, list[Published]] = {}
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        misrouted: Counter[str] = Counter()
        for partition, messages in records.items():
            oracle = self.oracle(learning, partition, regressor=regressor)
            kept = (message for message in messages if (partition, message.offset()) not in skipped)
            fed = (oracle.feed(input_record(message)) for message in kept)
            published[partition] = [message for message in fed if message is not None]
            counts.update(
                records=oracle.records,
                predictions=oracle.predictions,
                repeats=oracle.repeats,
                dead_letters=sum(oracle.dead_letters.values()),
                learned=oracle.learned,
                late=oracle.late,
                unknown_types=oracle.unknown_types,
                unknown_levels=oracle.unknown_levels,
            )
            reasons.update(oracle.dead_letters)
            misrouted.update(oracle.misrouted)
        return Truth(published, dict(counts), dict(reasons), dict(misrouted))

    def published(self, *, seconds: float = 120) -> dict[int, list[Published]]:
        """Read back what a read_committed reader sees, predictions and dead letters merged by source offset."""
        for topic in (self.output, self.dead_letters):
            wait_until_stable(self.bootstrap_servers, topic)
        predictions = read_all(self.bootstrap_servers, self.output, deadline_seconds=seconds)
        dead_letters = read_all(self.bootstrap_servers, self.dead_letters, deadline_seconds=seconds)
        return {
            partition: [prediction(message) for message in predictions[partition]]
            + [dead_letter(message) for message in dead_letters[partition]]
            for partition in range(self.partitions)
        }

    def differences(self, truth: Truth) -> list[str]:
        """Compare what was published with the truth, in both directions."""
        actual = self.published()
        return [
            f"partition {partition}: {text}"
            for partition, expected in truth.published.items()
            for text in differences(expected, actual[partition])
        ]
