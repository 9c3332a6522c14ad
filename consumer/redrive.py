"""Redriving: dead letters go back to a topic as the records that they were, each at most once.

First everything is looked at and decided (the plan), then what was decided is sent. A redriven record names the one
that it repeats, so the target topic itself remembers what has been sent: however often a redrive is interrupted or run
again, no refused record is sent to a topic twice. Two redrives at the same time would not see each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from consumer.dead_letters import read_letter, redriven_headers, refused_record, repeated_record
from consumer.letter_fate import Fate, Judge
from consumer.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from consumer.dead_letters import Letter, Selection
    from consumer.letter_fate import Rules

_PROGRESS_RECORDS: Final = 1_000
Progress = Callable[[int, int], None]
"""Hears how many offsets have been passed, and of how many."""


class Log(Protocol):
    """What a redrive reads; `consumer.kafka.log.KafkaLog` is the real one."""

    def ranges(self, topic: str) -> Mapping[int, tuple[int, int]]:
        """Return the first offset that each partition holds, and the one after its last."""

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """Return an offset before which every record is older than this; None where all are."""

    def records(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the partition's records from `start` up to but without `end`, in offset order."""


class Sender(Protocol):
    """Where redriven records go; `consumer.kafka.confirmed.ConfirmedProducer` is the real one."""

    def send(self, topic: str, record: Record) -> None:
        """Queue a record for the partition that it names."""

    def confirm(self, topic: str) -> None:
        """Wait until every record is confirmed."""


@dataclass(slots=True)
class Plan:
    """What a redrive will do.

    Attributes:
        offsets: by partition of the dead-letter topic, the offsets of the letters to be sent.
        fates: how many letters of which reason meet which fate.
        cut_off: partitions of the target that no longer hold all records in which earlier redrives might be seen.
    """

    offsets: dict[int, list[int]] = field(default_factory=dict)
    fates: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    cut_off: set[int] = field(default_factory=set)

    @property
    def letters(self) -> int:
        """How many letters will be sent."""
        return sum(len(offsets) for offsets in self.offsets.values())


class _Candidate(msgspec.Struct, frozen=True, gc=False):
    """A letter that may be sent if it has not been before."""

    partition: int
    offset: int
    reason: str
    refused: bytes


def letters(
    log: Log,
    topic: str,
    selection: Selection,
    partitions: frozenset[int] | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Letter]:
    """Yield the letters asked for, partition by partition in offset order, up to where the topic ends now."""
    spans: dict[int, tuple[int, int]] = {}
    for partition, (low, high) in log.ranges(topic).items():
        if partitions is not None and partition not in partitions:
            continue
        start: int | None = low
        if selection.since_ms is not None:
            start = log.offset_at(topic, partition, selection.since_ms)
        if start is not None:
            spans[partition] = max(low, start), high
    for record in _counted(log, topic, spans, on_progress):
        letter = read_letter(record)
        if selection.takes(letter):
            yield letter


def _counted(
    log: Log, topic: str, spans: Mapping[int, tuple[int, int]], on_progress: Progress | None
) -> Iterator[Record]:
    """Yield the records of these spans of offsets, telling now and then how many of all have been passed."""
    total, passed = sum(max(0, end - start) for start, end in spans.values()), 0
    for partition, (start, end) in sorted(spans.items()):
        for record in log.records(topic, partition, start, end):
            yield record
            if on_progress is not None and record.offset % _PROGRESS_RECORDS == 0:
                on_progress(passed + record.offset - start, total)
        passed += max(0, end - start)
    if on_progress is not None:
        on_progress(total, total)


def plan(  # noqa: PLR0913 -- what it reads, and who hears of it
    log: Log,
    selection: Selection,
    rules: Rules,
    *,
    uncommitted: Log,
    on_letters: Progress | None = None,
    on_progress: Progress | None = None,
) -> Plan:
    """Decide what becomes of each letter asked for; nothing is sent.

    Args:
        log: reads what is committed.
        selection: which letters are asked for.
        rules: which of them may go where.
        uncommitted: reads past open transactions too: what was redriven is never part of one, but may lie behind one.
        on_letters: called now and then with the numbers of letters' offsets passed and to be passed.
        on_progress: likewise, of the target's.

    Raises:
        StateError: late events are to be told from others, and no checkpoint is readable.
    """
    made = Plan()
    target = dict(uncommitted.ranges(rules.target))
    judge = Judge(rules, frozenset(target))
    candidates: list[_Candidate] = []
    behind: dict[int, int] = {}  # by target partition, the offset behind which redriven records may lie
    for letter in letters(log, rules.source, selection, on_progress=on_letters):
        fate, origin = judge.fate(letter), letter.origin
        if fate is not Fate.SEND or origin is None:
            made.fates[letter.reason, fate] += 1
            continue
        record = letter.record
        candidates.append(_Candidate(record.partition, record.offset, origin.reason, refused_record(origin)))
        after = origin.offset + 1 if origin.topic == rules.target else 0
        behind[origin.partition] = min(after, behind.get(origin.partition, after))

    made.cut_off = {partition for partition, start in behind.items() if start < target[partition][0]}
    sent = _repeated_records(uncommitted, rules.target, behind, target, on_progress)
    _share_out(made, candidates, sent, rules.max_letters)
    return made


def _repeated_records(
    log: Log,
    topic: str,
    behind: Mapping[int, int],
    target: Mapping[int, tuple[int, int]],
    on_progress: Progress | None,
) -> set[bytes]:
    """Return the names of all records that redrives to this topic have repeated."""
    found: set[bytes] = set()
    spans = {partition: (max(start, target[partition][0]), target[partition][1]) for partition, start in behind.items()}
    for record in _counted(log, topic, spans, on_progress):
        repeated = repeated_record(record.headers)
        if repeated is not None:
            found.add(repeated)
    return found


def _share_out(made: Plan, candidates: list[_Candidate], sent: set[bytes], max_letters: int | None) -> None:
    """Give each candidate its fate and, where it is to be sent, its place in the plan."""
    room = len(candidates) if max_letters is None else max_letters
    taken: set[bytes] = set()
    for each in candidates:
        if each.refused in sent:
            fate = Fate.SENT_BEFORE
        elif each.refused in taken:
            fate = Fate.TWICE
        elif room <= 0:
            fate = Fate.BEYOND_MAX
        else:
            fate = Fate.SEND
            room -= 1
            taken.add(each.refused)
            made.offsets.setdefault(each.partition, []).append(each.offset)
        made.fates[each.reason, fate] += 1


def carry_out(
    made: Plan, log: Log, rules: Rules, sender: Sender, on_progress: Callable[[int], None] | None = None
) -> None:
    """Send the plan's letters in their order and wait until the broker has confirmed each.

    A record goes to the partition and with the timestamp of the original, so that the worker's verdict on it is the
    same but for changed settings, and an item's events stay in one partition.

    Raises:
        BrokerError: one was refused or not confirmed in time; run the redrive again, it goes on with the rest.
    """
    handed_over = 0
    for partition, offsets in made.offsets.items():
        wanted = frozenset(offsets)
        for record in log.records(rules.source, partition, offsets[0], offsets[-1] + 1):
            if record.offset not in wanted:
                continue
            origin = read_letter(record).origin
            if origin is None:
                raise AssertionError("a record does not change once it is in the log")
            headers = redriven_headers(record.headers, origin)
            sender.send(
                rules.target,
                Record(origin.partition, origin.offset, origin.timestamp_ms, record.key, record.value, headers),
            )
            handed_over += 1
            if on_progress is not None:
                on_progress(handed_over)
    sender.confirm(rules.target)
