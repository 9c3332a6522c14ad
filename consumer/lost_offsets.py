"""Lost offsets: nothing of ours is committed for a partition, and yet the store or the output may know it.

An empty group's offsets expire after a week, a reset tool commits offsets without our metadata. To begin anew would
publish everything twice, to go on from anywhere else would skip; so only a partition that nothing knows begins by
itself, and the operator chooses for every other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consumer.checkpoint.envelope import EnvelopeError
from consumer.checkpoint.reader import MissingCheckpointError
from consumer.errors import StateError
from consumer.goal import LastPublished, PublishedGoal, content_of
from consumer.learning.output import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from consumer.broker import Connection
    from consumer.checkpoint.envelope import Identity
    from consumer.checkpoint.reader import CheckpointReader
    from consumer.checkpoint.store import CheckpointName
    from consumer.metrics import Metrics
    from consumer.permissions import Permissions
    from consumer.record import Record

_NEW_GROUP: Final = "use a new CONSUMER_GROUP with a new OUTPUT_TOPIC"


class _Source(msgspec.Struct):
    """Which record a prediction was published for."""

    source_partition: int
    source_offset: int


class LostOffsets:
    """Judges a partition without a committed offset of ours.

    Args:
        identity: whose state it accepts.
        reader: reads checkpoints.
        topics: where each kind of outcome was published.
        permissions: what the operator chose.
    """

    def __init__(  # noqa: PLR0913 -- its collaborators, named
        self,
        *,
        identity: Identity,
        reader: CheckpointReader,
        topics: Mapping[Outcome, str],
        permissions: Permissions,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._identity = identity
        self._reader = reader
        self._topics = topics
        self._permissions = permissions
        self._metrics = metrics
        self._log = log

    def judge(self, partition: int, foreign: str | None, end: int, connection: Connection) -> PublishedGoal | None:
        """Return where a replay must arrive before the partition goes on; None where it begins at the log's start.

        Args:
            partition: the partition.
            foreign: what is wrong with the metadata of the offset that is committed; None where there is no offset.
            end: where the input partition's log ends.
            connection: to read the tails of the outputs.

        Raises:
            StateError: the operator must choose, or there is nothing to choose.
            RetryError: the broker did not answer.
        """
        names = self._reader.names(partition)
        known_by = self._known_by(partition, names, connection)
        if foreign is None and known_by is None:
            self._metrics.restored("fresh")
            return None
        self._refuse_another_log(partition, names)
        if self._permissions.publish_anew:
            self._metrics.restored("published_anew")
            self._log.warning("publishing_anew", partition=partition, known_by=known_by)
            return None
        if self._permissions.resume_after_output:
            return self._goal(partition, end, connection)
        group, topic = self._identity.group, self._identity.topic
        raise StateError(
            (
                f"group {group} has no committed offset for partition {partition} of {topic}, but {known_by} knows it: "
                "the group's offsets expired or were deleted"
                if foreign is None
                else f"partition {partition} of {topic}, group {group}: {foreign}; another tool has committed or reset "
                "this offset, so which model belongs there is unknown"
            )
            + ". `run --resume-after-output` goes on after the last published record, `run --publish-anew` starts at "
            f"the log's start and publishes everything again; or {_NEW_GROUP}"
        )

    def _known_by(self, partition: int, names: Sequence[CheckpointName], connection: Connection) -> str | None:
        if names:
            return f"the checkpoint {self._reader.where()}"
        topic = self._topics[Outcome.PREDICTION]
        tail = connection.tail(topic, partition)
        return f"the output topic {topic}" if tail.record is not None or tail.is_cut else None

    def _refuse_another_log(self, partition: int, names: Sequence[CheckpointName]) -> None:
        """Refuse to go on where the newest readable checkpoint is of a topic that was deleted since."""
        for name in names:
            try:
                header, _ = self._reader.open(name)
            except (MissingCheckpointError, EnvelopeError):
                continue
            if header.topic_id != self._identity.topic_id:
                raise StateError(
                    f"group {self._identity.group} has no committed offset for partition {partition} of "
                    f"{self._identity.topic}, and its checkpoints are of topic id {header.topic_id}, while the topic "
                    f"has {self._identity.topic_id}: it was deleted and created anew, so this is another log; "
                    f"{_NEW_GROUP}"
                )
            return

    def _goal(self, partition: int, end: int, connection: Connection) -> PublishedGoal | None:
        """Find the last published record; both topics' tails count, since either may end last.

        A repeat and the log's end leave no trace in the outputs. To go on right after the last published record may
        therefore process some repeats again, which is right: they are repeats of what the replay has learned, so they
        publish nothing this time either.
        """
        last: dict[Outcome, LastPublished] = {}
        for outcome, topic in self._topics.items():
            tail = connection.tail(topic, partition)
            if tail.record is not None:
                offset = self._source_offset(outcome, partition, tail.record)
                if offset is None:
                    raise StateError(
                        f"the last record of partition {partition} of {topic} is none that this worker publishes "
                        f"for {self._identity.topic}, so where to go on cannot be told; `run --publish-anew`, or "
                        f"{_NEW_GROUP}"
                    )
                last[outcome] = LastPublished(topic, offset, content_of(tail.record))
            elif tail.is_cut:
                raise StateError(
                    f"partition {partition} of {topic} held records, and retention has removed all of them, so where "
                    f"to go on cannot be told; `run --publish-anew`, or {_NEW_GROUP}"
                )
        if not last:
            self._metrics.restored("fresh")
            self._log.warning("nothing_published", partition=partition)
            return None
        goal = PublishedGoal(last)
        if goal.offset > end:
            raise StateError(
                f"the outputs say that partition {partition} of {self._identity.topic} was read up to offset "
                f"{goal.offset}, but its log ends at {end}: this is another log, or it has lost records; {_NEW_GROUP}"
            )
        self._log.warning("resuming_after_output", partition=partition, offset=goal.offset)
        return goal

    def _source_offset(self, outcome: Outcome, partition: int, record: Record) -> int | None:
        """Return the input offset that a published record names; None where it is none of ours."""
        try:
            if outcome is Outcome.PREDICTION:
                source = msgspec.json.decode(record.value or b"", type=_Source)
                return source.source_offset if source.source_partition == partition else None
            headers = dict(record.headers or ())
            place = (headers["error.topic"] or b"").decode(), int(headers["error.partition"] or b"")
            return int(headers["error.offset"] or b"") if place == (self._identity.topic, partition) else None
        except (msgspec.DecodeError, ValueError, KeyError):
            return None
