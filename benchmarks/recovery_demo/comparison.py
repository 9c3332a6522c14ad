"""What a reader sees against what an independent loop says, record by record, while both come in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.oracle import InputRecord, Published

Kind = Literal["prediction", "dead_letter"]
KINDS: Final[tuple[Kind, ...]] = ("prediction", "dead_letter")


class Loop(Protocol):
    """The independent loop over one partition."""

    def feed(self, record: InputRecord) -> Published | None:
        """Return what must be published for the next record; None for a repeat."""


@dataclass(slots=True)
class Counts:
    """How what was seen compares with what must be seen.

    Attributes:
        equal: seen once, in its place, equal to the byte.
        lost: not seen, though a later one of its partition and topic was, or the end was reached.
        doubled: seen again.
        differing: seen with other bytes, or before its turn or after it, or where nothing must be.
    """

    equal: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0

    @property
    def wrong(self) -> int:
        """Everything that must be 0."""
        return self.lost + self.doubled + self.differing


class _Offsets:
    """A set of offsets that takes one byte for each below its highest: a soak sees millions, nearly all of them."""

    def __init__(self) -> None:
        self._flags = bytearray()

    def __contains__(self, offset: int) -> bool:
        return 0 <= offset < len(self._flags) and self._flags[offset] == 1

    def add(self, offset: int) -> None:
        if offset >= len(self._flags):
            self._flags.extend(bytes(offset + 1 - len(self._flags)))
        self._flags[offset] = 1


@dataclass(slots=True)
class _Stream:
    """One kind of output of one partition: what must come, in its order, and what of it has come."""

    kind: Kind
    counts: Counts
    next: int = 0
    expected: deque[Published] = field(default_factory=deque)
    early: deque[Published] = field(default_factory=deque)
    seen: _Offsets = field(default_factory=_Offsets)
    lost: set[int] = field(default_factory=set)

    def see(self, message: Published) -> Iterator[str]:
        """Take a message, judge it if its input record was fed, and yield what is wrong."""
        if message.source_offset < self.next:
            yield from self._judge(message)
        else:
            self.early.append(message)

    def advance(self, next_offset: int, must: Published | None) -> Iterator[str]:
        """Take the loop's word up to an offset, judge what came before it, and yield what is wrong."""
        self.next = next_offset
        if must is not None:
            self.expected.append(must)
        while self.early and self.early[0].source_offset < next_offset:
            yield from self._judge(self.early.popleft())

    def finish(self) -> Iterator[str]:
        """Judge what is left at the end, and yield what is wrong."""
        while self.early:
            yield from self._judge(self.early.popleft())
        if self.expected:
            yield from self._pass_over(self.expected[-1].source_offset + 1)

    def _judge(self, message: Published) -> Iterator[str]:
        offset, counts = message.source_offset, self.counts
        if offset in self.seen:
            counts.doubled += 1
            yield f"{self.name} of offset {offset} doubled"
            return
        if offset in self.lost:
            self.lost.remove(offset)
            self.seen.add(offset)
            counts.lost -= 1
            counts.differing += 1
            yield f"{self.name} of offset {offset} seen after a later one, so it is not lost but out of order"
            return
        yield from self._pass_over(offset)
        wanted = self.expected[0] if self.expected else None
        if wanted is None or wanted.source_offset != offset:
            counts.differing += 1
            yield f"{self.name} of offset {offset}, where none must be"
            return
        self.expected.popleft()
        self.seen.add(offset)
        if wanted == message:
            counts.equal += 1
        else:
            counts.differing += 1
            # No value is shown: what shops sell is nobody's business but theirs.
            parts = [part for part in ("key", "value", "headers") if getattr(wanted, part) != getattr(message, part)]
            yield f"{self.name} of offset {offset} differs in {' and '.join(parts)}"

    def _pass_over(self, offset: int) -> Iterator[str]:
        """Count what had to come before an offset, and has not, as lost."""
        holes = []
        while self.expected and self.expected[0].source_offset < offset:
            holes.append(self.expected.popleft().source_offset)
        if holes:
            self.lost.update(holes)
            self.counts.lost += len(holes)
            yield f"{len(holes)} lost: {self.name} of offset {holes[0]}" + (" and later" if len(holes) > 1 else "")

    @property
    def name(self) -> str:
        """What the kind is called in a sentence."""
        return self.kind.replace("_", " ")


class Comparison:
    """All partitions of the input, and the two topics of answers.

    The loop's word and the reader's may come in either order: what was seen is judged once the loop was fed its input
    record. What was seen must be, for each partition and topic, the beginning of what the loop says; `finish` asks
    for the rest. Not thread-safe: one thread feeds it; numbers may be read from any.

    Args:
        loops: the independent loop of each partition.

    Attributes:
        records: input records fed.
        repeats: those of them that publish nothing.
        newest: by partition, the highest source offset of a prediction that was seen; -1 where there was none.
        findings: one sentence for each thing that was wrong, in the order of discovery.
    """

    def __init__(self, loops: Mapping[int, Loop]) -> None:
        self._loops = loops
        self.counts: dict[Kind, Counts] = {kind: Counts() for kind in KINDS}
        self.records = 0
        self.repeats = 0
        self.newest = dict.fromkeys(loops, -1)
        self.findings: list[str] = []
        self._streams = {(partition, kind): _Stream(kind, self.counts[kind]) for partition in loops for kind in KINDS}

    @property
    def wrong(self) -> int:
        """How much is lost, doubled or differing so far."""
        return sum(counts.wrong for counts in self.counts.values())

    @property
    def seen(self) -> int:
        """How many messages were judged so far."""
        return sum(counts.equal + counts.doubled + counts.differing for counts in self.counts.values())

    @property
    def waiting(self) -> int:
        """How many answers the loop has given and the reader has not seen: the lag, in events."""
        return sum(len(stream.expected) for stream in self._streams.values())

    def feed(self, partition: int, record: InputRecord) -> None:
        """Take the next record of the input."""
        must = self._loops[partition].feed(record)
        self.records += 1
        self.repeats += must is None
        for kind in KINDS:
            wanted = must if must is not None and must.kind == kind else None
            self._note(partition, self._streams[partition, kind].advance(record[0] + 1, wanted))

    def see(self, partition: int, message: Published) -> None:
        """Take the next message of a topic of answers."""
        if message.kind == "prediction":
            self.newest[partition] = max(self.newest[partition], message.source_offset)
        self._note(partition, self._streams[partition, message.kind].see(message))

    def see_unreadable(self, partition: int, kind: Kind, reason: str) -> None:
        """Take a message that does not even say which record it answers."""
        self.counts[kind].differing += 1
        self._note(partition, [f"{self._streams[partition, kind].name} that names no record: {reason}"])

    def finish(self) -> None:
        """Judge what is left, once both the input and the answers were read to their ends."""
        for (partition, _), stream in self._streams.items():
            self._note(partition, stream.finish())

    def _note(self, partition: int, found: Iterable[str]) -> None:
        self.findings.extend(f"partition {partition}: {text}" for text in found)
