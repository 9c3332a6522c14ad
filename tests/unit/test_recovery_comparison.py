"""The counts of `make demo-recovery` see whatever is lost, doubled or differing, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.recovery_demo.comparison import Comparison
from tests.oracle import Published

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.oracle import InputRecord

PREDICTED, REFUSED, REPEATED = "prediction", "dead_letter", "repeat"
KINDS = [PREDICTED, PREDICTED, REFUSED, REPEATED, PREDICTED, REFUSED, PREDICTED, PREDICTED]
"""What becomes of the records at offsets 0 to 7."""


class ScriptedLoop:
    """Says for each record what the script has."""

    def feed(self, record: InputRecord) -> Published | None:
        return answer(record[0])


def answer(offset: int) -> Published | None:
    kind = KINDS[offset]
    return None if kind == REPEATED else Published(kind, offset, b"key", b"value %d" % offset, ())  # type: ignore[arg-type]


def record(offset: int) -> InputRecord:
    return offset, 0, b"key", b"value", []


ANSWERS = [each for each in map(answer, range(len(KINDS))) if each is not None]
AT_0, AT_1, LETTER_2, AT_4, LETTER_5, AT_6, AT_7 = ANSWERS


def compared(seen: Sequence[Published], *, fed_first: bool = True, finished: bool = True) -> Comparison:
    """Compare a reader's stream with the script, the input read before it or after it."""
    comparison = Comparison({0: ScriptedLoop()})
    for message in [] if fed_first else seen:
        comparison.see(0, message)
    for offset in range(len(KINDS)):
        comparison.feed(0, record(offset))
    for message in seen if fed_first else []:
        comparison.see(0, message)
    if finished:
        comparison.finish()
    return comparison


def numbers(comparison: Comparison) -> tuple[tuple[int, int, int, int], ...]:
    """Equal, lost, doubled, differing of predictions, and of dead letters."""
    return tuple((c.equal, c.lost, c.doubled, c.differing) for c in comparison.counts.values())


@pytest.fixture(params=[True, False], ids=["input-first", "answers-first"])
def compare(request: pytest.FixtureRequest) -> Callable[[Sequence[Published]], Comparison]:
    """Compare with the input read before the answers, and after them: it must not matter."""
    return lambda seen: compared(seen, fed_first=request.param)


def test_what_is_as_it_must_be_counts_as_equal(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """Nothing is wrong with all answers in their order; the two topics may come in any mixture."""
    for seen in (ANSWERS, sorted(ANSWERS, key=lambda message: message.kind)):
        comparison = compare(seen)
        assert numbers(comparison) == ((5, 0, 0, 0), (2, 0, 0, 0))
        assert (comparison.wrong, comparison.waiting, comparison.findings) == (0, 0, [])
        assert (comparison.records, comparison.repeats, comparison.seen) == (8, 1, 7)
        assert comparison.newest == {0: 7}


def test_a_lost_prediction(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """A hole is one lost, and what follows it is compared as before."""
    comparison = compare([AT_0, AT_1, LETTER_2, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 1, 0, 0), (2, 0, 0, 0))
    assert comparison.findings == ["partition 0: 1 lost: prediction of offset 4"]


def test_a_hole_shows_at_once_and_a_missing_end_only_at_the_end() -> None:
    """What has not come yet is waited for; it is lost once something later of its topic, or the end, has come."""
    comparison = compared([AT_0, AT_1], finished=False)
    assert (comparison.wrong, comparison.waiting) == (0, 5)
    comparison.see(0, AT_6)
    assert numbers(comparison) == ((3, 1, 0, 0), (0, 0, 0, 0))
    comparison.finish()
    assert numbers(comparison) == ((3, 2, 0, 0), (0, 2, 0, 0))
    assert comparison.findings[-1] == "partition 0: 2 lost: dead letter of offset 2 and later"


def test_a_doubled_prediction(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """The same again, at once or later, is doubled, though its bytes are right."""
    comparison = compare([AT_0, AT_0, AT_1, LETTER_2, AT_4, AT_1, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((5, 0, 2, 0), (2, 0, 0, 0))
    assert comparison.findings[0] == "partition 0: prediction of offset 0 doubled"


def test_a_doubled_dead_letter(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """Dead letters are held to the same."""
    assert numbers(compare([*ANSWERS, LETTER_5])) == ((5, 0, 0, 0), (2, 0, 1, 0))


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        (AT_4._replace(value=b"value 4 "), "value"),
        (AT_4._replace(key=None), "key"),
        (AT_4._replace(headers=(("name", b""),)), "headers"),
    ],
)
def test_a_differing_prediction(
    compare: Callable[[Sequence[Published]], Comparison], changed: Published, part: str
) -> None:
    """One byte of key, value or headers is one differing, and no value is told."""
    comparison = compare([AT_0, AT_1, LETTER_2, changed, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 0, 0, 1), (2, 0, 0, 0))
    assert comparison.findings == [f"partition 0: prediction of offset 4 differs in {part}"]


def test_out_of_order_differs(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """What comes after a later one of its topic was taken for lost, and is not, but it is not right either."""
    comparison = compare([AT_0, AT_4, AT_1, LETTER_2, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((4, 0, 0, 1), (2, 0, 0, 0))


def test_an_answer_where_none_must_be_differs(compare: Callable[[Sequence[Published]], Comparison]) -> None:
    """An answer to a repeat, to a record that does not exist, and a prediction in a dead letter's place."""
    repeat_answered = [AT_0, AT_1, LETTER_2, AT_0._replace(source_offset=3), AT_4, LETTER_5, AT_6, AT_7]
    assert numbers(compare(repeat_answered)) == ((5, 0, 0, 1), (2, 0, 0, 0))
    assert numbers(compare([*ANSWERS, AT_7._replace(source_offset=99)])) == ((5, 0, 0, 1), (2, 0, 0, 0))
    comparison = compare([AT_0, AT_1, AT_1._replace(source_offset=2), AT_4, LETTER_5, AT_6, AT_7])
    assert numbers(comparison) == ((5, 0, 0, 1), (1, 1, 0, 0))


def test_an_answer_that_names_no_record_differs() -> None:
    """A message that cannot even be placed is counted, not skipped."""
    comparison = compared(ANSWERS)
    comparison.see_unreadable(0, "dead_letter", "no header")
    assert numbers(comparison) == ((5, 0, 0, 0), (2, 0, 0, 1))


def test_nothing_seen_is_all_lost() -> None:
    """An empty stream cannot pass."""
    assert numbers(compared([])) == ((0, 5, 0, 0), (0, 2, 0, 0))


def test_partitions_do_not_mix() -> None:
    """An answer in another partition is lost where it belongs and differs where it came."""
    comparison = Comparison({0: ScriptedLoop(), 1: ScriptedLoop()})
    for partition in (0, 1):
        comparison.feed(partition, record(0))
    comparison.see(0, AT_0)
    comparison.see(0, AT_0)
    comparison.finish()
    assert numbers(comparison)[0] == (1, 1, 1, 0)
    assert comparison.newest == {0: 0, 1: -1}
