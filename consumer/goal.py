"""Where a replay must arrive, and what must be found true of it there.

A rung of the recovery ladder is believed only once it has arrived: at the committed offset with the count and digest
that were committed, or, where those are lost, at the end of the output with the very bytes that were published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from consumer.learning.output import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.checkpoint.reference import Reference
    from consumer.learning.output import Output
    from consumer.learning.task import PartitionTask
    from consumer.record import Record

_WORDS: Final = {Outcome.PREDICTION: "prediction", Outcome.DEAD_LETTER: "dead letter"}


class Goal(Protocol):
    """The end of a replay.

    Attributes:
        offset: where it ends; every record below has been applied then.
        asks_for_outputs: `note` wants to be told of each record.
    """

    offset: int
    asks_for_outputs: bool

    def begin(self, offset: int) -> None:
        """A rung begins to replay at `offset`: what was noted of another one counts no more."""

    def note(self, record: Record, output: Output | None) -> None:
        """Take note of a replayed record and what it would have published."""

    def contradiction(self, task: PartitionTask) -> str | None:
        """Say how the state that has arrived differs from what it must be; None where it does not."""


class CommittedGoal:
    """The group's committed offset, with the count and the digest of its reference."""

    asks_for_outputs = False

    def __init__(self, offset: int, reference: Reference) -> None:
        self.offset = offset
        self.reference = reference

    def begin(self, offset: int) -> None:
        """Nothing is noted: the task counts for itself."""

    def note(self, record: Record, output: Output | None) -> None:
        """Nothing is noted: the task's own digest has it."""

    def contradiction(self, task: PartitionTask) -> str | None:
        """Compare count and digest."""
        found = (task.records_applied, task.chain.digest().hex())
        expected = (self.reference.records_applied, self.reference.chain)
        if found == expected:
            return None
        return (
            f"{found[0]} records with digest {found[1]}, where {expected[0]} records with digest {expected[1]} were "
            "committed"
        )


class LastPublished(NamedTuple):
    """The last record that a topic's partition holds of what was published for one input partition.

    Attributes:
        topic: the output or the dead-letter topic.
        source_offset: the input record that it was published for.
        content: its key, value and headers.
    """

    topic: str
    source_offset: int
    content: tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


class PublishedGoal:
    """The offset after the last published record, where the committed offset is lost.

    Count and digest are lost as well. What is left to hold a replay to is the output itself: what it would publish for
    the last record of each topic must be that record to the byte, and it must publish nothing beyond.

    Args:
        last: the last record of each kind, of those kinds of which there is one.
    """

    asks_for_outputs = True

    def __init__(self, last: Mapping[Outcome, LastPublished]) -> None:
        self._last = last
        self.offset = max(each.source_offset for each in last.values()) + 1
        self._begun_at = 0
        self._met: set[Outcome] = set()
        self._found: str | None = None

    def begin(self, offset: int) -> None:
        """Forget what another rung did."""
        self._begun_at = offset
        self._met.clear()
        self._found = None

    def note(self, record: Record, output: Output | None) -> None:
        """Compare what the replay would publish with what was published."""
        if output is None:
            return
        last = self._last.get(output.outcome)
        if last is None or record.offset > last.source_offset:
            self._found = (
                self._found or f"a {_WORDS[output.outcome]} for offset {record.offset}, which was not published"
            )
        elif record.offset == last.source_offset:
            self._met.add(output.outcome)
            if content_of(output) != last.content:
                self._found = self._found or (
                    f"another {_WORDS[output.outcome]} for offset {record.offset} than {last.topic} holds"
                )

    def contradiction(self, _task: PartitionTask) -> str | None:
        """Return the first difference; a last record that the replay did not come by is one, too."""
        if self._found is not None:
            return self._found
        for outcome, last in self._last.items():
            if last.source_offset >= self._begun_at and outcome not in self._met:
                return f"no {_WORDS[outcome]} for offset {last.source_offset}, where {last.topic} holds one"
        return None


def content_of(
    message: Output | Record,
) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]:
    """Return what readers see of a message: key, value and headers."""
    return message.key, message.value, tuple((name, value) for name, value in message.headers or ())
