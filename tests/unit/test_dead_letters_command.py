"""Dead letters as operators meet them: listed without their values, redriven once and only where it helps."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from consumer import cli
from consumer.checkpoint.directory import DirectoryStore
from consumer.checkpoint.envelope import Identity
from consumer.checkpoint.observations import Observations, newest_observations
from consumer.checkpoint.store import CheckpointName, StoreError
from consumer.commands import dead_letters as command
from consumer.commands import letter_view, terminal
from consumer.dead_letters import (
    REDRIVE_HEADER,
    Selection,
    read_letter,
    redriven_headers,
    repeated_record,
    selection,
)
from consumer.errors import BrokerError, ExitCode, SettingsError, StateError
from consumer.kafka import confirmed, log, reach
from consumer.learning.ledger import Ledger
from consumer.letter_fate import Fate, Rules
from consumer.record import Record
from consumer.redrive import Plan, carry_out, letters, plan
from consumer.simulate.progress import progress_bar
from schemas.dead_letter import InvalidEvent, Reason, dead_letter_headers
from schemas.transaction import Limits, decode
from tests.core import post
from tests.sealing import seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from typer.testing import Result
    from typing_extensions import Buffer

    from schemas.dead_letter import Headers

INPUT: Final = "inventory.transactions"
LETTERS: Final = "inventory.transactions.dead-letters"
NOW_MS: Final = 1_490_961_600_000
WHEN: Final = "2017-03-31T12:00:00Z"  # the same instant
AHEAD: Final = "2017-04-03T12:00:00Z"  # three days later


def value_of(**changed: Any) -> bytes:
    """A valid event."""
    event = {"transaction_id": "t1", "store_id": "330", "sku": "milk", "quantity": -2, "occurred_at": WHEN}
    return json.dumps(event | changed).encode()


def letter_record(  # noqa: PLR0913 -- what makes a letter
    offset: int,
    value: bytes | None,
    *,
    partition: int = 0,
    reason: Reason = Reason.OCCURRED_AT_OUT_OF_RANGE,
    original: Headers | None = None,
    topic: str = INPUT,
    of: tuple[int, int] | None = None,
    timestamp_ms: int = NOW_MS,
    refused_ms: int = NOW_MS,
) -> Record:
    """A record of the dead-letter topic as the worker writes it, at its own partition and offset."""
    of_partition, of_offset = of or (partition, offset * 10)
    headers = dead_letter_headers(
        original,
        invalid=InvalidEvent(reason, "sku" if reason in {Reason.MISSING_FIELD, Reason.INVALID_FIELD} else None),
        topic=topic,
        partition=of_partition,
        offset=of_offset,
        timestamp_ms=timestamp_ms,
    )
    return Record(partition, offset, refused_ms, b"330", value, headers)


class MemoryLog:
    """Topics in memory; records keep the offsets that they say."""

    def __init__(self, **topics: list[Record]) -> None:
        self.topics = topics
        self.partitions: dict[str, set[int]] = {}
        self.low: dict[tuple[str, int], int] = {}
        self.reads: list[tuple[str, int, int, int]] = []

    def of(self, topic: str, partition: int) -> list[Record]:
        return [record for record in self.topics.get(topic, []) if record.partition == partition]

    def ranges(self, topic: str) -> dict[int, tuple[int, int]]:
        partitions = self.partitions.get(topic, {0, 1}) | {record.partition for record in self.topics.get(topic, [])}
        return {
            partition: (
                self.low.get((topic, partition), 0),
                max((record.offset + 1 for record in self.of(topic, partition)), default=0),
            )
            for partition in sorted(partitions)
        }

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        found = (record.offset for record in self.of(topic, partition) if record.timestamp_ms >= timestamp_ms)
        return next(found, None)

    def records(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        self.reads.append((topic, partition, start, end))
        yield from (record for record in self.of(topic, partition) if start <= record.offset < end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None


class MemorySender:
    """Appends to a log's topic, as a broker would; may break after some records."""

    def __init__(self, to: MemoryLog, breaks_after: int | None = None) -> None:
        self.log = to
        self.sent: list[Record] = []
        self.confirmed = 0
        self.breaks_after = breaks_after

    def send(self, topic: str, record: Record) -> None:
        if len(self.sent) == self.breaks_after:
            raise BrokerError("the broker is gone")
        self.sent.append(record)
        at = max((each.offset + 1 for each in self.log.of(topic, record.partition)), default=0)
        self.log.topics.setdefault(topic, []).append(
            Record(record.partition, at, record.timestamp_ms, record.key, record.value, record.headers)
        )

    def confirm(self, _topic: str) -> None:
        self.confirmed = len(self.sent)


def rules(**changed: Any) -> Rules:
    """Rules that let everything pass which can go back."""
    made: dict[str, Any] = {
        "source": "letters",
        "target": "input",
        "takes_all_topics": True,
        "max_attempts": 5,
        "max_letters": None,
        "limits": Limits(max_clock_ahead_seconds=10**7),
        "takes_invalid": False,
        "observations": None,
    }
    return Rules(**made | changed)


def planned(records: list[Record], *, target: list[Record] | None = None, **changed: Any) -> Plan:
    """The plan for these letters."""
    made = MemoryLog(letters=records, input=target or [])
    return plan(made, Selection(), rules(**changed), uncommitted=made)


def fates(records: list[Record], **changed: Any) -> dict[Fate, int]:
    """How many letters meet which fate."""
    counted: dict[Fate, int] = {}
    for (_, fate), number in planned(records, **changed).fates.items():
        counted[fate] = counted.get(fate, 0) + number
    return counted


# Reading a letter


def test_a_letter_s_origin() -> None:
    """What the worker wrote is read back."""
    record = letter_record(7, value_of(), partition=3, original=[("error.attempts", b"2"), ("trace", b"x")])
    letter = read_letter(record)
    assert letter.origin is not None
    assert letter.origin.reason == letter.reason == "occurred_at_out_of_range"
    assert letter.origin.message == InvalidEvent(Reason.OCCURRED_AT_OUT_OF_RANGE).message
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (INPUT, 3, 70)
    assert (letter.origin.timestamp_ms, letter.origin.attempts) == (NOW_MS, 3)


def test_an_original_without_timestamp() -> None:
    """-1 stands for none."""
    origin = read_letter(letter_record(1, b"", timestamp_ms=-1)).origin
    assert origin is not None
    assert origin.timestamp_ms == -1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reason", None),
        ("message", b"\xff"),
        ("topic", None),
        ("partition", b"-1"),
        ("partition", b"0x1"),
        ("offset", b""),
        ("offset", b"9" * 19),
        ("offset", "٣".encode()),
        ("timestamp", b"-2"),
        ("attempts", b"1\n"),
    ],
)
def test_a_damaged_header_makes_no_letter(name: str, value: bytes | None) -> None:
    """Anyone may write to the topic: what a worker would not write is shown, and never sent on."""
    record = letter_record(1, value_of())
    headers = [(header, old) for header, old in record.headers or () if header != f"error.{name}"]
    damaged = Record(0, 1, NOW_MS, b"330", value_of(), [*headers, (f"error.{name}", value)])
    assert read_letter(damaged).origin is None
    assert read_letter(damaged).reason == "?"
    assert fates([damaged]) == {Fate.NO_LETTER: 1}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["error.partition", "error.reason", "error.attempts", "error.timestamp", "trace"]),
            st.none() | st.binary(max_size=8),
        )
    )
)
def test_no_header_is_too_hostile_to_be_read(headers: Headers) -> None:
    """Whatever the headers, reading them neither raises nor believes half of them."""
    record = letter_record(1, value_of())
    for mixed in ([*headers, *(record.headers or ())], [*(record.headers or ()), *headers], headers):
        letter = read_letter(Record(0, 1, NOW_MS, None, None, mixed))
        if letter.origin is not None:
            assert letter.origin.partition >= 0
            redriven_headers(mixed, letter.origin)


def test_what_goes_back() -> None:
    """The original's headers byte for byte, its attempts, and the name of the record that it repeats; nothing else."""
    original: Headers = [("trace", b"\xff"), ("trace", None), ("error.attempts", b"2"), ("error.old", b"x")]
    record = letter_record(7, value_of(), original=original)
    origin = read_letter(record).origin
    assert origin is not None
    back = redriven_headers(record.headers, origin)
    assert back == [
        ("trace", b"\xff"),
        ("trace", None),
        ("error.attempts", b"3"),
        (REDRIVE_HEADER, b"inventory.transactions:0:70"),
    ]
    assert repeated_record(back) == b"inventory.transactions:0:70"
    assert repeated_record(original) is None
    assert repeated_record(None) is None


def test_round_trips_count_up_and_leave_no_trail() -> None:
    """Refused, redriven and refused again: attempts go up by one each time, and one redrive.of header is there."""
    headers: Headers = [("trace", b"1")]
    for attempt in range(1, 5):
        record = letter_record(attempt, value_of(), original=headers)
        origin = read_letter(record).origin
        assert origin is not None
        assert origin.attempts == attempt
        headers = redriven_headers(record.headers, origin)
        assert [name for name, _ in headers] == ["trace", "error.attempts", REDRIVE_HEADER]


# Which are asked for


def test_reasons_and_since() -> None:
    """Reasons are any of those given; since is by the letter's own timestamp, not the original's."""
    early = read_letter(letter_record(1, b"", reason=Reason.NOT_JSON, refused_ms=NOW_MS - 1))
    late = read_letter(letter_record(2, b"", reason=Reason.MISSING_FIELD, refused_ms=NOW_MS, timestamp_ms=5))
    asked = selection(["not_json"], None, NOW_MS)
    assert (asked.takes(early), asked.takes(late)) == (True, False)
    asked = selection([], WHEN, NOW_MS)
    assert (asked.takes(early), asked.takes(late)) == (False, True)
    asked = selection(["not_json", "missing_field"], "1s", NOW_MS)
    assert (asked.takes(early), asked.takes(late)) == (True, True)


@pytest.mark.parametrize(
    ("text", "since_ms"),
    [
        ("0s", NOW_MS),
        ("90s", NOW_MS - 90_000),
        ("30m", NOW_MS - 1_800_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("2w", NOW_MS - 1_209_600_000),
        ("2017-03-31T13:00:00+01:00", NOW_MS),
        ("2017-03-31T12:00:00.0000001Z", NOW_MS),
        ("2017-03-31T12:00:00.000001Z", NOW_MS + 1),
    ],
)
def test_since(text: str, since_ms: int) -> None:
    """A duration counts back from now, a date-time is itself."""
    assert selection([], text, NOW_MS).since_ms == since_ms


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "2y", "1.5h", "yesterday", "2017-03-31", "9999999h"])
def test_no_since(text: str) -> None:
    """What is neither is answered with both forms."""
    with pytest.raises(SettingsError, match=r"--since .*: expected a duration such as .* or an RFC 3339 date-time"):
        selection([], text, NOW_MS)


def test_no_reason() -> None:
    """A word outside the vocabulary is answered with the vocabulary."""
    with pytest.raises(SettingsError, match="--reason 'broken': expected one of empty_value, not_json"):
        selection(["not_json", "broken"], None, NOW_MS)


def test_letters_come_partition_by_partition_up_to_the_end() -> None:
    """The order is the same each time; a partition that is not asked for is not read, nor what lies before since."""
    made = MemoryLog(
        letters=[
            letter_record(5, b"", partition=1, refused_ms=NOW_MS),
            letter_record(0, b"", refused_ms=NOW_MS - 10),
            letter_record(3, b"", refused_ms=NOW_MS),
            letter_record(4, b"", refused_ms=NOW_MS - 10),  # written later, by a clock that was behind
        ]
    )
    seen = [(each.record.partition, each.record.offset) for each in letters(made, "letters", Selection())]
    assert seen == [(0, 0), (0, 3), (0, 4), (1, 5)]
    made.reads.clear()
    recent = Selection(since_ms=NOW_MS)
    assert [each.record.offset for each in letters(made, "letters", recent, frozenset({0}))] == [3]
    assert made.reads == [("letters", 0, 3, 5)]
    made.reads.clear()
    assert list(letters(made, "letters", Selection(since_ms=NOW_MS + 1))) == []
    assert made.reads == []


# The plan


def test_a_letter_that_the_new_settings_take_is_redriven() -> None:
    """The event is judged with the original's Kafka timestamp and the present settings."""
    ahead = [letter_record(1, value_of(occurred_at=AHEAD))]
    assert fates(ahead) == {Fate.SEND: 1}
    assert fates(ahead, limits=Limits()) == {Fate.STILL_INVALID: 1}
    assert fates(ahead, limits=Limits(), takes_invalid=True) == {Fate.SEND: 1}
    assert fates(ahead, limits=None) == {Fate.SEND: 1}
    assert fates([letter_record(1, None, reason=Reason.EMPTY_VALUE)]) == {Fate.STILL_INVALID: 1}


def test_the_loop_guard() -> None:
    """A letter that keeps coming back is left where it is, and counted."""
    records = [letter_record(n, value_of(), original=[("error.attempts", str(n).encode())]) for n in range(6)]
    made = planned(records, max_attempts=3)
    assert made.offsets == {0: [0, 1]}
    assert made.fates["occurred_at_out_of_range", Fate.TOO_OFTEN] == 4


def test_a_letter_without_value_cannot_go_back() -> None:
    """`too_large` leaves sizes and a digest only: there is nothing to send, whatever is included."""
    record = letter_record(1, None)
    headers: Headers = [(name, b"too_large" if name == "error.reason" else old) for name, old in record.headers or ()]
    large = Record(0, 1, NOW_MS, None, None, headers)
    assert fates([large], takes_invalid=True, limits=None) == {Fate.NO_VALUE: 1}


def test_another_topic_s_letters_stay_unless_a_target_is_named() -> None:
    """One dead-letter topic may serve several inputs; their partitions are not each other's."""
    mine, other = letter_record(1, value_of(), topic="input"), letter_record(2, value_of(), topic="other")
    assert fates([mine, other], takes_all_topics=False) == {Fate.SEND: 1, Fate.OTHER_TOPIC: 1}
    assert fates([mine, other], takes_all_topics=True) == {Fate.SEND: 2}


def test_a_partition_that_the_target_lacks() -> None:
    """An item's events must not move to another partition, so such a letter stays."""
    assert fates([letter_record(1, value_of(), of=(2, 5))]) == {Fate.NO_PARTITION: 1}


def test_max_leaves_the_rest() -> None:
    """The first letters go, in order; what was sent before does not use up the room."""
    records = [letter_record(n, value_of(transaction_id=f"t{n}"), topic="input") for n in range(5)]
    target = [redriven(records[0], 60)]
    made = planned(records, target=target, max_letters=2)
    assert made.offsets == {0: [1, 2]}
    assert dict(made.fates) == {
        ("occurred_at_out_of_range", Fate.SENT_BEFORE): 1,
        ("occurred_at_out_of_range", Fate.SEND): 2,
        ("occurred_at_out_of_range", Fate.BEYOND_MAX): 2,
    }
    assert made.letters == 2


def redriven(letter: Record, offset: int) -> Record:
    """A record of the target topic that repeats a letter's."""
    origin = read_letter(letter).origin
    assert origin is not None
    headers = redriven_headers(letter.headers, origin)
    return Record(origin.partition, offset, NOW_MS, letter.key, letter.value, headers)


def test_only_what_may_hold_earlier_redrives_is_looked_at() -> None:
    """A redriven record lies behind its original; another topic than the letters' own is looked at whole."""
    records = [letter_record(1, value_of(), topic="input", of=(1, 40)), letter_record(2, value_of(), of=(1, 55))]
    made = MemoryLog(letters=records, input=[Record(1, 99, NOW_MS, None, None, None)])
    plan(made, Selection(), rules(takes_all_topics=False), uncommitted=made)
    assert made.reads[-1] == ("input", 1, 41, 100)
    plan(made, Selection(), rules(), uncommitted=made)
    assert made.reads[-1] == ("input", 1, 0, 100)
    assert ("input", 0) not in {(topic, partition) for topic, partition, _, _ in made.reads}


def test_a_target_that_lost_records_is_said() -> None:
    """Where retention took what might have told of an earlier redrive, the operator hears of it."""
    made = MemoryLog(letters=[letter_record(1, value_of(), topic="input", of=(0, 4))], input=[])
    made.low["input", 0] = 5
    assert plan(made, Selection(), rules(), uncommitted=made).cut_off == set()
    made.low["input", 0] = 6
    assert plan(made, Selection(), rules(), uncommitted=made).cut_off == {0}


def test_the_same_letter_twice() -> None:
    """Under at_least_once a dead letter may be repeated byte for byte; it goes back once."""
    first, second = letter_record(1, value_of(), of=(0, 5)), letter_record(2, value_of(), of=(0, 5))
    assert fates([first, second]) == {Fate.SEND: 1, Fate.TWICE: 1}


def test_progress_is_told() -> None:
    """A long look at the target shows how far it is."""
    target = [Record(0, offset, NOW_MS, None, None, None) for offset in range(2_500)]
    made = MemoryLog(letters=[letter_record(0, value_of(), topic="input", of=(0, 99))], input=target)
    told: list[tuple[int, int]] = []
    plan(made, Selection(), rules(), uncommitted=made, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(900, 2_400), (1_900, 2_400), (2_400, 2_400)]


# Late events


class Known:
    """A ledger that has observed one instant for every item."""

    def __init__(self, occurred_us: int) -> None:
        self.occurred_us = occurred_us

    def is_late(self, event: Any) -> bool:
        return bool(event.occurred_us < self.occurred_us)


def test_late_letters_are_left() -> None:
    """What is older than the item's last observed level would be predicted for and change nothing."""
    records = [letter_record(1, value_of())]
    at = NOW_MS * 1_000
    assert fates(records, observations=lambda _: Known(at)) == {Fate.SEND: 1}
    assert fates(records, observations=lambda _: Known(at + 1)) == {Fate.LATE: 1}
    assert fates(records, observations=None) == {Fate.SEND: 1}
    # What cannot be decoded cannot be late.
    broken = [letter_record(1, b"{")]
    assert fates(broken, observations=lambda _: Known(at + 1), takes_invalid=True) == {Fate.SEND: 1}


def test_without_a_checkpoint_nothing_is_guessed() -> None:
    """The plan is not made; where no letter asks for the ledger, nothing is missing."""

    def missing(partition: int) -> Known:
        raise StateError(f"no checkpoint of partition {partition}")

    with pytest.raises(StateError, match="no checkpoint of partition 1"):
        fates([letter_record(1, value_of(), partition=1)], observations=missing)
    assert fates([letter_record(1, b"{")], observations=missing) == {Fate.STILL_INVALID: 1}


def test_one_partition_s_ledger_is_held_at_a_time() -> None:
    """A ledger may be large; each is loaded once."""
    loaded: list[int] = []

    def load(partition: int) -> Known:
        loaded.append(partition)
        return Known(0)

    records = [letter_record(n, value_of(transaction_id=f"t{n}"), partition=n % 2) for n in range(6)]
    assert fates(records, observations=load) == {Fate.SEND: 6}
    assert loaded == [0, 1]


IDENTITY: Final = Identity("group", "input", "topic-id", "0123456789ab", "f" * 64, "0", {})


def write_checkpoint(  # noqa: PLR0913 -- what can be wrong with one
    store: DirectoryStore,
    offset: int,
    ledger: Mapping[str, Buffer],
    *,
    partition: int = 0,
    damage: bool = False,
    key: bytes | None = None,
) -> None:
    """Keep a checkpoint with this ledger."""
    header, data = seal(IDENTITY, partition, offset, {**ledger, "models": b"not looked at"}, key)
    if damage:
        data = data[:-1] + bytes([data[-1] ^ 1])
    store.write(CheckpointName("group", "input", partition, offset, header.digest), data)


def ledger_of(observed_us: int) -> Mapping[str, Buffer]:
    """The sections of a ledger that has observed the milk of store 330 at an instant, and nothing of its bread."""
    ledger = Ledger()
    post(ledger, "330\x1fmilk", 0, 5_000_000, observed_us)
    post(ledger, "330\x1fbread", -1_000_000, None, observed_us)
    ledger.sweep(observed_us, 400)
    return ledger.snapshot()


EMPTY: Final = Ledger().snapshot()


def test_the_newest_readable_checkpoint_counts(tmp_path: Path) -> None:
    """The ledger in it tells late from not; a damaged newer one is passed over, and another partition's."""
    store = DirectoryStore(tmp_path)
    write_checkpoint(store, 10, EMPTY)
    write_checkpoint(store, 20, ledger_of(NOW_MS * 1_000 + 1))
    write_checkpoint(store, 30, EMPTY, damage=True)
    write_checkpoint(store, 40, EMPTY, partition=1)
    found = newest_observations(store, "group", "input", 0, None)
    assert found.offset == 20
    assert found.is_late(decode(value_of(), NOW_MS, Limits()))
    assert not found.is_late(decode(value_of(occurred_at="2017-03-31T12:00:00.000001Z"), NOW_MS, Limits()))
    assert not found.is_late(decode(value_of(sku="bread"), NOW_MS, Limits()))
    assert not found.is_late(decode(value_of(sku="salt"), NOW_MS, Limits()))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.integers(0, 9), st.integers(0, 9)), max_size=6),
    st.integers(NOW_MS * 1_000, NOW_MS * 1_000 + 9),
)
def test_late_is_what_the_ledger_calls_late(entered: list[tuple[int | None, int]], at_us: int) -> None:
    """The command judges as the worker will: from the same entries, the same word."""
    ledger = Ledger()
    for observed, after_us in entered:
        post(ledger, "330\x1fmilk", -1, observed, NOW_MS * 1_000 + after_us)
    event = decode(value_of(), NOW_MS, Limits())
    event.occurred_us = at_us
    judged = Observations(0, ledger.entries).is_late(event)
    assert judged is ledger.look("330\x1fmilk", -1, None, at_us).is_late


def test_signed_checkpoints(tmp_path: Path) -> None:
    """With the worker's key a signed one is read, and only with it; the sentence says which variable is wrong."""
    store = DirectoryStore(tmp_path)
    write_checkpoint(store, 20, EMPTY, key=b"key")
    assert newest_observations(store, "group", "input", 0, b"key").offset == 20
    for key in (None, b"another"):
        with pytest.raises(StateError, match="CHECKPOINT_SIGNING_KEY"):
            newest_observations(store, "group", "input", 0, key)


@pytest.mark.parametrize(
    "ledger",
    [
        b"",
        pickle.dumps({}),
        *(
            msgspec.msgpack.encode(each)
            for each in ({"x": 5}, {"x": ("5", 6)}, {"x": (1, None)}, ["x"], None, (1, "0"))
        ),
    ],
)
def test_a_ledger_of_another_shape_is_none(tmp_path: Path, ledger: bytes) -> None:
    """Nothing but levels and times is taken for a ledger; an older checkpoint that has one may do."""
    store = DirectoryStore(tmp_path)
    write_checkpoint(store, 20, {**EMPTY, "ledger": ledger})
    with pytest.raises(StateError, match="of the newest: section 'ledger' is not of its type"):
        newest_observations(store, "group", "input", 0, None)
    write_checkpoint(store, 10, EMPTY)
    assert newest_observations(store, "group", "input", 0, None).offset == 10


def test_a_foreign_checkpoint_is_none(tmp_path: Path) -> None:
    """A file that was put under another name says so itself; where there is none at all, that is said."""
    store = DirectoryStore(tmp_path)
    header, data = seal(IDENTITY, 1, 20, EMPTY)
    store.write(CheckpointName("group", "input", 0, 20, header.digest), data)
    with pytest.raises(StateError, match=r"of the newest: its header is another one's: expected .*partition=0"):
        newest_observations(store, "group", "input", 0, None)
    with pytest.raises(StateError, match=r"group nobody and topic input in the directory .*; found none: set CHECK"):
        newest_observations(store, "nobody", "input", 0, None)


def test_a_checkpoint_without_ledger(tmp_path: Path) -> None:
    """A section may be missing in a file of another make."""
    store = DirectoryStore(tmp_path)
    header, data = seal(IDENTITY, 0, 20, {"models": b""})
    store.write(CheckpointName("group", "input", 0, 20, header.digest), data)
    with pytest.raises(StateError, match="it holds no ledger"):
        newest_observations(store, "group", "input", 0, None)


def test_a_checkpoint_pruned_while_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on meanwhile: what it has just removed is no damage."""
    store = DirectoryStore(tmp_path)
    write_checkpoint(store, 20, EMPTY)
    monkeypatch.setattr(store, "read", lambda _name: None)
    with pytest.raises(StateError, match="pruned meanwhile; run the command again"):
        newest_observations(store, "group", "input", 0, None)


# Carrying it out


def test_a_redrive_sends_records_as_they_were() -> None:
    """Key, value and headers, to the original's partition and with its timestamp, in the letters' order."""
    records = [
        letter_record(1, value_of(transaction_id="a"), partition=1, original=[("trace", b"\x00")], timestamp_ms=5),
        letter_record(2, b"\xff", partition=1, reason=Reason.NOT_JSON, timestamp_ms=-1),
        letter_record(3, b"", partition=1, reason=Reason.EMPTY_VALUE),
    ]
    made = MemoryLog(letters=records)
    sender = MemorySender(made)
    told: list[int] = []
    carry_out(
        plan(made, Selection(), rules(limits=None), uncommitted=made), made, rules(), sender, on_progress=told.append
    )
    assert [(each.partition, each.timestamp_ms, each.key, each.value) for each in sender.sent] == [
        (1, 5, b"330", value_of(transaction_id="a")),
        (1, -1, b"330", b"\xff"),
        (1, NOW_MS, b"330", b""),
    ]
    assert sender.sent[0].headers == [
        ("trace", b"\x00"),
        ("error.attempts", b"1"),
        (REDRIVE_HEADER, b"inventory.transactions:1:10"),
    ]
    assert sender.confirmed == 3
    assert told == [1, 2, 3]


def test_only_the_plan_s_letters_are_sent() -> None:
    """Letters between two that go, and those behind, stay."""
    records = [letter_record(n, value_of(transaction_id=f"t{n}")) for n in range(5)]
    made = MemoryLog(letters=records)
    sender = MemorySender(made)
    carry_out(Plan(offsets={0: [1, 3]}), made, rules(), sender)
    assert [json.loads(each.value or b"")["transaction_id"] for each in sender.sent] == ["t1", "t3"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=4), st.booleans())
def test_no_letter_goes_twice_however_often_it_breaks_off(breaks: list[int], same_topic: bool) -> None:
    """Each run goes on with the rest: in the end every refused record is in the target once, in order."""
    topic = "input" if same_topic else "elsewhere"
    records = [
        letter_record(n, value_of(transaction_id=f"t{n}"), partition=n % 2, topic=topic, of=(n % 2, n))
        for n in range(12)
    ]
    originals = [Record(n % 2, n, NOW_MS, b"330", value_of(transaction_id=f"t{n}"), None) for n in range(12)]
    made = MemoryLog(letters=records, input=originals)
    for number in [*breaks, None]:
        sender = MemorySender(made, breaks_after=number)
        planned_now = plan(made, Selection(), rules(), uncommitted=made)
        try:
            carry_out(planned_now, made, rules(), sender)
        except BrokerError:
            assert number is not None
    for partition in (0, 1):
        repeated = [repeated_record(each.headers) for each in made.of("input", partition)]
        names = [name for name in repeated if name is not None]
        assert names == [f"{topic}:{partition}:{n}".encode() for n in range(partition, 12, 2)]
    assert plan(made, Selection(), rules(), uncommitted=made).letters == 0


def test_a_letter_refused_again_may_go_again() -> None:
    """The second refusal is another record's: the first letter stays, the new one may be redriven."""
    original = Record(0, 0, NOW_MS, b"330", value_of(), None)
    made = MemoryLog(letters=[letter_record(0, value_of(), topic="input", of=(0, 0))], input=[original])
    carry_out(plan(made, Selection(), rules(), uncommitted=made), made, rules(), MemorySender(made))
    _, again = made.of("input", 0)
    made.topics["letters"].append(
        letter_record(1, value_of(), topic="input", of=(0, again.offset), original=again.headers)
    )
    now = plan(made, Selection(), rules(), uncommitted=made)
    assert now.offsets == {0: [1]}
    assert now.fates["occurred_at_out_of_range", Fate.SENT_BEFORE] == 1


# The commands


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    """Three letters of three reasons, one of them hostile, and no broker."""
    hostile = letter_record(2, b"\x1b[31mPIN 1234", reason=Reason.NOT_JSON)
    headers: Headers = [
        (name, b"\x1b]0;owned\x07" if name == "error.topic" else old) for name, old in hostile.headers or ()
    ]
    made = MemoryLog(
        **{
            LETTERS: [
                letter_record(0, value_of(occurred_at=AHEAD), original=[("trace", b"abc")], refused_ms=NOW_MS),
                letter_record(1, b'{"card": "4929"}', reason=Reason.MISSING_FIELD),
                Record(0, 2, NOW_MS, None, hostile.value, headers),
            ],
            INPUT: [Record(0, 0, NOW_MS, b"330", value_of(), None)],
        }
    )
    monkeypatch.setattr(log, "KafkaLog", lambda *_: made)
    monkeypatch.setattr(reach, "await_broker", lambda _: None)
    monkeypatch.setattr(terminal.output, "_width", 300)  # the property would stay set
    monkeypatch.setattr(command, "_now_ms", lambda: NOW_MS + 60_000)
    return made


def test_in_a_pipe_there_is_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard error of a script holds sentences, and not even an empty line of a progress bar."""
    with progress_bar() as bar:
        bar.update(bar.add_task("looking", total=3), completed=1)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.fixture
def sender(kafka: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> MemorySender:
    """What the redrive sends to."""
    made = MemorySender(kafka)
    monkeypatch.setattr(confirmed, "ConfirmedProducer", lambda _: made)
    return made


def invoke(*arguments: str, answer: str | None = None, **variables: str) -> Result:
    """Run a command."""
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1", **variables}
    return CliRunner(env=environment).invoke(cli.app, ["dead-letters", *arguments], input=answer)


@pytest.mark.usefixtures("kafka")
def test_list_shows_everything_but_the_value() -> None:
    """Where each letter lies, why it is one, where it came from and how large it is; nothing of what it holds."""
    result = invoke("list")
    assert result.exit_code == 0
    for shown in ("0:0", "occurred_at_out_of_range", f"{INPUT} 0:0", "2017-03-31T12:00:00.000+00:00", "missing_field"):
        assert shown in result.stdout
    assert str(len(value_of(occurred_at=AHEAD))) in result.stdout
    assert "3 letters" in result.stdout
    for hidden in ("milk", "4929", "1234", "abc"):
        assert hidden not in result.output


@pytest.mark.usefixtures("kafka")
def test_list_obeys_no_letter() -> None:
    """Escape sequences of a hostile header or value are spelt out, not sent to the terminal."""
    result = invoke("list", "--show-value")
    assert "\x1b]0" not in result.output
    assert "\x1b[31m" not in result.output
    assert "\\x1b]0;owned\\x07" in result.stdout
    assert "\\x1b[31mPIN 1234" in result.stdout
    assert "milk" in result.stdout


@pytest.mark.usefixtures("kafka")
def test_list_as_json() -> None:
    """One object a line on standard output, the summary beside it."""
    result = invoke("list", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0] == {
        "partition": 0,
        "offset": 0,
        "timestamp_ms": NOW_MS,
        "reason": "occurred_at_out_of_range",
        "message": InvalidEvent(Reason.OCCURRED_AT_OUT_OF_RANGE).message,
        "original": {"topic": INPUT, "partition": 0, "offset": 0, "timestamp_ms": NOW_MS},
        "attempts": 1,
        "key_bytes": 3,
        "value_bytes": len(value_of(occurred_at=AHEAD)),
        "headers_bytes": 8,
    }
    assert [line["reason"] for line in lines] == ["occurred_at_out_of_range", "missing_field", "not_json"]
    assert "3 letters" in result.stderr
    assert "milk" not in result.output


def test_list_as_json_with_values(kafka: MemoryLog) -> None:
    """On request key, value and headers too: as text, or in base64 under a name that says so."""
    kafka.topics[LETTERS].append(letter_record(3, b"\xff\x00", reason=Reason.NOT_JSON))
    result = invoke("list", "--json", "--show-value")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (lines[0]["key"], json.loads(lines[0]["value"])["sku"]) == ("330", "milk")
    assert lines[0]["headers"][0] == {"name": "trace", "value": "abc"}
    assert lines[2]["key"] is None
    assert lines[3]["value_base64"] == "/wA="
    assert "value" not in lines[3]


def test_list_of_a_record_that_is_no_letter(kafka: MemoryLog) -> None:
    """It is shown for what it is, since someone put it there."""
    kafka.topics[LETTERS] = [Record(0, 9, -1, None, None, None)]
    assert "no dead letter of a worker's" in invoke("list").stdout
    line = json.loads(invoke("list", "--json").stdout)
    assert (line["reason"], line["original"], line["value_bytes"]) == (None, None, None)


@pytest.mark.usefixtures("kafka")
def test_list_filters() -> None:
    """By reason, time, partition and number."""
    assert "1 letters" in invoke("list", "--reason", "not_json").stdout
    assert "2 letters" in invoke("list", "--reason", "not_json", "--reason", "missing_field").stdout
    assert "2 letters" in invoke("list", "--max", "2").stdout
    assert "3 letters" in invoke("list", "--since", "1m").stdout
    assert "No letters" in invoke("list", "--since", "59s").stdout
    assert "No letters" in invoke("list", "--partition", "1").stdout


def test_a_long_list_is_counted_whole_and_shown_in_part(kafka: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is held in memory, so it ends; the summary does not, and says how to see the rest."""
    monkeypatch.setattr(command, "_SHOWN", 2)
    kafka.topics[LETTERS] = [letter_record(n, b"x", reason=Reason.NOT_JSON) for n in range(5)]
    result = invoke("list")
    assert "5 letters" in result.stdout
    assert "3 more are counted but not shown" in result.stdout
    assert "0:2" not in result.stdout


def test_a_long_value_is_cut_in_the_table(kafka: MemoryLog) -> None:
    """A megabyte would hide all other letters; --json has it whole."""
    kafka.topics[LETTERS] = [letter_record(0, b"x" * 100_000, reason=Reason.NOT_JSON)]
    assert invoke("list", "--show-value").stdout.count("x") < letter_view._SHOWN_VALUE + 100
    assert json.loads(invoke("list", "--json", "--show-value").stdout)["value"] == "x" * 100_000


def test_a_time_beyond_the_calendar_is_shown_as_a_number(kafka: MemoryLog) -> None:
    """A hostile timestamp does not break the list."""
    kafka.topics[LETTERS] = [
        letter_record(0, b"", timestamp_ms=10**17),
        letter_record(1, b"", timestamp_ms=-1),
    ]
    result = invoke("list")
    assert result.exit_code == 0
    assert str(10**17) in result.stdout
    assert "none" in result.stdout


@pytest.mark.usefixtures("kafka")
def test_a_dry_run_sends_nothing(sender: MemorySender) -> None:
    """It says what would become of each letter, under the settings that are in force."""
    strict = invoke("redrive", "--dry-run", "--include-late")
    assert strict.exit_code == 0
    assert "would be refused again as it is" in strict.stdout
    assert "Nothing was sent: a dry run." in strict.stdout
    lenient = invoke("redrive", "--dry-run", "--include-late", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert "to be sent" in lenient.stdout
    assert sender.sent == []


def test_redrive_sends_what_the_plan_says(kafka: MemoryLog, sender: MemorySender) -> None:
    """Only the letter that the raised setting lets through goes; run again, it finds it sent."""
    result = invoke("redrive", "--include-late", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert result.exit_code == 0, result.output
    assert [each.value for each in sender.sent] == [value_of(occurred_at=AHEAD)]
    assert "Sent 1 to inventory.transactions, all confirmed." in result.stdout
    again = invoke("redrive", "--include-late", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert "redriven before" in again.stdout
    assert "Nothing was sent." in again.stdout
    assert len(kafka.of(INPUT, 0)) == 2


def test_redrive_to_another_topic_judges_nothing(kafka: MemoryLog, sender: MemorySender) -> None:
    """Who repairs events elsewhere gets them all as they are."""
    kafka.topics["repairs"] = []
    result = invoke("redrive", "--to", "repairs")
    assert result.exit_code == 0, result.output
    assert [each.value for each in sender.sent] == [each.value for each in kafka.of(LETTERS, 0)]
    assert len(kafka.of("repairs", 0)) == 3


def test_redrive_needs_a_checkpoint_to_tell_late_letters(sender: MemorySender, tmp_path: Path) -> None:
    """Without one it stops, unless late events are to go too; with one it judges by it."""
    variables = {"MAX_CLOCK_AHEAD_SECONDS": "864000", "CHECKPOINT_URL": f"file:{tmp_path}"}
    result = invoke("redrive", **variables)
    assert result.exit_code == ExitCode.STATE
    assert "expected a readable checkpoint of partition 0" in result.stderr
    assert "--include-late" in result.stderr
    assert sender.sent == []
    identity = Identity("smart-inventory", INPUT, "topic-id", "0123456789ab", "f" * 64, "0", {})
    header, data = seal(identity, 0, 20, ledger_of((NOW_MS + 10 * 86_400_000) * 1_000), b"secret")
    name = CheckpointName("smart-inventory", INPUT, 0, 20, header.digest)
    DirectoryStore(tmp_path).write(name, data)
    result = invoke("redrive", CHECKPOINT_SIGNING_KEY="secret", **variables)
    assert result.exit_code == 0, result.output
    assert "older than the item's last observed level" in result.stdout
    assert sender.sent == []


def test_a_store_that_cannot_be_listed(sender: MemorySender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without permission is said, with the way on."""

    def fail(*_arguments: object) -> list[CheckpointName]:
        raise StoreError(f"cannot list {tmp_path}: Permission denied")

    monkeypatch.setattr(DirectoryStore, "names", fail)
    result = invoke("redrive", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert result.exit_code == ExitCode.STATE
    assert "Permission denied: set CHECKPOINT_URL" in result.stderr
    assert sender.sent == []


@pytest.mark.parametrize(("answer", "sent"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_it_asks_first(
    sender: MemorySender, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int
) -> None:
    """What goes into the input topic stays there; only a yes sends it."""
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    arguments = ("redrive", "--include-late")
    result = invoke(*arguments, answer=answer, MAX_CLOCK_AHEAD_SECONDS="864000")
    assert result.exit_code == 0, result.output
    assert "Send 1 to inventory.transactions?" in result.stderr
    assert len(sender.sent) == sent


def test_redrive_as_json(sender: MemorySender) -> None:
    """One document: what became of each letter, and how many were sent; a dry run sends none."""
    arguments = ("redrive", "--include-late", "--json")
    dry = json.loads(invoke(*arguments, "--dry-run", MAX_CLOCK_AHEAD_SECONDS="864000").stdout)
    assert (dry["sent"], dry["dry_run"]) == (0, True)
    found = json.loads(invoke(*arguments, MAX_CLOCK_AHEAD_SECONDS="864000").stdout)
    assert (found["sent"], found["dry_run"], found["from"], found["to"]) == (len(sender.sent), False, LETTERS, INPUT)
    assert {"reason": "occurred_at_out_of_range", "outcome": "to be sent", "letters": 1} in found["outcomes"]
    assert found["cut_off_partitions"] == []


def test_yes_does_not_ask(sender: MemorySender) -> None:
    """For scripts on a terminal."""
    result = invoke("redrive", "--include-late", "--yes", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert "Send 1" not in result.stdout
    assert len(sender.sent) == 1


def test_a_broker_that_breaks_off_says_how_to_go_on(sender: MemorySender) -> None:
    """The same command sends the rest, and the sentence says so."""
    sender.breaks_after = 0
    result = invoke("redrive", "--include-late", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert result.exit_code == ExitCode.BROKER
    assert "the broker is gone; the same command sends the rest" in result.stderr


def test_ctrl_c_confirms_what_was_sent(sender: MemorySender, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was handed over is waited for and counted; the exit code is that of an interrupted process."""
    send = sender.send

    def interrupted(topic: str, record: Record) -> None:
        send(topic, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(sender, "send", interrupted)
    result = invoke("redrive", "--to", "repairs")
    assert result.exit_code == 130
    assert "interrupted; 1 of 3 were sent, all confirmed: the same command sends the rest" in result.stderr


def test_the_dead_letters_own_topic_is_no_target(sender: MemorySender) -> None:
    """Letters of letters would go round for ever."""
    result = invoke("redrive", "--to", LETTERS)
    assert result.exit_code == ExitCode.USAGE
    assert "expected another topic" in result.stderr
    assert sender.sent == []


def test_a_target_that_lost_records_is_shown(kafka: MemoryLog, sender: MemorySender) -> None:
    """A dry run says where an earlier redrive could not be seen."""
    kafka.low[INPUT, 0] = 2
    result = invoke("redrive", "--dry-run", "--include-late", MAX_CLOCK_AHEAD_SECONDS="864000")
    assert "Partitions 0 of inventory.transactions no longer hold every record" in result.stdout
    assert sender.sent == []


# The clients


class Client:
    """Confluent's producer, as far as `ConfirmedProducer` sees it: reports when polled or flushed."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.properties = properties
        self.queue: list[Callable[[Any, Any], None]] = []
        self.full = 0
        self.errors: list[Any] = []
        self.purged = False

    def produce(self, *arguments: Any, **_more: Any) -> None:
        if self.full:
            self.full -= 1
            raise BufferError
        self.queue.append(arguments[4])

    def poll(self, _seconds: float) -> int:
        return 0

    def flush(self, _seconds: float) -> int:
        while self.queue:
            self.queue.pop(0)(self.errors.pop(0) if self.errors else None, None)
        return 0

    def purge(self) -> None:
        self.purged = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """Clients that the producer builds."""
    built: list[Client] = []

    def build(properties: dict[str, Any]) -> Client:
        built.append(Client(properties))
        return built[-1]

    monkeypatch.setattr(confirmed, "Producer", build)
    return built


RECORD: Final = Record(0, 0, NOW_MS, b"k", b"v", [])


def test_the_producer_keeps_what_redriving_rests_on(client: list[Client]) -> None:
    """Whatever passes through from the environment, retries neither repeat nor are they taken for confirmed."""
    producer = confirmed.ConfirmedProducer({"bootstrap.servers": "b:1", "linger.ms": "9"})
    assert client[0].properties["enable.idempotence"] is True
    assert client[0].properties["acks"] == "all"
    assert client[0].properties["linger.ms"] == "9"
    client[0].full = 2
    producer.send("input", RECORD)
    assert producer.confirmed == 0
    producer.confirm("input")
    assert producer.confirmed == 1


def test_a_record_that_is_not_confirmed_is_an_error(client: list[Client]) -> None:
    """Nothing is called sent that the broker did not confirm."""

    class Refused:
        def str(self) -> str:
            return "Broker: Message size too large"

    producer = confirmed.ConfirmedProducer({"bootstrap.servers": "b:1"})
    client[0].errors = [None, Refused()]
    for _ in range(2):
        producer.send("input", RECORD)
    with pytest.raises(BrokerError, match=r"1 records were confirmed by topic input, then one was not: .* too large"):
        producer.confirm("input")
    assert client[0].purged
