"""The kinds of bad and odd events: each is what its table says, by core and oracle alike, before any broker sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.bad_kinds import BAD_KINDS
from benchmarks.demonstrations.bad_events import _is_original, _seen
from benchmarks.fuzzing.records import published
from benchmarks.kinds import LATE, MISROUTED, PARTITIONS, PREDICTION, REPEAT, Sending, answer, is_letter
from benchmarks.mixture import mixed
from benchmarks.odd_kinds import ODD_KINDS
from benchmarks.shop import LINEAR
from benchmarks.show import DEMONSTRATIONS
from consumer.record import Record
from schemas.dead_letter import EXPECTED, MESSAGES, Reason
from schemas.routing import Misrouting
from tests import core
from tests.oracle import PartitionOracle, Published, java_murmur2

if TYPE_CHECKING:
    from benchmarks.mixture import Place

KINDS: Final = (*BAD_KINDS, *ODD_KINDS)
GOOD: Final = 700


def oracle(partition: int) -> PartitionOracle:
    """The independent truth for one partition of the kinds' topic."""
    return PartitionOracle(
        topic="sales",
        partition=partition,
        model_id="0123456789ab",
        messages={reason.value: text for reason, text in MESSAGES.items()},
        field_expectations=EXPECTED,
        partitions=PARTITIONS,
    )


def test_the_table_covers_the_vocabulary() -> None:
    """Kinds have names of their own; every reason but a broken model, every misrouting and other answer is there."""
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    expected = {kind.expected for kind in KINDS}
    assert {reason.value for reason in Reason if is_letter(reason)} - expected == {Reason.BROKE_MODEL.value}
    assert {MISROUTED + way.value for way in Misrouting} <= expected
    assert {PREDICTION, LATE, REPEAT} <= {answer(each) for each in expected}
    assert sum(is_letter(kind.expected) for kind in KINDS) > 150
    assert DEMONSTRATIONS["bad-events"].startswith(f"{len(KINDS)} kinds ")


def test_each_kind_is_answered_as_its_table_says() -> None:
    """What the table expects, the oracle says and the core publishes, to the byte, whatever came before."""
    oracles = [oracle(number) for number in range(PARTITIONS)]
    tasks = [
        core.new_task(LINEAR, topic="sales", partition=each, model_id="0123456789ab") for each in range(PARTITIONS)
    ]
    offsets = [0] * PARTITIONS
    seen_kinds = set()
    for sent in mixed(KINDS, good=GOOD, rounds=1, seed=3):
        partition = java_murmur2(sent.key or b"") % 2**31 % PARTITIONS if sent.partition is None else sent.partition
        offset = offsets[partition]
        offsets[partition] += 1
        wanted = oracles[partition].feed((offset, sent.timestamp_ms, sent.key, sent.value, sent.headers or ()))
        record = Record(partition, offset, sent.timestamp_ms, sent.key, sent.value, sent.headers)
        assert published(offset, tasks[partition].process(record)) == wanted, sent.kind
        place = partition, offset
        assert _seen({partition: [] if wanted is None else [wanted]}, {place: sent})[place] == answer(sent.expected), (
            sent
        )
        if wanted is not None and wanted.kind == "dead_letter":
            assert _is_original(wanted, sent)
        seen_kinds.add(sent.kind)
    assert seen_kinds == {kind.name for kind in KINDS} | {""}


SENT: Final = Sending(b"k", b"v", 7, headers=[("a", None), ("error.reason", b"mine")])
LETTER: Final = Published("dead_letter", 0, b"k", b"v", (("a", None), ("error.reason", b"not_json")))


@pytest.mark.parametrize(
    ("letter", "is_original"),
    [
        (LETTER, True),
        (LETTER._replace(key=None), False),
        (LETTER._replace(value=b"v "), False),
        (LETTER._replace(headers=(("error.reason", b"not_json"),)), False),
        (LETTER._replace(headers=(("a", b""), ("error.reason", b"not_json"))), False),
        (LETTER._replace(headers=(("a", None), ("a", None), ("error.reason", b"not_json"))), False),
        (LETTER._replace(headers=(("a", None), ("error.reason", b"too_large"))), False),
        (Published("dead_letter", 0, None, None, (("error.reason", b"too_large"),)), True),
    ],
)
def test_what_counts_as_the_original(letter: Published, is_original: bool) -> None:
    """Key, value and headers, byte for byte and in their order, but for `error.*`; or nothing of it, if too large."""
    assert _is_original(letter, SENT) is is_original


def test_what_is_seen_of_a_record() -> None:
    """Nothing is a skip; an answer that nobody asked for, and two for one record, are no expected answer."""
    prediction = Published("prediction", 0, b"k", b'{"is_late":false}', ())
    place: Place = (0, 0)
    assert _seen({0: []}, {place: SENT}) == {place: REPEAT}
    assert _seen({0: [prediction]}, {place: SENT}) == {place: PREDICTION}
    assert _seen({0: [prediction._replace(value=b'{"is_late":true}')]}, {place: SENT}) == {place: LATE}
    assert _seen({0: [prediction, LETTER]}, {place: SENT})[place] not in {PREDICTION, "not_json"}
    assert (0, 5) in _seen({0: [LETTER._replace(source_offset=5)]}, {place: SENT})


def test_an_odd_kind_may_name_its_partition() -> None:
    """A misrouted record goes where its key does not belong, whatever the partitioner says."""
    (kind,) = (kind for kind in ODD_KINDS if kind.expected == MISROUTED + Misrouting.OTHER_PARTITION)
    good = next(sent for sent in mixed((), good=1, rounds=0, seed=3))
    routed = kind.change(replace(good, key=b"S01"), 1)
    assert routed.partition != java_murmur2(b"S01") % 2**31 % PARTITIONS
